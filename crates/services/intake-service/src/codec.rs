//! Facts as they are stored, and back. Nothing else knows both forms.

pub(crate) mod words;
pub(crate) mod values;
mod opened;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use intake::Event;
use intake::event::{MessageAdded, OwnerChanged, StatusChanged, TicketUpdated, WorkspacePut};
use kernel::{AgentId, MessageId, QueueId, TicketId, WorkspaceId};
use prost::Message;
use runtime::{DecodeError, EventType, Payload, text, written_version};
use service_kit::convert;
use wire::events::v1 as stored;
use wire::lent::events::v1 as lent;

const WORKSPACE_PUT: &str = "WorkspacePut";
const TICKET_OPENED: &str = "TicketOpened";
const MESSAGE_ADDED: &str = "MessageAdded";
const TICKET_UPDATED: &str = "TicketUpdated";
const STATUS_CHANGED: &str = "StatusChanged";
const OWNER_CHANGED: &str = "OwnerChanged";

/// Every type of fact in intake's log.
pub(crate) const EVENTS: &[EventType<Event>] = &[
    EventType::new(WORKSPACE_PUT, 1, |stored| read_workspace_put(&stored.message()?)),
    EventType::new(TICKET_OPENED, 1, |stored| opened::decode(&stored.message()?)),
    EventType::new(MESSAGE_ADDED, 1, |stored| read_message_added(&stored.message()?)),
    EventType::new(TICKET_UPDATED, 1, |stored| read_ticket_updated(&stored.message()?)),
    EventType::new(STATUS_CHANGED, 1, |stored| read_status_changed(&stored.message()?)),
    EventType::new(OWNER_CHANGED, 1, |stored| read_owner_changed(&stored.message()?)),
];

/// A fact as it is stored.
pub(crate) fn encode(event: &Event) -> Payload {
    match event {
        Event::WorkspacePut(put) => payload(WORKSPACE_PUT, &workspace_put(put)),
        Event::TicketOpened(opened) => payload(TICKET_OPENED, &opened::encode(opened)),
        Event::MessageAdded(added) => payload(MESSAGE_ADDED, &message_added(added)),
        Event::TicketUpdated(updated) => payload(TICKET_UPDATED, &ticket_updated(updated)),
        Event::StatusChanged(changed) => payload(STATUS_CHANGED, &status_changed(changed)),
        Event::OwnerChanged(changed) => payload(OWNER_CHANGED, &owner_changed(changed)),
    }
}

/// Whether a stored fact is about a ticket that is in this queue, or leaves it by the fact.
pub(crate) fn is_in_queue(event_type: &str, data: &Bytes, queue: &QueueId) -> bool {
    let read = || {
        let no_queue = Bytes::new();
        let (at, left) = match event_type {
            TICKET_OPENED => (message::<lent::TicketOpened>(data).ok()?.queue_id, no_queue),
            MESSAGE_ADDED => (message::<lent::MessageAdded>(data).ok()?.queue_id, no_queue),
            TICKET_UPDATED => (message::<lent::TicketUpdated>(data).ok()?.queue_id, no_queue),
            STATUS_CHANGED => (message::<lent::StatusChanged>(data).ok()?.queue_id, no_queue),
            OWNER_CHANGED => {
                let changed = message::<lent::OwnerChanged>(data).ok()?;
                (changed.queue_id, changed.left_queue_id)
            }
            _ => return None,
        };
        Some([at, left])
    };
    read().is_some_and(|queues| queues.iter().any(|id| **id == *queue.as_str().as_bytes()))
}

/// Whether a type of fact is about a ticket.
pub(crate) fn is_of_ticket(event_type: &str) -> bool {
    matches!(
        event_type,
        TICKET_OPENED | MESSAGE_ADDED | TICKET_UPDATED | STATUS_CHANGED | OWNER_CHANGED
    )
}

fn payload(event_type: &'static str, message: &impl Message) -> Payload {
    let version = written_version(EVENTS, event_type);
    Payload { event_type, version, data: Bytes::from(message.encode_to_vec()) }
}

fn message<M: Message + Default>(data: &Bytes) -> Result<M, DecodeError> {
    M::decode(data.clone()).map_err(|error| DecodeError::Malformed(error.to_string()))
}

fn malformed(what: &str) -> DecodeError {
    DecodeError::Malformed(what.to_owned())
}

fn workspace_put(put: &WorkspacePut) -> stored::WorkspacePut {
    stored::WorkspacePut {
        workspace_id: put.workspace.to_string(),
        display_name: put.display_name.to_string(),
        default_priority: words::priority_to_wire(put.default_priority),
    }
}

fn read_workspace_put(put: &lent::WorkspacePut) -> Result<Event, DecodeError> {
    Ok(Event::WorkspacePut(WorkspacePut {
        workspace: WorkspaceId::trusted(text(&put.workspace_id)?),
        display_name: text(&put.display_name)?.into(),
        default_priority: priority(put.default_priority)?,
    }))
}

fn priority(number: i32) -> Result<Option<kernel::Priority>, DecodeError> {
    Ok(convert::stored_priority(number)?)
}

fn message_added(added: &MessageAdded) -> stored::MessageAdded {
    stored::MessageAdded {
        ticket_id: added.ticket.as_str().to_owned(),
        message_id: added.message.as_str().to_owned(),
        author_kind: words::author_kind_to_wire(added.author_kind).into(),
        author_id: added.author.as_ref().to_owned(),
        visibility: words::visibility_to_wire(added.visibility).into(),
        body: added.body.as_ref().to_owned(),
        queue_id: queue_to_wire(added.queue.as_ref()),
    }
}

fn read_message_added(added: &lent::MessageAdded) -> Result<Event, DecodeError> {
    let author_kind = words::stored_author_kind(added.author_kind)?;
    let visibility = words::stored_visibility(added.visibility)?;
    Ok(Event::MessageAdded(MessageAdded {
        ticket: TicketId::trusted(text(&added.ticket_id)?),
        message: MessageId::trusted(text(&added.message_id)?),
        author_kind,
        author: text(&added.author_id)?.into(),
        visibility,
        body: text(&added.body)?.into(),
        queue: queue(&added.queue_id)?,
    }))
}

const PRIORITY: &str = "priority";
const TYPE: &str = "type";
const TAGS: &str = "tags";
const ATTRIBUTES: &str = "attributes";

fn ticket_updated(updated: &TicketUpdated) -> stored::TicketUpdated {
    let fields = [
        (PRIORITY, updated.priority.is_some()),
        (TYPE, updated.kind.is_some()),
        (TAGS, updated.tags.is_some()),
        (ATTRIBUTES, updated.attributes.is_some()),
    ];
    let named = fields.into_iter().filter(|(_, changed)| *changed);
    stored::TicketUpdated {
        ticket_id: updated.ticket.to_string(),
        fields: named.map(|(name, _)| name.to_owned()).collect(),
        priority: words::priority_to_wire(updated.priority),
        r#type: updated.kind.as_deref().unwrap_or_default().to_owned(),
        tags: updated.tags.as_deref().map(values::texts_to_wire).unwrap_or_default(),
        attributes: updated
            .attributes
            .as_ref()
            .map(convert::attributes_to_wire)
            .unwrap_or_default(),
        queue_id: queue_to_wire(updated.queue.as_ref()),
    }
}

fn read_ticket_updated(updated: &lent::TicketUpdated) -> Result<Event, DecodeError> {
    let named = |name: &str| updated.fields.iter().any(|field| field == name);
    let mut read = TicketUpdated {
        ticket: TicketId::trusted(text(&updated.ticket_id)?),
        priority: None,
        kind: None,
        tags: None,
        attributes: None,
        queue: queue(&updated.queue_id)?,
    };
    if named(PRIORITY) {
        let priority = priority(updated.priority)?;
        read.priority = Some(priority.ok_or_else(|| malformed(PRIORITY))?);
    }
    if named(TYPE) {
        read.kind = Some(text(&updated.r#type)?.into());
    }
    if named(TAGS) {
        read.tags = Some(values::read_texts(&updated.tags)?);
    }
    if named(ATTRIBUTES) {
        let entries = updated.attributes.iter().map(|entry| (&entry.key, &entry.value));
        read.attributes = Some(convert::lent_attributes(entries)?);
    }
    Ok(Event::TicketUpdated(read))
}

fn status_changed(changed: &StatusChanged) -> stored::StatusChanged {
    stored::StatusChanged {
        ticket_id: changed.ticket.to_string(),
        from: convert::status_to_wire(changed.from).into(),
        to: convert::status_to_wire(changed.to).into(),
        reason: changed.reason.to_string(),
        queue_id: queue_to_wire(changed.queue.as_ref()),
    }
}

fn read_status_changed(changed: &lent::StatusChanged) -> Result<Event, DecodeError> {
    Ok(Event::StatusChanged(StatusChanged {
        ticket: TicketId::trusted(text(&changed.ticket_id)?),
        from: convert::stored_status(changed.from)?,
        to: convert::stored_status(changed.to)?,
        reason: text(&changed.reason)?.into(),
        queue: queue(&changed.queue_id)?,
    }))
}

fn owner_changed(changed: &OwnerChanged) -> stored::OwnerChanged {
    stored::OwnerChanged {
        ticket_id: changed.ticket.to_string(),
        agent_id: changed.agent.as_ref().map_or("", AgentId::as_str).to_owned(),
        queue_id: queue_to_wire(changed.queue.as_ref()),
        left_queue_id: queue_to_wire(changed.left.as_ref()),
    }
}

fn read_owner_changed(changed: &lent::OwnerChanged) -> Result<Event, DecodeError> {
    Ok(Event::OwnerChanged(OwnerChanged {
        ticket: TicketId::trusted(text(&changed.ticket_id)?),
        agent: values::named(text(&changed.agent_id)?).map(AgentId::trusted),
        queue: queue(&changed.queue_id)?,
        left: queue(&changed.left_queue_id)?,
    }))
}

fn queue_to_wire(queue: Option<&QueueId>) -> String {
    queue.map_or("", QueueId::as_str).to_owned()
}

fn queue(id: &Bytes) -> Result<Option<QueueId>, DecodeError> {
    Ok(values::named(text(id)?).map(QueueId::trusted))
}
