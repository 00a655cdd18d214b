//! Explanations: how a queue stands, and why (not) an agent. Reads, so nothing here is decided.

use kernel::{AgentId, QueueId, TicketId, Timestamp};

use crate::OFFERS_OF_AGENT_MAX;
use crate::state::{Group, Pair, Place, Workspace};
use crate::words::{Presence, Rule};

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStats {
    /// Tickets that wait.
    pub waiting: usize,
    /// Tickets offered and not yet taken.
    pub offered: u32,
    /// Tickets owned.
    pub assigned: u32,
    /// Since when the oldest waits.
    pub oldest_queued_at: Option<Timestamp>,
    /// Tickets that wait and that no agent, present or not, could ever take.
    pub unroutable: usize,
    /// Available agents who work for it.
    pub agents_available: usize,
}

/// One agent beside a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The agent.
    pub agent: AgentId,
    /// The first rule that it fails now; none: it could take the ticket.
    pub failed: Option<Rule>,
    /// The details in a sentence.
    pub detail: String,
}

/// A ticket beside all agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// For every agent, by id, up to the limit asked for.
    pub verdicts: Vec<Verdict>,
    /// No agent could ever take it.
    pub unroutable: bool,
    /// Its place among the waiting tickets of its queue, from 1; 0: it doesn't wait.
    pub place: usize,
}

impl Workspace {
    /// How a queue stands; nothing if there is no such queue.
    pub fn queue_stats(&self, id: &QueueId) -> Option<QueueStats> {
        let queue = self.queues.get(id)?;
        let oldest = |group: &Group| group.waiting.iter().map(|turn| turn.queued_at).min();
        let groups = || self.board.of_queue(id).map(|(_, group)| group);
        let takes = |agent: &&crate::state::Agent| {
            agent.presence == Presence::Available && agent.works_for(id)
        };
        Some(QueueStats {
            waiting: self.waiting_in(id),
            offered: queue.offered,
            assigned: queue.assigned,
            oldest_queued_at: groups().filter_map(oldest).min(),
            unroutable: groups().filter(|group| group.fit == 0).map(|one| one.waiting.len()).sum(),
            agents_available: self.agents.values().filter(takes).count(),
        })
    }

    /// Why a ticket is where it is, with the verdict on at most `verdicts_max` agents; nothing if it is not open work.
    pub fn explain(&self, id: &TicketId, verdicts_max: usize) -> Option<Explanation> {
        let ticket = self.open_ticket(id)?;
        let (demand, turn) = (ticket.demand(), ticket.turn(id));
        let queue = self.queues.get(&demand.queue);
        let pairs =
            || self.agents.iter().map(|(id, agent)| Pair { id, agent, queue, demand: &demand });
        let fitting = pairs().filter(|pair| pair.fits()).count();
        let fit = u32::try_from(fitting).unwrap_or(u32::MAX);
        let ahead = || {
            let groups = self.board.of_queue(&ticket.queue);
            groups.map(|(_, group)| group.waiting.range(..&turn).count()).sum::<usize>()
        };
        let place = if ticket.place == Place::Waiting { ahead().saturating_add(1) } else { 0 };
        let verdicts = pairs().take(verdicts_max).map(|pair| verdict(pair, fit)).collect();
        Some(Explanation { verdicts, unroutable: fit == 0, place })
    }
}

fn verdict(pair: Pair<'_>, fit: u32) -> Verdict {
    let failed = pair.failed_rule(fit);
    let detail = match failed {
        None => "could take it".to_owned(),
        Some(Rule::Queue) => format!("does not work for queue {}", pair.demand.queue),
        Some(Rule::Presence) => format!("is {}", pair.agent.presence.as_str()),
        Some(Rule::Skill) => lacking(pair),
        Some(Rule::Capacity) if pair.agent.offers.len() >= OFFERS_OF_AGENT_MAX => {
            format!("has {OFFERS_OF_AGENT_MAX} offers, the most at a time")
        }
        Some(Rule::Capacity) => format!(
            "has {} of {} units left and needs {}",
            pair.agent.free_units(),
            pair.agent.settings.capacity_units,
            pair.demand.cost_units
        ),
        Some(Rule::Cooldown) => "declined, missed or gave it back a short time ago".to_owned(),
    };
    Verdict { agent: pair.id.clone(), failed, detail }
}

fn lacking(pair: Pair<'_>) -> String {
    let of_queue = pair.queue.map_or(&[][..], |queue| &queue.settings.required_skills);
    let mut required = pair.demand.skills.iter().chain(of_queue);
    let lacks = required.find(|one| pair.agent.level(&one.skill) < one.min_level.get());
    lacks.map_or_else(String::new, |one| {
        let level = pair.agent.level(&one.skill);
        format!("has {} at level {level} and needs {}", one.skill, one.min_level.get())
    })
}
