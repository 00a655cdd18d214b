//! What the rules remember: the workspaces of one partition.

mod agent;
mod board;
mod ticket;
mod workspace;

pub use agent::Agent;
#[cfg(test)]
pub(crate) use board::Board;
pub(crate) use board::Pair;
pub use board::{Demand, Group, Turn};
pub(crate) use ticket::joined;
pub use ticket::{Place, Ticket};
pub use workspace::{EndedOffer, Offer, Queue, Timer, Workspace, offer_id, offer_number};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{AgentId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::{Command, DUE_MAX};

/// All workspaces of a partition, and when each next wants attention.
///
/// **Invariant:** after every fact, `timers` and `leases` hold the earliest timer and lease of each workspace that has
/// one, and `unmatched` each with a ticket that somebody could take.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    timers: BTreeSet<(Timestamp, WorkspaceId)>,
    leases: BTreeSet<(Timestamp, WorkspaceId)>,
    unmatched: BTreeSet<WorkspaceId>,
}

impl State {
    /// A workspace, if routing has seen it.
    pub fn workspace(&self, id: &WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(id)
    }

    /// All workspaces, by id.
    pub fn workspaces(&self) -> impl Iterator<Item = (&WorkspaceId, &Workspace)> {
        self.workspaces.iter()
    }

    /// Changes a workspace, making it if need be, and keeps the agenda.
    pub(crate) fn change(&mut self, id: &WorkspaceId, change: impl FnOnce(&mut Workspace)) {
        if !self.workspaces.contains_key(id) {
            self.workspaces.insert(id.clone(), Workspace::default());
        }
        let Some(workspace) = self.workspaces.get_mut(id) else { return };
        let before = (workspace.next_timer(), workspace.next_lease());
        change(workspace);
        let after = (workspace.next_timer(), workspace.next_lease());
        replace(&mut self.timers, id, before.0, after.0);
        replace(&mut self.leases, id, before.1, after.1);
        let (unmatched, known) = (workspace.has_match(), self.unmatched.contains(id));
        if unmatched && !known {
            self.unmatched.insert(id.clone());
        } else if known && !unmatched {
            self.unmatched.remove(id);
        }
    }

    /// The earliest instant at which something other than a lease is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The earliest instant at which a lease ends if nobody renews it.
    pub fn next_lease(&self) -> Option<Timestamp> {
        self.leases.first().map(|(at, _)| *at)
    }

    /// What is due at `now` besides leases, at most [`DUE_MAX`] of it: of each workspace its earliest before any has a
    /// second.
    pub fn timers_due(&self, now: Timestamp) -> Vec<(Timestamp, WorkspaceId, Command)> {
        collect(&self.timers, now, |id| {
            let workspace = self.workspaces.get(id).into_iter();
            let timers = workspace.flat_map(|workspace| &workspace.timers);
            timers.map(|(at, timer)| (*at, timer.command()))
        })
    }

    /// The leases that ended up to `now` if nobody renewed them, in the same way.
    pub fn leases_due(&self, now: Timestamp) -> Vec<(Timestamp, WorkspaceId, Command)> {
        collect(&self.leases, now, |id| {
            let workspace = self.workspaces.get(id).into_iter();
            let leases = workspace.flat_map(|workspace| &workspace.leases);
            leases.map(|(at, agent)| (*at, Command::ExpirePresence { agent: agent.clone() }))
        })
    }

    /// The workspaces where someone could take a ticket that waits: the next matches are due at once. There are some
    /// only while one decision had too many for itself.
    pub fn matches_due(&self) -> impl Iterator<Item = (WorkspaceId, Command)> {
        self.unmatched.iter().take(DUE_MAX).map(|id| (id.clone(), Command::Match))
    }

    /// Since when matches have been due, if any are left to be made: always.
    pub fn next_match(&self) -> Option<Timestamp> {
        (!self.unmatched.is_empty()).then(|| Timestamp::from_millis(i64::MIN))
    }

    /// Every agent with a lease.
    pub fn leased_agents(&self) -> impl Iterator<Item = (&WorkspaceId, &AgentId, &Agent)> {
        self.leases.iter().filter_map(|(_, id)| self.workspaces.get_key_value(id)).flat_map(
            |(id, workspace)| {
                workspace.leases.iter().filter_map(move |(_, agent)| {
                    workspace.agent(agent).map(|held| (id, agent, held))
                })
            },
        )
    }
}

type Due = (Timestamp, WorkspaceId, Command);

/// What is due of the workspaces on an agenda, in turns: a workspace with thousands of deadlines delays none of
/// another.
fn collect<'a, T: Iterator<Item = (Timestamp, Command)>>(
    agenda: &'a BTreeSet<(Timestamp, WorkspaceId)>,
    now: Timestamp,
    timers: impl Fn(&'a WorkspaceId) -> T,
) -> Vec<Due> {
    let begun = agenda.iter().take_while(|(at, _)| *at <= now).take(DUE_MAX);
    let mut lanes: VecDeque<_> = begun.map(|(_, id)| (id, timers(id))).collect();
    let mut due = Vec::new();
    while due.len() < DUE_MAX {
        let Some((id, mut timers)) = lanes.pop_front() else { break };
        if let Some((at, command)) = timers.next().filter(|(at, _)| *at <= now) {
            due.push((at, id.clone(), command));
            lanes.push_back((id, timers));
        }
    }
    due
}

fn replace(
    agenda: &mut BTreeSet<(Timestamp, WorkspaceId)>,
    id: &WorkspaceId,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
) {
    if before == after {
        return;
    }
    if let Some(at) = before {
        agenda.remove(&(at, id.clone()));
    }
    if let Some(at) = after {
        agenda.insert((at, id.clone()));
    }
}
