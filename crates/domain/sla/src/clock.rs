//! One clock: what it has measured, what it was promised, and what comes next.

use std::sync::Arc;

use kernel::planted::{self, Bug};
use kernel::{PolicyId, Priority, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{CONFIRM_MS, Change, ClockKey};

/// Whether a clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It runs since then.
    Running(Timestamp),
    /// It stands still since then.
    Paused(Timestamp),
    /// It stopped then.
    Stopped(Timestamp),
    /// It ended then, without a verdict.
    Cancelled(Timestamp),
}

/// A clock's state in one word. A breach stays one, whether the clock still runs or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClockState {
    /// It runs.
    Running,
    /// It stands still.
    Paused,
    /// Kept.
    Met,
    /// Broken.
    Breached,
    /// Ended without a verdict.
    Cancelled,
}

/// A clock of a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// What it measures.
    pub key: ClockKey,
    /// Since when.
    pub started_at: Timestamp,
    /// Whether it runs.
    pub phase: Phase,
    /// What had passed when the phase began (for a stop: ended), in milliseconds.
    pub elapsed_ms: u64,
    /// The promise, in milliseconds; none: it only measures.
    pub target_ms: Option<u64>,
    /// When it had to be kept when the clock last ran.
    pub due_at: Option<Timestamp>,
    /// When it was broken.
    pub breached_at: Option<Timestamp>,
    /// The priority that it has, or ended with.
    pub priority: Option<Priority>,
    /// Whose promise.
    pub policy: Option<PolicyId>,
    /// When to warn, in thousandths of the target.
    pub(crate) warn: Option<Arc<[u16]>>,
    /// The highest thousandths warned of, for this target.
    pub(crate) warned: u16,
}

/// What a clock's next timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// So many thousandths have passed.
    Warn(u16),
    /// The due instant passed.
    Breach,
}

impl Clock {
    /// Its state in one word.
    pub fn state(&self) -> ClockState {
        if self.breached_at.is_some() {
            return ClockState::Breached;
        }
        match self.phase {
            Phase::Running(_) => ClockState::Running,
            Phase::Paused(_) => ClockState::Paused,
            Phase::Stopped(_) => ClockState::Met,
            Phase::Cancelled(_) => ClockState::Cancelled,
        }
    }

    /// Whether it may still run: neither stopped nor cancelled.
    pub fn is_open(&self) -> bool {
        match self.phase {
            Phase::Running(_) | Phase::Paused(_) => true,
            Phase::Stopped(_) | Phase::Cancelled(_) => false,
        }
    }

    /// Whether it runs, breached or not.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// When it ended.
    pub fn stopped_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Running(_) | Phase::Paused(_) => None,
            Phase::Stopped(at) | Phase::Cancelled(at) => Some(at),
        }
    }

    /// When the promise must be kept: only while it runs.
    pub fn due(&self) -> Option<Timestamp> {
        if self.is_running() { self.due_at } else { None }
    }

    /// Whether its due instant passed so long ago that its breach should have been decided, and it was not.
    pub fn is_overdue_undecided(&self, now: Timestamp) -> bool {
        let late = |due: Timestamp| due.plus_millis(CONFIRM_MS) <= now;
        self.breached_at.is_none() && self.due().is_some_and(late)
    }

    /// When the phase began, or the clock ended.
    pub(crate) fn anchor(&self) -> Timestamp {
        match self.phase {
            Phase::Running(at) | Phase::Paused(at) | Phase::Stopped(at) | Phase::Cancelled(at) => {
                at
            }
        }
    }

    /// What had passed at an instant, in milliseconds. Before the phase's beginning (something was learnt late) it
    /// takes the time before for running without a pause.
    pub(crate) fn elapsed_at(&self, at: Timestamp) -> u64 {
        let anchor = self.anchor();
        if at < anchor {
            return self.elapsed_ms.saturating_sub(anchor.millis_since(at));
        }
        let more = if self.is_running() { at.millis_since(anchor) } else { 0 };
        self.elapsed_ms.saturating_add(more)
    }

    /// What has passed by now, in milliseconds.
    pub fn elapsed(&self, now: Timestamp) -> u64 {
        self.elapsed_at(now.max(self.anchor()))
    }

    /// Its next timer, and when.
    pub(crate) fn next_alarm(&self) -> Option<(Timestamp, Alarm)> {
        let (Phase::Running(since), None, Some(target), Some(due)) =
            (self.phase, self.breached_at, self.target_ms, self.due_at)
        else {
            return None;
        };
        if planted::is(Bug::BreachEarly) {
            return Some((due.minus_millis(500), Alarm::Breach));
        }
        let warning = self.next_warning(since, target).map(|(at, part)| (at, Alarm::Warn(part)));
        warning.or(Some((due.plus_millis(CONFIRM_MS), Alarm::Breach)))
    }

    /// Of the parts that had passed when the clock began to run (or got its target) only the highest counts.
    fn next_warning(&self, since: Timestamp, target: u64) -> Option<(Timestamp, u16)> {
        let mut passed = None;
        let parts = self.warn.iter().flat_map(|parts| parts.iter().copied());
        for part in parts.filter(|part| *part > self.warned) {
            let wanted = part_of(target, part);
            if wanted > self.elapsed_ms {
                let ahead = since.plus_millis(wanted.saturating_sub(self.elapsed_ms));
                return passed.or(Some((ahead, part)));
            }
            passed = Some((since, part));
        }
        passed
    }

    /// Takes a change that happened. `warn` is what its policy says about warnings.
    pub(crate) fn apply(&mut self, change: &Change, warn: Option<Arc<[u16]>>) {
        match change {
            Change::Started { .. } => {}
            Change::Paused { at, elapsed_ms } => {
                self.elapsed_ms = *elapsed_ms;
                self.phase = Phase::Paused(*at);
            }
            Change::Resumed { at, due_at } | Change::Reopened { at, due_at } => {
                self.phase = Phase::Running(*at);
                self.due_at = *due_at;
            }
            Change::Retargeted { at, target_ms, due_at, policy } => {
                self.retarget(*at, *target_ms, *due_at);
                self.policy.clone_from(policy);
                self.warn = warn;
            }
            Change::Warned { permille, .. } => self.warned = self.warned.max(*permille),
            Change::Breached { at, .. } => self.breached_at = Some(*at),
            Change::Met { at, elapsed_ms } | Change::StoppedAfterBreach { at, elapsed_ms } => {
                self.elapsed_ms = *elapsed_ms;
                self.phase = Phase::Stopped(*at);
            }
            Change::BreachRetracted { at, elapsed_ms } => {
                self.elapsed_ms = *elapsed_ms;
                self.phase = Phase::Stopped(*at);
                self.breached_at = None;
            }
            Change::Cancelled { at, .. } => {
                self.elapsed_ms = self.elapsed_at(*at);
                self.phase = Phase::Cancelled(*at);
            }
        }
    }

    /// The measuring begins anew at the change with what had passed, so that warnings know what was passed over by it.
    fn retarget(&mut self, at: Timestamp, target_ms: Option<u64>, due_at: Option<Timestamp>) {
        if self.is_running() {
            self.elapsed_ms = self.elapsed_at(at);
            self.phase = Phase::Running(at);
            self.due_at = due_at;
        }
        if self.target_ms != target_ms {
            self.target_ms = target_ms;
            self.warned = 0;
        }
    }
}

/// So many thousandths of a time, rounded up.
fn part_of(target_ms: u64, permille: u16) -> u64 {
    let product = u128::from(target_ms).saturating_mul(u128::from(permille));
    u64::try_from(product.div_ceil(1_000)).unwrap_or(u64::MAX)
}
