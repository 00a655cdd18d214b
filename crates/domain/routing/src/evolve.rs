//! Facts into state. Cannot fail: a fact that doesn't fit (there is none, in a log that was written by `decide`)
//! changes nothing.

mod placing;

use kernel::planted::{self, Bug};
use kernel::{AgentId, Fact, OfferId, QueueId, TicketId, TicketStatus, Timestamp};

use crate::event::{AgentSettings, Event, Made, QueueSettings, Queued, Requeued};
use crate::state::{
    Agent, EndedOffer, Offer, Place, Queue, State, Ticket, Workspace, offer_number,
};
use crate::words::{
    AssignedHow, OfferEnd, Presence, QueueReason, RequeueReason, WorkOutcome, WorkState,
};
use crate::{COOLDOWN_MS, ENDED_OFFERS_MAX};
use placing::{change, grace, place};

/// Takes a fact into the state.
pub(crate) fn evolve(state: &mut State, fact: &Fact<Event>) {
    state.change(&fact.workspace, |workspace| apply(workspace, fact));
}

fn apply(workspace: &mut Workspace, fact: &Fact<Event>) {
    let (at, revision) = (fact.at, fact.revision);
    match &fact.event {
        Event::WorkspaceSeen { .. } => workspace.seen = true,
        Event::AgentPut { agent, settings } => agent_put(workspace, agent, settings, revision, at),
        Event::QueuePut { queue, settings } => {
            queue_put(workspace, queue, settings, revision);
        }
        Event::PresenceSet { agent, presence, lease_ms } => {
            presence_set(workspace, agent, *presence, *lease_ms, fact);
        }
        Event::PresenceExpired { agent } => {
            presence_set(workspace, agent, Presence::Offline, 0, fact);
        }
        Event::TicketQueued(queued) => ticket_queued(workspace, queued, fact),
        Event::WorkReprioritised { ticket, priority } => {
            change(workspace, ticket, fact, |ticket| ticket.priority = *priority);
        }
        Event::OfferMade(made) => offer_made(workspace, made, fact),
        Event::OfferAccepted { offer, ticket, agent, .. } => {
            let owned = Place::Owned { agent: agent.clone(), state: WorkState::Active };
            change(workspace, ticket, fact, |ticket| ticket.place = owned);
            remember(workspace, offer, ticket, agent, OfferEnd::Accepted);
        }
        Event::OfferDeclined { offer, ticket, agent, .. } => {
            not_taken(workspace, ticket, agent, fact);
            remember(workspace, offer, ticket, agent, OfferEnd::Declined);
        }
        Event::OfferExpired { offer, ticket, agent } => {
            not_taken(workspace, ticket, agent, fact);
            if planted::is(Bug::ExpiredOfferForgotten) {
                let nowhere = Place::Paused(WorkState::Pending);
                change(workspace, ticket, fact, |ticket| ticket.place = nowhere);
            }
            remember(workspace, offer, ticket, agent, OfferEnd::Expired);
        }
        Event::OfferRescinded { offer, ticket, agent, .. } => {
            change(workspace, ticket, fact, |ticket| ticket.place = Place::Waiting);
            remember(workspace, offer, ticket, agent, OfferEnd::Rescinded);
        }
        Event::CooldownEnded { ticket, agent } => {
            change(workspace, ticket, fact, |ticket| {
                ticket.cooldowns.remove(agent);
            });
        }
        Event::TicketAssigned { ticket, agent, how, .. } => {
            assigned(workspace, ticket, agent, *how, fact);
        }
        Event::WorkStateChanged { ticket, agent, state } => {
            let place = match (agent, state) {
                (Some(agent), state) => Place::Owned { agent: agent.clone(), state: *state },
                (None, WorkState::Active) => Place::Waiting,
                (None, WorkState::Pending | WorkState::OnHold) => Place::Paused(*state),
            };
            change(workspace, ticket, fact, |ticket| ticket.place = place);
        }
        Event::WorkCompleted { ticket, agent, outcome, .. } => {
            completed(workspace, ticket, agent, *outcome, fact);
        }
        Event::TicketRequeued(requeued) => ticket_requeued(workspace, requeued, fact),
        Event::TicketTransferred { ticket, .. } => change(workspace, ticket, fact, |_| {}),
        Event::WorkEnded { ticket, agent, status } => {
            end(workspace, ticket, agent.as_ref(), *status, fact);
        }
    }
}

fn agent_put(
    workspace: &mut Workspace,
    id: &AgentId,
    settings: &AgentSettings,
    revision: u64,
    at: Timestamp,
) {
    let before = workspace.agents.get(id).cloned();
    let mut agent = before.clone().unwrap_or_else(|| Agent::new(settings.clone()));
    agent.settings = settings.clone();
    agent.revision = revision;
    agent.mark_idle(at);
    workspace.agents.insert(id.clone(), agent);
    let Workspace { board, agents, queues, .. } = workspace;
    board.agent_resettled(id, before.as_ref(), agents, queues);
}

fn queue_put(workspace: &mut Workspace, id: &QueueId, settings: &QueueSettings, revision: u64) {
    let Workspace { queues, queue_order, board, agents, .. } = workspace;
    let before = queues.remove(id);
    if let Some(before) = &before {
        queue_order.remove(&(before.settings.order, id.clone()));
    }
    queue_order.insert((settings.order, id.clone()));
    let (offered, assigned) = before.map_or((0, 0), |before| (before.offered, before.assigned));
    let queue = Queue { settings: settings.clone(), offered, assigned, revision };
    queues.insert(id.clone(), queue);
    board.queue_resettled(id, agents, queues);
}

fn presence_set(
    workspace: &mut Workspace,
    id: &AgentId,
    presence: Presence,
    lease_ms: u64,
    fact: &Fact<Event>,
) {
    let Workspace { agents, leases, timers, board, queues, .. } = workspace;
    let Some(agent) = agents.get_mut(id) else { return };
    if let Some(until) = agent.lease_until {
        leases.remove(&(until, id.clone()));
    }
    let absent_since = agent.absent_since;
    agent.set_presence(presence, lease_ms, fact.at);
    agent.revision = fact.revision;
    if let Some(until) = agent.lease_until {
        leases.insert((until, id.clone()));
    }
    if let (Some(since), None) = (absent_since, agent.absent_since) {
        agent.awaiting.clear();
        timers.remove(&grace(id, since));
    }
    board.agent_changed(id, agent, queues);
}

fn ticket_queued(workspace: &mut Workspace, queued: &Queued, fact: &Fact<Event>) {
    let ticket = Ticket {
        number: queued.number,
        queue: queued.queue.clone(),
        reason: queued.reason,
        class: queued.class,
        cost_units: queued.cost_units,
        priority: queued.priority,
        skills: queued.own_skills.clone(),
        queued_at: queued.queued_at,
        place: Place::Waiting,
        cooldowns: std::collections::BTreeMap::new(),
        decision: None,
        revision: fact.revision,
    };
    place(workspace, &queued.ticket, Box::new(ticket), fact.at);
}

fn offer_made(workspace: &mut Workspace, made: &Made, fact: &Fact<Event>) {
    let Some(number) = offer_number(&made.offer) else { return };
    let offer = Offer {
        ticket: made.ticket.clone(),
        agent: made.agent.clone(),
        queue: made.queue.clone(),
        accept_by: made.accept_by,
    };
    workspace.last_offer = workspace.last_offer.max(number);
    workspace.offers.insert(number, offer);
    change(workspace, &made.ticket, fact, |ticket| {
        ticket.place = Place::Offered(number);
        ticket.decision = Some(Box::new(made.decision.clone()));
    });
}

fn remember(
    workspace: &mut Workspace,
    offer: &OfferId,
    ticket: &TicketId,
    agent: &AgentId,
    end: OfferEnd,
) {
    let Some(number) = offer_number(offer) else { return };
    let ended = EndedOffer { ticket: ticket.clone(), agent: agent.clone(), end };
    workspace.ended_offers.insert(number, ended);
    while workspace.ended_offers.len() > ENDED_OFFERS_MAX {
        workspace.ended_offers.pop_first();
    }
}

fn not_taken(workspace: &mut Workspace, ticket: &TicketId, agent: &AgentId, fact: &Fact<Event>) {
    change(workspace, ticket, fact, |ticket| {
        ticket.place = Place::Waiting;
        ticket.cooldowns.insert(agent.clone(), fact.at.plus_millis(COOLDOWN_MS));
    });
}

fn assigned(
    workspace: &mut Workspace,
    id: &TicketId,
    owner: &AgentId,
    how: AssignedHow,
    fact: &Fact<Event>,
) {
    change(workspace, id, fact, |ticket| {
        let state = ticket.state_when_assigned(how);
        ticket.place = Place::Owned { agent: owner.clone(), state };
    });
    let Workspace { agents, timers, .. } = workspace;
    let Some(agent) = agents.get_mut(owner) else { return };
    if let (AssignedHow::Returned, Some(since)) = (how, agent.absent_since) {
        agent.awaiting.insert(id.clone());
        timers.insert(grace(owner, since));
    }
}

fn completed(
    workspace: &mut Workspace,
    id: &TicketId,
    agent: &AgentId,
    outcome: WorkOutcome,
    fact: &Fact<Event>,
) {
    let owned = |state| Place::Owned { agent: agent.clone(), state };
    let to = match outcome {
        WorkOutcome::Pending => owned(WorkState::Pending),
        WorkOutcome::OnHold => owned(WorkState::OnHold),
        WorkOutcome::Resolved => {
            return end(workspace, id, Some(agent), TicketStatus::Resolved, fact);
        }
        // The way back into the queue is a fact of its own.
        WorkOutcome::Requeue => return change(workspace, id, fact, |_| {}),
    };
    change(workspace, id, fact, |ticket| ticket.place = to);
}

fn ticket_requeued(workspace: &mut Workspace, requeued: &Requeued, fact: &Fact<Event>) {
    change(workspace, &requeued.ticket, fact, |ticket| {
        if ticket.queue != requeued.queue {
            ticket.reason = QueueReason::Transferred;
        }
        ticket.queue = requeued.queue.clone();
        ticket.skills.clone_from(&requeued.own_skills);
        ticket.queued_at = requeued.queued_at;
        ticket.place =
            match &ticket.place {
                // What waits on the customer goes on waiting, for whoever takes it up then.
                Place::Paused(state) => Place::Paused(*state),
                Place::Owned {
                    state: state @ (WorkState::Pending | WorkState::OnHold), ..
                } if requeued.reason == RequeueReason::Transferred => Place::Paused(*state),
                Place::Waiting | Place::Offered(_) | Place::Owned { .. } | Place::Ended { .. } => {
                    Place::Waiting
                }
            };
        match (requeued.reason, &requeued.from) {
            // Someone else must go on.
            (RequeueReason::Requeued | RequeueReason::Transferred, Some(from)) => {
                ticket.cooldowns.insert(from.clone(), fact.at.plus_millis(COOLDOWN_MS));
            }
            (RequeueReason::OwnerAbsent | RequeueReason::Reopened, _) | (_, None) => {}
        }
    });
}

fn end(
    workspace: &mut Workspace,
    id: &TicketId,
    owner: Option<&AgentId>,
    status: TicketStatus,
    fact: &Fact<Event>,
) {
    change(workspace, id, fact, |ticket| {
        ticket.place = Place::Ended { owner: owner.cloned(), status, at: fact.at };
        ticket.decision = None;
        ticket.cooldowns.clear();
    });
    for old in workspace.closed.send_away(fact.at) {
        workspace.tickets.remove(&old);
    }
}
