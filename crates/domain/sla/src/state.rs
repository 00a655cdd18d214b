//! What the rules remember of one partition.

mod sweep;
mod timers;
pub(crate) mod upkeep;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use kernel::{Closed, PolicyId, Priority, TicketId, Timestamp, WorkspaceId};
use rules::Rule;
use serde::{Deserialize, Serialize};

use crate::{Change, Clock, ClockState, Metric, Policy, Ticket};
pub use sweep::{Sweep, Sweeps};
use timers::Timers;
use upkeep::Names;

/// All workspaces of a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) workspaces: BTreeMap<WorkspaceId, Workspace>,
    /// The next timer of each ticket that has one.
    pub(crate) timers: Timers,
    /// The changes of policies on their way through the tickets.
    pub(crate) sweeps: Sweeps,
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

/// A tenant: its policies, its tickets, and its figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    pub(crate) revision: u64,
    pub(crate) policies: Policies,
    /// The policies in the order in which a ticket looks for its own.
    pub(crate) order: BTreeSet<(i32, PolicyId)>,
    /// Boxed, since a map's leaves are half empty where its keys came in their order.
    #[serde(deserialize_with = "kernel::in_order::map")]
    pub(crate) tickets: BTreeMap<TicketId, Box<Ticket>>,
    /// The tickets that aren't closed.
    #[serde(deserialize_with = "kernel::in_order::set")]
    pub(crate) open: BTreeSet<TicketId>,
    /// The closed tickets, to be forgotten one day.
    closed: Closed<TicketId>,
    /// The ids of agents and queues that tickets share.
    names: Names,
    /// The running clocks with a target, by when it must be kept.
    #[serde(deserialize_with = "kernel::in_order::set")]
    pub(crate) by_due: BTreeSet<(Timestamp, TicketId, Metric)>,
    pub(crate) counts: BTreeMap<(Metric, Priority), Counts>,
    pub(crate) sweep: Option<Sweep>,
}

/// How many clocks with a target, of one metric and priority, are in which state. Each clock counts once, under the
/// priority that it has or ended with.
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
    /// The filters of all policies but one.
    pub(crate) fn filters_beside<'a>(
        &'a self,
        policy: &'a PolicyId,
    ) -> impl Iterator<Item = &'a Rule> {
        let others = self.policies.iter().filter(move |(id, _)| *id != policy);
        others.filter_map(|(_, other)| other.spec.filter.as_ref())
    }

    /// The policies, in the order in which a ticket looks for its own.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.order.iter().filter_map(|(_, id)| self.policies.get(id))
    }

    /// A policy.
    pub fn policy(&self, policy: &PolicyId) -> Option<&Policy> {
        self.policies.get(policy)
    }

    /// The tickets that aren't closed, by id.
    pub fn open_tickets(&self) -> impl Iterator<Item = &TicketId> {
        self.open.iter()
    }

    /// A ticket.
    pub fn ticket(&self, ticket: &TicketId) -> Option<&Ticket> {
        self.tickets.get(ticket).map(|ticket| &**ticket)
    }

    /// The running clocks with a target, those first that are or were due first; only those after a place in that
    /// order, if one is given.
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

    /// The policy that a ticket follows: the first whose filter holds. A closed ticket, whose traits are forgotten,
    /// keeps its own.
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
        warnings(&self.policies, policy)
    }

    /// Whether a ticket still follows the policies as they were before the last change, and when that takes effect.
    pub(crate) fn unswept(&self, ticket: &TicketId) -> Option<Timestamp> {
        let sweep = self.sweep.as_ref()?;
        (!sweep.has_reached(ticket)).then_some(sweep.at)
    }
}

type Policies = BTreeMap<PolicyId, Policy>;

fn warnings(policies: &Policies, policy: Option<&PolicyId>) -> Option<Arc<[u16]>> {
    let policy = policies.get(policy?)?;
    Some(Arc::clone(&policy.spec.warn_at_permille))
}

/// A change whose policy's id, if it is long, is the one that is kept already.
fn own<'a>(policies: &Policies, change: &'a Change) -> Cow<'a, Change> {
    let policy = change.policy().filter(|policy| policy.is_long());
    let Some((known, _)) = policy.and_then(|policy| policies.get_key_value(policy)) else {
        return Cow::Borrowed(change);
    };
    let mut own = change.clone();
    if let Change::Started { policy, .. } | Change::Retargeted { policy, .. } = &mut own {
        *policy = Some(known.clone());
    }
    Cow::Owned(own)
}
