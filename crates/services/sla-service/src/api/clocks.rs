//! Clocks as they are shown.

use std::time::Duration;

use kernel::{PolicyId, TicketId, Timestamp, WorkspaceId};
use runtime::{ServiceId, View};
use service_kit::convert::{millis_to_wire, priority_to_wire, timestamp_to_wire};
use service_kit::{Fields, Page, Refusal};
use sla::{Clock, ClockState, Metric, Ticket, Workspace, clock_id, parse_clock_id};
use wire::common::v1::ErrorReason;
use wire::sla::v1 as wire_sla;

use crate::SlaService;
use crate::codec::metric_to_wire;

/// How far ahead a clock counts as at risk, unless said otherwise.
const WITHIN_DEFAULT: Duration = Duration::from_secs(60 * 60);
const WITHIN_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What showing a clock depends on beside the state.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) now: Timestamp,
    /// Something is due, and the inputs' heads can't be had.
    pub(super) unconfirmed: bool,
    pub(super) workspace: WorkspaceId,
}

impl Seen {
    /// A clock for the wire.
    pub(super) fn render(
        &self,
        view: &View<'_, SlaService>,
        id: &TicketId,
        ticket: &Ticket,
        clock: &Clock,
    ) -> wire_sla::Clock {
        let parked = view.is_parked(ServiceId::Intake, self.workspace.as_str(), id.as_str());
        wire_sla::Clock {
            clock_id: clock_id(id, clock.key).to_string(),
            ticket_id: id.to_string(),
            ticket_number: ticket.number,
            metric: metric_to_wire(clock.key.metric).into(),
            cycle: clock.key.cycle,
            state: state_to_wire(clock.state()).into(),
            started_at: Some(timestamp_to_wire(clock.started_at)),
            target: clock.target_ms.map(millis_to_wire),
            due_at: clock.due().map(timestamp_to_wire),
            elapsed: Some(millis_to_wire(clock.elapsed(self.now))),
            stopped_at: clock.stopped_at().map(timestamp_to_wire),
            breached_at: clock.breached_at.map(timestamp_to_wire),
            policy_id: clock.policy.as_ref().map(PolicyId::to_string).unwrap_or_default(),
            overdue_unconfirmed: self.unconfirmed && clock.is_overdue_undecided(self.now),
            doubtful: clock.is_open() && parked,
        }
    }
}

const fn state_to_wire(state: ClockState) -> wire_sla::ClockState {
    match state {
        ClockState::Running => wire_sla::ClockState::Running,
        ClockState::Paused => wire_sla::ClockState::Paused,
        ClockState::Met => wire_sla::ClockState::Met,
        ClockState::Breached => wire_sla::ClockState::Breached,
        ClockState::Cancelled => wire_sla::ClockState::Cancelled,
    }
}

/// How far ahead a clock counts as at risk, in milliseconds.
pub(super) fn within(fields: &mut Fields, asked: Option<&prost_types::Duration>) -> u64 {
    let within = fields.duration("within", asked, Duration::ZERO..=WITHIN_MAX);
    u64::try_from(within.unwrap_or(WITHIN_DEFAULT).as_millis()).unwrap_or(u64::MAX)
}

/// Where a clock stands in the list of those at risk.
pub(super) fn place(due: Timestamp, id: &TicketId, clock: &Clock) -> Vec<u8> {
    let mut place = due.as_millis().to_be_bytes().to_vec();
    place.extend_from_slice(clock_id(id, clock.key).as_str().as_bytes());
    place
}

/// Reads what [`place`] wrote.
pub(super) fn after(page: &Page) -> Result<Option<(Timestamp, TicketId, Metric)>, Refusal> {
    let Some(bytes) = &page.after else { return Ok(None) };
    let place = bytes.split_first_chunk::<8>().and_then(|(due, id)| {
        let (ticket, key) = parse_clock_id(std::str::from_utf8(id).ok()?)?;
        Some((Timestamp::from_millis(i64::from_be_bytes(*due)), ticket, key.metric))
    });
    let unreadable = || Refusal::of(ErrorReason::PageTokenInvalid, "the page token can't be read");
    place.map(Some).ok_or_else(unreadable)
}

/// A workspace's figures.
pub(super) fn counts(space: &Workspace) -> Vec<wire_sla::ClockCounts> {
    let counts = space.counts().map(|(metric, priority, counts)| wire_sla::ClockCounts {
        metric: metric_to_wire(metric).into(),
        priority: priority_to_wire(Some(priority)).into(),
        started: counts.started(),
        met: counts.met,
        breached: counts.breached,
        cancelled: counts.cancelled,
        running: counts.running,
        paused: counts.paused,
    });
    counts.collect()
}
