//! Work that is owned: completed, handed over, given by hand.

use kernel::{AgentId, QueueId, SkillRequirement, TicketId, TicketStatus};

use super::{Answer, Draft, Scene, Way};
use crate::event::Event;
use crate::state::{Place, Ticket};
use crate::words::{AssignedHow, RequeueReason, RescindReason, WorkOutcome, WorkState};
use crate::{Destination, Rejection};

pub(super) fn complete(
    scene: Scene<'_>,
    agent: &AgentId,
    id: &TicketId,
    outcome: WorkOutcome,
    note: String,
) -> Answer {
    let ticket = scene.workspace.ticket(id);
    let ticket = ticket.ok_or_else(|| Rejection::TicketNotRoutable(id.clone()))?;
    if is_done(ticket, agent, outcome) {
        return Ok(Vec::new());
    }
    scene.open_ticket(id)?;
    if ticket.owner() != Some(agent) {
        return Err(Rejection::NotTheOwner(id.clone(), agent.clone()));
    }
    let mut draft = scene.draft();
    let (named, owner) = (id.clone(), agent.clone());
    draft.ticket(id, Event::WorkCompleted { ticket: named, agent: owner, outcome, note });
    match outcome {
        WorkOutcome::Requeue => {
            draft.requeue(id, Some(agent.clone()), Way::back(RequeueReason::Requeued));
        }
        WorkOutcome::Resolved | WorkOutcome::Pending | WorkOutcome::OnHold => {}
    }
    Ok(draft.done())
}

/// Whether the wish holds already.
fn is_done(ticket: &Ticket, agent: &AgentId, outcome: WorkOutcome) -> bool {
    match (&ticket.place, outcome) {
        (Place::Ended { owner, status, .. }, WorkOutcome::Resolved) => {
            *status == TicketStatus::Resolved && owner.as_ref() == Some(agent)
        }
        (Place::Owned { agent: owner, state }, WorkOutcome::Pending) => {
            owner == agent && *state == WorkState::Pending
        }
        (Place::Owned { agent: owner, state }, WorkOutcome::OnHold) => {
            owner == agent && *state == WorkState::OnHold
        }
        (_, WorkOutcome::Requeue)
        | (
            Place::Waiting | Place::Paused(_) | Place::Offered(_) | Place::Owned { .. },
            WorkOutcome::Resolved,
        )
        | (
            Place::Waiting | Place::Paused(_) | Place::Offered(_) | Place::Ended { .. },
            WorkOutcome::Pending | WorkOutcome::OnHold,
        ) => false,
    }
}

pub(super) fn transfer(
    scene: Scene<'_>,
    id: &TicketId,
    from: Option<AgentId>,
    to: Destination,
    note: String,
) -> Answer {
    let ticket = scene.open_ticket(id)?;
    if let Some(from) = from
        && ticket.owner() != Some(&from)
    {
        return Err(Rejection::NotTheOwner(id.clone(), from));
    }
    match to {
        Destination::Agent(to) => transfer_to_agent(scene, id, ticket, &to, note),
        Destination::Queue(to) => transfer_to_queue(scene, id, ticket, &to, note),
        Destination::Skill(skill) => Ok(transfer_to_skill(scene, id, ticket, &skill, note)),
    }
}

fn transfer_to_agent(
    scene: Scene<'_>,
    id: &TicketId,
    ticket: &Ticket,
    to: &AgentId,
    note: String,
) -> Answer {
    scene.agent(to)?;
    if ticket.owner() == Some(to) {
        return Ok(Vec::new());
    }
    let mut draft = hand_over(scene, id, ticket, (Some(to), None), note);
    draft.assign(id, to, AssignedHow::Transferred, String::new());
    Ok(draft.done())
}

fn transfer_to_queue(
    scene: Scene<'_>,
    id: &TicketId,
    ticket: &Ticket,
    to: &QueueId,
    note: String,
) -> Answer {
    if !scene.workspace.queues.contains_key(to) {
        return Err(Rejection::QueueNotFound(to.clone()));
    }
    let stays = match ticket.place {
        Place::Waiting | Place::Paused(_) => ticket.queue == *to,
        Place::Offered(_) | Place::Owned { .. } | Place::Ended { .. } => false,
    };
    if stays {
        return Ok(Vec::new());
    }
    let mut draft = hand_over(scene, id, ticket, (None, Some(to)), note);
    let way = Way { reason: RequeueReason::Transferred, queue: Some(to), skill: None };
    draft.requeue(id, ticket.owner().cloned(), way);
    Ok(draft.done())
}

fn transfer_to_skill(
    scene: Scene<'_>,
    id: &TicketId,
    ticket: &Ticket,
    skill: &SkillRequirement,
    note: String,
) -> Vec<kernel::Fact<Event>> {
    let asked =
        |own: &SkillRequirement| own.skill == skill.skill && own.min_level >= skill.min_level;
    let unowned = ticket.owner().is_none() && !matches!(ticket.place, Place::Offered(_));
    if unowned && ticket.skills.iter().any(asked) {
        return Vec::new();
    }
    let mut draft = hand_over(scene, id, ticket, (None, Some(&ticket.queue)), note);
    let way = Way { reason: RequeueReason::Transferred, queue: None, skill: Some(skill) };
    draft.requeue(id, ticket.owner().cloned(), way);
    draft.done()
}

/// What every transfer begins with.
fn hand_over<'a>(
    scene: Scene<'a>,
    id: &TicketId,
    ticket: &Ticket,
    (to_agent, to_queue): (Option<&AgentId>, Option<&QueueId>),
    note: String,
) -> Draft<'a> {
    let mut draft = scene.draft();
    draft.rescind(id, RescindReason::Transferred);
    let transferred = Event::TicketTransferred {
        ticket: id.clone(),
        from: ticket.owner().cloned(),
        to_agent: to_agent.cloned(),
        to_queue: to_queue.cloned(),
        note,
    };
    draft.ticket(id, transferred);
    draft
}

pub(super) fn assign(scene: Scene<'_>, id: &TicketId, agent: &AgentId, reason: String) -> Answer {
    let ticket = scene.open_ticket(id)?;
    scene.agent(agent)?;
    if ticket.owner() == Some(agent) {
        return Ok(Vec::new());
    }
    let mut draft = scene.draft();
    draft.rescind(id, RescindReason::Assigned);
    draft.assign(id, agent, AssignedHow::Manual, reason);
    Ok(draft.done())
}
