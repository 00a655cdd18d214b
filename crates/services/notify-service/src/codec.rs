//! Events as they are stored, and back. Nothing else knows both forms.

mod template;
mod value;

use bytes::Bytes;
use kernel::{
    AgentId, DeliveryId, EndpointId, Priority, QueueId, RuleId, TicketId, Timestamp, WorkspaceId,
};
use notify::{
    Address, AttemptEnded, AttemptStarted, AwaitingTicket, Cause, EndpointPut, Event, IntentMade,
    Observation, Outcome, Recipient, RulePut, SealedSecret, Target, TicketLearnt, Way,
};
use prost::Message;
use runtime::{DecodeError, EventType, Payload, written_version};
use service_kit::filter;
use wire::events::v1::{self as stored, AttemptOutcome, NotificationChannel};

/// Every type of event in notify's log.
pub(crate) const EVENTS: &[EventType<Event>] = &[
    EventType::new("WorkspaceSeen", 1, |stored| {
        Ok(Event::WorkspaceSeen(workspace_seen_of(&stored.message()?)))
    }),
    EventType::new("EndpointPut", 1, |stored| {
        Ok(Event::EndpointPut(endpoint_put_of(stored.message()?)))
    }),
    EventType::new("RulePut", 1, |stored| rule_put_of(stored.message()?).map(Event::RulePut)),
    EventType::new("TicketLearnt", 1, |stored| {
        ticket_learnt_of(stored.message()?).map(Event::TicketLearnt)
    }),
    EventType::new("AwaitingTicket", 1, |stored| {
        awaiting_ticket_of(stored.message()?).map(Event::AwaitingTicket)
    }),
    EventType::new("IntentMade", 1, |stored| {
        intent_made_of(stored.message()?).map(Event::IntentMade)
    }),
    EventType::new("AttemptStarted", 1, |stored| {
        Ok(Event::AttemptStarted(attempt_started_of(&stored.message()?)))
    }),
    EventType::new("AttemptEnded", 1, |stored| {
        attempt_ended_of(stored.message()?).map(Event::AttemptEnded)
    }),
];

/// An event as it is stored.
pub(crate) fn encode(event: &Event) -> Payload {
    let (event_type, data) = match event {
        Event::WorkspaceSeen(id) => ("WorkspaceSeen", workspace_seen(id).encode_to_vec()),
        Event::EndpointPut(put) => ("EndpointPut", endpoint_put(put).encode_to_vec()),
        Event::RulePut(put) => ("RulePut", rule_put(put).encode_to_vec()),
        Event::TicketLearnt(learnt) => ("TicketLearnt", ticket_learnt(learnt).encode_to_vec()),
        Event::AwaitingTicket(it) => ("AwaitingTicket", awaiting_ticket(it).encode_to_vec()),
        Event::IntentMade(intent) => ("IntentMade", intent_made(intent).encode_to_vec()),
        Event::AttemptStarted(it) => ("AttemptStarted", attempt_started(it).encode_to_vec()),
        Event::AttemptEnded(ended) => ("AttemptEnded", attempt_ended(ended).encode_to_vec()),
    };
    let version = written_version(EVENTS, event_type);
    Payload { event_type, version, data: Bytes::from(data) }
}

fn malformed(what: &str) -> DecodeError {
    DecodeError::Malformed(what.to_owned())
}

fn workspace_seen(id: &WorkspaceId) -> stored::WorkspaceSeen {
    stored::WorkspaceSeen { workspace_id: id.to_string() }
}

fn workspace_seen_of(seen: &stored::WorkspaceSeen) -> WorkspaceId {
    WorkspaceId::trusted(&seen.workspace_id)
}

fn endpoint_put(put: &EndpointPut) -> stored::EndpointPut {
    stored::EndpointPut {
        endpoint_id: put.endpoint.to_string(),
        url: put.url.expose().to_owned(),
        disabled: put.disabled,
        at_most_once: put.at_most_once,
        sealed_secrets: put.secrets.iter().map(sealed_secret).collect(),
    }
}

/// A sealed secret as it is stored.
pub(crate) fn sealed_secret(secret: &SealedSecret) -> stored::SealedSecret {
    let SealedSecret { key_id, sealed } = secret.clone();
    stored::SealedSecret { key_id, sealed }
}

/// A sealed secret from its stored form.
pub(crate) fn sealed_secret_of(secret: stored::SealedSecret) -> SealedSecret {
    SealedSecret { key_id: secret.key_id, sealed: secret.sealed }
}

fn endpoint_put_of(put: stored::EndpointPut) -> EndpointPut {
    EndpointPut {
        endpoint: EndpointId::trusted(&put.endpoint_id),
        url: Address::new(put.url),
        secrets: put.sealed_secrets.into_iter().map(sealed_secret_of).collect(),
        disabled: put.disabled,
        at_most_once: put.at_most_once,
    }
}

fn rule_put(put: &RulePut) -> stored::RulePut {
    let (channel, endpoint_id, recipients) = match &put.way {
        Way::Webhook(endpoint) => (NotificationChannel::Webhook, endpoint.to_string(), Vec::new()),
        Way::InApp(to) => (
            NotificationChannel::InApp,
            String::new(),
            to.iter().map(ToString::to_string).collect(),
        ),
    };
    stored::RulePut {
        rule_id: put.rule.to_string(),
        version: put.version,
        event_types: put.event_types.clone(),
        filter: filter::filter_text(put.filter.as_ref()),
        channel: channel.into(),
        endpoint_id,
        recipients,
        template: put.template.as_ref().map_or_else(String::new, |it| it.source().to_owned()),
        disabled: put.disabled,
        checked_filter: filter::filter_to_wire(put.filter.as_ref()),
        checked_template: put.template.as_ref().map(template::stored),
    }
}

fn rule_put_of(put: stored::RulePut) -> Result<RulePut, DecodeError> {
    let way = match channel(put.channel)? {
        NotificationChannel::InApp => {
            Way::InApp(put.recipients.iter().map(|text| recipient(text)).collect::<Result<_, _>>()?)
        }
        NotificationChannel::Webhook | NotificationChannel::Unspecified => {
            Way::Webhook(EndpointId::trusted(&put.endpoint_id))
        }
    };
    Ok(RulePut {
        rule: RuleId::trusted(&put.rule_id),
        version: put.version,
        event_types: put.event_types,
        filter: filter::stored_filter(&put.filter, put.checked_filter)
            .map_err(DecodeError::Malformed)?,
        way,
        template: template::template_of(put.template, put.checked_template)?,
        disabled: put.disabled,
    })
}

fn channel(number: i32) -> Result<NotificationChannel, DecodeError> {
    match NotificationChannel::try_from(number) {
        Ok(NotificationChannel::Unspecified) | Err(_) => Err(malformed("an unknown channel")),
        Ok(channel) => Ok(channel),
    }
}

fn recipient(text: &str) -> Result<Recipient, DecodeError> {
    Recipient::parse(text).map_err(|error| DecodeError::Malformed(error.to_string()))
}

fn ticket_learnt(learnt: &TicketLearnt) -> stored::TicketLearnt {
    stored::TicketLearnt {
        ticket_id: learnt.ticket.to_string(),
        number: learnt.number,
        requester_name: learnt.requester_name.clone(),
        subject: learnt.subject.clone(),
        agent_id: learnt.owner.as_ref().map_or_else(String::new, ToString::to_string),
        queue_id: learnt.queue.as_ref().map_or_else(String::new, ToString::to_string),
        priority: learnt.priority.map_or(0, |priority| priority.number().into()),
        closed_at_ms: learnt.closed_at.map_or(0, Timestamp::as_millis),
    }
}

fn ticket_learnt_of(learnt: stored::TicketLearnt) -> Result<TicketLearnt, DecodeError> {
    let priority = match learnt.priority {
        0 => None,
        1 => Some(Priority::P1),
        2 => Some(Priority::P2),
        3 => Some(Priority::P3),
        4 => Some(Priority::P4),
        _ => return Err(malformed("an unknown priority")),
    };
    Ok(TicketLearnt {
        ticket: TicketId::trusted(&learnt.ticket_id),
        number: learnt.number,
        requester_name: learnt.requester_name,
        subject: learnt.subject,
        owner: some(&learnt.agent_id).map(AgentId::trusted),
        queue: some(&learnt.queue_id).map(QueueId::trusted),
        priority,
        closed_at: (learnt.closed_at_ms != 0).then(|| Timestamp::from_millis(learnt.closed_at_ms)),
    })
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn awaiting_ticket(awaiting: &AwaitingTicket) -> stored::AwaitingTicket {
    let Observation { cause, event_type, at, fields } = &awaiting.observation;
    stored::AwaitingTicket {
        ticket_id: awaiting.ticket.to_string(),
        cause_service: cause.service,
        cause_partition: cause.partition,
        cause_seq: cause.seq,
        cause_index: cause.index,
        event_type: event_type.clone(),
        occurred_at_ms: at.as_millis(),
        fields: value::stored_fields(fields),
    }
}

fn awaiting_ticket_of(awaiting: stored::AwaitingTicket) -> Result<AwaitingTicket, DecodeError> {
    Ok(AwaitingTicket {
        ticket: TicketId::trusted(&awaiting.ticket_id),
        observation: Observation {
            cause: Cause {
                service: awaiting.cause_service,
                partition: awaiting.cause_partition,
                seq: awaiting.cause_seq,
                index: awaiting.cause_index,
            },
            event_type: awaiting.event_type,
            at: Timestamp::from_millis(awaiting.occurred_at_ms),
            fields: value::fields_of(awaiting.fields)?,
        },
    })
}

fn intent_made(intent: &IntentMade) -> stored::IntentMade {
    let (channel, recipient, endpoint_id) = match &intent.target {
        Target::Webhook(endpoint) => {
            (NotificationChannel::Webhook, String::new(), endpoint.to_string())
        }
        Target::InApp(to) => (NotificationChannel::InApp, to.to_string(), String::new()),
    };
    stored::IntentMade {
        delivery_id: intent.delivery.to_string(),
        rule_id: intent.rule.to_string(),
        rule_version: intent.rule_version,
        channel: channel.into(),
        recipient,
        endpoint_id,
        event_type: intent.event_type.clone(),
        ticket_id: intent.ticket.as_ref().map_or_else(String::new, ToString::to_string),
        body: intent.body.clone(),
    }
}

fn intent_made_of(intent: stored::IntentMade) -> Result<IntentMade, DecodeError> {
    let target = match channel(intent.channel)? {
        NotificationChannel::InApp => Target::InApp(recipient(&intent.recipient)?),
        NotificationChannel::Webhook | NotificationChannel::Unspecified => {
            Target::Webhook(EndpointId::trusted(&intent.endpoint_id))
        }
    };
    if intent.body.is_empty() && target.endpoint().is_some() {
        // It would be signed and sent.
        return Err(malformed("a webhook without a body"));
    }
    Ok(IntentMade {
        delivery: DeliveryId::trusted(&intent.delivery_id),
        rule: RuleId::trusted(&intent.rule_id),
        rule_version: intent.rule_version,
        target,
        event_type: intent.event_type,
        ticket: some(&intent.ticket_id).map(TicketId::trusted),
        body: intent.body,
    })
}

fn attempt_started(started: &AttemptStarted) -> stored::AttemptStarted {
    stored::AttemptStarted { delivery_id: started.delivery.to_string(), attempt: started.attempt }
}

fn attempt_started_of(started: &stored::AttemptStarted) -> AttemptStarted {
    AttemptStarted { delivery: DeliveryId::trusted(&started.delivery_id), attempt: started.attempt }
}

fn attempt_ended(ended: &AttemptEnded) -> stored::AttemptEnded {
    let (outcome, next) = match ended.outcome {
        Outcome::Delivered => (AttemptOutcome::Delivered, None),
        Outcome::Failed { next_attempt_at } => (AttemptOutcome::Failed, Some(next_attempt_at)),
        Outcome::PermanentlyFailed => (AttemptOutcome::PermanentlyFailed, None),
        Outcome::Unknown => (AttemptOutcome::Unknown, None),
    };
    stored::AttemptEnded {
        delivery_id: ended.delivery.to_string(),
        attempt: ended.attempt,
        outcome: outcome.into(),
        http_status: ended.http_status,
        error: ended.error.clone(),
        next_attempt_at_ms: next.map_or(0, Timestamp::as_millis),
        throttled_until_ms: ended.throttled_until.map_or(0, Timestamp::as_millis),
    }
}

fn attempt_ended_of(ended: stored::AttemptEnded) -> Result<AttemptEnded, DecodeError> {
    let outcome = match ended.outcome() {
        AttemptOutcome::Delivered => Outcome::Delivered,
        AttemptOutcome::Failed => {
            Outcome::Failed { next_attempt_at: Timestamp::from_millis(ended.next_attempt_at_ms) }
        }
        AttemptOutcome::PermanentlyFailed => Outcome::PermanentlyFailed,
        AttemptOutcome::Unknown => Outcome::Unknown,
        AttemptOutcome::Unspecified => return Err(malformed("an unknown outcome")),
    };
    let throttled = Timestamp::from_millis(ended.throttled_until_ms);
    Ok(AttemptEnded {
        delivery: DeliveryId::trusted(&ended.delivery_id),
        attempt: ended.attempt,
        outcome,
        http_status: ended.http_status,
        error: ended.error,
        throttled_until: (ended.throttled_until_ms != 0).then_some(throttled),
    })
}

#[cfg(test)]
mod tests;
