//! The steps of a ticket's life that somebody asks for.

use kernel::{Context, TicketStatus, Timestamp};

use super::{Decision, Facts, check_revision, clamped, ticket};
use crate::command::{Move, Step};
use crate::event::{Event, StatusChanged};
use crate::state::{State, Ticket};
use crate::{REOPEN_WINDOW_MS, Rejection};

pub(super) fn step(state: &State, context: &Context, wish: &Move) -> Decision {
    let ticket = &*ticket(state, context, &wish.ticket)?;
    check_revision(wish.expected, ticket.revision)?;
    let at = clamped(context, wish.occurred_at);
    let to = match wish.step {
        Step::AwaitCustomer => wait(ticket, TicketStatus::Pending)?,
        Step::AwaitOthers => wait(ticket, TicketStatus::OnHold)?,
        Step::Resume => resume(ticket)?,
        Step::Resolve => resolve(ticket)?,
        Step::Reopen => reopen(ticket, context.at)?,
        Step::Close => TicketStatus::Closed,
    };
    let event = (ticket.status != to).then(|| moved(ticket, to, &wish.reason));
    Ok(Facts::of(context, ticket, at).and_if(event).done())
}

pub(super) fn moved(ticket: &Ticket, to: TicketStatus, reason: &str) -> Event {
    Event::StatusChanged(StatusChanged {
        ticket: ticket.id.clone(),
        from: ticket.status,
        to,
        reason: reason.into(),
        queue: ticket.queue.clone(),
    })
}

fn wait(ticket: &Ticket, on: TicketStatus) -> Result<TicketStatus, Rejection> {
    match ticket.status {
        TicketStatus::New | TicketStatus::Open | TicketStatus::Pending | TicketStatus::OnHold => {
            Ok(on)
        }
        TicketStatus::Resolved => Err(wrong_status(ticket)),
        TicketStatus::Closed => Err(closed(ticket)),
    }
}

fn resume(ticket: &Ticket) -> Result<TicketStatus, Rejection> {
    match ticket.status {
        TicketStatus::Open | TicketStatus::Pending | TicketStatus::OnHold => Ok(TicketStatus::Open),
        TicketStatus::New | TicketStatus::Resolved => Err(wrong_status(ticket)),
        TicketStatus::Closed => Err(closed(ticket)),
    }
}

fn resolve(ticket: &Ticket) -> Result<TicketStatus, Rejection> {
    match ticket.status {
        TicketStatus::New
        | TicketStatus::Open
        | TicketStatus::Pending
        | TicketStatus::OnHold
        | TicketStatus::Resolved => Ok(TicketStatus::Resolved),
        TicketStatus::Closed => Err(closed(ticket)),
    }
}

fn reopen(ticket: &Ticket, now: Timestamp) -> Result<TicketStatus, Rejection> {
    match ticket.status {
        TicketStatus::Open | TicketStatus::Resolved => Ok(TicketStatus::Open),
        TicketStatus::New | TicketStatus::Pending | TicketStatus::OnHold => {
            Err(wrong_status(ticket))
        }
        TicketStatus::Closed => {
            let closed_at = ticket.closed_at.unwrap_or(ticket.updated_at);
            if now.millis_since(closed_at) > REOPEN_WINDOW_MS {
                return Err(Rejection::ReopenWindowOver { ticket: ticket.id.clone() });
            }
            Ok(TicketStatus::Open)
        }
    }
}

fn wrong_status(ticket: &Ticket) -> Rejection {
    Rejection::TicketStatus { ticket: ticket.id.clone(), status: ticket.status }
}

fn closed(ticket: &Ticket) -> Rejection {
    Rejection::TicketClosed { ticket: ticket.id.clone() }
}
