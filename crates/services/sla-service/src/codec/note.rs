//! What is known of a ticket.

use std::sync::Arc;

use kernel::{AgentId, PolicyId, QueueId, TicketId};
use runtime::{DecodeError, text};
use service_kit::convert::{
    attributes_to_wire, channel_to_wire, lent_attributes, priority_to_wire, status_to_wire,
    stored_channel, stored_status,
};
use sla::{Event, TicketNote, Traits};
use wire::events::v1 as stored;
use wire::lent::events::v1 as lent;

use super::{named, priority};

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

pub(super) fn decode(noted: &lent::TicketNoted) -> Result<Event, DecodeError> {
    Ok(Event::TicketNoted(Box::new(TicketNote {
        ticket: TicketId::trusted(text(&noted.ticket_id)?),
        number: noted.number,
        priority: priority(noted.priority)?,
        status: stored_status(noted.status)?,
        policy: named(text(&noted.policy_id)?).map(PolicyId::trusted),
        agent: named(text(&noted.agent_id)?).map(AgentId::trusted),
        queue: named(text(&noted.queue_id)?).map(QueueId::trusted),
        traits: noted.traits.as_ref().map(read_traits).transpose()?,
    })))
}

fn read_traits(traits: &lent::TicketTraits) -> Result<Arc<Traits>, DecodeError> {
    let attributes = traits.attributes.iter().map(|entry| (&entry.key, &entry.value));
    let tags = traits.tags.iter().map(|tag| text(tag).map(str::to_owned));
    Ok(Arc::new(Traits {
        channel: stored_channel(traits.channel)?,
        provider: text(&traits.provider)?.to_owned(),
        subject: text(&traits.subject)?.to_owned(),
        kind: text(&traits.r#type)?.to_owned(),
        tags: tags.collect::<Result<_, _>>()?,
        attributes: lent_attributes(attributes)?,
        requester_id: text(&traits.requester_id)?.to_owned(),
        requester_name: text(&traits.requester_name)?.to_owned(),
        requester_locale: text(&traits.requester_locale)?.to_owned(),
    }))
}
