//! What follows from intake: tickets come, change and go.

use kernel::{AgentId, Priority, TicketId, TicketStatus};

use super::{Draft, Facts, Scene, Way};
use crate::event::{Event, Queued};
use crate::state::{Place, Ticket, joined};
use crate::words::{AssignedHow, QueueReason, RequeueReason, RescindReason, WorkState};
use crate::{DEFAULT_QUEUE, NewTicket};

pub(super) fn queue_ticket(scene: Scene<'_>, new: &NewTicket) -> Facts {
    let workspace = scene.workspace;
    if workspace.tickets.contains_key(&new.ticket) {
        return Vec::new();
    }
    let (queue, reason) = if workspace.queues.contains_key(&new.queue) {
        (new.queue.clone(), new.reason)
    } else {
        (kernel::QueueId::trusted(DEFAULT_QUEUE), QueueReason::UnknownQueue)
    };
    let own_skills = joined(new.skills.iter());
    let queued = Queued {
        ticket: new.ticket.clone(),
        number: new.number,
        required_skills: workspace.required(&queue, &own_skills),
        queue,
        reason,
        class: new.class,
        cost_units: new.class.cost_units(),
        priority: new.priority,
        own_skills,
        queued_at: new.opened_at.min(scene.context.at),
    };
    let mut draft = scene.draft();
    draft.ticket(&new.ticket, Event::TicketQueued(Box::new(queued)));
    draft.done()
}

pub(super) fn reprioritise(scene: Scene<'_>, id: &TicketId, priority: Option<Priority>) -> Facts {
    let mut draft = scene.draft();
    if scene.workspace.ticket(id).is_some_and(|ticket| ticket.priority != priority) {
        draft.ticket(id, Event::WorkReprioritised { ticket: id.clone(), priority });
    }
    draft.done()
}

pub(super) fn status(
    scene: Scene<'_>,
    id: &TicketId,
    from: TicketStatus,
    to: TicketStatus,
    answered: bool,
) -> Facts {
    let mut draft = scene.draft();
    let Some(ticket) = scene.workspace.ticket(id) else { return Vec::new() };
    match to {
        TicketStatus::New => {}
        // That work began is routing's own news. Late, it would undo what an agent said since.
        TicketStatus::Open if from == TicketStatus::New => {}
        TicketStatus::Open => open(&mut draft, id, ticket, answered),
        TicketStatus::Pending => pause(&mut draft, id, ticket, WorkState::Pending),
        TicketStatus::OnHold => pause(&mut draft, id, ticket, WorkState::OnHold),
        TicketStatus::Resolved | TicketStatus::Closed => end(&mut draft, id, ticket, to),
    }
    draft.done()
}

/// The customer wrote while the ticket was open: its owner has it already, unless the owner isn't there.
pub(super) fn answer(scene: Scene<'_>, id: &TicketId) -> Facts {
    let mut draft = scene.draft();
    let place = scene.workspace.ticket(id).map(Ticket::place);
    if let Some(Place::Owned { agent: owner, state: WorkState::Active }) = place {
        let agent = scene.workspace.agents.get(owner);
        let unnoted =
            agent.is_some_and(|agent| agent.presence.is_absent() && !agent.awaiting.contains(id));
        if unnoted {
            give_back(&mut draft, id, owner);
        }
    }
    draft.done()
}

fn open(draft: &mut Draft<'_>, id: &TicketId, ticket: &Ticket, answered: bool) {
    match &ticket.place {
        Place::Waiting | Place::Offered(_) | Place::Owned { state: WorkState::Active, .. } => {}
        Place::Paused(_) => state_changed(draft, id, None, WorkState::Active),
        Place::Owned { agent, .. } if answered => give_back(draft, id, agent),
        Place::Owned { agent, .. } => state_changed(draft, id, Some(agent), WorkState::Active),
        Place::Ended { owner: Some(owner), .. } => give_back(draft, id, owner),
        Place::Ended { owner: None, .. } => {
            draft.requeue(id, None, Way::back(RequeueReason::Reopened));
        }
    }
}

/// Returns a ticket to its owner, even above its capacity; to the queue, if the owner has been absent for too long.
fn give_back(draft: &mut Draft<'_>, id: &TicketId, owner: &AgentId) {
    let now = draft.scene.context.at;
    let agent = draft.scene.workspace.agents.get(owner);
    if agent.is_none_or(|agent| agent.absent_beyond_grace(now)) {
        draft.requeue(id, Some(owner.clone()), Way::back(RequeueReason::OwnerAbsent));
    } else {
        draft.assign(id, owner, AssignedHow::Returned, String::new());
    }
}

fn pause(draft: &mut Draft<'_>, id: &TicketId, ticket: &Ticket, to: WorkState) {
    match &ticket.place {
        Place::Owned { agent, state } => {
            if *state != to {
                state_changed(draft, id, Some(agent), to);
            }
        }
        Place::Paused(state) if *state == to => {}
        Place::Waiting | Place::Offered(_) | Place::Paused(_) => {
            draft.rescind(id, RescindReason::TicketWaits);
            state_changed(draft, id, None, to);
        }
        // Intake lets nothing wait that is resolved or closed.
        Place::Ended { .. } => {}
    }
}

fn state_changed(draft: &mut Draft<'_>, id: &TicketId, agent: Option<&AgentId>, state: WorkState) {
    let (ticket, agent) = (id.clone(), agent.cloned());
    draft.ticket(id, Event::WorkStateChanged { ticket, agent, state });
}

fn end(draft: &mut Draft<'_>, id: &TicketId, ticket: &Ticket, status: TicketStatus) {
    let agent = match &ticket.place {
        // An agent said so before intake did.
        Place::Ended { status: before, .. } if *before == status => return,
        // Nothing leads from closed to resolved but a late word of what came before.
        Place::Ended { status: TicketStatus::Closed, .. } => return,
        Place::Ended { owner, .. } => owner.clone(),
        Place::Owned { agent, .. } => Some(agent.clone()),
        Place::Waiting | Place::Paused(_) | Place::Offered(_) => None,
    };
    draft.rescind(id, RescindReason::TicketEnded);
    draft.ticket(id, Event::WorkEnded { ticket: id.clone(), agent, status });
}
