//! Changing a ticket's fields.

use kernel::{Context, Packed, TicketStatus};

use super::{Decision, Facts, check_revision, sorted, ticket};
use crate::Rejection;
use crate::command::UpdateTicket;
use crate::event::{Event, TicketUpdated};
use crate::state::State;

pub(super) fn update(state: &State, context: &Context, wish: UpdateTicket) -> Decision {
    let ticket = &*ticket(state, context, &wish.ticket)?;
    check_revision(wish.expected, ticket.revision)?;
    if ticket.status == TicketStatus::Closed {
        return Err(Rejection::TicketClosed { ticket: wish.ticket });
    }
    let updated = TicketUpdated {
        ticket: wish.ticket,
        priority: wish.priority.filter(|priority| Some(*priority) != ticket.priority),
        kind: wish.kind.filter(|kind| *kind != ticket.kind),
        tags: wish.tags.map(sorted).filter(|tags| *tags != ticket.tags),
        attributes: wish
            .attributes
            .map(|all| Packed::new(&all))
            .filter(|all| *all != ticket.details().attributes),
        queue: ticket.queue.clone(),
    };
    let changes = updated.priority.is_some()
        || updated.kind.is_some()
        || updated.tags.is_some()
        || updated.attributes.is_some();
    let event = changes.then_some(Event::TicketUpdated(updated));
    Ok(Facts::of(context, ticket, context.at).and_if(event).done())
}
