//! Who waits, and who could take it: kept up to date by every fact, so that nothing is searched for when something
//! changes.
//!
//! Tickets that ask the same of an agent wait in one group; each group knows the agents who could take its tickets at
//! once. A group with both is ready, and only ready groups are looked at when the next match is sought: thousands of
//! tickets that nobody can take cost nothing.

use std::collections::{BTreeMap, BTreeSet};

use kernel::planted::{self, Bug};
use kernel::{AgentId, Priority, QueueId, SkillRequirement, TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Agent, Queue};
use crate::OFFERS_OF_AGENT_MAX;
use crate::words::{Presence, Rule};

/// What a ticket asks of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Demand {
    /// The queue; first, so that a queue's groups stand together.
    pub queue: QueueId,
    /// The ticket's own requirements; the queue's are added when looked at.
    pub skills: Vec<SkillRequirement>,
    /// Its cost.
    pub cost_units: u32,
    /// Agents in their cooldown.
    pub excluded: Vec<AgentId>,
}

/// A ticket's turn: urgent before old before low-numbered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Turn {
    /// The priority; none counts as P3.
    pub priority: Priority,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// Its number.
    pub number: u64,
    /// The ticket.
    pub ticket: TicketId,
}

/// The tickets of one demand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Who waits, the next one first.
    #[serde(deserialize_with = "kernel::in_order::set")]
    pub waiting: BTreeSet<Turn>,
    /// How many agents, present or not, could ever take them, cooldowns aside.
    pub fit: u32,
    /// Who could take one now.
    pub able: BTreeSet<AgentId>,
}

/// An agent beside a demand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) id: &'a AgentId,
    pub(crate) agent: &'a Agent,
    pub(crate) queue: Option<&'a Queue>,
    pub(crate) demand: &'a Demand,
}

impl Pair<'_> {
    fn masters(self) -> bool {
        let of_queue = self.queue.map_or(&[][..], |queue| &queue.settings.required_skills);
        self.agent.masters(&self.demand.skills) && self.agent.masters(of_queue)
    }

    /// Whether the agent could ever take it: by queue, skills and capacity in all.
    pub(crate) fn fits(self) -> bool {
        self.agent.settings.capacity_units >= self.demand.cost_units
            && self.agent.works_for(&self.demand.queue)
            && self.masters()
    }

    /// The first rule that keeps the agent from it now. `fit`: how many agents fit; a cooldown doesn't hold for the
    /// only one.
    pub(crate) fn failed_rule(self, fit: u32) -> Option<Rule> {
        if !self.agent.works_for(&self.demand.queue) {
            Some(Rule::Queue)
        } else if self.agent.presence != Presence::Available {
            Some(Rule::Presence)
        } else if !self.masters() {
            Some(Rule::Skill)
        } else if self.agent.free_units() + u32::from(planted::is(Bug::CapacityOffByOne))
            < self.demand.cost_units
            || self.agent.offers.len() >= OFFERS_OF_AGENT_MAX
        {
            Some(Rule::Capacity)
        } else if fit > 1 && self.demand.excluded.binary_search(self.id).is_ok() {
            Some(Rule::Cooldown)
        } else {
            None
        }
    }
}

/// All groups of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Board {
    pub(crate) groups: BTreeMap<Demand, Group>,
    /// Groups with someone who could take a ticket: none, once everything that follows has happened.
    pub(crate) ready: BTreeSet<Demand>,
}

type Agents = BTreeMap<AgentId, Agent>;
type Queues = BTreeMap<QueueId, Queue>;

impl Board {
    /// A ticket begins to wait.
    pub(crate) fn enter(&mut self, demand: Demand, turn: Turn, agents: &Agents, queues: &Queues) {
        if let Some(group) = self.groups.get_mut(&demand) {
            group.waiting.insert(turn);
            return;
        }
        let mut group = Group::default();
        group.waiting.insert(turn);
        examine(&demand, &mut group, agents, queues);
        mark(&mut self.ready, &demand, &group);
        self.groups.insert(demand, group);
    }

    /// A ticket waits no more.
    pub(crate) fn leave(&mut self, demand: &Demand, turn: &Turn) {
        let Some(group) = self.groups.get_mut(demand) else { return };
        group.waiting.remove(turn);
        if group.waiting.is_empty() {
            self.groups.remove(demand);
            self.ready.remove(demand);
        }
    }

    /// Units or presence of an agent changed.
    pub(crate) fn agent_changed(&mut self, id: &AgentId, agent: &Agent, queues: &Queues) {
        for (demand, group) in &mut self.groups {
            let pair = Pair { id, agent, queue: queues.get(&demand.queue), demand };
            let able = pair.agent.settings.capacity_units >= demand.cost_units
                && pair.failed_rule(group.fit).is_none();
            let changed = match (able, group.able.contains(id)) {
                (true, false) => group.able.insert(id.clone()),
                (false, true) => group.able.remove(id),
                (true, true) | (false, false) => false,
            };
            if changed {
                mark(&mut self.ready, demand, group);
            }
        }
    }

    /// Settings of an agent changed (or it is new: `before` is none). It may fit now or fit no more, and so bind others
    /// to their cooldown or free the only one left.
    pub(crate) fn agent_resettled(
        &mut self,
        id: &AgentId,
        before: Option<&Agent>,
        agents: &Agents,
        queues: &Queues,
    ) {
        let Some(agent) = agents.get(id) else { return };
        for (demand, group) in &mut self.groups {
            let queue = queues.get(&demand.queue);
            let fitted = before.is_some_and(|agent| Pair { id, agent, queue, demand }.fits());
            let pair = Pair { id, agent, queue, demand };
            let fits = pair.fits();
            if fits != fitted && !demand.excluded.is_empty() {
                examine(demand, group, agents, queues);
            } else {
                let others = group.fit.saturating_sub(u32::from(fitted));
                group.fit = others.saturating_add(u32::from(fits));
                if fits && pair.failed_rule(group.fit).is_none() {
                    group.able.insert(id.clone());
                } else {
                    group.able.remove(id);
                }
            }
            mark(&mut self.ready, demand, group);
        }
    }

    /// A queue's requirements changed.
    pub(crate) fn queue_resettled(&mut self, queue: &QueueId, agents: &Agents, queues: &Queues) {
        for (demand, group) in self.groups.iter_mut().filter(|(demand, _)| demand.queue == *queue) {
            examine(demand, group, agents, queues);
            mark(&mut self.ready, demand, group);
        }
    }

    /// The groups of a queue.
    pub(crate) fn of_queue<'a>(
        &'a self,
        queue: &QueueId,
    ) -> impl Iterator<Item = (&'a Demand, &'a Group)> + use<'a> {
        let first = Demand {
            queue: queue.clone(),
            skills: Vec::new(),
            cost_units: 0,
            excluded: Vec::new(),
        };
        let queue = queue.clone();
        self.groups.range(first..).take_while(move |(demand, _)| demand.queue == queue)
    }
}

fn examine(demand: &Demand, group: &mut Group, agents: &Agents, queues: &Queues) {
    let queue = queues.get(&demand.queue);
    let fitting: Vec<_> = agents
        .iter()
        .map(|(id, agent)| Pair { id, agent, queue, demand })
        .filter(|pair| pair.fits())
        .collect();
    group.fit = u32::try_from(fitting.len()).unwrap_or(u32::MAX);
    group.able = fitting
        .iter()
        .filter(|pair| pair.failed_rule(group.fit).is_none())
        .map(|pair| pair.id.clone())
        .collect();
}

fn mark(ready: &mut BTreeSet<Demand>, demand: &Demand, group: &Group) {
    if group.able.is_empty() {
        ready.remove(demand);
    } else if !ready.contains(demand) {
        ready.insert(demand.clone());
    }
}
