//! Requests into wishes. Every field that can't be used is named at once.

mod settings;

use std::time::Duration;

use kernel::{
    Actor, AgentId, OfferId, QueueId, SkillLevel, SkillRequirement, TicketId, WorkspaceId,
};
use prost::Message;
use routing::{Command, Destination};
use service_kit::{Fields, Refusal, Size, hash_of};
use wire::routing::v1 as api;
use wire::routing::v1::transfer_ticket_request::To;

use crate::codec::words;

pub(super) use settings::{put_agent, put_queue};

/// How long a presence holds without a heartbeat, unless the caller says.
const LEASE_MS: u64 = 45_000;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest reason, in characters.
const REASON_MAX: usize = 300;
/// The longest note, in characters.
const NOTE_MAX: usize = 2_000;

/// What a mutating request asks for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) workspace: WorkspaceId,
    pub(super) request_id: String,
    pub(super) hash: u64,
    pub(super) actor: Actor,
    pub(super) command: Command,
}

/// Takes the request's id out and hashes the rest.
fn identity<M: Message>(
    request: &mut M,
    id: impl Fn(&mut M) -> &mut String,
    fields: &mut Fields,
) -> (String, u64) {
    let request_id = std::mem::take(id(request));
    fields.request_id(&request_id);
    (request_id, hash_of(request))
}

pub(super) fn agent_of(workspace: &str, agent: &str) -> Result<(WorkspaceId, AgentId), Refusal> {
    let mut fields = Fields::new();
    let named = (fields.id("workspace_id", workspace), fields.id("agent_id", agent));
    fields.finish()?;
    Ok(named)
}

pub(super) fn queue_of(
    request: &api::GetQueueStatsRequest,
) -> Result<(WorkspaceId, QueueId), Refusal> {
    let mut fields = Fields::new();
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let queue = fields.id("queue_id", &request.queue_id);
    fields.finish()?;
    Ok((workspace, queue))
}

pub(super) fn ticket_of(
    request: &api::ExplainRoutingRequest,
) -> Result<(WorkspaceId, TicketId), Refusal> {
    let mut fields = Fields::new();
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let ticket = fields.id("ticket_id", &request.ticket_id);
    fields.finish()?;
    Ok((workspace, ticket))
}

pub(super) fn set_presence(mut request: api::SetPresenceRequest) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let agent = fields.id("agent_id", &request.agent_id);
    let presence = words::presence_from_wire(fields.required("presence", request.presence));
    let lease_ms = lease_ms(&mut fields, request.lease.as_ref());
    fields.finish()?;
    let presence = presence.unwrap_or(routing::words::Presence::Offline);
    let command = Command::SetPresence { agent, presence, lease_ms };
    Ok(Wish { workspace, request_id, hash, actor: Actor::Backend, command })
}

/// Unset is the usual lease, zero is until changed.
fn lease_ms(fields: &mut Fields, asked: Option<&prost_types::Duration>) -> u64 {
    match asked {
        None => LEASE_MS,
        Some(zero) if zero.seconds == 0 && zero.nanos == 0 => 0,
        asked @ Some(_) => {
            let lease = fields.duration("lease", asked, SECOND..=DAY);
            lease.and_then(|lease| u64::try_from(lease.as_millis()).ok()).unwrap_or(LEASE_MS)
        }
    }
}

pub(super) fn accept(mut request: api::AcceptOfferRequest) -> Result<(OfferId, Wish), Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let agent: AgentId = fields.id("agent_id", &request.agent_id);
    let offer: OfferId = fields.id("offer_id", &request.offer_id);
    fields.finish()?;
    let actor = Actor::Agent(agent.clone());
    let command = Command::AcceptOffer { agent, offer: offer.clone() };
    Ok((offer, Wish { workspace, request_id, hash, actor, command }))
}

pub(super) fn decline(mut request: api::DeclineOfferRequest) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let agent: AgentId = fields.id("agent_id", &request.agent_id);
    let offer = fields.id("offer_id", &request.offer_id);
    let reason = fields.line("reason", &request.reason, Size::Chars(0..=REASON_MAX));
    fields.finish()?;
    let actor = Actor::Agent(agent.clone());
    let command = Command::DeclineOffer { agent, offer, reason };
    Ok(Wish { workspace, request_id, hash, actor, command })
}

pub(super) fn complete(mut request: api::CompleteWorkRequest) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let agent: AgentId = fields.id("agent_id", &request.agent_id);
    let ticket = fields.id("ticket_id", &request.ticket_id);
    let outcome = words::outcome_from_wire(fields.required("outcome", request.outcome));
    let note = fields.block("note", &request.note, Size::Chars(0..=NOTE_MAX));
    fields.finish()?;
    let outcome = outcome.unwrap_or(routing::words::WorkOutcome::Requeue);
    let actor = Actor::Agent(agent.clone());
    let command = Command::CompleteWork { agent, ticket, outcome, note };
    Ok(Wish { workspace, request_id, hash, actor, command })
}

pub(super) fn transfer(mut request: api::TransferTicketRequest) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let ticket = fields.id("ticket_id", &request.ticket_id);
    let from: Option<AgentId> = fields.optional_id("from_agent_id", &request.from_agent_id);
    let to = destination(&mut fields, request.to.as_ref());
    let note = fields.block("note", &request.note, Size::Chars(0..=NOTE_MAX));
    fields.finish()?;
    let actor = from.clone().map_or(Actor::Backend, Actor::Agent);
    let command = Command::TransferTicket { ticket, from, to, note };
    Ok(Wish { workspace, request_id, hash, actor, command })
}

fn destination(fields: &mut Fields, to: Option<&To>) -> Destination {
    match to {
        Some(To::AgentId(id)) => Destination::Agent(fields.id("agent_id", id)),
        Some(To::QueueId(id)) => Destination::Queue(fields.id("queue_id", id)),
        Some(To::Skill(required)) => {
            let skill = fields.id("skill.skill", &required.skill);
            let level = fields.level("skill.min_level", required.min_level);
            let min_level = level.or(SkillLevel::new(1));
            min_level.map_or_else(nowhere, |min_level| {
                Destination::Skill(SkillRequirement { skill, min_level })
            })
        }
        None => {
            fields.refuse("to", "must be set");
            nowhere()
        }
    }
}

/// Stands for a destination that was refused.
fn nowhere() -> Destination {
    Destination::Queue(QueueId::trusted(""))
}

pub(super) fn assign(mut request: api::AssignTicketRequest) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let ticket = fields.id("ticket_id", &request.ticket_id);
    let agent = fields.id("agent_id", &request.agent_id);
    let reason = fields.line("reason", &request.reason, Size::Chars(1..=REASON_MAX));
    fields.finish()?;
    let command = Command::AssignTicket { ticket, agent, reason };
    Ok(Wish { workspace, request_id, hash, actor: Actor::Backend, command })
}
