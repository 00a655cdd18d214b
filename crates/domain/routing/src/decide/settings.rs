//! Workspaces, agents and queues: what callers set.

use kernel::{AgentId, Context, EntityId, Fact, QueueId};
use rules::check_budget;

use super::{Answer, Facts, Scene};
use crate::event::{AgentSettings, Event, QueueSettings};
use crate::state::joined;
use crate::words::OfferMode;
use crate::{AGENTS_MAX, DEFAULT_QUEUE, QUEUES_MAX, Rejection};

/// A workspace begins with one queue, which takes what no other does.
pub(super) fn see_workspace(context: &Context) -> Facts {
    let fact = |entity: &str, event| Fact {
        workspace: context.workspace.clone(),
        entity: EntityId::trusted(entity),
        revision: 1,
        at: context.at,
        actor: context.actor.clone(),
        event,
    };
    let settings = QueueSettings {
        display_name: "Default".to_owned(),
        order: i32::MAX,
        filter: None,
        required_skills: Vec::new(),
        offer_mode: OfferMode::ByClass,
        accept_within_ms: 0,
    };
    let queue = QueueId::trusted(DEFAULT_QUEUE);
    vec![
        fact(
            context.workspace.as_str(),
            Event::WorkspaceSeen { workspace: context.workspace.clone() },
        ),
        fact(DEFAULT_QUEUE, Event::QueuePut { queue, settings }),
    ]
}

pub(super) fn put_agent(
    scene: Scene<'_>,
    id: &AgentId,
    mut settings: AgentSettings,
    expected: u64,
) -> Answer {
    settings.skills.sort_by(|(skill, level), (other, other_level)| {
        skill.cmp(other).then(other_level.cmp(level))
    });
    settings.skills.dedup_by(|(later, _), (kept, _)| later == kept);
    settings.queues.sort();
    settings.queues.dedup();
    let agents = &scene.workspace.agents;
    let known = agents.get(id);
    check(expected, known.map_or(0, |agent| agent.revision))?;
    match known {
        Some(agent) if agent.settings == settings => return Ok(Vec::new()),
        None if agents.len() >= AGENTS_MAX => return Err(Rejection::LimitReached(AGENTS_MAX)),
        Some(_) | None => {}
    }
    let mut draft = scene.draft();
    draft.agent(id, Event::AgentPut { agent: id.clone(), settings });
    Ok(draft.done())
}

pub(super) fn put_queue(
    scene: Scene<'_>,
    id: &QueueId,
    mut settings: QueueSettings,
    expected: u64,
) -> Answer {
    settings.required_skills = joined(settings.required_skills.iter());
    let queues = &scene.workspace.queues;
    let known = queues.get(id);
    check(expected, known.map_or(0, |queue| queue.revision))?;
    match known {
        Some(queue) if queue.settings == settings => return Ok(Vec::new()),
        None if queues.len() >= QUEUES_MAX => return Err(Rejection::LimitReached(QUEUES_MAX)),
        Some(_) | None => {}
    }
    let others = queues.iter().filter(|(other, _)| *other != id);
    check_budget(
        settings.filter.as_ref(),
        known.and_then(|queue| queue.settings.filter.as_ref()),
        others.filter_map(|(_, queue)| queue.settings.filter.as_ref()),
    )?;
    let mut draft = scene.draft();
    draft.queue(id, Event::QueuePut { queue: id.clone(), settings });
    Ok(draft.done())
}

/// A writer who read an older revision must read again.
fn check(expected: u64, actual: u64) -> Result<(), Rejection> {
    if expected == 0 || expected == actual {
        Ok(())
    } else {
        Err(Rejection::RevisionMismatch { expected, actual })
    }
}
