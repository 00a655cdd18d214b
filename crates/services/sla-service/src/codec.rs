//! Facts as they are stored, and back. Nothing else knows both forms.

mod clock;
mod note;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use kernel::{Priority, TicketId, WorkspaceId};
use prost::Message;
use runtime::{DecodeError, Payload};
use service_kit::convert::{priority_to_wire, stored_priority};
use sla::{Event, Metric, PolicySpec};
use wire::events::v1 as stored;

pub(crate) use clock::metric_to_wire;

const WORKSPACE_NOTED: &str = "WorkspaceNoted";
const POLICY_PUT: &str = "PolicyPut";
const POLICIES_APPLIED: &str = "PoliciesApplied";
const TICKET_NOTED: &str = "TicketNoted";

/// The version of every payload so far.
const VERSION: u32 = 1;

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

/// Reads a stored fact.
pub(crate) fn decode(event_type: &str, version: u32, data: &Bytes) -> Result<Event, DecodeError> {
    if version != VERSION {
        return Err(DecodeError::UnknownType);
    }
    match event_type {
        WORKSPACE_NOTED => {
            let noted: stored::WorkspaceNoted = message(data)?;
            Ok(Event::WorkspaceNoted(WorkspaceId::trusted(&noted.workspace_id)))
        }
        POLICY_PUT => read_policy_put(message(data)?),
        POLICIES_APPLIED => {
            let applied: stored::PoliciesApplied = message(data)?;
            let through = named(&applied.through_ticket_id).map(TicketId::trusted);
            Ok(Event::PoliciesApplied { through, done: applied.done })
        }
        TICKET_NOTED => note::decode(&message(data)?),
        _ => clock::decode(event_type, data),
    }
}

fn payload(event_type: &'static str, message: &impl Message) -> Payload {
    Payload { event_type, version: VERSION, data: Bytes::from(message.encode_to_vec()) }
}

fn message<M: Message + Default>(data: &Bytes) -> Result<M, DecodeError> {
    M::decode(data.clone()).map_err(|error| DecodeError::Malformed(error.to_string()))
}

fn malformed(what: &str) -> DecodeError {
    DecodeError::Malformed(what.to_owned())
}

fn named(id: &str) -> Option<&str> {
    if id.is_empty() { None } else { Some(id) }
}

/// A priority that may be none, but not one that this build doesn't know.
fn priority(number: i32) -> Result<Option<Priority>, DecodeError> {
    match stored_priority(number) {
        None if number != 0 => Err(malformed("priority")),
        priority => Ok(priority),
    }
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
        filter: spec.filter.as_ref().map(|rule| rule.source().to_owned()).unwrap_or_default(),
        targets: spec.targets.iter().map(target).collect(),
        warn_at_permille: spec.warn_at_permille.iter().map(|part| u32::from(*part)).collect(),
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
        filter: named(&put.filter).map(rules::Rule::trusted),
        targets: put.targets.iter().map(target).collect::<Result<_, DecodeError>>()?,
        warn_at_permille: put.warn_at_permille.iter().map(part).collect::<Result<_, _>>()?,
        display_name: put.display_name,
        order: put.order,
    })))
}
