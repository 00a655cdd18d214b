//! What routing's facts mean for a ticket. A ticket that moved on in the meantime is left as it is, so every hop
//! between the two services settles.

use kernel::{AgentId, Context, QueueId, TicketId, TicketStatus, Timestamp};

use super::{Decision, Facts, life, ticket};
use crate::command::Outcome;
use crate::event::{Event, OwnerChanged};
use crate::state::{State, Ticket};
use crate::{WORK_COMPLETED, WORK_STARTED};

pub(super) fn owned(
    state: &State,
    context: &Context,
    id: &TicketId,
    agent: AgentId,
    at: Timestamp,
) -> Decision {
    let ticket = &*ticket(state, context, id)?;
    if ticket.status == TicketStatus::Closed {
        return Ok(Vec::new());
    }
    let owner = owner(ticket, Some(agent), ticket.queue.clone());
    let started = (ticket.status == TicketStatus::New)
        .then(|| life::moved(ticket, TicketStatus::Open, WORK_STARTED));
    Ok(Facts::of(context, ticket, past(context, at)).and_if(owner).and_if(started).done())
}

pub(super) fn queued(
    state: &State,
    context: &Context,
    id: &TicketId,
    queue: Option<QueueId>,
    at: Timestamp,
) -> Decision {
    let ticket = &*ticket(state, context, id)?;
    if ticket.status == TicketStatus::Closed {
        return Ok(Vec::new());
    }
    let owner = owner(ticket, None, queue.or_else(|| ticket.queue.clone()));
    Ok(Facts::of(context, ticket, past(context, at)).and_if(owner).done())
}

pub(super) fn done(
    state: &State,
    context: &Context,
    id: &TicketId,
    outcome: Outcome,
    at: Timestamp,
) -> Decision {
    let ticket = &*ticket(state, context, id)?;
    if !ticket.status.is_live() {
        return Ok(Vec::new());
    }
    let (to, owner) = match outcome {
        Outcome::Resolved => (TicketStatus::Resolved, None),
        Outcome::Pending => (TicketStatus::Pending, None),
        Outcome::OnHold => (TicketStatus::OnHold, None),
        // Whoever goes on must not find it waiting.
        Outcome::Requeue => (TicketStatus::Open, owner(ticket, None, ticket.queue.clone())),
    };
    let status = (ticket.status != to).then(|| life::moved(ticket, to, WORK_COMPLETED));
    Ok(Facts::of(context, ticket, past(context, at)).and_if(owner).and_if(status).done())
}

fn owner(ticket: &Ticket, agent: Option<AgentId>, queue: Option<QueueId>) -> Option<Event> {
    let changes = ticket.agent != agent || ticket.queue != queue;
    let left = ticket.queue.clone().filter(|_| ticket.queue != queue);
    let ticket = ticket.id.clone();
    changes.then_some(Event::OwnerChanged(OwnerChanged { ticket, agent, queue, left }))
}

/// Routing's facts lie before our decision, and keep their own time: promises are measured by it.
fn past(context: &Context, at: Timestamp) -> Timestamp {
    at.min(context.at)
}
