//! One line for people about each fact. An agent reads it beside the conversation, so it names people, not ids, where
//! it can.

mod words;

use prost::Message;
use wire::events::v1 as stored;

use words::{metric, minutes, or_nobody, priority, reason, status};

/// What a fact says, on one line. An unknown type is its own name.
pub(crate) fn summary(event_type: &str, data: &[u8]) -> String {
    intake(event_type, data)
        .or_else(|| routing(event_type, data))
        .or_else(|| sla(event_type, data))
        .or_else(|| notify(event_type, data))
        .unwrap_or_else(|| event_type.to_owned())
}

/// Decodes and tells; none if the bytes are no such message.
fn tell<M: Message + Default>(data: &[u8], tell: impl Fn(&M) -> String) -> Option<String> {
    M::decode(data).ok().as_ref().map(tell)
}

fn intake(event_type: &str, data: &[u8]) -> Option<String> {
    match event_type {
        "TicketOpened" => tell(data, opened),
        "MessageAdded" => tell(data, message),
        "TicketUpdated" => tell(data, |fact: &stored::TicketUpdated| {
            format!("changed: {}", fact.fields.join(", "))
        }),
        "StatusChanged" => tell(data, |fact: &stored::StatusChanged| {
            let (from, to) = (status(fact.from()), status(fact.to()));
            format!("{from} to {to}{}", reason(&fact.reason))
        }),
        "OwnerChanged" => tell(data, |fact: &stored::OwnerChanged| {
            match (fact.agent_id.as_str(), fact.queue_id.as_str()) {
                ("", "") => "belongs to nobody".to_owned(),
                ("", queue) => format!("waits in queue {queue}"),
                (agent, _) => format!("belongs to {agent}"),
            }
        }),
        _ => None,
    }
}

fn opened(fact: &stored::TicketOpened) -> String {
    let who = fact.requester.as_ref().map_or("", |requester| {
        if requester.name.is_empty() { &requester.requester_id } else { &requester.name }
    });
    let by = words::channel(fact.channel());
    let follows = match fact.follows_ticket_id.as_str() {
        "" => String::new(),
        closed => format!(" (follows {closed})"),
    };
    format!("ticket {} opened by {who}, by {by}: {}{follows}", fact.number, fact.subject)
}

fn message(fact: &stored::MessageAdded) -> String {
    let who = match (fact.author_kind(), fact.author_id.as_str()) {
        (stored::AuthorKind::EndUser, _) => "the customer".to_owned(),
        (stored::AuthorKind::Agent, agent) => format!("agent {agent}"),
        (stored::AuthorKind::Bot, "") => "a bot".to_owned(),
        (stored::AuthorKind::Bot, bot) => format!("bot {bot}"),
        (stored::AuthorKind::Unspecified, _) => "somebody".to_owned(),
    };
    match fact.visibility() {
        stored::Visibility::Internal => format!("{who} made a note"),
        stored::Visibility::Public | stored::Visibility::Unspecified => format!("{who} wrote"),
    }
}

fn routing(event_type: &str, data: &[u8]) -> Option<String> {
    match event_type {
        "TicketQueued" => tell(data, |fact: &stored::TicketQueued| {
            format!("queued in {}{}", fact.queue_id, reason(&fact.reason))
        }),
        "TicketRequeued" => tell(data, |fact: &stored::TicketRequeued| {
            format!("waits again in {}{}", fact.queue_id, reason(&fact.reason))
        }),
        "WorkReprioritised" => tell(data, |fact: &stored::WorkReprioritised| {
            format!("priority {}", priority(fact.priority()))
        }),
        "TicketTransferred" => tell(data, transferred),
        "TicketAssigned" => tell(data, assigned),
        "WorkStateChanged" => tell(data, |fact: &stored::WorkStateChanged| {
            format!("{}: {}", fact.agent_id, words::work_state(fact.state()))
        }),
        "WorkCompleted" => tell(data, |fact: &stored::WorkCompleted| {
            format!("{} is done: {}", fact.agent_id, words::work_outcome(fact.outcome()))
        }),
        "WorkEnded" => tell(data, |fact: &stored::WorkEnded| {
            format!("no work any more: {}", status(fact.status()))
        }),
        _ => offer(event_type, data),
    }
}

fn offer(event_type: &str, data: &[u8]) -> Option<String> {
    match event_type {
        "OfferMade" => tell(data, |fact: &stored::OfferMade| {
            let waiting = fact.decision.as_ref().map_or(0, |decision| decision.waiting);
            format!("offered to {} from {}, {waiting} others waiting", fact.agent_id, fact.queue_id)
        }),
        "OfferAccepted" => tell(data, |fact: &stored::OfferAccepted| {
            let how = if fact.automatic { " automatically" } else { "" };
            format!("accepted by {}{how}", fact.agent_id)
        }),
        "OfferDeclined" => tell(data, |fact: &stored::OfferDeclined| {
            format!("declined by {}{}", fact.agent_id, reason(&fact.reason))
        }),
        "OfferExpired" => tell(data, |fact: &stored::OfferExpired| {
            format!("not answered by {} in time", fact.agent_id)
        }),
        "OfferRescinded" => tell(data, |fact: &stored::OfferRescinded| {
            format!("offer to {} taken back{}", fact.agent_id, reason(&fact.reason))
        }),
        _ => None,
    }
}

fn assigned(fact: &stored::TicketAssigned) -> String {
    let above = if fact.over_capacity { ", above capacity" } else { "" };
    format!("given to {} ({}{above}){}", fact.agent_id, fact.how, reason(&fact.reason))
}

fn transferred(fact: &stored::TicketTransferred) -> String {
    let from = or_nobody(&fact.from_agent_id);
    match (fact.to_agent_id.as_str(), fact.to_queue_id.as_str()) {
        ("", "") => format!("handed over from {from} to whoever has the skill"),
        ("", queue) => format!("handed over from {from} to queue {queue}"),
        (agent, _) => format!("handed over from {from} to {agent}"),
    }
}

fn sla(event_type: &str, data: &[u8]) -> Option<String> {
    match event_type {
        "ClockStarted" => tell(data, |fact: &stored::ClockStarted| {
            let promise = match fact.target_ms {
                0 => "nothing promised".to_owned(),
                target => format!("promised within {}", minutes(target)),
            };
            format!("{}: {promise}", metric(fact.metric()))
        }),
        "ClockPaused" => tell(data, |fact: &stored::ClockPaused| {
            format!("clock {} stands still after {}", fact.clock_id, minutes(fact.elapsed_ms))
        }),
        "ClockResumed" => {
            tell(data, |fact: &stored::ClockResumed| format!("clock {} goes on", fact.clock_id))
        }
        "ClockRetargeted" => tell(data, |fact: &stored::ClockRetargeted| {
            format!("clock {} now promised within {}", fact.clock_id, minutes(fact.target_ms))
        }),
        "ClockReopened" => {
            tell(data, |fact: &stored::ClockReopened| format!("clock {} runs on", fact.clock_id))
        }
        "ClockCancelled" => tell(data, |fact: &stored::ClockCancelled| {
            format!("clock {} cancelled{}", fact.clock_id, reason(&fact.reason))
        }),
        "ClockStoppedAfterBreach" => tell(data, |fact: &stored::ClockStoppedAfterBreach| {
            format!("clock {} stopped late, after {}", fact.clock_id, minutes(fact.elapsed_ms))
        }),
        _ => verdict(event_type, data),
    }
}

fn verdict(event_type: &str, data: &[u8]) -> Option<String> {
    match event_type {
        "ClockWarned" => tell(data, |fact: &stored::ClockWarned| {
            let tenths = fact.permille % 10;
            let percent = fact.permille / 10;
            format!("{}: {percent}.{tenths} % of the time has passed", metric(fact.metric()))
        }),
        "ClockMet" => tell(data, |fact: &stored::ClockMet| {
            format!("{}: kept after {}", metric(fact.metric()), minutes(fact.elapsed_ms))
        }),
        "ClockBreached" => tell(data, |fact: &stored::ClockBreached| {
            format!("{}: broken{}", metric(fact.metric()), reason(&fact.cause))
        }),
        "BreachRetracted" => tell(data, |fact: &stored::BreachRetracted| {
            let after = minutes(fact.elapsed_ms);
            format!("{}: kept after all, after {after}", metric(fact.metric()))
        }),
        _ => None,
    }
}

fn notify(event_type: &str, data: &[u8]) -> Option<String> {
    match event_type {
        "IntentMade" => tell(data, |fact: &stored::IntentMade| {
            let to = match fact.endpoint_id.as_str() {
                "" => &fact.recipient,
                endpoint => endpoint,
            };
            format!("{to} is to be told of {} (rule {})", fact.event_type, fact.rule_id)
        }),
        "AttemptStarted" => tell(data, |fact: &stored::AttemptStarted| {
            format!("notification sent, attempt {}", fact.attempt)
        }),
        "AttemptEnded" => tell(data, |fact: &stored::AttemptEnded| {
            let outcome = words::attempt_outcome(fact.outcome());
            format!("notification {outcome}, attempt {}", fact.attempt)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use wire::common::v1 as common;

    use super::*;

    #[test]
    fn every_type_of_a_story_has_a_line() {
        for event_type in [
            "TicketOpened",
            "MessageAdded",
            "TicketUpdated",
            "StatusChanged",
            "OwnerChanged",
            "TicketQueued",
            "WorkReprioritised",
            "OfferMade",
            "OfferAccepted",
            "OfferDeclined",
            "OfferExpired",
            "OfferRescinded",
            "TicketAssigned",
            "WorkStateChanged",
            "WorkCompleted",
            "TicketRequeued",
            "TicketTransferred",
            "WorkEnded",
            "ClockStarted",
            "ClockPaused",
            "ClockResumed",
            "ClockRetargeted",
            "ClockWarned",
            "ClockMet",
            "ClockBreached",
            "ClockStoppedAfterBreach",
            "BreachRetracted",
            "ClockCancelled",
            "ClockReopened",
            "IntentMade",
            "AttemptStarted",
            "AttemptEnded",
        ] {
            let line = summary(event_type, &[]);
            assert_ne!(line, event_type);
            assert!(!line.contains('\n'));
        }
        assert_eq!(summary("TicketMerged", &[]), "TicketMerged");
    }

    #[test]
    fn a_step_names_who_and_why() {
        let fact = stored::StatusChanged {
            from: common::TicketStatus::Pending.into(),
            to: common::TicketStatus::Open.into(),
            reason: "customer_replied".into(),
            ..stored::StatusChanged::default()
        };
        let line = summary("StatusChanged", &fact.encode_to_vec());
        assert_eq!(line, "pending to open: customer_replied");
    }
}
