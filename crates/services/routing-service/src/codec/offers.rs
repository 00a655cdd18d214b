//! Offers, and the decisions behind them.

use kernel::{AgentId, OfferId, QueueId, TicketId, Timestamp};
use routing::Event;
use routing::event::Made;
use routing::words::{Candidate, Decision, RescindReason, Rule};
use runtime::DecodeError;
use wire::events::v1 as stored;

use super::word;

pub(super) fn made_to_wire(made: &Made) -> stored::OfferMade {
    stored::OfferMade {
        offer_id: made.offer.to_string(),
        ticket_id: made.ticket.to_string(),
        agent_id: made.agent.to_string(),
        queue_id: made.queue.to_string(),
        accept_by_ms: made.accept_by.as_millis(),
        decision: Some(decision_to_wire(&made.decision)),
    }
}

/// A decision for the wire.
pub(crate) fn decision_to_wire(decision: &Decision) -> stored::Decision {
    let candidate = |one: &Candidate| stored::Candidate {
        agent_id: one.agent.to_string(),
        idle_ms: one.idle_ms,
        used_units: one.used_units,
        capacity_units: one.capacity_units,
        match_levels: one.match_levels,
    };
    let failures = |(rule, agents): &(Rule, u32)| stored::RuleFailures {
        rule: rule.as_str().to_owned(),
        agents: *agents,
    };
    stored::Decision {
        agent_id: decision.agent.to_string(),
        candidates: decision.candidates.iter().map(candidate).collect(),
        failures: decision.failures.iter().map(failures).collect(),
        log_seq: decision.log_seq,
        policy_version: decision.policy_version.clone(),
        waiting: decision.waiting,
    }
}

pub(super) fn read_made(made: stored::OfferMade) -> Result<Event, DecodeError> {
    let decision = word(made.decision, "decision", "missing")?;
    Ok(Event::OfferMade(Box::new(Made {
        offer: OfferId::trusted(&made.offer_id),
        ticket: TicketId::trusted(&made.ticket_id),
        agent: AgentId::trusted(&made.agent_id),
        queue: QueueId::trusted(&made.queue_id),
        accept_by: Timestamp::from_millis(made.accept_by_ms),
        decision: read_decision(decision)?,
    })))
}

fn read_decision(decision: stored::Decision) -> Result<Decision, DecodeError> {
    let candidate = |one: &stored::Candidate| Candidate {
        agent: AgentId::trusted(&one.agent_id),
        idle_ms: one.idle_ms,
        used_units: one.used_units,
        capacity_units: one.capacity_units,
        match_levels: one.match_levels,
    };
    let failures = |one: &stored::RuleFailures| {
        Ok((word(Rule::from_text(&one.rule), "rule", &one.rule)?, one.agents))
    };
    Ok(Decision {
        agent: AgentId::trusted(&decision.agent_id),
        candidates: decision.candidates.iter().map(candidate).collect(),
        failures: decision.failures.iter().map(failures).collect::<Result<_, DecodeError>>()?,
        log_seq: decision.log_seq,
        policy_version: decision.policy_version,
        waiting: decision.waiting,
    })
}

pub(super) fn accepted(
    offer: &OfferId,
    ticket: &TicketId,
    agent: &AgentId,
    automatic: bool,
) -> stored::OfferAccepted {
    stored::OfferAccepted {
        offer_id: offer.to_string(),
        ticket_id: ticket.to_string(),
        agent_id: agent.to_string(),
        automatic,
    }
}

pub(super) fn read_accepted(accepted: &stored::OfferAccepted) -> Event {
    Event::OfferAccepted {
        offer: OfferId::trusted(&accepted.offer_id),
        ticket: TicketId::trusted(&accepted.ticket_id),
        agent: AgentId::trusted(&accepted.agent_id),
        automatic: accepted.automatic,
    }
}

pub(super) fn declined(
    offer: &OfferId,
    ticket: &TicketId,
    agent: &AgentId,
    reason: &str,
) -> stored::OfferDeclined {
    stored::OfferDeclined {
        offer_id: offer.to_string(),
        ticket_id: ticket.to_string(),
        agent_id: agent.to_string(),
        reason: reason.to_owned(),
    }
}

pub(super) fn read_declined(declined: stored::OfferDeclined) -> Event {
    Event::OfferDeclined {
        offer: OfferId::trusted(&declined.offer_id),
        ticket: TicketId::trusted(&declined.ticket_id),
        agent: AgentId::trusted(&declined.agent_id),
        reason: declined.reason,
    }
}

pub(super) fn expired(offer: &OfferId, ticket: &TicketId, agent: &AgentId) -> stored::OfferExpired {
    stored::OfferExpired {
        offer_id: offer.to_string(),
        ticket_id: ticket.to_string(),
        agent_id: agent.to_string(),
    }
}

pub(super) fn read_expired(expired: &stored::OfferExpired) -> Event {
    Event::OfferExpired {
        offer: OfferId::trusted(&expired.offer_id),
        ticket: TicketId::trusted(&expired.ticket_id),
        agent: AgentId::trusted(&expired.agent_id),
    }
}

pub(super) fn rescinded(
    offer: &OfferId,
    ticket: &TicketId,
    agent: &AgentId,
    reason: RescindReason,
) -> stored::OfferRescinded {
    stored::OfferRescinded {
        offer_id: offer.to_string(),
        ticket_id: ticket.to_string(),
        agent_id: agent.to_string(),
        reason: reason.as_str().to_owned(),
    }
}

pub(super) fn read_rescinded(rescinded: &stored::OfferRescinded) -> Result<Event, DecodeError> {
    Ok(Event::OfferRescinded {
        offer: OfferId::trusted(&rescinded.offer_id),
        ticket: TicketId::trusted(&rescinded.ticket_id),
        agent: AgentId::trusted(&rescinded.agent_id),
        reason: word(RescindReason::from_text(&rescinded.reason), "reason", &rescinded.reason)?,
    })
}

pub(super) fn cooldown_ended(ticket: &TicketId, agent: &AgentId) -> stored::CooldownEnded {
    stored::CooldownEnded { ticket_id: ticket.to_string(), agent_id: agent.to_string() }
}

pub(super) fn read_cooldown_ended(ended: &stored::CooldownEnded) -> Event {
    Event::CooldownEnded {
        ticket: TicketId::trusted(&ended.ticket_id),
        agent: AgentId::trusted(&ended.agent_id),
    }
}
