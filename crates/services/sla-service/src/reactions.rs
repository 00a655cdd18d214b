//! What the facts of intake and routing ask of sla.

use std::sync::Arc;

use kernel::{AgentId, Packed, QueueId, TicketId};
use runtime::{InputError, InputEvent, ServiceId};
use service_kit::convert::{
    stored_attributes, stored_author_kind, stored_channel, stored_priority, stored_status,
    stored_visibility,
};
use sla::{Command, Traits, TraitsUpdate};
use wire::events::v1 as stored;

/// The commands that an input asks for. The owner is taken from intake alone, which learns it from routing: so it can't
/// flap between two logs that are read at different speeds.
pub(crate) fn react(input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
    let command = match (input.service, input.event.r#type.as_str()) {
        (ServiceId::Intake, "WorkspacePut") => Some(Command::NoteWorkspace),
        (ServiceId::Intake, "TicketOpened") => Some(opened(input, input.payload()?)?),
        (ServiceId::Intake, "TicketUpdated") => Some(updated(input, &input.payload()?)?),
        (ServiceId::Intake, "MessageAdded") => message(input, &input.payload()?)?,
        (ServiceId::Intake, "StatusChanged") => Some(status(input, &input.payload()?)?),
        (ServiceId::Intake, "OwnerChanged") => Some(owner(&input.payload()?)),
        (ServiceId::Routing, "TicketQueued") => {
            let queued: stored::TicketQueued = input.payload()?;
            Some(queue(&queued.ticket_id, &queued.queue_id))
        }
        (ServiceId::Routing, "TicketRequeued") => {
            let requeued: stored::TicketRequeued = input.payload()?;
            Some(queue(&requeued.ticket_id, &requeued.queue_id))
        }
        (ServiceId::Intake | ServiceId::Routing | ServiceId::Sla | ServiceId::Notify, _) => None,
    };
    Ok(command.into_iter().collect())
}

fn opened(input: &InputEvent<'_>, opened: stored::TicketOpened) -> Result<Command, InputError> {
    let requester = opened.requester.unwrap_or_default();
    Ok(Command::OpenTicket {
        ticket: TicketId::trusted(&opened.ticket_id),
        number: opened.number,
        priority: stored_priority(opened.priority)?,
        traits: Arc::new(Traits {
            channel: stored_channel(opened.channel)?,
            provider: opened.provider,
            subject: opened.subject,
            kind: opened.r#type,
            tags: opened.tags,
            attributes: Packed::new(&stored_attributes(&opened.attributes)?),
            requester_id: requester.requester_id,
            requester_name: requester.name,
            requester_locale: requester.locale,
        }),
        at: input.occurred_at(),
    })
}

fn updated(input: &InputEvent<'_>, updated: &stored::TicketUpdated) -> Result<Command, InputError> {
    let mut update = TraitsUpdate::default();
    for field in &updated.fields {
        match field.as_str() {
            "priority" => update.priority = Some(stored_priority(updated.priority)?),
            "type" => update.kind = Some(updated.r#type.clone()),
            "tags" => update.tags = Some(updated.tags.clone()),
            "attributes" => {
                let attributes = stored_attributes(&updated.attributes)?;
                update.attributes = Some(Packed::new(&attributes));
            }
            other => return Err(InputError(format!("TicketUpdated: field {other:?}"))),
        }
    }
    let ticket = TicketId::trusted(&updated.ticket_id);
    Ok(Command::UpdateTicket { ticket, update: Box::new(update), at: input.occurred_at() })
}

/// Internal notes are for nobody's ears, and a bot's words satisfy no promise.
fn message(
    input: &InputEvent<'_>,
    added: &stored::MessageAdded,
) -> Result<Option<Command>, InputError> {
    let (ticket, at) = (TicketId::trusted(&added.ticket_id), input.occurred_at());
    let author = stored_author_kind(added.author_kind)?;
    if stored_visibility(added.visibility)? != stored::Visibility::Public {
        return Ok(None);
    }
    Ok(match author {
        stored::AuthorKind::EndUser => Some(Command::NoteCustomerMessage { ticket, at }),
        stored::AuthorKind::Agent => Some(Command::NoteReply { ticket, at }),
        stored::AuthorKind::Bot | stored::AuthorKind::Unspecified => None,
    })
}

fn status(input: &InputEvent<'_>, changed: &stored::StatusChanged) -> Result<Command, InputError> {
    let to = stored_status(changed.to)?;
    let ticket = TicketId::trusted(&changed.ticket_id);
    Ok(Command::ChangeStatus { ticket, to, at: input.occurred_at() })
}

fn owner(changed: &stored::OwnerChanged) -> Command {
    Command::NoteOwner {
        ticket: TicketId::trusted(&changed.ticket_id),
        agent: named(&changed.agent_id).map(AgentId::trusted),
        queue: named(&changed.queue_id).map(QueueId::trusted),
    }
}

fn queue(ticket: &str, queue: &str) -> Command {
    Command::NoteQueue { ticket: TicketId::trusted(ticket), queue: QueueId::trusted(queue) }
}

fn named(id: &str) -> Option<&str> {
    if id.is_empty() { None } else { Some(id) }
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;
    use prost::Message;

    use super::*;

    fn read(
        service: ServiceId,
        r#type: &str,
        data: &impl Message,
    ) -> Result<Vec<Command>, InputError> {
        let event = stored::Event {
            r#type: r#type.into(),
            version: 1,
            occurred_at_ms: 7,
            data: data.encode_to_vec().into(),
            ..Default::default()
        };
        let committed_at = Timestamp::from_millis(9);
        react(&InputEvent { service, partition: 0, seq: 2, index: 0, committed_at, event: &event })
    }

    fn added(author: stored::AuthorKind, visibility: stored::Visibility) -> Vec<Command> {
        let added = stored::MessageAdded {
            ticket_id: "t".into(),
            author_kind: author.into(),
            visibility: visibility.into(),
            ..Default::default()
        };
        read(ServiceId::Intake, "MessageAdded", &added).unwrap()
    }

    #[test]
    fn only_a_persons_public_words_are_a_reply() {
        use stored::{AuthorKind, Visibility};
        let (ticket, at) = (TicketId::trusted("t"), Timestamp::from_millis(7));
        let reply = Command::NoteReply { ticket: ticket.clone(), at };
        assert_eq!(added(AuthorKind::Agent, Visibility::Public), [reply]);
        let wrote = Command::NoteCustomerMessage { ticket, at };
        assert_eq!(added(AuthorKind::EndUser, Visibility::Public), [wrote]);
        assert_eq!(added(AuthorKind::Agent, Visibility::Internal), []);
        assert_eq!(added(AuthorKind::Bot, Visibility::Public), []);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_the_business_of_others_is_not_ours() {
        let nowhere = stored::StatusChanged { to: 99, ..Default::default() };
        assert!(read(ServiceId::Intake, "StatusChanged", &nowhere).is_err());
        assert!(read(ServiceId::Intake, "TicketOpened", &stored::TicketOpened::default()).is_err());
        for unknown in [
            stored::MessageAdded { author_kind: 9, visibility: 1, ..Default::default() },
            stored::MessageAdded { author_kind: 1, visibility: 9, ..Default::default() },
        ] {
            assert!(read(ServiceId::Intake, "MessageAdded", &unknown).is_err(), "{unknown:?}");
        }
        let offer = stored::OfferMade::default();
        assert_eq!(read(ServiceId::Routing, "OfferMade", &offer), Ok(Vec::new()));
        let queued = stored::TicketQueued {
            ticket_id: "t".into(),
            queue_id: "q".into(),
            ..Default::default()
        };
        assert_eq!(
            read(ServiceId::Routing, "TicketQueued", &queued),
            Ok(vec![Command::NoteQueue {
                ticket: TicketId::trusted("t"),
                queue: QueueId::trusted("q"),
            }])
        );
    }
}
