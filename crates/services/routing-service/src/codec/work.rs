//! Tickets and the work on them.

use kernel::{AgentId, Priority, QueueId, TicketId, TicketStatus, Timestamp};
use routing::Event;
use routing::event::{Queued, Requeued};
use routing::words::{AssignedHow, QueueReason, RequeueReason, WorkOutcome, WorkState};
use runtime::{DecodeError, text as lent_text};
use service_kit::convert;
use wire::events::v1 as stored;
use wire::lent::events::v1 as lent;

use super::{named, text, word, words};

pub(super) fn queued_to_wire(queued: &Queued) -> stored::TicketQueued {
    stored::TicketQueued {
        ticket_id: queued.ticket.to_string(),
        number: queued.number,
        queue_id: queued.queue.to_string(),
        reason: queued.reason.as_str().to_owned(),
        class: words::class_to_wire(queued.class).into(),
        cost_units: queued.cost_units,
        priority: convert::priority_to_wire(queued.priority).into(),
        required_skills: convert::skills_to_wire(&queued.required_skills),
        queued_at_ms: queued.queued_at.as_millis(),
        own_skills: convert::skills_to_wire(&queued.own_skills),
    }
}

pub(super) fn read_queued(queued: &lent::TicketQueued) -> Result<Event, DecodeError> {
    let reason = lent_text(&queued.reason)?;
    Ok(Event::TicketQueued(Box::new(Queued {
        ticket: TicketId::trusted(lent_text(&queued.ticket_id)?),
        number: queued.number,
        queue: QueueId::trusted(lent_text(&queued.queue_id)?),
        reason: word(QueueReason::from_text(reason), "reason", reason)?,
        class: word(words::stored_class(queued.class), "class", queued.class)?,
        cost_units: queued.cost_units,
        priority: priority(queued.priority)?,
        required_skills: convert::lent_skills(&queued.required_skills)?,
        own_skills: convert::lent_skills(&queued.own_skills)?,
        queued_at: Timestamp::from_millis(queued.queued_at_ms),
    })))
}

fn priority(number: i32) -> Result<Option<Priority>, DecodeError> {
    Ok(convert::stored_priority(number)?)
}

pub(super) fn reprioritised(
    ticket: &TicketId,
    priority: Option<Priority>,
) -> stored::WorkReprioritised {
    stored::WorkReprioritised {
        ticket_id: ticket.to_string(),
        priority: convert::priority_to_wire(priority).into(),
    }
}

pub(super) fn read_reprioritised(put: &stored::WorkReprioritised) -> Result<Event, DecodeError> {
    Ok(Event::WorkReprioritised {
        ticket: TicketId::trusted(&put.ticket_id),
        priority: priority(put.priority)?,
    })
}

pub(super) fn assigned(
    ticket: &TicketId,
    agent: &AgentId,
    how: AssignedHow,
    reason: &str,
    over_capacity: bool,
) -> stored::TicketAssigned {
    stored::TicketAssigned {
        ticket_id: ticket.to_string(),
        agent_id: agent.to_string(),
        how: how.as_str().to_owned(),
        reason: reason.to_owned(),
        over_capacity,
    }
}

pub(super) fn read_assigned(assigned: stored::TicketAssigned) -> Result<Event, DecodeError> {
    Ok(Event::TicketAssigned {
        ticket: TicketId::trusted(&assigned.ticket_id),
        agent: AgentId::trusted(&assigned.agent_id),
        how: word(AssignedHow::from_text(&assigned.how), "how", &assigned.how)?,
        reason: assigned.reason,
        over_capacity: assigned.over_capacity,
    })
}

pub(super) fn state_changed(
    ticket: &TicketId,
    agent: Option<&AgentId>,
    state: WorkState,
) -> stored::WorkStateChanged {
    stored::WorkStateChanged {
        ticket_id: ticket.to_string(),
        agent_id: text(agent),
        state: words::state_to_wire(state).into(),
    }
}

pub(super) fn read_state_changed(changed: &stored::WorkStateChanged) -> Result<Event, DecodeError> {
    Ok(Event::WorkStateChanged {
        ticket: TicketId::trusted(&changed.ticket_id),
        agent: named(&changed.agent_id, AgentId::trusted),
        state: word(words::stored_state(changed.state), "state", changed.state)?,
    })
}

pub(super) fn completed(
    ticket: &TicketId,
    agent: &AgentId,
    outcome: WorkOutcome,
    note: &str,
) -> stored::WorkCompleted {
    stored::WorkCompleted {
        ticket_id: ticket.to_string(),
        agent_id: agent.to_string(),
        outcome: words::outcome_to_wire(outcome).into(),
        note: note.to_owned(),
    }
}

pub(super) fn read_completed(completed: stored::WorkCompleted) -> Result<Event, DecodeError> {
    Ok(Event::WorkCompleted {
        ticket: TicketId::trusted(&completed.ticket_id),
        agent: AgentId::trusted(&completed.agent_id),
        outcome: word(words::stored_outcome(completed.outcome), "outcome", completed.outcome)?,
        note: completed.note,
    })
}

pub(super) fn requeued_to_wire(requeued: &Requeued) -> stored::TicketRequeued {
    stored::TicketRequeued {
        ticket_id: requeued.ticket.to_string(),
        from_agent_id: text(requeued.from.as_ref()),
        queue_id: requeued.queue.to_string(),
        reason: requeued.reason.as_str().to_owned(),
        queued_at_ms: requeued.queued_at.as_millis(),
        required_skills: convert::skills_to_wire(&requeued.required_skills),
        own_skills: convert::skills_to_wire(&requeued.own_skills),
    }
}

pub(super) fn read_requeued(requeued: &stored::TicketRequeued) -> Result<Event, DecodeError> {
    Ok(Event::TicketRequeued(Box::new(Requeued {
        ticket: TicketId::trusted(&requeued.ticket_id),
        from: named(&requeued.from_agent_id, AgentId::trusted),
        queue: QueueId::trusted(&requeued.queue_id),
        reason: word(RequeueReason::from_text(&requeued.reason), "reason", &requeued.reason)?,
        queued_at: Timestamp::from_millis(requeued.queued_at_ms),
        required_skills: convert::stored_skills(&requeued.required_skills)?,
        own_skills: convert::stored_skills(&requeued.own_skills)?,
    })))
}

pub(super) fn transferred(
    ticket: &TicketId,
    from: Option<&AgentId>,
    (to_agent, to_queue): (Option<&AgentId>, Option<&QueueId>),
    note: &str,
) -> stored::TicketTransferred {
    stored::TicketTransferred {
        ticket_id: ticket.to_string(),
        from_agent_id: text(from),
        to_agent_id: text(to_agent),
        to_queue_id: text(to_queue),
        note: note.to_owned(),
    }
}

pub(super) fn read_transferred(transferred: stored::TicketTransferred) -> Event {
    Event::TicketTransferred {
        ticket: TicketId::trusted(&transferred.ticket_id),
        from: named(&transferred.from_agent_id, AgentId::trusted),
        to_agent: named(&transferred.to_agent_id, AgentId::trusted),
        to_queue: named(&transferred.to_queue_id, QueueId::trusted),
        note: transferred.note,
    }
}

pub(super) fn ended(
    ticket: &TicketId,
    agent: Option<&AgentId>,
    status: TicketStatus,
) -> stored::WorkEnded {
    stored::WorkEnded {
        ticket_id: ticket.to_string(),
        agent_id: text(agent),
        status: convert::status_to_wire(status).into(),
    }
}

pub(super) fn read_ended(ended: &stored::WorkEnded) -> Result<Event, DecodeError> {
    Ok(Event::WorkEnded {
        ticket: TicketId::trusted(&ended.ticket_id),
        agent: named(&ended.agent_id, AgentId::trusted),
        status: convert::stored_status(ended.status)?,
    })
}
