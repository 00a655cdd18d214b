//! Until when presences hold: the leader's volatile memory, where heartbeats are.
//!
//! The log knows when a presence was set and for how long; what renewed it since is nobody's business but the leader's.
//! It forgets all when leadership begins, and grants every lease anew: an agent is at worst called absent one lease too
//! late, never too early.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::{AgentId, Fact, Timestamp, WorkspaceId};
use routing::{Command, Event, State};

/// The leases of every partition led by this process.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<u16, Table>>);

/// The leases of one partition.
#[derive(Debug, Default)]
struct Table {
    until: BTreeMap<(WorkspaceId, AgentId), Timestamp>,
    order: BTreeSet<(Timestamp, WorkspaceId, AgentId)>,
}

impl Table {
    fn set(&mut self, workspace: &WorkspaceId, agent: &AgentId, until: Option<Timestamp>) {
        let key = (workspace.clone(), agent.clone());
        let before = match until {
            Some(until) => self.until.insert(key, until),
            None => self.until.remove(&key),
        };
        if let Some(before) = before {
            self.order.remove(&(before, workspace.clone(), agent.clone()));
        }
        if let Some(until) = until {
            self.order.insert((until, workspace.clone(), agent.clone()));
        }
    }
}

impl Leases {
    fn tables(&self) -> MutexGuard<'_, BTreeMap<u16, Table>> {
        // A table is never left half changed by a panic that matters: it is volatile and granted anew.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leadership begins: every lease runs from now.
    pub(crate) fn grant_anew(&self, partition: u16, state: &State, now: Timestamp) {
        let mut table = Table::default();
        for (workspace, agent, held) in state.leased_agents() {
            let until = now.plus_millis(held.lease_ms());
            table.set(workspace, agent, held.lease_until().max(Some(until)));
        }
        self.tables().insert(partition, table);
    }

    /// A fact may set or end a lease.
    pub(crate) fn note(&self, partition: u16, fact: &Fact<Event>) {
        let (agent, until) = match &fact.event {
            Event::PresenceSet { agent, lease_ms: 0, .. } | Event::PresenceExpired { agent } => {
                (agent, None)
            }
            Event::PresenceSet { agent, lease_ms, .. } => {
                (agent, Some(fact.at.plus_millis(*lease_ms)))
            }
            Event::WorkspaceSeen { .. }
            | Event::AgentPut { .. }
            | Event::QueuePut { .. }
            | Event::TicketQueued(_)
            | Event::WorkReprioritised { .. }
            | Event::OfferMade(_)
            | Event::OfferAccepted { .. }
            | Event::OfferDeclined { .. }
            | Event::OfferExpired { .. }
            | Event::OfferRescinded { .. }
            | Event::CooldownEnded { .. }
            | Event::TicketAssigned { .. }
            | Event::WorkStateChanged { .. }
            | Event::WorkCompleted { .. }
            | Event::TicketRequeued(_)
            | Event::TicketTransferred { .. }
            | Event::WorkEnded { .. } => return,
        };
        if let Some(table) = self.tables().get_mut(&partition) {
            table.set(&fact.workspace, agent, until);
        }
    }

    /// Renews a lease that still runs, and says until when; nothing if it is over.
    pub(crate) fn renew(
        &self,
        partition: u16,
        (workspace, agent): (&WorkspaceId, &AgentId),
        lease_ms: u64,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut tables = self.tables();
        let table = tables.get_mut(&partition)?;
        let runs_until = *table.until.get(&(workspace.clone(), agent.clone()))?;
        if runs_until <= now {
            return None;
        }
        let until = now.plus_millis(lease_ms).max(runs_until);
        table.set(workspace, agent, Some(until));
        Some(until)
    }

    /// When the first lease ends, if one does; `otherwise` for a partition that isn't led here.
    pub(crate) fn first(&self, partition: u16, otherwise: Option<Timestamp>) -> Option<Timestamp> {
        match self.tables().get(&partition) {
            Some(table) => table.order.first().map(|(until, ..)| *until),
            None => otherwise,
        }
    }

    /// The leases that are over, as commands; nothing at all for a partition that isn't led here.
    pub(crate) fn due(
        &self,
        partition: u16,
        now: Timestamp,
    ) -> Option<Vec<(Timestamp, WorkspaceId, Command)>> {
        let tables = self.tables();
        let over = tables.get(&partition)?.order.iter().take_while(|(until, ..)| *until <= now);
        let command = |(until, workspace, agent): &(Timestamp, WorkspaceId, AgentId)| {
            (*until, workspace.clone(), Command::ExpirePresence { agent: agent.clone() })
        };
        Some(over.take(routing::DUE_MAX).map(command).collect())
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Actor, Decider, EntityId};
    use routing::Routing;
    use routing::event::AgentSettings;
    use routing::words::Presence;

    use super::*;

    fn set(lease_ms: u64, at: i64) -> Fact<Event> {
        fact(
            Event::PresenceSet {
                agent: AgentId::trusted("ada"),
                presence: Presence::Available,
                lease_ms,
            },
            at,
        )
    }

    fn fact(event: Event, at: i64) -> Fact<Event> {
        Fact {
            workspace: WorkspaceId::trusted("w"),
            entity: EntityId::trusted("ada"),
            revision: 1,
            at: Timestamp::from_millis(at),
            actor: Actor::Backend,
            event,
        }
    }

    #[test]
    fn a_heartbeat_renews_a_lease_until_it_is_over() {
        let leases = Leases::default();
        let at = Timestamp::from_millis;
        assert_eq!(leases.first(0, Some(at(7))), Some(at(7)));
        leases.grant_anew(0, &State::default(), at(0));
        leases.note(0, &set(45_000, 1_000));
        assert_eq!(leases.first(0, None), Some(at(46_000)));
        let (workspace, agent) = (WorkspaceId::trusted("w"), AgentId::trusted("ada"));
        let renew = |now| leases.renew(0, (&workspace, &agent), 45_000, at(now));
        assert_eq!(renew(40_000), Some(at(85_000)));
        assert_eq!(leases.due(0, at(84_999)), Some(vec![]));
        assert_eq!(leases.due(0, at(85_000)).unwrap().len(), 1);
        assert_eq!(renew(85_000), None);
        leases.note(0, &set(0, 85_000));
        assert_eq!(leases.first(0, Some(at(7))), None);
    }

    #[test]
    fn a_new_leader_grants_every_lease_anew() {
        let mut state = State::default();
        let settings = AgentSettings {
            display_name: String::new(),
            skills: Vec::new(),
            queues: Vec::new(),
            capacity_units: 100,
        };
        let put = Event::AgentPut { agent: AgentId::trusted("ada"), settings };
        for one in [fact(put, 0), set(45_000, 0)] {
            Routing::evolve(&mut state, &one);
        }
        let leases = Leases::default();
        leases.grant_anew(3, &state, Timestamp::from_millis(600_000));
        assert_eq!(leases.first(3, None), Some(Timestamp::from_millis(645_000)));
    }
}
