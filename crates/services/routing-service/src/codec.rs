//! Facts as they are stored, and back. Nothing else knows both forms.

mod offers;
pub(crate) mod settings;
mod work;
pub(crate) mod words;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use kernel::{AgentId, WorkspaceId};
use prost::Message;
use routing::Event;
use runtime::{DecodeError, Payload};
use wire::events::v1 as stored;

pub(crate) use offers::decision_to_wire;

/// The version of every payload so far.
const VERSION: u32 = 1;

/// A fact as it is stored.
pub(crate) fn encode(event: &Event) -> Payload {
    match event {
        Event::WorkspaceSeen { workspace } => {
            let workspace_id = workspace.to_string();
            payload("WorkspaceSeen", &stored::WorkspaceSeen { workspace_id })
        }
        Event::AgentPut { agent, settings } => {
            payload("AgentPut", &settings::agent_to_wire(agent, settings))
        }
        Event::QueuePut { queue, settings } => {
            payload("QueuePut", &settings::queue_to_wire(queue, settings))
        }
        Event::PresenceSet { agent, presence, lease_ms } => {
            let presence = words::presence_to_wire(*presence).into();
            let set =
                stored::PresenceSet { agent_id: agent.to_string(), presence, lease_ms: *lease_ms };
            payload("PresenceSet", &set)
        }
        Event::PresenceExpired { agent } => {
            payload("PresenceExpired", &stored::PresenceExpired { agent_id: agent.to_string() })
        }
        Event::OfferMade(made) => payload("OfferMade", &offers::made_to_wire(made)),
        Event::OfferAccepted { offer, ticket, agent, automatic } => {
            payload("OfferAccepted", &offers::accepted(offer, ticket, agent, *automatic))
        }
        Event::OfferDeclined { offer, ticket, agent, reason } => {
            payload("OfferDeclined", &offers::declined(offer, ticket, agent, reason))
        }
        Event::OfferExpired { offer, ticket, agent } => {
            payload("OfferExpired", &offers::expired(offer, ticket, agent))
        }
        Event::OfferRescinded { offer, ticket, agent, reason } => {
            payload("OfferRescinded", &offers::rescinded(offer, ticket, agent, *reason))
        }
        Event::CooldownEnded { ticket, agent } => {
            payload("CooldownEnded", &offers::cooldown_ended(ticket, agent))
        }
        Event::TicketQueued(queued) => payload("TicketQueued", &work::queued_to_wire(queued)),
        Event::WorkReprioritised { ticket, priority } => {
            payload("WorkReprioritised", &work::reprioritised(ticket, *priority))
        }
        Event::TicketAssigned { ticket, agent, how, reason, over_capacity } => {
            let assigned = work::assigned(ticket, agent, *how, reason, *over_capacity);
            payload("TicketAssigned", &assigned)
        }
        Event::WorkStateChanged { ticket, agent, state } => {
            payload("WorkStateChanged", &work::state_changed(ticket, agent.as_ref(), *state))
        }
        Event::WorkCompleted { ticket, agent, outcome, note } => {
            payload("WorkCompleted", &work::completed(ticket, agent, *outcome, note))
        }
        Event::TicketRequeued(requeued) => {
            payload("TicketRequeued", &work::requeued_to_wire(requeued))
        }
        Event::TicketTransferred { ticket, from, to_agent, to_queue, note } => {
            let to = (to_agent.as_ref(), to_queue.as_ref());
            payload("TicketTransferred", &work::transferred(ticket, from.as_ref(), to, note))
        }
        Event::WorkEnded { ticket, agent, status } => {
            payload("WorkEnded", &work::ended(ticket, agent.as_ref(), *status))
        }
    }
}

/// Reads a stored fact.
pub(crate) fn decode(event_type: &str, version: u32, data: &Bytes) -> Result<Event, DecodeError> {
    if version != VERSION {
        return Err(DecodeError::UnknownType);
    }
    match event_type {
        "WorkspaceSeen" => {
            let seen: stored::WorkspaceSeen = message(data)?;
            Ok(Event::WorkspaceSeen { workspace: WorkspaceId::trusted(&seen.workspace_id) })
        }
        "AgentPut" => settings::read_agent(&message(data)?),
        "QueuePut" => settings::read_queue(message(data)?),
        "PresenceSet" => presence_set(&message(data)?),
        "PresenceExpired" => {
            let expired: stored::PresenceExpired = message(data)?;
            Ok(Event::PresenceExpired { agent: AgentId::trusted(&expired.agent_id) })
        }
        "OfferMade" => offers::read_made(message(data)?),
        "OfferAccepted" => Ok(offers::read_accepted(&message(data)?)),
        "OfferDeclined" => Ok(offers::read_declined(message(data)?)),
        "OfferExpired" => Ok(offers::read_expired(&message(data)?)),
        "OfferRescinded" => offers::read_rescinded(&message(data)?),
        "CooldownEnded" => Ok(offers::read_cooldown_ended(&message(data)?)),
        "TicketQueued" => work::read_queued(&message(data)?),
        "WorkReprioritised" => work::read_reprioritised(&message(data)?),
        "TicketAssigned" => work::read_assigned(message(data)?),
        "WorkStateChanged" => work::read_state_changed(&message(data)?),
        "WorkCompleted" => work::read_completed(message(data)?),
        "TicketRequeued" => work::read_requeued(&message(data)?),
        "TicketTransferred" => Ok(work::read_transferred(message(data)?)),
        "WorkEnded" => work::read_ended(&message(data)?),
        _ => Err(DecodeError::UnknownType),
    }
}

fn payload(event_type: &'static str, message: &impl Message) -> Payload {
    Payload { event_type, version: VERSION, data: Bytes::from(message.encode_to_vec()) }
}

fn message<M: Message + Default>(data: &Bytes) -> Result<M, DecodeError> {
    M::decode(data.clone()).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A word that must be there.
fn word<T>(known: Option<T>, what: &str, found: impl std::fmt::Display) -> Result<T, DecodeError> {
    known.ok_or_else(|| DecodeError::Malformed(format!("{what} {found}")))
}

/// An id that may be empty.
fn named<T>(text: &str, id: impl FnOnce(&str) -> T) -> Option<T> {
    if text.is_empty() { None } else { Some(id(text)) }
}

fn text<T: ToString>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn presence_set(set: &stored::PresenceSet) -> Result<Event, DecodeError> {
    Ok(Event::PresenceSet {
        agent: AgentId::trusted(&set.agent_id),
        presence: word(words::stored_presence(set.presence), "presence", set.presence)?,
        lease_ms: set.lease_ms,
    })
}
