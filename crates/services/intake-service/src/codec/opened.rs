//! The largest fact: a ticket as it was opened.

use intake::Event;
use intake::event::TicketOpened;
use kernel::{MessageId, QueueId, TicketId};
use runtime::{DecodeError, text};
use service_kit::convert;
use wire::events::v1 as stored;
use wire::lent::events::v1 as lent;

use super::{priority, values, words};

pub(super) fn encode(opened: &TicketOpened) -> stored::TicketOpened {
    let optional = |text: Option<&str>| text.unwrap_or_default().to_owned();
    stored::TicketOpened {
        ticket_id: opened.ticket.to_string(),
        number: opened.number,
        external_id: optional(opened.external_id.as_deref()),
        channel: convert::channel_to_wire(opened.channel).into(),
        provider: opened.provider.to_string(),
        requester: Some(values::requester_to_wire(&opened.requester)),
        subject: opened.subject.to_string(),
        body: opened.body.to_string(),
        message_id: opened.message.to_string(),
        priority: words::priority_to_wire(opened.priority),
        r#type: opened.kind.to_string(),
        tags: values::texts_to_wire(&opened.tags),
        attributes: convert::attributes_to_wire(&opened.attributes),
        required_skills: convert::skills_to_wire(&opened.required_skills),
        queue_id: optional(opened.queue.as_ref().map(QueueId::as_str)),
        follows_ticket_id: optional(opened.follows.as_ref().map(TicketId::as_str)),
    }
}

pub(super) fn decode(opened: &lent::TicketOpened) -> Result<Event, DecodeError> {
    let attributes = opened.attributes.iter().map(|entry| (&entry.key, &entry.value));
    let requester = opened.requester.clone().unwrap_or_default();
    Ok(Event::TicketOpened(Box::new(TicketOpened {
        ticket: TicketId::trusted(text(&opened.ticket_id)?),
        number: opened.number,
        external_id: values::named(text(&opened.external_id)?).map(Box::from),
        channel: convert::stored_channel(opened.channel)?,
        provider: text(&opened.provider)?.into(),
        requester: values::read_requester(&requester)?,
        subject: text(&opened.subject)?.into(),
        body: text(&opened.body)?.into(),
        message: MessageId::trusted(text(&opened.message_id)?),
        priority: priority(opened.priority)?,
        kind: text(&opened.r#type)?.into(),
        tags: values::read_texts(&opened.tags)?,
        attributes: convert::lent_attributes(attributes)?,
        required_skills: convert::lent_skills(&opened.required_skills)?.into(),
        queue: values::named(text(&opened.queue_id)?).map(QueueId::trusted),
        follows: values::named(text(&opened.follows_ticket_id)?).map(TicketId::trusted),
    })))
}
