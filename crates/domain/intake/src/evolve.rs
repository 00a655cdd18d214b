//! Facts into state. What can't be is ignored: the log was checked when it was written.

use kernel::{Fact, TicketId, TicketStatus};

use crate::event::{Event, OwnerChanged, StatusChanged, TicketOpened, TicketUpdated, WorkspacePut};
use crate::state::{State, Ticket};

pub(crate) fn evolve(state: &mut State, fact: &Fact<Event>) {
    match &fact.event {
        Event::WorkspacePut(put) => put_workspace(state, fact, put),
        Event::TicketOpened(opened) => open(state, fact, opened),
        Event::MessageAdded(added) => touch(state, fact, &added.ticket, |ticket| {
            ticket.message_count = ticket.message_count.saturating_add(1);
        }),
        Event::TicketUpdated(updated) => {
            touch(state, fact, &updated.ticket, |ticket| update(ticket, updated));
        }
        Event::StatusChanged(changed) => change_status(state, fact, changed),
        Event::OwnerChanged(changed) => change_owner(state, fact, changed),
    }
    state.put_away(fact.at);
}

fn put_workspace(state: &mut State, fact: &Fact<Event>, put: &WorkspacePut) {
    let workspace = state.workspaces.entry(put.workspace.clone()).or_default();
    workspace.display_name.clone_from(&put.display_name);
    workspace.default_priority = put.default_priority;
    workspace.revision = fact.revision;
}

fn open(state: &mut State, fact: &Fact<Event>, opened: &TicketOpened) {
    let Some(workspace) = state.workspaces.get_mut(&fact.workspace) else { return };
    if workspace.has_ticket(&opened.ticket) || workspace.tickets.contains_key(&opened.number) {
        return;
    }
    let ticket = Ticket::opened(opened, fact.at, fact.revision);
    workspace.add(ticket, opened.external_id.as_deref());
}

fn update(ticket: &mut Ticket, updated: &TicketUpdated) {
    if let Some(priority) = updated.priority {
        ticket.priority = Some(priority);
    }
    if let Some(kind) = &updated.kind {
        ticket.kind.clone_from(kind);
    }
    if let Some(tags) = &updated.tags {
        ticket.tags.clone_from(tags);
    }
    if let Some(attributes) = &updated.attributes {
        ticket.set_attributes(attributes);
    }
}

fn change_status(state: &mut State, fact: &Fact<Event>, changed: &StatusChanged) {
    let mut closing = None;
    displace(state, fact, &changed.ticket, |ticket| {
        let before = ticket.closed_at;
        ticket.status = changed.to;
        ticket.closed_at = (changed.to == TicketStatus::Closed).then_some(fact.at);
        closing = Some((ticket.number, before, ticket.closed_at));
    });
    if let Some((number, before, after)) = closing.filter(|(_, before, after)| before != after) {
        state.note_closing(&fact.workspace, number, before, after);
    }
}

fn change_owner(state: &mut State, fact: &Fact<Event>, changed: &OwnerChanged) {
    displace(state, fact, &changed.ticket, |ticket| {
        ticket.agent.clone_from(&changed.agent);
        ticket.queue.clone_from(&changed.queue);
    });
}

/// Changes what no index knows.
fn touch(state: &mut State, fact: &Fact<Event>, id: &TicketId, change: impl FnOnce(&mut Ticket)) {
    let Some(workspace) = state.workspaces.get_mut(&fact.workspace) else { return };
    if let Some((ticket, _)) = workspace.change(id) {
        change(ticket);
        note(ticket, fact);
    }
}

/// Changes where a ticket stands, and the indexes with it.
fn displace(
    state: &mut State,
    fact: &Fact<Event>,
    id: &TicketId,
    change: impl FnOnce(&mut Ticket),
) {
    let Some(workspace) = state.workspaces.get_mut(&fact.workspace) else { return };
    if let Some((ticket, indexes)) = workspace.change(id) {
        indexes.displace(ticket);
        change(ticket);
        indexes.share(ticket);
        indexes.place(ticket);
        note(ticket, fact);
    }
}

fn note(ticket: &mut Ticket, fact: &Fact<Event>) {
    ticket.revision = fact.revision;
    // A fact may be said to lie before those that came in earlier.
    ticket.updated_at = ticket.updated_at.max(fact.at);
}
