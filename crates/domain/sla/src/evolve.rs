//! How facts become state.

use kernel::{Fact, TicketStatus, WorkspaceId};

use crate::state::upkeep::ChangeOf;
use crate::{Change, Event, Policy, PolicySpec, State, Sweep};

/// Takes a fact into the state. What doesn't fit (a clock of a ticket that isn't known) is ignored.
pub(crate) fn evolve(state: &mut State, fact: &Fact<Event>) {
    let workspace = &fact.workspace;
    match &fact.event {
        Event::WorkspaceNoted(_) => {
            state.workspaces.entry(workspace.clone()).or_default().revision = fact.revision;
        }
        Event::PolicyPut(spec) => put(state, fact, spec),
        Event::PoliciesApplied { through, done } => {
            let Some(space) = state.workspaces.get_mut(workspace) else { return };
            space.revision = fact.revision;
            if *done {
                let sweep = space.sweep.take();
                sweep.map(|sweep| state.sweeps.remove(&(sweep.at, workspace.clone())));
            } else if let Some(sweep) = &mut space.sweep {
                sweep.through.clone_from(through);
            }
        }
        Event::TicketNoted(note) => {
            let mut closes = false;
            state.with_ticket(workspace, &note.ticket, ChangeOf::Ticket, |ticket| {
                closes = note.status == TicketStatus::Closed && ticket.closed_at.is_none();
                ticket.revision = fact.revision;
                ticket.note(note, fact.at);
            });
            if closes {
                state.forget(workspace, fact.at);
            }
        }
        Event::Clock { ticket: id, key, change } => {
            let Some(space) = state.workspaces.get(workspace) else { return };
            let warn = space.warnings_of(change);
            let change = &space.own(change);
            let starts = matches!(change, Change::Started { .. });
            let kind = if starts { ChangeOf::NewClock } else { ChangeOf::Clock };
            state.with_ticket(workspace, id, kind, |ticket| {
                ticket.revision = fact.revision;
                ticket.change(*key, change, warn);
            });
        }
    }
}

fn put(state: &mut State, fact: &Fact<Event>, spec: &PolicySpec) {
    let space = state.workspaces.entry(fact.workspace.clone()).or_default();
    let policy = Policy { spec: spec.clone(), revision: fact.revision };
    if let Some(old) = space.policies.insert(spec.policy.clone(), policy) {
        space.order.remove(&(old.spec.order, old.spec.policy));
    }
    space.order.insert((spec.order, spec.policy.clone()));
    if space.open.is_empty() {
        return;
    }
    let entry = |at, workspace: &WorkspaceId| (at, workspace.clone());
    let sweep = Sweep { at: fact.at, through: None };
    if let Some(old) = space.sweep.replace(sweep) {
        state.sweeps.remove(&entry(old.at, &fact.workspace));
    }
    state.sweeps.insert(entry(fact.at, &fact.workspace));
}
