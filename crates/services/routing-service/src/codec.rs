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
use runtime::{DecodeError, EventType, Payload, written_version};
use wire::events::v1 as stored;

pub(crate) use offers::decision_to_wire;

/// Every type of fact in routing's log.
pub(crate) const EVENTS: &[EventType<Event>] = &[
    EventType::new("WorkspaceSeen", 1, |stored| Ok(workspace_seen(&stored.message()?))),
    EventType::new("AgentPut", 1, |stored| settings::read_agent(&stored.message()?)),
    EventType::new("QueuePut", 1, |stored| settings::read_queue(stored.message()?)),
    EventType::new("PresenceSet", 1, |stored| presence_set(&stored.message()?)),
    EventType::new("PresenceExpired", 1, |stored| Ok(presence_expired(&stored.message()?))),
    EventType::new("OfferMade", 1, |stored| offers::read_made(stored.message()?)),
    EventType::new("OfferAccepted", 1, |stored| Ok(offers::read_accepted(&stored.message()?))),
    EventType::new("OfferDeclined", 1, |stored| Ok(offers::read_declined(stored.message()?))),
    EventType::new("OfferExpired", 1, |stored| Ok(offers::read_expired(&stored.message()?))),
    EventType::new("OfferRescinded", 1, |stored| offers::read_rescinded(&stored.message()?)),
    EventType::new("CooldownEnded", 1, |stored| {
        Ok(offers::read_cooldown_ended(&stored.message()?))
    }),
    EventType::new("TicketQueued", 1, |stored| work::read_queued(&stored.message()?)),
    EventType::new("WorkReprioritised", 1, |stored| work::read_reprioritised(&stored.message()?)),
    EventType::new("TicketAssigned", 1, |stored| work::read_assigned(stored.message()?)),
    EventType::new("WorkStateChanged", 1, |stored| work::read_state_changed(&stored.message()?)),
    EventType::new("WorkCompleted", 1, |stored| work::read_completed(stored.message()?)),
    EventType::new("TicketRequeued", 1, |stored| work::read_requeued(&stored.message()?)),
    EventType::new("TicketTransferred", 1, |stored| Ok(work::read_transferred(stored.message()?))),
    EventType::new("WorkEnded", 1, |stored| work::read_ended(&stored.message()?)),
];

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

fn payload(event_type: &'static str, message: &impl Message) -> Payload {
    let version = written_version(EVENTS, event_type);
    Payload { event_type, version, data: Bytes::from(message.encode_to_vec()) }
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

fn workspace_seen(seen: &stored::WorkspaceSeen) -> Event {
    Event::WorkspaceSeen { workspace: WorkspaceId::trusted(&seen.workspace_id) }
}

fn presence_expired(expired: &stored::PresenceExpired) -> Event {
    Event::PresenceExpired { agent: AgentId::trusted(&expired.agent_id) }
}

fn presence_set(set: &stored::PresenceSet) -> Result<Event, DecodeError> {
    Ok(Event::PresenceSet {
        agent: AgentId::trusted(&set.agent_id),
        presence: word(words::stored_presence(set.presence), "presence", set.presence)?,
        lease_ms: set.lease_ms,
    })
}
