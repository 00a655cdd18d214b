//! The state as the contract shows it.

use kernel::{AgentId, Fact, QueueId, TicketId};
use routing::Event;
use routing::explain::{QueueStats, Verdict};
use routing::state::{Agent, Place, Queue, Ticket, Workspace, offer_id};
use service_kit::convert;
use service_kit::filter::filter_text;
use wire::routing::v1 as api;

use crate::codec::{decision_to_wire, settings, words};

/// How many agents an explanation looks at.
const VERDICTS_MAX: usize = 1_000;
/// How many tickets and offers of an agent are shown: it may own any number that wait for their customers.
const HELD_MAX: usize = 1_000;

pub(super) fn agent_state(workspace: &Workspace, id: &AgentId, agent: &Agent) -> api::AgentState {
    let owned = |ticket: &TicketId| owned(ticket, workspace.ticket(ticket)?);
    let offers = agent.offers().iter();
    api::AgentState {
        agent: Some(self::agent(id, agent)),
        presence: words::presence_to_wire(agent.presence()).into(),
        used_units: agent.used_units(),
        tickets: agent.tickets().iter().take(HELD_MAX).filter_map(owned).collect(),
        offers: offers.take(HELD_MAX).filter_map(|number| offer(workspace, *number)).collect(),
        ticket_count: count(agent.tickets().len()),
        offer_count: count(agent.offers().len()),
    }
}

fn agent(id: &AgentId, agent: &Agent) -> api::Agent {
    let settings = agent.settings();
    api::Agent {
        agent_id: id.to_string(),
        display_name: settings.display_name.clone(),
        skills: settings::skills_to_wire(&settings.skills),
        queue_ids: settings.queues.iter().map(ToString::to_string).collect(),
        capacity_units: Some(i32::try_from(settings.capacity_units).unwrap_or(i32::MAX)),
        revision: agent.revision(),
    }
}

fn owned(id: &TicketId, ticket: &Ticket) -> Option<api::OwnedTicket> {
    let Place::Owned { state, .. } = ticket.place() else { return None };
    Some(api::OwnedTicket {
        ticket_id: id.to_string(),
        state: words::state_to_wire(*state).into(),
        held_units: state.held_units(ticket.cost_units()),
    })
}

/// An offer that stands.
pub(super) fn offer(workspace: &Workspace, number: u64) -> Option<api::Offer> {
    let offer = workspace.offers().get(&number)?;
    Some(api::Offer {
        offer_id: offer_id(number).to_string(),
        ticket_id: offer.ticket.to_string(),
        agent_id: offer.agent.to_string(),
        queue_id: offer.queue.to_string(),
        accept_by: Some(convert::timestamp_to_wire(offer.accept_by)),
    })
}

pub(super) fn queue(id: &QueueId, queue: &Queue) -> api::Queue {
    let settings = queue.settings();
    let accept_within = match settings.accept_within_ms {
        0 => None,
        millis => Some(convert::millis_to_wire(millis)),
    };
    api::Queue {
        queue_id: id.to_string(),
        display_name: settings.display_name.clone(),
        order: settings.order,
        filter: filter_text(settings.filter.as_ref()),
        required_skills: convert::skills_to_wire(&settings.required_skills),
        offer_mode: words::mode_to_wire(settings.offer_mode).into(),
        accept_within,
        revision: queue.revision(),
    }
}

pub(super) fn queue_stats(stats: &QueueStats) -> api::GetQueueStatsResponse {
    api::GetQueueStatsResponse {
        waiting: count(stats.waiting),
        offered: stats.offered,
        assigned: stats.assigned,
        oldest_queued_at: stats.oldest_queued_at.map(convert::timestamp_to_wire),
        unroutable: count(stats.unroutable),
        agents_available: count(stats.agents_available),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Why a ticket is where it is; nothing if it is not open work.
pub(super) fn explanation(
    workspace: &Workspace,
    id: &TicketId,
) -> Option<api::ExplainRoutingResponse> {
    let explained = workspace.explain(id, VERDICTS_MAX)?;
    let ticket = workspace.ticket(id)?;
    let (state, agent) = match ticket.place() {
        Place::Waiting => ("waiting", None),
        Place::Paused(_) => ("paused", None),
        Place::Offered(number) => {
            ("offered", workspace.offers().get(number).map(|offer| &offer.agent))
        }
        Place::Owned { agent, .. } => ("assigned", Some(agent)),
        Place::Ended { .. } => return None,
    };
    let verdict = |verdict: Verdict| api::AgentVerdict {
        agent_id: verdict.agent.to_string(),
        failed_rule: verdict.failed.map_or("", routing::words::Rule::as_str).to_owned(),
        detail: verdict.detail,
    };
    Some(api::ExplainRoutingResponse {
        state: state.to_owned(),
        queue_id: ticket.queue().to_string(),
        queue_reason: ticket.queue_reason().as_str().to_owned(),
        agent_id: agent.map(ToString::to_string).unwrap_or_default(),
        last_decision: ticket.decision().map(decision_to_wire),
        verdicts: explained.verdicts.into_iter().map(verdict).collect(),
        unroutable: explained.unroutable,
        place: count(explained.place),
    })
}

/// Whether an assignment took its agent above capacity.
pub(super) fn exceeds(facts: &[Fact<Event>]) -> bool {
    facts
        .iter()
        .any(|fact| matches!(&fact.event, Event::TicketAssigned { over_capacity: true, .. }))
}
