//! `PutAgent` and `PutQueue`.

use std::time::Duration;

use kernel::{Actor, AgentId, QueueId, SkillId, SkillLevel};
use routing::event::{AgentSettings, QueueSettings};
use routing::rules::{LENGTH_MAX, TICKET};
use routing::{Command, QUEUES_MAX};
use service_kit::filter::compile_filter;
use service_kit::{Fields, Refusal, Size};
use wire::events::v1 as stored;
use wire::routing::v1 as api;

use super::{SECOND, Wish, identity};
use crate::codec::words;

/// How many skills an agent has or a queue requires at most.
const SKILLS_MAX: usize = 100;
/// The longest name, in characters.
const NAME_MAX: usize = 200;
/// The most units of an agent.
const CAPACITY_MAX: u32 = 1_000_000;
/// The units of an agent, unless the caller says.
const CAPACITY: u32 = 100;
const HOUR: Duration = Duration::from_secs(60 * 60);

pub(in crate::api) fn put_agent(
    mut request: api::PutAgentRequest,
) -> Result<(AgentId, Wish), Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    fields.require(request.agent.is_some(), "agent", "must be set");
    let put = request.agent.unwrap_or_default();
    let agent: AgentId = fields.id("agent.agent_id", &put.agent_id);
    let settings = AgentSettings {
        display_name: name(&mut fields, "agent.display_name", &put.display_name),
        skills: skills(&mut fields, &put.skills),
        queues: queues(&mut fields, &put.queue_ids),
        capacity_units: capacity(&mut fields, put.capacity_units),
    };
    fields.finish()?;
    let expected_revision = request.expected_revision;
    let command = Command::PutAgent { agent: agent.clone(), settings, expected_revision };
    Ok((agent, Wish { workspace, request_id, hash, actor: Actor::Backend, command }))
}

fn name(fields: &mut Fields, field: &str, text: &str) -> String {
    fields.line(field, text, Size::Chars(0..=NAME_MAX))
}

fn skills(fields: &mut Fields, skills: &[stored::Skill]) -> Vec<(SkillId, SkillLevel)> {
    let mut taken: Vec<(SkillId, SkillLevel)> = Vec::new();
    let count = fields.count("agent.skills", skills.len(), SKILLS_MAX);
    for (index, one) in skills.iter().take(count).enumerate() {
        let field = format!("agent.skills[{index}]");
        let skill: SkillId = fields.id(format!("{field}.skill"), &one.skill);
        let twice = taken.iter().any(|(other, _)| *other == skill);
        fields.require(!twice, format!("{field}.skill"), "must not be named twice");
        let level = fields.level(format!("{field}.level"), one.level);
        taken.extend(level.map(|level| (skill, level)));
    }
    taken
}

fn queues(fields: &mut Fields, ids: &[String]) -> Vec<QueueId> {
    let count = fields.count("agent.queue_ids", ids.len(), QUEUES_MAX);
    let numbered = ids.iter().take(count).enumerate();
    numbered.map(|(index, id)| fields.id(format!("agent.queue_ids[{index}]"), id)).collect()
}

fn capacity(fields: &mut Fields, units: Option<i32>) -> u32 {
    let Some(units) = units else { return CAPACITY };
    let good = u32::try_from(units).ok().filter(|units| *units <= CAPACITY_MAX);
    fields.require(good.is_some(), "agent.capacity_units", "must lie between 0 and 1000000");
    good.unwrap_or(CAPACITY)
}

pub(in crate::api) fn put_queue(
    mut request: api::PutQueueRequest,
) -> Result<(QueueId, Wish), Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    fields.require(request.queue.is_some(), "queue", "must be set");
    let put = request.queue.unwrap_or_default();
    let queue: QueueId = fields.id("queue.queue_id", &put.queue_id);
    let within = put.accept_within.as_ref();
    let within = fields.duration("queue.accept_within", within, SECOND..=HOUR);
    let filter = fields.block("queue.filter", &put.filter, Size::Chars(0..=LENGTH_MAX));
    let mut settings = QueueSettings {
        display_name: name(&mut fields, "queue.display_name", &put.display_name),
        order: put.order,
        filter: None,
        required_skills: fields.skills("queue.required_skills", &put.required_skills, SKILLS_MAX),
        offer_mode: words::mode_from_wire(fields.known("queue.offer_mode", put.offer_mode)),
        accept_within_ms: within
            .and_then(|within| u64::try_from(within.as_millis()).ok())
            .unwrap_or(0),
    };
    fields.finish()?;
    settings.filter = compile_filter("queue.filter", &filter, TICKET)?;
    let expected_revision = request.expected_revision;
    let command = Command::PutQueue { queue: queue.clone(), settings, expected_revision };
    Ok((queue, Wish { workspace, request_id, hash, actor: Actor::Backend, command }))
}
