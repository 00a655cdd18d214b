//! What routing's facts ask of intake. The rest of them is routing's own business.

use intake::Command;
use intake::command::Outcome;
use kernel::{AgentId, QueueId, TicketId};
use runtime::{InputError, InputEvent, ServiceId};
use wire::events::v1 as stored;

use crate::codec::values::named;

/// The commands that an input asks for. Each is moot where its wish holds already or the ticket has moved on, so an
/// input that is met twice, or an echo of our own fact, changes nothing.
pub(crate) fn react(input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
    if input.service != ServiceId::Routing {
        return Ok(Vec::new());
    }
    let command = match input.event.r#type.as_str() {
        "TicketQueued" => {
            let queued: stored::TicketQueued = input.payload()?;
            note_queue(input, &queued.ticket_id, &queued.queue_id)
        }
        "TicketRequeued" => {
            let requeued: stored::TicketRequeued = input.payload()?;
            note_queue(input, &requeued.ticket_id, &requeued.queue_id)
        }
        "TicketTransferred" => transferred(input, &input.payload()?),
        "OfferAccepted" => {
            let accepted: stored::OfferAccepted = input.payload()?;
            note_owner(input, &accepted.ticket_id, &accepted.agent_id)
        }
        "TicketAssigned" => {
            let assigned: stored::TicketAssigned = input.payload()?;
            note_owner(input, &assigned.ticket_id, &assigned.agent_id)
        }
        "WorkCompleted" => completed(input, &input.payload()?)?,
        _ => return Ok(Vec::new()),
    };
    Ok(vec![command])
}

fn note_queue(input: &InputEvent<'_>, ticket: &str, queue: &str) -> Command {
    let queue = named(queue).map(QueueId::trusted);
    Command::NoteQueue { ticket: TicketId::trusted(ticket), queue, at: input.occurred_at() }
}

fn note_owner(input: &InputEvent<'_>, ticket: &str, agent: &str) -> Command {
    Command::NoteOwner {
        ticket: TicketId::trusted(ticket),
        agent: AgentId::trusted(agent),
        at: input.occurred_at(),
    }
}

fn transferred(input: &InputEvent<'_>, transferred: &stored::TicketTransferred) -> Command {
    match named(&transferred.to_agent_id) {
        Some(agent) => note_owner(input, &transferred.ticket_id, agent),
        None => note_queue(input, &transferred.ticket_id, &transferred.to_queue_id),
    }
}

fn completed(
    input: &InputEvent<'_>,
    completed: &stored::WorkCompleted,
) -> Result<Command, InputError> {
    let unknown = || InputError(format!("WorkCompleted: outcome {}", completed.outcome));
    let outcome = match stored::WorkOutcome::try_from(completed.outcome) {
        Ok(stored::WorkOutcome::Resolved) => Outcome::Resolved,
        Ok(stored::WorkOutcome::Pending) => Outcome::Pending,
        Ok(stored::WorkOutcome::OnHold) => Outcome::OnHold,
        Ok(stored::WorkOutcome::Requeue) => Outcome::Requeue,
        Ok(stored::WorkOutcome::Unspecified) | Err(_) => return Err(unknown()),
    };
    let ticket = TicketId::trusted(&completed.ticket_id);
    Ok(Command::NoteWorkDone { ticket, outcome, at: input.occurred_at() })
}
