//! Facts into state. What can't be is ignored: the log was checked when it was written.

use kernel::{Fact, TicketId, TicketStatus};

use crate::event::{Event, OwnerChanged, StatusChanged, TicketOpened, TicketUpdated, WorkspacePut};
use crate::state::{State, Ticket, Workspace};

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
}

fn put_workspace(state: &mut State, fact: &Fact<Event>, put: &WorkspacePut) {
    let workspace = state.workspaces.entry(put.workspace.clone()).or_default();
    workspace.display_name.clone_from(&put.display_name);
    workspace.default_priority = put.default_priority;
    workspace.revision = fact.revision;
}

fn open(state: &mut State, fact: &Fact<Event>, opened: &TicketOpened) {
    let Some(workspace) = state.workspaces.get_mut(&fact.workspace) else { return };
    if workspace.ticket(&opened.ticket).is_some() || workspace.tickets.contains_key(&opened.number)
    {
        return;
    }
    let ticket = Ticket {
        id: opened.ticket.clone(),
        number: opened.number,
        external_id: opened.external_id.clone(),
        status: TicketStatus::New,
        channel: opened.channel,
        provider: opened.provider.clone(),
        requester: opened.requester.clone(),
        subject: opened.subject.clone(),
        priority: opened.priority,
        kind: opened.kind.clone(),
        tags: opened.tags.clone(),
        attributes: opened.attributes.clone(),
        required_skills: opened.required_skills.clone(),
        queue: opened.queue.clone(),
        agent: None,
        follows: opened.follows.clone(),
        opened_at: fact.at,
        updated_at: fact.at,
        closed_at: None,
        message_count: 1,
        revision: fact.revision,
    };
    workspace.last_number = workspace.last_number.max(opened.number);
    workspace.indexes.add(&ticket);
    workspace.tickets.insert(ticket.number, Box::new(ticket));
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
        ticket.attributes = attributes.clone();
    }
}

fn change_status(state: &mut State, fact: &Fact<Event>, changed: &StatusChanged) {
    displace(state, fact, &changed.ticket, |ticket| {
        ticket.status = changed.to;
        ticket.closed_at = (changed.to == TicketStatus::Closed).then_some(fact.at);
    });
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
    let Workspace { tickets, indexes, .. } = workspace;
    if let Some(ticket) = indexes.ids.get(id).and_then(|number| tickets.get_mut(number)) {
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
    let Workspace { tickets, indexes, .. } = workspace;
    if let Some(ticket) = indexes.ids.get(id).and_then(|number| tickets.get_mut(number)) {
        indexes.displace(ticket);
        change(ticket);
        indexes.place(ticket);
        note(ticket, fact);
    }
}

fn note(ticket: &mut Ticket, fact: &Fact<Event>) {
    ticket.revision = fact.revision;
    // A fact may be said to lie before those that came in earlier.
    ticket.updated_at = ticket.updated_at.max(fact.at);
}
