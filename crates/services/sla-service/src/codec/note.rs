//! What is known of a ticket.

use std::sync::Arc;

use kernel::{AgentId, PolicyId, QueueId, TicketId};
use runtime::DecodeError;
use service_kit::convert::{
    attributes_to_wire, channel_to_wire, priority_to_wire, status_to_wire, stored_attributes,
    stored_channel, stored_status,
};
use sla::{Event, TicketNote, Traits};
use wire::events::v1 as stored;

use super::{malformed, named, priority};

pub(super) fn encode(note: &TicketNote) -> stored::TicketNoted {
    stored::TicketNoted {
        ticket_id: note.ticket.to_string(),
        number: note.number,
        priority: priority_to_wire(note.priority).into(),
        status: status_to_wire(note.status).into(),
        policy_id: note.policy.as_ref().map(PolicyId::to_string).unwrap_or_default(),
        agent_id: note.agent.as_ref().map(AgentId::to_string).unwrap_or_default(),
        queue_id: note.queue.as_ref().map(QueueId::to_string).unwrap_or_default(),
        traits: note.traits.as_deref().map(traits),
    }
}

fn traits(traits: &Traits) -> stored::TicketTraits {
    stored::TicketTraits {
        channel: channel_to_wire(traits.channel).into(),
        provider: traits.provider.clone(),
        subject: traits.subject.clone(),
        r#type: traits.kind.clone(),
        tags: traits.tags.clone(),
        attributes: attributes_to_wire(&traits.attributes),
        requester_id: traits.requester_id.clone(),
        requester_name: traits.requester_name.clone(),
        requester_locale: traits.requester_locale.clone(),
    }
}

pub(super) fn decode(noted: stored::TicketNoted) -> Result<Event, DecodeError> {
    Ok(Event::TicketNoted(Box::new(TicketNote {
        ticket: TicketId::trusted(&noted.ticket_id),
        number: noted.number,
        priority: priority(noted.priority)?,
        status: stored_status(noted.status).ok_or_else(|| malformed("status"))?,
        policy: named(&noted.policy_id).map(PolicyId::trusted),
        agent: named(&noted.agent_id).map(AgentId::trusted),
        queue: named(&noted.queue_id).map(QueueId::trusted),
        traits: noted.traits.map(read_traits).transpose()?,
    })))
}

fn read_traits(traits: stored::TicketTraits) -> Result<Arc<Traits>, DecodeError> {
    Ok(Arc::new(Traits {
        channel: stored_channel(traits.channel).ok_or_else(|| malformed("channel"))?,
        provider: traits.provider,
        subject: traits.subject,
        kind: traits.r#type,
        tags: traits.tags,
        attributes: stored_attributes(&traits.attributes),
        requester_id: traits.requester_id,
        requester_name: traits.requester_name,
        requester_locale: traits.requester_locale,
    }))
}
