//! The changes of clocks.

use bytes::Bytes;
use kernel::{PolicyId, TicketId, Timestamp};
use runtime::{DecodeError, Payload, text};
use sla::{BreachCause, CancelReason, Change, ClockKey, Event, Metric, clock_id, parse_clock_id};
use wire::events::v1 as stored;
use wire::events::v1::ClockMetric;
use wire::lent::events::v1 as lent;

use super::{malformed, message, named, payload};

const STARTED: &str = "ClockStarted";
const PAUSED: &str = "ClockPaused";
const RESUMED: &str = "ClockResumed";
const RETARGETED: &str = "ClockRetargeted";
const WARNED: &str = "ClockWarned";
const MET: &str = "ClockMet";
const BREACHED: &str = "ClockBreached";
const STOPPED_AFTER_BREACH: &str = "ClockStoppedAfterBreach";
const BREACH_RETRACTED: &str = "BreachRetracted";
const CANCELLED: &str = "ClockCancelled";
const REOPENED: &str = "ClockReopened";

/// A metric for the wire.
pub(crate) const fn metric_to_wire(metric: Metric) -> ClockMetric {
    match metric {
        Metric::FirstReply => ClockMetric::FirstReply,
        Metric::NextReply => ClockMetric::NextReply,
        Metric::RequesterWait => ClockMetric::RequesterWait,
        Metric::TotalResolution => ClockMetric::TotalResolution,
    }
}

/// A metric that the log holds.
pub(super) fn metric(number: i32) -> Result<Metric, DecodeError> {
    match ClockMetric::try_from(number) {
        Ok(ClockMetric::FirstReply) => Ok(Metric::FirstReply),
        Ok(ClockMetric::NextReply) => Ok(Metric::NextReply),
        Ok(ClockMetric::RequesterWait) => Ok(Metric::RequesterWait),
        Ok(ClockMetric::TotalResolution) => Ok(Metric::TotalResolution),
        Ok(ClockMetric::Unspecified) | Err(_) => Err(malformed("metric")),
    }
}

/// An instant that may be none: 0.
fn due_to_wire(due: Option<Timestamp>) -> i64 {
    due.map(Timestamp::as_millis).unwrap_or_default()
}

fn due(millis: i64) -> Option<Timestamp> {
    if millis == 0 { None } else { Some(Timestamp::from_millis(millis)) }
}

fn target(millis: u64) -> Option<u64> {
    if millis == 0 { None } else { Some(millis) }
}

fn policy_to_wire(policy: Option<&PolicyId>) -> String {
    policy.map(PolicyId::to_string).unwrap_or_default()
}

pub(super) fn encode(ticket: &TicketId, key: ClockKey, change: &Change) -> Payload {
    let clock_id = clock_id(ticket, key).to_string();
    let ticket_id = ticket.to_string();
    let metric = metric_to_wire(key.metric).into();
    match change {
        Change::Started { at, target_ms, due_at, policy } => {
            let message = stored::ClockStarted {
                clock_id,
                ticket_id,
                metric,
                cycle: key.cycle,
                started_at_ms: at.as_millis(),
                target_ms: target_ms.unwrap_or_default(),
                due_at_ms: due_to_wire(*due_at),
                policy_id: policy_to_wire(policy.as_ref()),
            };
            payload(STARTED, &message)
        }
        Change::Paused { at, elapsed_ms } => {
            let (at_ms, elapsed_ms) = (at.as_millis(), *elapsed_ms);
            payload(PAUSED, &stored::ClockPaused { clock_id, at_ms, elapsed_ms })
        }
        Change::Resumed { at, due_at } => {
            let (at_ms, due_at_ms) = (at.as_millis(), due_to_wire(*due_at));
            payload(RESUMED, &stored::ClockResumed { clock_id, at_ms, due_at_ms })
        }
        Change::Reopened { at, due_at } => {
            let (at_ms, due_at_ms) = (at.as_millis(), due_to_wire(*due_at));
            payload(REOPENED, &stored::ClockReopened { clock_id, at_ms, due_at_ms })
        }
        Change::Retargeted { at, target_ms, due_at, policy } => {
            let at_ms = at.as_millis();
            let message = stored::ClockRetargeted { clock_id, at_ms, ..Default::default() };
            payload(RETARGETED, &promised(message, *target_ms, *due_at, policy.as_ref()))
        }
        Change::Warned { permille, due_at } => {
            let (permille, due_at_ms) = (u32::from(*permille), due_at.as_millis());
            let message = stored::ClockWarned { clock_id, ticket_id, metric, permille, due_at_ms };
            payload(WARNED, &message)
        }
        Change::Breached { at, cause } => {
            let (breached_at_ms, cause) = (at.as_millis(), cause.as_str().to_owned());
            let message =
                stored::ClockBreached { clock_id, ticket_id, metric, breached_at_ms, cause };
            payload(BREACHED, &message)
        }
        Change::Cancelled { at, reason } => {
            let (at_ms, reason) = (at.as_millis(), reason.as_str().to_owned());
            payload(CANCELLED, &stored::ClockCancelled { clock_id, at_ms, reason })
        }
        Change::Met { at, elapsed_ms } => {
            let (stopped_at_ms, elapsed_ms) = (at.as_millis(), *elapsed_ms);
            let message =
                stored::ClockMet { clock_id, ticket_id, metric, stopped_at_ms, elapsed_ms };
            payload(MET, &message)
        }
        Change::StoppedAfterBreach { at, elapsed_ms } => {
            let (stopped_at_ms, elapsed_ms) = (at.as_millis(), *elapsed_ms);
            let message = stored::ClockStoppedAfterBreach { clock_id, stopped_at_ms, elapsed_ms };
            payload(STOPPED_AFTER_BREACH, &message)
        }
        Change::BreachRetracted { at, elapsed_ms } => {
            let (stopped_at_ms, elapsed_ms) = (at.as_millis(), *elapsed_ms);
            let message =
                stored::BreachRetracted { clock_id, ticket_id, metric, stopped_at_ms, elapsed_ms };
            payload(BREACH_RETRACTED, &message)
        }
    }
}

/// Adds what is promised from now on.
fn promised(
    message: stored::ClockRetargeted,
    target_ms: Option<u64>,
    due_at: Option<Timestamp>,
    policy: Option<&PolicyId>,
) -> stored::ClockRetargeted {
    stored::ClockRetargeted {
        target_ms: target_ms.unwrap_or_default(),
        due_at_ms: due_to_wire(due_at),
        policy_id: policy_to_wire(policy),
        ..message
    }
}

pub(super) fn decode(event_type: &str, data: &Bytes) -> Result<Event, DecodeError> {
    let (id, change) = match event_type {
        STARTED => started(message(data)?)?,
        PAUSED => paused(message(data)?),
        RESUMED => resumed(message(data)?),
        REOPENED => reopened(message(data)?),
        RETARGETED => retargeted(message(data)?)?,
        WARNED => warned(message(data)?)?,
        BREACHED => breached(message(data)?)?,
        CANCELLED => cancelled(message(data)?)?,
        MET => met(message(data)?),
        STOPPED_AFTER_BREACH => stopped_after_breach(message(data)?),
        BREACH_RETRACTED => breach_retracted(message(data)?),
        _ => return Err(DecodeError::UnknownType),
    };
    let (ticket, key) = parse_clock_id(text(&id)?).ok_or_else(|| malformed("clock_id"))?;
    Ok(Event::Clock { ticket, key, change })
}

/// A clock's id, and what changed.
type Read = (Bytes, Change);

fn policy(id: &Bytes) -> Result<Option<PolicyId>, DecodeError> {
    Ok(named(text(id)?).map(PolicyId::trusted))
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn started(it: lent::ClockStarted) -> Result<Read, DecodeError> {
    let change = Change::Started {
        at: at(it.started_at_ms),
        target_ms: target(it.target_ms),
        due_at: due(it.due_at_ms),
        policy: policy(&it.policy_id)?,
    };
    Ok((it.clock_id, change))
}

fn paused(it: lent::ClockPaused) -> Read {
    (it.clock_id, Change::Paused { at: at(it.at_ms), elapsed_ms: it.elapsed_ms })
}

fn resumed(it: lent::ClockResumed) -> Read {
    (it.clock_id, Change::Resumed { at: at(it.at_ms), due_at: due(it.due_at_ms) })
}

fn reopened(it: lent::ClockReopened) -> Read {
    (it.clock_id, Change::Reopened { at: at(it.at_ms), due_at: due(it.due_at_ms) })
}

fn retargeted(it: lent::ClockRetargeted) -> Result<Read, DecodeError> {
    let change = Change::Retargeted {
        at: at(it.at_ms),
        target_ms: target(it.target_ms),
        due_at: due(it.due_at_ms),
        policy: policy(&it.policy_id)?,
    };
    Ok((it.clock_id, change))
}

fn warned(it: lent::ClockWarned) -> Result<Read, DecodeError> {
    let permille = u16::try_from(it.permille).map_err(|_| malformed("permille"))?;
    Ok((it.clock_id, Change::Warned { permille, due_at: at(it.due_at_ms) }))
}

fn breached(it: lent::ClockBreached) -> Result<Read, DecodeError> {
    let cause = BreachCause::ALL.into_iter().find(|cause| it.cause == cause.as_str());
    let cause = cause.ok_or_else(|| malformed("cause"))?;
    Ok((it.clock_id, Change::Breached { at: at(it.breached_at_ms), cause }))
}

fn cancelled(it: lent::ClockCancelled) -> Result<Read, DecodeError> {
    let reason = CancelReason::ALL.into_iter().find(|reason| it.reason == reason.as_str());
    let reason = reason.ok_or_else(|| malformed("reason"))?;
    Ok((it.clock_id, Change::Cancelled { at: at(it.at_ms), reason }))
}

fn met(it: lent::ClockMet) -> Read {
    (it.clock_id, Change::Met { at: at(it.stopped_at_ms), elapsed_ms: it.elapsed_ms })
}

fn stopped_after_breach(it: lent::ClockStoppedAfterBreach) -> Read {
    let (at, elapsed_ms) = (at(it.stopped_at_ms), it.elapsed_ms);
    (it.clock_id, Change::StoppedAfterBreach { at, elapsed_ms })
}

fn breach_retracted(it: lent::BreachRetracted) -> Read {
    let (at, elapsed_ms) = (at(it.stopped_at_ms), it.elapsed_ms);
    (it.clock_id, Change::BreachRetracted { at, elapsed_ms })
}
