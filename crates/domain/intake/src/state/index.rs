//! The ways to find tickets without looking at all of them.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AgentId, QueueId, RequesterId, TicketId, TicketStatus};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Filter, Ticket};

/// What tickets are named by. A name is taken for ever.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Names {
    #[serde(deserialize_with = "kernel::in_order::map")]
    pub(crate) ids: BTreeMap<TicketId, u64>,
    #[serde(deserialize_with = "kernel::in_order::map")]
    pub(crate) external_ids: BTreeMap<SmolStr, u64>,
}

impl Names {
    pub(super) fn add(&mut self, ticket: &Ticket, external_id: Option<&str>) {
        self.ids.insert(ticket.id.clone(), ticket.number);
        if let Some(external_id) = external_id {
            self.external_ids.insert(external_id.into(), ticket.number);
        }
    }
}

/// Numbers of tickets by what people look for; they follow from the tickets. Sets of pairs, since a set for each key
/// would cost a node for each ticket.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Indexes {
    statuses: BTreeSet<(TicketStatus, u64)>,
    requesters: BTreeSet<(RequesterId, u64)>,
    queues: BTreeSet<(QueueId, u64)>,
    agents: BTreeSet<(AgentId, u64)>,
}

impl Indexes {
    /// The indexes of these tickets.
    pub(super) fn of(tickets: &BTreeMap<u64, Box<Ticket>>) -> Self {
        let all = || tickets.values();
        Self {
            statuses: all().map(|it| (it.status, it.number)).collect(),
            requesters: all().map(|it| (it.requester.clone(), it.number)).collect(),
            queues: all().filter_map(|it| Some((it.queue.clone()?, it.number))).collect(),
            agents: all().filter_map(|it| Some((it.agent.clone()?, it.number))).collect(),
        }
    }

    /// Gives the ticket those copies of its long ids that other tickets have already.
    pub(crate) fn share(&self, ticket: &mut Ticket) {
        if ticket.requester.is_long() {
            adopt(&self.requesters, &mut ticket.requester);
        }
        if let Some(queue) = ticket.queue.as_mut().filter(|queue| queue.is_long()) {
            adopt(&self.queues, queue);
        }
        if let Some(agent) = ticket.agent.as_mut().filter(|agent| agent.is_long()) {
            adopt(&self.agents, agent);
        }
    }

    /// Takes a new ticket in.
    pub(super) fn add(&mut self, ticket: &Ticket) {
        self.requesters.insert((ticket.requester.clone(), ticket.number));
        self.place(ticket);
    }

    /// Forgets a ticket.
    pub(super) fn remove(&mut self, ticket: &Ticket) {
        self.requesters.remove(&(ticket.requester.clone(), ticket.number));
        self.displace(ticket);
    }

    /// Takes in where a ticket stands.
    pub(crate) fn place(&mut self, ticket: &Ticket) {
        self.statuses.insert((ticket.status, ticket.number));
        if let Some(queue) = &ticket.queue {
            self.queues.insert((queue.clone(), ticket.number));
        }
        if let Some(agent) = &ticket.agent {
            self.agents.insert((agent.clone(), ticket.number));
        }
    }

    /// Forgets where a ticket stands, before that changes.
    pub(crate) fn displace(&mut self, ticket: &Ticket) {
        self.statuses.remove(&(ticket.status, ticket.number));
        if let Some(queue) = &ticket.queue {
            self.queues.remove(&(queue.clone(), ticket.number));
        }
        if let Some(agent) = &ticket.agent {
            self.agents.remove(&(agent.clone(), ticket.number));
        }
    }

    /// Numbers below `below`, the largest first, among which are all that the filter admits; none if no index helps.
    pub(super) fn candidates<'a>(
        &'a self,
        filter: &Filter,
        below: u64,
    ) -> Option<Box<dyn Iterator<Item = u64> + 'a>> {
        if let Some(agent) = &filter.agent {
            return Some(Box::new(of(&self.agents, agent, below)));
        }
        if let Some(requester) = &filter.requester {
            return Some(Box::new(of(&self.requesters, requester, below)));
        }
        if let Some(queue) = &filter.queue {
            return Some(Box::new(of(&self.queues, queue, below)));
        }
        if filter.statuses.is_empty() {
            return None;
        }
        Some(Box::new(self.in_statuses(&filter.statuses, below)))
    }

    fn in_statuses<'a>(
        &'a self,
        statuses: &[TicketStatus],
        below: u64,
    ) -> impl Iterator<Item = u64> + use<'a> {
        let statuses: BTreeSet<_> = statuses.iter().copied().collect();
        let mut runs: Vec<_> =
            statuses.iter().map(|status| of(&self.statuses, status, below).peekable()).collect();
        std::iter::from_fn(move || {
            let heads =
                runs.iter_mut().filter_map(|run| run.peek().copied().map(|head| (head, run)));
            let (_, run) = heads.max_by_key(|(head, _)| *head)?;
            run.next()
        })
    }
}

fn adopt<K: Clone + Ord>(set: &BTreeSet<(K, u64)>, key: &mut K) {
    if let Some((known, _)) = set.range((key.clone(), 0)..=(key.clone(), u64::MAX)).next() {
        *key = known.clone();
    }
}

fn of<'a, K: Clone + Ord>(
    set: &'a BTreeSet<(K, u64)>,
    key: &K,
    below: u64,
) -> impl Iterator<Item = u64> + use<'a, K> {
    set.range((key.clone(), 0)..(key.clone(), below)).rev().map(|(_, number)| *number)
}
