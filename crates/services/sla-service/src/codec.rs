//! Facts as they are stored, and back. Nothing else knows both forms.

mod clock;
mod note;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use kernel::{Priority, TicketId, WorkspaceId};
use prost::Message;
use runtime::{DecodeError, EventType, Payload, written_version};
use service_kit::convert::{priority_to_wire, stored_priority};
use service_kit::filter;
use sla::{Event, Metric, PolicySpec};
use wire::events::v1 as stored;

pub(crate) use clock::metric_to_wire;

const WORKSPACE_NOTED: &str = "WorkspaceNoted";
const POLICY_PUT: &str = "PolicyPut";
const POLICIES_APPLIED: &str = "PoliciesApplied";
const TICKET_NOTED: &str = "TicketNoted";

/// Every type of fact in sla's log.
pub(crate) const EVENTS: &[EventType<Event>] = &[
    EventType::new(WORKSPACE_NOTED, 1, |stored| Ok(workspace_noted(&stored.message()?))),
    EventType::new(POLICY_PUT, 1, |stored| read_policy_put(stored.message()?)),
    EventType::new(POLICIES_APPLIED, 1, |stored| Ok(policies_applied(&stored.message()?))),
    EventType::new(TICKET_NOTED, 1, |stored| note::decode(&stored.message()?)),
    EventType::new(clock::STARTED, 1, |stored| clock::started(&stored.message()?)),
    EventType::new(clock::PAUSED, 1, |stored| clock::paused(&stored.message()?)),
    EventType::new(clock::RESUMED, 1, |stored| clock::resumed(&stored.message()?)),
    EventType::new(clock::RETARGETED, 1, |stored| clock::retargeted(&stored.message()?)),
    EventType::new(clock::WARNED, 1, |stored| clock::warned(&stored.message()?)),
    EventType::new(clock::MET, 1, |stored| clock::met(&stored.message()?)),
    EventType::new(clock::BREACHED, 1, |stored| clock::breached(&stored.message()?)),
    EventType::new(clock::STOPPED_AFTER_BREACH, 1, |stored| {
        clock::stopped_after_breach(&stored.message()?)
    }),
    EventType::new(clock::BREACH_RETRACTED, 1, |stored| {
        clock::breach_retracted(&stored.message()?)
    }),
    EventType::new(clock::CANCELLED, 1, |stored| clock::cancelled(&stored.message()?)),
    EventType::new(clock::REOPENED, 1, |stored| clock::reopened(&stored.message()?)),
];

/// A fact as it is stored.
pub(crate) fn encode(event: &Event) -> Payload {
    match event {
        // The workspace stands in the envelope; the payload repeats it for readers outside.
        Event::WorkspaceNoted(workspace) => {
            let workspace_id = workspace.to_string();
            payload(WORKSPACE_NOTED, &stored::WorkspaceNoted { workspace_id })
        }
        Event::PolicyPut(spec) => payload(POLICY_PUT, &policy_put(spec)),
        Event::PoliciesApplied { through, done } => {
            let through_ticket_id = through.as_ref().map(TicketId::to_string).unwrap_or_default();
            payload(POLICIES_APPLIED, &stored::PoliciesApplied { through_ticket_id, done: *done })
        }
        Event::TicketNoted(noted) => payload(TICKET_NOTED, &note::encode(noted)),
        Event::Clock { ticket, key, change } => clock::encode(ticket, *key, change),
    }
}

fn payload(event_type: &'static str, message: &impl Message) -> Payload {
    let version = written_version(EVENTS, event_type);
    Payload { event_type, version, data: Bytes::from(message.encode_to_vec()) }
}

fn malformed(what: &str) -> DecodeError {
    DecodeError::Malformed(what.to_owned())
}

fn named(id: &str) -> Option<&str> {
    if id.is_empty() { None } else { Some(id) }
}

fn priority(number: i32) -> Result<Option<Priority>, DecodeError> {
    Ok(stored_priority(number)?)
}

fn workspace_noted(noted: &stored::WorkspaceNoted) -> Event {
    Event::WorkspaceNoted(WorkspaceId::trusted(&noted.workspace_id))
}

fn policies_applied(applied: &stored::PoliciesApplied) -> Event {
    let through = named(&applied.through_ticket_id).map(TicketId::trusted);
    Event::PoliciesApplied { through, done: applied.done }
}

fn policy_put(spec: &PolicySpec) -> stored::PolicyPut {
    let target = |(&(metric, priority), &within_ms): (&(Metric, Priority), &u64)| stored::Target {
        metric: metric_to_wire(metric).into(),
        priority: priority_to_wire(Some(priority)).into(),
        within_ms,
    };
    stored::PolicyPut {
        policy_id: spec.policy.to_string(),
        display_name: spec.display_name.clone(),
        order: spec.order,
        filter: filter::filter_text(spec.filter.as_ref()),
        targets: spec.targets.iter().map(target).collect(),
        warn_at_permille: spec.warn_at_permille.iter().map(|part| u32::from(*part)).collect(),
        checked_filter: filter::filter_to_wire(spec.filter.as_ref()),
    }
}

fn read_policy_put(put: stored::PolicyPut) -> Result<Event, DecodeError> {
    let target = |target: &stored::Target| {
        let priority = priority(target.priority)?.ok_or_else(|| malformed("priority"))?;
        Ok(((clock::metric(target.metric)?, priority), target.within_ms))
    };
    let part = |part: &u32| u16::try_from(*part).map_err(|_| malformed("warn_at_permille"));
    Ok(Event::PolicyPut(Box::new(PolicySpec {
        policy: kernel::PolicyId::trusted(&put.policy_id),
        filter: filter::stored_filter(&put.filter, put.checked_filter)
            .map_err(DecodeError::Malformed)?,
        targets: put.targets.iter().map(target).collect::<Result<_, DecodeError>>()?,
        warn_at_permille: put.warn_at_permille.iter().map(part).collect::<Result<_, _>>()?,
        display_name: put.display_name,
        order: put.order,
    })))
}
