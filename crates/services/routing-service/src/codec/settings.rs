//! The settings of agents and queues.

use kernel::{AgentId, QueueId, SkillId, SkillLevel};
use routing::Event;
use routing::event::{AgentSettings, QueueSettings};
use runtime::DecodeError;
use service_kit::{convert, filter};
use wire::events::v1 as stored;

use super::{word, words};

/// An agent's skills for the wire.
pub(crate) fn skills_to_wire(skills: &[(SkillId, SkillLevel)]) -> Vec<stored::Skill> {
    let skill = |(skill, level): &(SkillId, SkillLevel)| stored::Skill {
        skill: skill.to_string(),
        level: level.get().into(),
    };
    skills.iter().map(skill).collect()
}

pub(super) fn agent_to_wire(agent: &AgentId, settings: &AgentSettings) -> stored::AgentPut {
    stored::AgentPut {
        agent_id: agent.to_string(),
        display_name: settings.display_name.clone(),
        skills: skills_to_wire(&settings.skills),
        queue_ids: settings.queues.iter().map(ToString::to_string).collect(),
        capacity_units: settings.capacity_units,
    }
}

pub(super) fn read_agent(put: &stored::AgentPut) -> Result<Event, DecodeError> {
    let skill = |one: &stored::Skill| {
        let level = word(SkillLevel::new(one.level), "level", one.level)?;
        Ok((SkillId::trusted(&one.skill), level))
    };
    Ok(Event::AgentPut {
        agent: AgentId::trusted(&put.agent_id),
        settings: AgentSettings {
            display_name: put.display_name.clone(),
            skills: put.skills.iter().map(skill).collect::<Result<_, DecodeError>>()?,
            queues: put.queue_ids.iter().map(|id| QueueId::trusted(id)).collect(),
            capacity_units: put.capacity_units,
        },
    })
}

pub(super) fn queue_to_wire(queue: &QueueId, settings: &QueueSettings) -> stored::QueuePut {
    stored::QueuePut {
        queue_id: queue.to_string(),
        display_name: settings.display_name.clone(),
        order: settings.order,
        filter: filter::filter_text(settings.filter.as_ref()),
        required_skills: convert::skills_to_wire(&settings.required_skills),
        offer_mode: words::mode_to_wire(settings.offer_mode).into(),
        accept_within_ms: settings.accept_within_ms,
        checked_filter: filter::filter_to_wire(settings.filter.as_ref()),
    }
}

pub(super) fn read_queue(put: stored::QueuePut) -> Result<Event, DecodeError> {
    Ok(Event::QueuePut {
        queue: QueueId::trusted(&put.queue_id),
        settings: QueueSettings {
            display_name: put.display_name,
            order: put.order,
            filter: filter::stored_filter(&put.filter, put.checked_filter)
                .map_err(DecodeError::Malformed)?,
            required_skills: convert::stored_skills(&put.required_skills)?,
            offer_mode: word(words::stored_mode(put.offer_mode), "offer mode", put.offer_mode)?,
            accept_within_ms: put.accept_within_ms,
        },
    })
}
