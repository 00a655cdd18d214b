//! Changing a ticket, and with it all that depends on it; and forgetting it.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use kernel::{AgentId, Fact, Priority, QueueId, TicketId, TicketStatus, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Counts, State, Workspace, own, warnings};
use crate::{Clock, ClockKey, ClockState, Event, Metric, Ticket};

/// Ids that many tickets have: each is kept once. A workspace has hundreds of queues and thousands of agents at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Names {
    agents: BTreeSet<AgentId>,
    queues: BTreeSet<QueueId>,
}

impl Names {
    fn share(&mut self, ticket: &mut Ticket) {
        if let Some(agent) = &mut ticket.agent {
            share(&mut self.agents, agent);
        }
        if let Some(queue) = &mut ticket.queue {
            share(&mut self.queues, queue);
        }
    }
}

fn share<T: Clone + Ord>(known: &mut BTreeSet<T>, id: &mut T) {
    match known.get(id) {
        Some(known) => *id = known.clone(),
        None => drop(known.insert(id.clone())),
    }
}

/// A clock, when it is due, and what it counts as.
type Mark = (ClockKey, Option<Timestamp>, Option<Priority>, ClockState);

/// How many clocks of a ticket are looked at without allocating.
const CLOCKS_USUAL: usize = 4;

/// What a ticket contributes to the indexes and figures.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Footprint {
    timer: Option<Timestamp>,
    open: bool,
    closed_at: Option<Timestamp>,
    clocks: SmallVec<[Mark; CLOCKS_USUAL]>,
}

impl Footprint {
    fn of(ticket: &Ticket) -> Self {
        let mark = |clock: &Clock| {
            let due = if clock.target_ms.is_some() { clock.due() } else { None };
            let priority = if clock.target_ms.is_some() { clock.priority } else { None };
            (clock.key, due, priority, clock.state())
        };
        Self {
            timer: ticket.next_alarm().map(|(at, _, _)| at),
            open: ticket.status != TicketStatus::Closed,
            closed_at: ticket.closed_at,
            clocks: ticket.clocks.iter().map(mark).collect(),
        }
    }
}

impl State {
    /// Takes successive facts about one ticket: its notes, then its clocks' starts, then other changes of its clocks.
    pub(crate) fn take(&mut self, facts: &[Fact<Event>]) {
        let [first, ..] = facts else { return };
        let Some(id) = first.event.ticket() else { return };
        let is_noted = matches!(first.event, Event::TicketNoted(_));
        // The ids that are kept already: each fact brings copies of its own.
        let workspace = match self.workspaces.get_key_value(&first.workspace) {
            Some((known, _)) => known.clone(),
            None if is_noted => first.workspace.clone(),
            None => return,
        };
        let space = self.workspaces.entry(workspace.clone()).or_default();
        let (id, ticket, known) = match space.tickets.entry(id.clone()) {
            Entry::Occupied(found) => (found.key().clone(), found.into_mut(), true),
            Entry::Vacant(_) if !is_noted => return,
            Entry::Vacant(place) => {
                (place.key().clone(), place.insert(Box::new(Ticket::unknown())), false)
            }
        };
        for _ in facts.iter().filter(|fact| fact.event.starts_clock()) {
            ticket.make_room();
        }
        let before = if known { Footprint::of(ticket) } else { Footprint::default() };
        let mut closed_at = None;
        for fact in facts {
            ticket.revision = fact.revision;
            match &fact.event {
                Event::TicketNoted(note) => {
                    let closes = note.status == TicketStatus::Closed && ticket.closed_at.is_none();
                    closed_at = closes.then_some(fact.at);
                    ticket.note(note, fact.at);
                    space.names.share(ticket);
                }
                Event::Clock { key, change, .. } => {
                    let warn = warnings(&space.policies, change.policy());
                    ticket.change(*key, &own(&space.policies, change), warn);
                }
                Event::WorkspaceNoted(_) | Event::PolicyPut(_) | Event::PoliciesApplied { .. } => {}
            }
        }
        let after = Footprint::of(ticket);
        self.timers.replace(&workspace, &id, before.timer, after.timer);
        space.follow(&id, &before, &after);
        if let Some(at) = closed_at {
            self.forget(&workspace, at);
        }
    }

    /// A ticket was closed at `at`: forgets some that were closed long before. Nothing but closings does so, each by
    /// the time that intake gave it; so however late sla reads, a ticket is forgotten only once no reopening can be
    /// among what is unread.
    fn forget(&mut self, workspace: &WorkspaceId, at: Timestamp) {
        let Self { workspaces, timers, .. } = self;
        let Some(space) = workspaces.get_mut(workspace) else { return };
        for id in space.closed.send_away(at) {
            let Some(ticket) = space.tickets.remove(&id) else { continue };
            // A closed ticket has neither. If it had, they would be found due for ever.
            let due = |clock: &Clock| clock.due().map(|due| (due, id.clone(), clock.key.metric));
            for entry in ticket.clocks.iter().filter_map(due) {
                space.by_due.remove(&entry);
            }
            let timer = ticket.next_alarm().map(|(at, ..)| at);
            timers.replace(workspace, &id, timer, None);
        }
    }
}

impl Workspace {
    fn follow(&mut self, id: &TicketId, before: &Footprint, after: &Footprint) {
        if after.open && !before.open {
            self.open.insert(id.clone());
        } else if before.open && !after.open {
            self.open.remove(id);
        }
        self.closed.follow(id, before.closed_at, after.closed_at);
        let gone = before.clocks.iter().filter(|mark| !after.clocks.contains(mark));
        let come = after.clocks.iter().filter(|mark| !before.clocks.contains(mark));
        for &(ClockKey { metric, .. }, due, priority, state) in gone {
            due.map(|due| self.by_due.remove(&(due, id.clone(), metric)));
            self.count(metric, priority, state, |count| count.saturating_sub(1));
        }
        for &(ClockKey { metric, .. }, due, priority, state) in come {
            due.map(|due| self.by_due.insert((due, id.clone(), metric)));
            self.count(metric, priority, state, |count| count.saturating_add(1));
        }
    }

    fn count(
        &mut self,
        metric: Metric,
        priority: Option<Priority>,
        state: ClockState,
        change: impl FnOnce(u64) -> u64,
    ) {
        let Some(priority) = priority else { return };
        let counts = self.counts.entry((metric, priority)).or_default();
        let count = counts.of(state);
        *count = change(*count);
        if *counts == Counts::default() {
            self.counts.remove(&(metric, priority));
        }
    }
}
