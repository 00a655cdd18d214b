//! Opening tickets.

use kernel::{Actor, Context, Fact, MessageId, Packed, TicketId, Timestamp};

use super::{Decision, Facts, clamped, sorted, workspace};
use crate::Rejection;
use crate::command::CreateTicket;
use crate::event::{Event, TicketOpened};
use crate::state::{State, Ticket, Workspace};

pub(super) fn create(state: &State, context: &Context, wish: CreateTicket) -> Decision {
    let workspace = workspace(state, context)?;
    check_free(workspace, &wish.ticket)?;
    check_external_id(workspace, wish.external_id.as_deref())?;
    let at = clamped(context, wish.occurred_at);
    let actor = Actor::Requester(wish.requester.id.clone());
    let opened = TicketOpened {
        ticket: wish.ticket,
        number: workspace.last_number.saturating_add(1),
        external_id: wish.external_id,
        channel: wish.channel,
        provider: wish.provider,
        requester: wish.requester,
        subject: wish.subject,
        body: wish.body,
        message: wish.message,
        priority: wish.priority.or(workspace.default_priority),
        kind: wish.kind,
        tags: sorted(wish.tags),
        attributes: Packed::new(&wish.attributes),
        required_skills: wish.required_skills,
        queue: wish.queue,
        follows: None,
    };
    Ok(facts(&Context { actor, ..context.clone() }, opened, at))
}

/// The first message of a follow-up.
pub(super) struct Reply {
    pub(super) ticket: TicketId,
    pub(super) message: MessageId,
    pub(super) body: Box<str>,
    pub(super) at: Timestamp,
}

/// Opens a ticket that inherits all but the external id, the owner and the status from the closed one that it follows
/// up; from a stub all that is left.
pub(super) fn follow_up(
    workspace: &Workspace,
    context: &Context,
    closed: &Ticket,
    reply: Reply,
) -> Decision {
    check_free(workspace, &reply.ticket)?;
    let details = closed.details();
    let opened = TicketOpened {
        ticket: reply.ticket,
        number: workspace.last_number.saturating_add(1),
        external_id: None,
        channel: closed.channel,
        provider: details.provider.as_ref().into(),
        requester: closed.requester(&details),
        subject: details.subject.as_ref().into(),
        body: reply.body,
        message: reply.message,
        priority: closed.priority,
        kind: closed.kind.clone(),
        tags: closed.tags.clone(),
        attributes: details.attributes.clone(),
        required_skills: details.required_skills.as_ref().into(),
        queue: closed.queue.clone(),
        follows: Some(closed.id.clone()),
    };
    Ok(facts(context, opened, reply.at))
}

fn facts(context: &Context, opened: TicketOpened, at: Timestamp) -> Vec<Fact<Event>> {
    let ticket = opened.ticket.clone();
    Facts::of_new(context, &ticket, at).and(Event::TicketOpened(Box::new(opened))).done()
}

fn check_free(workspace: &Workspace, ticket: &TicketId) -> Result<(), Rejection> {
    if workspace.has_ticket(ticket) {
        return Err(Rejection::TicketExists { ticket: ticket.clone() });
    }
    Ok(())
}

fn check_external_id(workspace: &Workspace, external_id: Option<&str>) -> Result<(), Rejection> {
    let Some(external_id) = external_id else { return Ok(()) };
    match workspace.ticket_by_external_id(external_id) {
        Some(other) => Err(Rejection::ExternalIdExists {
            external_id: external_id.into(),
            ticket: other.id.clone(),
        }),
        None => Ok(()),
    }
}
