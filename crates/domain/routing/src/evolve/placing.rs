//! Places: taking a ticket out of all that depends on where it is, and putting it back.
//!
//! Units, offers, timers, counts and the board follow from the tickets; nothing but this changes them, so they can't
//! come apart.

use kernel::{AgentId, Fact, QueueId, TicketId, TicketStatus, Timestamp};

use crate::GRACE_MS;
use crate::event::Event;
use crate::state::{Place, Ticket, Timer, Workspace};
use crate::words::WorkState;

/// The timer of an absence: it may be used up to and including the grace's last instant.
pub(super) fn grace(agent: &AgentId, since: Timestamp) -> (Timestamp, Timer) {
    (since.plus_millis(GRACE_MS).plus_millis(1), Timer::Grace(agent.clone()))
}

/// Changes a ticket: takes it out of all that depends on it, and puts it back as it is then.
pub(super) fn change(
    workspace: &mut Workspace,
    id: &TicketId,
    fact: &Fact<Event>,
    how: impl FnOnce(&mut Ticket),
) {
    // The id that is kept already: each fact brings a copy of its own.
    let Some((id, mut ticket)) = workspace.tickets.remove_entry(id) else { return };
    let id = &id;
    let before = unplace(workspace, id, &ticket);
    let offer = if let Place::Offered(number) = ticket.place { Some(number) } else { None };
    how(&mut ticket);
    ticket.revision = fact.revision;
    let after = holder(workspace, &ticket.place);
    place(workspace, id, ticket, fact.at);
    if let Some(number) = offer.filter(|number| !stands(workspace, id, *number)) {
        workspace.offers.remove(&number);
    }
    let Some(agent) = before else { return };
    settle_awaiting(workspace, id, &agent);
    if after.as_ref() != Some(&agent) {
        refresh(workspace, &agent, fact.at);
    }
}

/// Whether the ticket is offered under this number.
fn stands(workspace: &Workspace, id: &TicketId, number: u64) -> bool {
    workspace.ticket(id).is_some_and(|ticket| ticket.place == Place::Offered(number))
}

/// Who holds units for a ticket in this place.
fn holder(workspace: &Workspace, place: &Place) -> Option<AgentId> {
    match place {
        Place::Owned { agent, .. } => Some(agent.clone()),
        Place::Offered(number) => workspace.offers.get(number).map(|offer| offer.agent.clone()),
        Place::Waiting | Place::Paused(_) | Place::Ended { .. } => None,
    }
}

/// Takes a ticket out of its place; returns the agent whose units it held.
fn unplace(workspace: &mut Workspace, id: &TicketId, ticket: &Ticket) -> Option<AgentId> {
    for (agent, until) in &ticket.cooldowns {
        let timer = Timer::Cooldown(id.clone(), agent.clone());
        workspace.timers.remove(&(*until, timer));
    }
    let holder = holder(workspace, &ticket.place);
    if let Some(agent) = holder.as_ref().and_then(|agent| workspace.agents.get_mut(agent)) {
        agent.used_units = agent.used_units.saturating_sub(ticket.held_units());
    }
    match &ticket.place {
        Place::Waiting => workspace.board.leave(&ticket.demand(), &ticket.turn(id)),
        Place::Paused(_) => {}
        Place::Offered(number) => leave_offer(workspace, *number),
        Place::Owned { agent, .. } => leave_owner(workspace, id, &ticket.queue, agent),
        Place::Ended { at, .. } => {
            workspace.closed.follow(id, Some(*at), None);
        }
    }
    holder
}

fn leave_offer(workspace: &mut Workspace, number: u64) {
    let Some(offer) = workspace.offers.get(&number) else { return };
    workspace.timers.remove(&(offer.accept_by.plus_millis(1), Timer::Offer(number)));
    if let Some(agent) = workspace.agents.get_mut(&offer.agent) {
        agent.offers.remove(&number);
    }
    if let Some(queue) = workspace.queues.get_mut(&offer.queue) {
        queue.offered = queue.offered.saturating_sub(1);
    }
}

fn leave_owner(workspace: &mut Workspace, id: &TicketId, queue: &QueueId, owner: &AgentId) {
    if let Some(agent) = workspace.agents.get_mut(owner) {
        agent.tickets.remove(id);
    }
    if let Some(queue) = workspace.queues.get_mut(queue) {
        queue.assigned = queue.assigned.saturating_sub(1);
    }
}

/// Nothing waits for an agent's return but what it still owns and should work at.
fn settle_awaiting(workspace: &mut Workspace, id: &TicketId, owner: &AgentId) {
    let Workspace { tickets, agents, timers, .. } = workspace;
    let active = Place::Owned { agent: owner.clone(), state: WorkState::Active };
    if tickets.get(id).is_some_and(|ticket| ticket.place == active) {
        return;
    }
    let Some(agent) = agents.get_mut(owner) else { return };
    let waited = agent.awaiting.remove(id);
    if let (true, true, Some(since)) = (waited, agent.awaiting.is_empty(), agent.absent_since) {
        timers.remove(&grace(owner, since));
    }
}

/// Puts a ticket into its place.
pub(super) fn place(
    workspace: &mut Workspace,
    id: &TicketId,
    mut ticket: Box<Ticket>,
    now: Timestamp,
) {
    share(workspace, &mut ticket);
    for (agent, until) in &ticket.cooldowns {
        workspace.timers.insert((*until, Timer::Cooldown(id.clone(), agent.clone())));
    }
    let holder = holder(workspace, &ticket.place);
    let Workspace { board, agents, queues, closed, timers, offers, .. } = &mut *workspace;
    match &ticket.place {
        Place::Waiting => board.enter(ticket.demand(), ticket.turn(id), agents, queues),
        Place::Paused(_) => {}
        Place::Offered(number) => {
            if let Some(offer) = offers.get(number) {
                timers.insert((offer.accept_by.plus_millis(1), Timer::Offer(*number)));
                if let Some(agent) = agents.get_mut(&offer.agent) {
                    agent.offers.insert(*number);
                }
            }
            if let Some(queue) = queues.get_mut(&ticket.queue) {
                queue.offered = queue.offered.saturating_add(1);
            }
        }
        Place::Owned { agent, .. } => {
            if let Some(agent) = agents.get_mut(agent) {
                agent.tickets.insert(id.clone());
            }
            if let Some(queue) = queues.get_mut(&ticket.queue) {
                queue.assigned = queue.assigned.saturating_add(1);
            }
        }
        Place::Ended { status, at, .. } => {
            if *status == TicketStatus::Closed {
                closed.follow(id, None, Some(*at));
            }
        }
    }
    let held = ticket.held_units();
    workspace.tickets.insert(id.clone(), ticket);
    if let Some(id) = holder {
        if let Some(agent) = workspace.agents.get_mut(&id) {
            agent.used_units = agent.used_units.saturating_add(held);
        }
        refresh(workspace, &id, now);
    }
}

/// Gives a ticket the ids of its queue and owner that are kept already: each fact brings copies of its own.
fn share(workspace: &Workspace, ticket: &mut Ticket) {
    if let Some((queue, _)) = workspace.queues.get_key_value(&ticket.queue) {
        ticket.queue = queue.clone();
    }
    let agent = match &mut ticket.place {
        Place::Owned { agent, .. } | Place::Ended { owner: Some(agent), .. } => agent,
        Place::Waiting | Place::Paused(_) | Place::Offered(_) | Place::Ended { .. } => return,
    };
    if let Some((known, _)) = workspace.agents.get_key_value(agent) {
        *agent = known.clone();
    }
}

/// An agent's units changed: who is idle, and who could take what.
fn refresh(workspace: &mut Workspace, id: &AgentId, now: Timestamp) {
    let Workspace { agents, board, queues, .. } = workspace;
    let Some(agent) = agents.get_mut(id) else { return };
    agent.mark_idle(now);
    board.agent_changed(id, agent, queues);
}
