//! Matching: the most urgent ticket that someone can take goes to the agent who was idle longest.
//!
//! One pair at a time, until no ready group is left, so that each choice sees what the one before took. When nothing
//! changed, no group is ready and this costs nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kernel::{AgentId, Context};

use super::{Facts, Scene};
use crate::POLICY_VERSION;
use crate::event::{Event, Made};
use crate::state::{Agent, Demand, Group, Pair, Queue, State, Turn, Workspace, offer_id};
use crate::words::{Candidate, Decision, Rule};

/// How many candidates a decision names.
const CANDIDATES_MAX: usize = 8;

/// The next match of the workspace, as facts; none if there is none.
pub(crate) fn next_match(state: &State, context: &Context) -> Facts {
    state.workspace(&context.workspace).map_or_else(Vec::new, |workspace| next(workspace, context))
}

/// The same, where the workspace is at hand.
pub(super) fn next(workspace: &Workspace, context: &Context) -> Facts {
    let ready = workspace.board.ready.iter();
    let next = ready.filter_map(|demand| {
        let group = workspace.board.groups.get(demand)?;
        group.waiting.first().map(|turn| (turn, demand, group))
    });
    let Some((turn, demand, group)) = next.min_by_key(|(turn, ..)| *turn) else {
        return Vec::new();
    };
    offer(Scene { workspace, context }, turn, demand, group).unwrap_or_default()
}

fn offer(scene: Scene<'_>, turn: &Turn, demand: &Demand, group: &Group) -> Option<Facts> {
    let workspace = scene.workspace;
    let ticket = workspace.ticket(&turn.ticket)?;
    let queue = workspace.queues.get(&demand.queue)?;
    let decision = choose(scene, demand, group)?;
    let agent = decision.agent.clone();
    let offer = offer_id(workspace.last_offer.saturating_add(1));
    let automatic = queue.accepts_by_itself(ticket.class);
    let stands_ms = if automatic { 0 } else { queue.accept_within_ms(ticket.class) };
    let mut draft = scene.draft();
    let made = Made {
        offer: offer.clone(),
        ticket: turn.ticket.clone(),
        agent: agent.clone(),
        queue: demand.queue.clone(),
        accept_by: scene.context.at.plus_millis(stands_ms),
        decision,
    };
    draft.ticket(&turn.ticket, Event::OfferMade(Box::new(made)));
    if automatic {
        let ticket = turn.ticket.clone();
        draft.ticket(&turn.ticket, Event::OfferAccepted { offer, ticket, agent, automatic: true });
    }
    Some(draft.done())
}

/// Ranks those who could take it: longest idle, then fewest units in use, then id.
fn choose(scene: Scene<'_>, demand: &Demand, group: &Group) -> Option<Decision> {
    let (workspace, now) = (scene.workspace, scene.context.at);
    let queue = workspace.queues.get(&demand.queue);
    let mut able: Vec<_> = group
        .able
        .iter()
        .filter_map(|id| workspace.agents.get_key_value(id))
        .map(|(id, agent)| (Reverse(agent.idle_ms(now)), agent.used_units, id, agent))
        .collect();
    able.sort_by_key(|(idle, used, id, _)| (*idle, *used, *id));
    let (_, _, winner, _) = able.first()?;
    let candidates = able.iter().take(CANDIDATES_MAX);
    let waiting = workspace.waiting_in(&demand.queue).saturating_sub(1);
    Some(Decision {
        agent: AgentId::clone(winner),
        candidates: candidates
            .map(|(idle, _, id, agent)| candidate(id, agent, idle.0, demand, queue))
            .collect(),
        failures: failures(workspace, demand, group),
        log_seq: scene.context.record,
        policy_version: POLICY_VERSION.to_owned(),
        waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
    })
}

fn candidate(
    id: &AgentId,
    agent: &Agent,
    idle_ms: u64,
    demand: &Demand,
    queue: Option<&Queue>,
) -> Candidate {
    let of_queue = queue.map_or(&[][..], |queue| &queue.settings.required_skills);
    let required = crate::state::joined(demand.skills.iter().chain(of_queue));
    let match_levels = required.iter().map(|one| u32::from(agent.level(&one.skill))).sum();
    Candidate {
        agent: id.clone(),
        idle_ms,
        used_units: agent.used_units,
        capacity_units: agent.settings.capacity_units,
        match_levels,
    }
}

fn failures(workspace: &Workspace, demand: &Demand, group: &Group) -> Vec<(Rule, u32)> {
    let queue = workspace.queues.get(&demand.queue);
    let mut counts: BTreeMap<Rule, u32> = BTreeMap::new();
    for (id, agent) in &workspace.agents {
        let pair = Pair { id, agent, queue, demand };
        if let Some(rule) = pair.failed_rule(group.fit) {
            let count = counts.entry(rule).or_default();
            *count = count.saturating_add(1);
        }
    }
    counts.into_iter().collect()
}
