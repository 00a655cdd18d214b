//! What the rules remember of one partition.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;
use std::sync::Arc;

use kernel::{
    AgentId, PolicyId, Priority, QueueId, TicketId, TicketStatus, Timestamp, WorkspaceId,
};
use serde::{Deserialize, Serialize};

use crate::{Change, Clock, ClockState, FORGET_MS, FORGOTTEN_AT_ONCE, Metric, Policy, Ticket};

/// All workspaces of a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) workspaces: BTreeMap<WorkspaceId, Workspace>,
    /// The next timer of each ticket that has one.
    pub(crate) timers: BTreeSet<(Timestamp, WorkspaceId, TicketId)>,
    /// The workspaces whose policies changed and whose tickets were not all looked at, with when.
    pub(crate) sweeps: BTreeSet<(Timestamp, WorkspaceId)>,
}

impl State {
    /// A workspace.
    pub fn workspace(&self, workspace: &WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(workspace)
    }

    /// Every workspace, by id.
    pub fn workspaces(&self) -> impl Iterator<Item = (&WorkspaceId, &Workspace)> {
        self.workspaces.iter()
    }
}

/// A change of policies on its way through the tickets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// When the change takes effect.
    pub at: Timestamp,
    /// The tickets up to this one follow it already.
    pub through: Option<TicketId>,
}

/// Ids that many tickets have: each is kept once. A workspace has hundreds of queues and thousands of agents at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Names {
    agents: BTreeSet<AgentId>,
    queues: BTreeSet<QueueId>,
}

impl Names {
    fn share(&mut self, ticket: &mut Ticket) {
        ticket.agent.as_mut().map(|agent| share(&mut self.agents, agent));
        ticket.queue.as_mut().map(|queue| share(&mut self.queues, queue));
    }
}

fn share<T: Clone + Ord>(known: &mut BTreeSet<T>, id: &mut T) {
    match known.get(id) {
        Some(known) => *id = known.clone(),
        None => drop(known.insert(id.clone())),
    }
}

/// A tenant: its policies, its tickets, and its figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    pub(crate) revision: u64,
    pub(crate) policies: BTreeMap<PolicyId, Policy>,
    /// The policies in the order in which a ticket looks for its own.
    pub(crate) order: BTreeSet<(i32, PolicyId)>,
    /// Boxed, since a map's leaves are half empty where its keys came in their order.
    pub(crate) tickets: BTreeMap<TicketId, Box<Ticket>>,
    /// The tickets that aren't closed.
    pub(crate) open: BTreeSet<TicketId>,
    /// The closed tickets by the instant of closing, to be forgotten in that order.
    closed: BTreeSet<(Timestamp, TicketId)>,
    /// The ids of agents and queues that tickets share.
    names: Names,
    /// The running clocks with a target, by when it must be kept.
    pub(crate) by_due: BTreeSet<(Timestamp, TicketId, Metric)>,
    pub(crate) counts: BTreeMap<(Metric, Priority), Counts>,
    pub(crate) sweep: Option<Sweep>,
}

/// How many clocks with a target, of one metric and priority, are in which state. Each clock counts once, under the priority that it
/// has or ended with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Kept.
    pub met: u64,
    /// Broken.
    pub breached: u64,
    /// Ended without a verdict.
    pub cancelled: u64,
    /// Running.
    pub running: u64,
    /// Standing still.
    pub paused: u64,
}

impl Counts {
    /// All of them.
    pub fn started(&self) -> u64 {
        [self.met, self.breached, self.cancelled, self.running, self.paused].iter().sum()
    }

    fn of(&mut self, state: ClockState) -> &mut u64 {
        match state {
            ClockState::Running => &mut self.running,
            ClockState::Paused => &mut self.paused,
            ClockState::Met => &mut self.met,
            ClockState::Breached => &mut self.breached,
            ClockState::Cancelled => &mut self.cancelled,
        }
    }
}

impl Workspace {
    /// The policies, in the order in which a ticket looks for its own.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.order.iter().filter_map(|(_, id)| self.policies.get(id))
    }

    /// A policy.
    pub fn policy(&self, policy: &PolicyId) -> Option<&Policy> {
        self.policies.get(policy)
    }

    /// A ticket.
    pub fn ticket(&self, ticket: &TicketId) -> Option<&Ticket> {
        self.tickets.get(ticket).map(|ticket| &**ticket)
    }

    /// The running clocks with a target, those first that are or were due first; only those after a place in that order, if one is
    /// given.
    pub fn at_risk(
        &self,
        after: Option<&(Timestamp, TicketId, Metric)>,
    ) -> impl Iterator<Item = (Timestamp, &TicketId, &Ticket, &Clock)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_due.range((from, Bound::Unbounded)).filter_map(|(due, id, metric)| {
            let ticket = self.ticket(id)?;
            Some((*due, id, ticket, ticket.open_clock(*metric)?))
        })
    }

    /// The clocks with a target, by metric and priority.
    pub fn counts(&self) -> impl Iterator<Item = (Metric, Priority, &Counts)> {
        self.counts.iter().map(|((metric, priority), counts)| (*metric, *priority, counts))
    }

    /// The policy that a ticket follows: the first whose filter holds. A closed ticket, whose traits are forgotten, keeps its own.
    pub(crate) fn choose(&self, ticket: &Ticket) -> Option<PolicyId> {
        let Some(facts) = ticket.facts() else { return ticket.policy.clone() };
        let holds = |policy: &&Policy| {
            policy.spec.filter.as_ref().is_none_or(|rule| rule.matches(&facts).holds())
        };
        self.policies().find(holds).map(|policy| policy.spec.policy.clone())
    }

    /// What a policy promises a ticket's clock, in milliseconds.
    pub(crate) fn target(&self, ticket: &Ticket, metric: Metric) -> Option<u64> {
        let policy = self.policies.get(ticket.policy.as_ref()?)?;
        policy.spec.targets.get(&(metric, ticket.priority?)).copied()
    }

    /// When a policy warns.
    pub(crate) fn warnings(&self, policy: Option<&PolicyId>) -> Option<Arc<[u16]>> {
        let policy = self.policies.get(policy?)?;
        Some(Arc::clone(&policy.spec.warn_at_permille))
    }

    /// The change, its policy's id the one that is kept already.
    pub(crate) fn own(&self, change: &Change) -> Change {
        let mut own = change.clone();
        if let Change::Started { policy, .. } | Change::Retargeted { policy, .. } = &mut own {
            let known = policy.as_ref().and_then(|policy| self.policies.get_key_value(policy));
            if let Some((known, _)) = known {
                *policy = Some(known.clone());
            }
        }
        own
    }

    /// When the policy of a change warns.
    pub(crate) fn warnings_of(&self, change: &Change) -> Option<Arc<[u16]>> {
        match change {
            Change::Started { policy, .. } | Change::Retargeted { policy, .. } => {
                self.warnings(policy.as_ref())
            }
            Change::Paused { .. }
            | Change::Resumed { .. }
            | Change::Warned { .. }
            | Change::Met { .. }
            | Change::Breached { .. }
            | Change::StoppedAfterBreach { .. }
            | Change::BreachRetracted { .. }
            | Change::Cancelled { .. }
            | Change::Reopened { .. } => None,
        }
    }

    /// Whether a ticket still follows the policies as they were before the last change, and when that takes effect.
    pub(crate) fn unswept(&self, ticket: &TicketId) -> Option<Timestamp> {
        let sweep = self.sweep.as_ref()?;
        if sweep.through.as_ref() >= Some(ticket) { None } else { Some(sweep.at) }
    }
}

/// What a ticket contributes to the indexes and figures.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Footprint {
    timer: Option<Timestamp>,
    open: bool,
    closed_at: Option<Timestamp>,
    clocks: Vec<(Metric, Option<Timestamp>, Option<Priority>, ClockState)>,
}

impl Footprint {
    fn of(ticket: &Ticket) -> Self {
        let mark = |clock: &Clock| {
            let due = if clock.target_ms.is_some() { clock.due() } else { None };
            let priority = if clock.target_ms.is_some() { clock.priority } else { None };
            (clock.key.metric, due, priority, clock.state())
        };
        Self {
            timer: ticket.next_alarm().map(|(at, _, _)| at),
            open: ticket.status != TicketStatus::Closed,
            closed_at: ticket.closed_at,
            clocks: ticket.clocks.iter().map(mark).collect(),
        }
    }
}

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeOf {
    /// A ticket, made if unknown.
    Ticket,
    /// A clock of a known ticket: of an unknown one it is ignored.
    Clock,
    /// A clock that such a ticket gets.
    NewClock,
}

impl State {
    /// Changes a ticket, and what depends on it.
    pub(crate) fn with_ticket(
        &mut self,
        workspace: &WorkspaceId,
        id: &TicketId,
        kind: ChangeOf,
        change: impl FnOnce(&mut Ticket),
    ) {
        // The ids that are kept already: each fact brings copies of its own.
        let workspace = match self.workspaces.get_key_value(workspace) {
            Some((known, _)) => known.clone(),
            None => workspace.clone(),
        };
        let space = self.workspaces.entry(workspace.clone()).or_default();
        let (id, ticket, known) = match space.tickets.entry(id.clone()) {
            Entry::Occupied(found) => (found.key().clone(), found.into_mut(), true),
            Entry::Vacant(_) if kind != ChangeOf::Ticket => return,
            Entry::Vacant(place) => {
                (place.key().clone(), place.insert(Box::new(Ticket::unknown())), false)
            }
        };
        if kind == ChangeOf::NewClock {
            ticket.make_room();
        }
        let before = if known { Footprint::of(ticket) } else { Footprint::default() };
        change(ticket);
        space.names.share(ticket);
        let after = Footprint::of(ticket);
        if before.timer != after.timer {
            let entry = |at| (at, workspace.clone(), id.clone());
            before.timer.map(|at| self.timers.remove(&entry(at)));
            after.timer.map(|at| self.timers.insert(entry(at)));
        }
        space.follow(&id, &before, &after);
    }

    /// A ticket was closed at `at`: forgets some that were closed long before. Nothing but closings does so, each by the time that
    /// intake gave it; so however late sla reads, a ticket is forgotten only once no reopening can be among what is unread.
    pub(crate) fn forget(&mut self, workspace: &WorkspaceId, at: Timestamp) {
        let Self { workspaces, timers, .. } = self;
        let Some(space) = workspaces.get_mut(workspace) else { return };
        let kept_from = at.minus_millis(FORGET_MS);
        for _ in 0..FORGOTTEN_AT_ONCE {
            if space.closed.first().is_none_or(|(at, _)| *at >= kept_from) {
                return;
            }
            let Some((_, id)) = space.closed.pop_first() else { return };
            let Some(ticket) = space.tickets.remove(&id) else { continue };
            // A closed ticket has neither. If it had, they would be found due for ever.
            let due = |clock: &Clock| clock.due().map(|due| (due, id.clone(), clock.key.metric));
            for entry in ticket.clocks.iter().filter_map(due) {
                space.by_due.remove(&entry);
            }
            if let Some((at, ..)) = ticket.next_alarm() {
                timers.remove(&(at, workspace.clone(), id));
            }
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
        if before.closed_at != after.closed_at {
            before.closed_at.map(|at| self.closed.remove(&(at, id.clone())));
            after.closed_at.map(|at| self.closed.insert((at, id.clone())));
        }
        // A clock was added, or some of the same ones changed: a change never does both.
        let (gone, come): (Vec<_>, Vec<_>) = if before.clocks.len() == after.clocks.len() {
            let pairs = before.clocks.iter().zip(&after.clocks);
            pairs.filter(|(old, new)| old != new).unzip()
        } else {
            (before.clocks.iter().collect(), after.clocks.iter().collect())
        };
        for &(metric, due, priority, state) in gone {
            due.map(|due| self.by_due.remove(&(due, id.clone(), metric)));
            self.count(metric, priority, state, |count| count.saturating_sub(1));
        }
        for &(metric, due, priority, state) in come {
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
