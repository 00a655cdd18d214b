//! A workspace as routing's log tells it: who has which ticket, who has room, and whether somebody waits in vain (I22).
//!
//! A log may have a million tickets and a commit changes a few, so what is looked at after a commit is what it changed:
//! a ticket that waits now, or an agent who has room now.

use std::collections::{BTreeMap, BTreeSet};

use wire::common::v1::SkillRequirement;
use wire::events::v1::WorkState;

use crate::Findings;

/// How many offers may stand to one agent at a time.
const OFFERS_MAX: u32 = 1_000;

/// Where a ticket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Waiting,
    Offered { offer: String, agent: String },
    Owned { agent: String, state: WorkState },
    Paused(WorkState),
    Ended,
}

/// What an agent must have to be offered a ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Demand {
    pub(super) cost: u32,
    pub(super) queue: String,
    skills: Vec<(String, u32)>,
}

impl Demand {
    pub(super) fn new(cost: u32, queue: String, skills: Vec<SkillRequirement>) -> Self {
        Self { cost, queue, skills: levels(skills) }
    }

    pub(super) fn move_to(&mut self, queue: String, skills: Vec<SkillRequirement>) {
        (self.queue, self.skills) = (queue, levels(skills));
    }
}

fn levels(skills: Vec<SkillRequirement>) -> Vec<(String, u32)> {
    skills.into_iter().map(|one| (one.skill, one.min_level)).collect()
}

#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) place: Place,
    pub(super) demand: Demand,
    pub(super) queued_at_ms: i64,
    pub(super) cooling: BTreeSet<String>,
}

impl Ticket {
    /// An agent is not to be offered it again for a while.
    pub(super) fn cools_for(&mut self, agent: String) {
        self.cooling.insert(agent);
    }

    pub(super) fn may_have_again(&mut self, agent: &str) {
        self.cooling.remove(agent);
    }

    /// Whose room it takes, and how much.
    fn held(&self) -> Option<(&str, u32)> {
        match &self.place {
            Place::Offered { agent, .. } => Some((agent, self.demand.cost)),
            Place::Owned { agent, state } => match state {
                WorkState::Active | WorkState::Unspecified => Some((agent, self.demand.cost)),
                WorkState::Pending => None,
                WorkState::OnHold => Some((agent, self.demand.cost.div_ceil(4))),
            },
            Place::Waiting | Place::Paused(_) | Place::Ended => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Agent {
    pub(super) capacity: u32,
    pub(super) skills: BTreeMap<String, u32>,
    pub(super) queues: BTreeSet<String>,
    /// Not known before it was said, if the walk began on the way.
    pub(super) available: Option<bool>,
}

impl Agent {
    fn masters(&self, required: &[(String, u32)]) -> bool {
        let level = |skill: &String| self.skills.get(skill).copied().unwrap_or(0);
        required.iter().all(|(skill, least)| level(skill) >= *least)
    }
}

/// What a commit changed for better.
#[derive(Debug, Default)]
pub(super) struct Changed {
    everything: bool,
    tickets: BTreeSet<String>,
    agents: BTreeSet<String>,
}

impl Changed {
    /// As if all had changed.
    pub(super) fn all() -> Self {
        Self { everything: true, ..Self::default() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Board {
    tickets: BTreeMap<String, Ticket>,
    agents: BTreeMap<String, Agent>,
    queues: BTreeMap<String, Vec<(String, u32)>>,
    used: BTreeMap<String, u32>,
    /// The offers that stand, by agent.
    offers: BTreeMap<String, u32>,
    waiting: BTreeMap<Demand, BTreeSet<String>>,
    changed: Changed,
}

impl Board {
    pub(super) fn kept(&self) -> usize {
        self.tickets.len() + self.agents.len()
    }

    pub(super) fn ticket(&self, id: &str) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    pub(super) fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// The units that an agent's tickets take.
    pub(super) fn used(&self, agent: &str) -> u32 {
        self.used.get(agent).copied().unwrap_or(0)
    }

    /// Tickets that wait in a queue, or are offered.
    pub(super) fn waiting(&self) -> usize {
        let offered = |ticket: &&Ticket| matches!(ticket.place, Place::Offered { .. });
        self.waiting.values().map(BTreeSet::len).sum::<usize>()
            + self.tickets.values().filter(offered).count()
    }

    /// Takes a ticket in; returns whether it was there already.
    pub(super) fn queue(&mut self, id: String, ticket: Ticket) -> bool {
        let known = self.forget(&id);
        self.enter(&id, &ticket);
        self.tickets.insert(id, ticket);
        known
    }

    /// Changes a ticket, if it is known.
    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Ticket)) -> bool {
        let Some(mut ticket) = self.tickets.remove(id) else { return false };
        self.leave(id, &ticket);
        change(&mut ticket);
        self.enter(id, &ticket);
        self.tickets.insert(id.to_owned(), ticket);
        true
    }

    pub(super) fn forget(&mut self, id: &str) -> bool {
        let Some(ticket) = self.tickets.remove(id) else { return false };
        self.leave(id, &ticket);
        true
    }

    fn leave(&mut self, id: &str, ticket: &Ticket) {
        if let Some((agent, units)) = ticket.held() {
            if let Some(used) = self.used.get_mut(agent) {
                *used = used.saturating_sub(units);
            }
            self.changed.agents.insert(agent.to_owned());
        }
        if let Place::Offered { agent, .. } = &ticket.place
            && let Some(offers) = self.offers.get_mut(agent)
        {
            *offers = offers.saturating_sub(1);
        }
        if ticket.place == Place::Waiting
            && let Some(waiting) = self.waiting.get_mut(&ticket.demand)
        {
            waiting.remove(id);
            if waiting.is_empty() {
                self.waiting.remove(&ticket.demand);
            }
        }
    }

    fn enter(&mut self, id: &str, ticket: &Ticket) {
        if let Some((agent, units)) = ticket.held() {
            *self.used.entry(agent.to_owned()).or_default() += units;
        }
        if let Place::Offered { agent, .. } = &ticket.place {
            *self.offers.entry(agent.clone()).or_default() += 1;
        }
        if ticket.place == Place::Waiting {
            self.waiting.entry(ticket.demand.clone()).or_default().insert(id.to_owned());
            self.changed.tickets.insert(id.to_owned());
        }
    }

    /// Makes or changes an agent. It may become the only one who could, so everything is looked at.
    pub(super) fn put_agent(&mut self, id: String, change: impl FnOnce(&mut Agent)) {
        self.changed.everything = true;
        change(self.agents.entry(id).or_default());
    }

    pub(super) fn set_available(&mut self, id: &str, available: bool) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.available = Some(available);
            self.changed.agents.insert(id.to_owned());
        }
    }

    pub(super) fn put_queue(&mut self, id: String, skills: Vec<SkillRequirement>) {
        self.changed.everything = true;
        self.queues.insert(id, levels(skills));
    }

    pub(super) fn fits(&self, demand: &Demand, agent: &Agent) -> bool {
        let of_queue = self.queues.get(&demand.queue).map_or(&[][..], Vec::as_slice);
        (agent.queues.is_empty() || agent.queues.contains(&demand.queue))
            && agent.capacity >= demand.cost
            && agent.masters(&demand.skills)
            && agent.masters(of_queue)
    }

    /// What changed since it was last asked for.
    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Nobody waits whom somebody could take, as far as that changed. Of those who wait for the same, one is named.
    pub(super) fn nobody_waits_in_vain(&self, changed: &Changed, findings: &mut Findings) {
        if self.waiting.is_empty() {
            return;
        }
        let free = |(id, agent): (&String, &Agent)| agent.capacity.saturating_sub(self.used(id));
        let there: Vec<(&String, &Agent, u32)> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.available == Some(true))
            .filter(|(id, _)| self.offers.get(*id).is_none_or(|offers| *offers < OFFERS_MAX))
            .map(|(id, agent)| (id, agent, free((id, agent))))
            .filter(|(_, _, free)| *free > 0)
            .collect();
        for (demand, waiting) in &self.waiting {
            let able: Vec<&String> = there
                .iter()
                .filter(|(_, agent, free)| *free >= demand.cost && self.fits(demand, agent))
                .map(|(id, _, _)| *id)
                .collect();
            if able.is_empty() {
                continue;
            }
            let anew = changed.everything || able.iter().any(|id| changed.agents.contains(*id));
            let fit = self.agents.values().filter(|agent| self.fits(demand, agent)).count();
            let looked_at = waiting.iter().filter(|id| anew || changed.tickets.contains(*id));
            let found = looked_at.into_iter().find_map(|id| {
                let cooling = &self.tickets.get(id)?.cooling;
                let taker = able.iter().find(|agent| fit == 1 || !cooling.contains(**agent))?;
                Some((id, taker))
            });
            if let Some((id, taker)) = found {
                findings.add("I22", format!("ticket {id} waits while {taker} could take it"));
            }
        }
    }
}
