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

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AgentId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::{Command, DUE_MAX};

/// All workspaces of a partition, and when each next wants attention.
///
/// **Invariant:** after every fact, `timers` and `leases` hold the earliest timer and lease of each workspace that has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    timers: BTreeSet<(Timestamp, WorkspaceId)>,
    leases: BTreeSet<(Timestamp, WorkspaceId)>,
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
    }

    /// The earliest instant at which something other than a lease is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The earliest instant at which a lease ends if nobody renews it.
    pub fn next_lease(&self) -> Option<Timestamp> {
        self.leases.first().map(|(at, _)| *at)
    }

    /// What is due at `now` besides leases, the earliest first, at most [`DUE_MAX`] of them.
    pub fn timers_due(&self, now: Timestamp) -> Vec<(Timestamp, WorkspaceId, Command)> {
        collect(&self.timers, now, |id, due| {
            let Some(workspace) = self.workspaces.get(id) else { return };
            let passed = workspace.timers.iter().take_while(|(at, _)| *at <= now).take(DUE_MAX);
            due.extend(passed.map(|(at, timer)| (*at, id.clone(), timer.command())));
        })
    }

    /// The leases that ended up to `now` if nobody renewed them, the earliest first, at most [`DUE_MAX`] of them.
    pub fn leases_due(&self, now: Timestamp) -> Vec<(Timestamp, WorkspaceId, Command)> {
        collect(&self.leases, now, |id, due| {
            let Some(workspace) = self.workspaces.get(id) else { return };
            let passed = workspace.leases.iter().take_while(|(at, _)| *at <= now).take(DUE_MAX);
            due.extend(passed.map(|(at, agent)| {
                (*at, id.clone(), Command::ExpirePresence { agent: agent.clone() })
            }));
        })
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

fn collect(
    agenda: &BTreeSet<(Timestamp, WorkspaceId)>,
    now: Timestamp,
    mut passed: impl FnMut(&WorkspaceId, &mut Vec<Due>),
) -> Vec<Due> {
    let mut due = Vec::new();
    for (_, id) in agenda.iter().take_while(|(at, _)| *at <= now) {
        passed(id, &mut due);
    }
    // Stable: what is due at the same instant stays in the order of workspaces and timers.
    due.sort_by_key(|(at, ..)| *at);
    due.truncate(DUE_MAX);
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
