//! Adding messages, and what a message does to its ticket's status.
//!
//! A message is new by nature, so there is no wish that could hold already: a caller's request id guards against saying
//! it twice.

use kernel::{Actor, AgentId, Context, RequesterId, TicketStatus};

use super::open::{Reply, follow_up};
use super::{Decision, Facts, check_revision, clamped, life, ticket, workspace};
use crate::command::AddMessage;
use crate::event::{AuthorKind, Event, MessageAdded, Visibility};
use crate::state::{State, Ticket};
use crate::{CUSTOMER_REPLIED, REOPEN_WINDOW_MS, Rejection, WORK_STARTED};

pub(super) fn add(state: &State, context: &Context, wish: AddMessage) -> Decision {
    let ticket = &*ticket(state, context, &wish.ticket)?;
    check_revision(wish.expected, ticket.revision)?;
    let at = clamped(context, wish.occurred_at);
    let context = Context { actor: author(context, ticket, &wish), ..context.clone() };
    if let Some(closed_at) = ticket.closed_at {
        if !from_customer(&wish) {
            return Err(Rejection::TicketClosed { ticket: wish.ticket });
        }
        // The customer's time counts: who wrote within the window is not punished for a slow connector.
        if at.millis_since(closed_at) > REOPEN_WINDOW_MS {
            let reply =
                Reply { ticket: wish.follow_up, message: wish.message, body: wish.body, at };
            return follow_up(workspace(state, &context)?, &context, ticket, reply);
        }
    }
    let status = status_after(ticket, &wish);
    Ok(Facts::of(&context, ticket, at).and(added(ticket, wish)).and_if(status).done())
}

/// The author, where it is a person; a bot speaks through the backend that called.
fn author(context: &Context, ticket: &Ticket, wish: &AddMessage) -> Actor {
    match wish.author_kind {
        AuthorKind::EndUser if wish.author.is_empty() => Actor::Requester(ticket.requester.clone()),
        AuthorKind::EndUser => Actor::Requester(RequesterId::trusted(&wish.author)),
        AuthorKind::Agent => Actor::Agent(AgentId::trusted(&wish.author)),
        AuthorKind::Bot => context.actor.clone(),
    }
}

fn from_customer(wish: &AddMessage) -> bool {
    wish.author_kind == AuthorKind::EndUser && wish.visibility == Visibility::Public
}

fn status_after(ticket: &Ticket, wish: &AddMessage) -> Option<Event> {
    if wish.visibility == Visibility::Internal {
        return None;
    }
    let reason = match (wish.author_kind, ticket.status) {
        (AuthorKind::Agent, TicketStatus::New) => WORK_STARTED,
        (
            AuthorKind::EndUser,
            TicketStatus::Pending
            | TicketStatus::OnHold
            | TicketStatus::Resolved
            | TicketStatus::Closed,
        ) => CUSTOMER_REPLIED,
        (AuthorKind::Agent | AuthorKind::Bot | AuthorKind::EndUser, _) => return None,
    };
    Some(life::moved(ticket, TicketStatus::Open, reason))
}

fn added(ticket: &Ticket, wish: AddMessage) -> Event {
    let unnamed_customer = wish.author_kind == AuthorKind::EndUser && wish.author.is_empty();
    let author = if unnamed_customer { ticket.requester.as_str().into() } else { wish.author };
    Event::MessageAdded(MessageAdded {
        ticket: wish.ticket,
        message: wish.message,
        author_kind: wish.author_kind,
        author,
        visibility: wish.visibility,
        body: wish.body,
        queue: ticket.queue.clone(),
    })
}
