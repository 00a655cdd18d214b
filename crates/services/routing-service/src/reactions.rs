//! Intake's facts as routing's commands.

use std::borrow::Cow;

use kernel::{Channel, Priority, QueueId, TicketId, TicketStatus};
use routing::rules::{Facts, TicketView, ticket_facts};
use routing::words::{QueueReason, WorkClass};
use routing::{Command, NewTicket, State};
use runtime::{InputError, InputEvent, ServiceId};
use service_kit::convert;
use wire::events::v1 as stored;

/// What intake says when a customer's message changed the status.
const CUSTOMER_REPLIED: &str = "customer_replied";

/// The commands that an input asks for. The filters of queues look at the ticket here, where its facts are at hand:
/// nothing that the customer wrote goes further.
pub(crate) fn react(state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
    if input.service != ServiceId::Intake {
        return Ok(Vec::new());
    }
    let command = match input.event.r#type.as_str() {
        "WorkspacePut" => Some(Command::SeeWorkspace),
        "TicketOpened" => Some(opened(state, input, &input.payload()?)?),
        "TicketUpdated" => updated(&input.payload()?)?,
        "MessageAdded" => message(&input.payload()?)?,
        "StatusChanged" => status(input, &input.payload()?)?,
        _ => None,
    };
    Ok(command.into_iter().collect())
}

fn opened(
    state: &State,
    input: &InputEvent<'_>,
    opened: &stored::TicketOpened,
) -> Result<Command, InputError> {
    let workspace = kernel::WorkspaceId::trusted(&input.event.workspace);
    let channel = convert::stored_channel(opened.channel)?;
    let priority = convert::stored_priority(opened.priority)?;
    let asked = (!opened.queue_id.is_empty()).then(|| QueueId::trusted(&opened.queue_id));
    let facts = facts(opened, channel, priority)?;
    let chosen =
        state.workspace(&workspace).map(|workspace| workspace.queue_for(asked.as_ref(), &facts));
    let (queue, reason) =
        chosen.unwrap_or_else(|| (QueueId::trusted(routing::DEFAULT_QUEUE), QueueReason::Default));
    Ok(Command::QueueTicket(Box::new(NewTicket {
        ticket: TicketId::trusted(&opened.ticket_id),
        number: opened.number,
        queue,
        reason,
        class: WorkClass::of(channel),
        priority,
        skills: convert::stored_skills(&opened.required_skills)?,
        opened_at: input.occurred_at(),
    })))
}

fn facts(
    opened: &stored::TicketOpened,
    channel: Channel,
    priority: Option<Priority>,
) -> Result<Facts, InputError> {
    let requester = opened.requester.as_ref().map_or_else(Cow::default, Cow::Borrowed);
    Ok(ticket_facts(TicketView {
        channel,
        provider: &opened.provider,
        subject: &opened.subject,
        priority,
        kind: &opened.r#type,
        tags: &opened.tags,
        attributes: &convert::stored_attributes(&opened.attributes)?,
        requester_id: &requester.requester_id,
        requester_name: &requester.name,
        requester_locale: &requester.locale,
    }))
}

fn updated(updated: &stored::TicketUpdated) -> Result<Option<Command>, InputError> {
    if !updated.fields.iter().any(|field| field == "priority") {
        return Ok(None);
    }
    Ok(Some(Command::Reprioritise {
        ticket: TicketId::trusted(&updated.ticket_id),
        priority: convert::stored_priority(updated.priority)?,
    }))
}

/// Only what a customer wrote to us is an answer.
fn message(added: &stored::MessageAdded) -> Result<Option<Command>, InputError> {
    let author = convert::stored_author_kind(added.author_kind)?;
    let visibility = convert::stored_visibility(added.visibility)?;
    let answer = author == stored::AuthorKind::EndUser && visibility == stored::Visibility::Public;
    Ok(answer.then(|| Command::NoteAnswer { ticket: TicketId::trusted(&added.ticket_id) }))
}

fn status(
    input: &InputEvent<'_>,
    changed: &stored::StatusChanged,
) -> Result<Option<Command>, InputError> {
    let from = convert::stored_status(changed.from)?;
    let to = convert::stored_status(changed.to)?;
    // Routing itself opened it, by an acceptance or a requeueing. Taken for a caller's wish, a late word of it would
    // undo what the next owner said since.
    let routed = ServiceId::Routing.number();
    let own = input.event.cause.as_ref().is_some_and(|cause| cause.service == routed);
    if own && to == TicketStatus::Open {
        return Ok(None);
    }
    Ok(Some(Command::FollowStatus {
        ticket: TicketId::trusted(&changed.ticket_id),
        from,
        to,
        answered: changed.reason == CUSTOMER_REPLIED,
    }))
}
