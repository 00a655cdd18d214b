//! The changes of clocks.

use bytes::Bytes;
use kernel::{PolicyId, TicketId, Timestamp};
use runtime::{DecodeError, Payload, text};
use sla::{BreachCause, CancelReason, Change, ClockKey, Event, Metric, clock_id, parse_clock_id};
use wire::events::v1 as stored;
use wire::events::v1::ClockMetric;
use wire::lent::events::v1 as lent;

use super::{malformed, named, payload};

pub(super) const STARTED: &str = "ClockStarted";
pub(super) const PAUSED: &str = "ClockPaused";
pub(super) const RESUMED: &str = "ClockResumed";
pub(super) const RETARGETED: &str = "ClockRetargeted";
pub(super) const WARNED: &str = "ClockWarned";
pub(super) const MET: &str = "ClockMet";
pub(super) const BREACHED: &str = "ClockBreached";
pub(super) const STOPPED_AFTER_BREACH: &str = "ClockStoppedAfterBreach";
pub(super) const BREACH_RETRACTED: &str = "BreachRetracted";
pub(super) const CANCELLED: &str = "ClockCancelled";
pub(super) const REOPENED: &str = "ClockReopened";

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

/// The change of the clock with this id.
fn of_clock(id: &Bytes, change: Change) -> Result<Event, DecodeError> {
    let (ticket, key) = parse_clock_id(text(id)?).ok_or_else(|| malformed("clock_id"))?;
    Ok(Event::Clock { ticket, key, change })
}

fn policy(id: &Bytes) -> Result<Option<PolicyId>, DecodeError> {
    Ok(named(text(id)?).map(PolicyId::trusted))
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn started(it: &lent::ClockStarted) -> Result<Event, DecodeError> {
    let change = Change::Started {
        at: at(it.started_at_ms),
        target_ms: target(it.target_ms),
        due_at: due(it.due_at_ms),
        policy: policy(&it.policy_id)?,
    };
    of_clock(&it.clock_id, change)
}

pub(super) fn paused(it: &lent::ClockPaused) -> Result<Event, DecodeError> {
    of_clock(&it.clock_id, Change::Paused { at: at(it.at_ms), elapsed_ms: it.elapsed_ms })
}

pub(super) fn resumed(it: &lent::ClockResumed) -> Result<Event, DecodeError> {
    of_clock(&it.clock_id, Change::Resumed { at: at(it.at_ms), due_at: due(it.due_at_ms) })
}

pub(super) fn reopened(it: &lent::ClockReopened) -> Result<Event, DecodeError> {
    of_clock(&it.clock_id, Change::Reopened { at: at(it.at_ms), due_at: due(it.due_at_ms) })
}

pub(super) fn retargeted(it: &lent::ClockRetargeted) -> Result<Event, DecodeError> {
    let change = Change::Retargeted {
        at: at(it.at_ms),
        target_ms: target(it.target_ms),
        due_at: due(it.due_at_ms),
        policy: policy(&it.policy_id)?,
    };
    of_clock(&it.clock_id, change)
}

pub(super) fn warned(it: &lent::ClockWarned) -> Result<Event, DecodeError> {
    let permille = u16::try_from(it.permille).map_err(|_| malformed("permille"))?;
    of_clock(&it.clock_id, Change::Warned { permille, due_at: at(it.due_at_ms) })
}

pub(super) fn breached(it: &lent::ClockBreached) -> Result<Event, DecodeError> {
    let cause = BreachCause::ALL.into_iter().find(|cause| it.cause == cause.as_str());
    let cause = cause.ok_or_else(|| malformed("cause"))?;
    of_clock(&it.clock_id, Change::Breached { at: at(it.breached_at_ms), cause })
}

pub(super) fn cancelled(it: &lent::ClockCancelled) -> Result<Event, DecodeError> {
    let reason = CancelReason::ALL.into_iter().find(|reason| it.reason == reason.as_str());
    let reason = reason.ok_or_else(|| malformed("reason"))?;
    of_clock(&it.clock_id, Change::Cancelled { at: at(it.at_ms), reason })
}

pub(super) fn met(it: &lent::ClockMet) -> Result<Event, DecodeError> {
    of_clock(&it.clock_id, Change::Met { at: at(it.stopped_at_ms), elapsed_ms: it.elapsed_ms })
}

pub(super) fn stopped_after_breach(
    it: &lent::ClockStoppedAfterBreach,
) -> Result<Event, DecodeError> {
    let (at, elapsed_ms) = (at(it.stopped_at_ms), it.elapsed_ms);
    of_clock(&it.clock_id, Change::StoppedAfterBreach { at, elapsed_ms })
}

pub(super) fn breach_retracted(it: &lent::BreachRetracted) -> Result<Event, DecodeError> {
    let (at, elapsed_ms) = (at(it.stopped_at_ms), it.elapsed_ms);
    of_clock(&it.clock_id, Change::BreachRetracted { at, elapsed_ms })
}
