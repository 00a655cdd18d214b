//! What can be done to one clock. Each first decides a breach that the clock's own time has made certain by then.

use kernel::Timestamp;
use kernel::planted::{self, Bug};

use super::Draft;
use crate::clock::Alarm;
use crate::{BreachCause, CancelReason, Change, Clock, ClockKey, Metric, Phase};

impl Draft<'_> {
    /// Starts a clock.
    pub(super) fn start(&mut self, key: ClockKey, at: Timestamp) {
        let target_ms = self.space.target(&self.ticket, key.metric);
        let due_at = target_ms.map(|target| at.plus_millis(target));
        let policy = self.ticket.policy.clone();
        self.change(key, at, Change::Started { at, target_ms, due_at, policy });
    }

    /// Lets a running clock stand still.
    pub(super) fn pause(&mut self, metric: Metric, at: Timestamp) {
        let Some(clock) = self.ticket.open_clock(metric).filter(|clock| clock.is_running()) else {
            return;
        };
        let (key, at) = (clock.key, at.max(clock.anchor()));
        let elapsed_ms = clock.elapsed_at(at);
        self.settle(key, at, BreachCause::Due);
        self.change(key, at, Change::Paused { at, elapsed_ms });
    }

    /// Lets a clock that stands still go on.
    pub(super) fn resume(&mut self, metric: Metric, at: Timestamp) {
        let Some(clock) = self.ticket.open_clock(metric).filter(|clock| !clock.is_running()) else {
            return;
        };
        let (key, at) = (clock.key, at.max(clock.anchor()));
        let due_at = due_after_rest(clock, at);
        self.change(key, at, Change::Resumed { at, due_at });
    }

    /// Lets a clock that ended run on, and gives it the target that holds now.
    pub(super) fn reopen(&mut self, metric: Metric, at: Timestamp) {
        let Some(clock) = self.ticket.clock(ClockKey::first(metric)) else { return };
        if clock.is_open() {
            return;
        }
        let (key, at) = (clock.key, at.max(clock.anchor()));
        let due_at = due_after_rest(clock, at);
        self.change(key, at, Change::Reopened { at, due_at });
        self.retarget(key, at);
    }

    /// Stops a clock: met if that was at or before its due instant. Also judges a stop anew that was learnt late.
    pub(super) fn stop(&mut self, key: ClockKey, at: Timestamp) {
        let Some(clock) = self.ticket.clock(key) else { return };
        let at = at.max(clock.started_at);
        let elapsed_ms = clock.elapsed_at(at);
        if let Some(breached_at) = clock.breached_at {
            if at <= breached_at {
                self.change(key, at, Change::BreachRetracted { at, elapsed_ms });
            } else if clock.is_open() {
                if planted::is(Bug::BreachTwice) {
                    self.change(key, at, Change::Breached { at, cause: BreachCause::LateStop });
                }
                self.change(key, at, Change::StoppedAfterBreach { at, elapsed_ms });
            }
            return;
        }
        match clock.phase {
            Phase::Stopped(_) => return,
            // Cancelled for want of a stop that had happened by then: it counts.
            Phase::Cancelled(cancelled) if at > cancelled => return,
            Phase::Cancelled(_) | Phase::Running(_) | Phase::Paused(_) => {}
        }
        if self.settle(key, at, BreachCause::LateStop) {
            self.change(key, at, Change::StoppedAfterBreach { at, elapsed_ms });
        } else {
            self.change(key, at, Change::Met { at, elapsed_ms });
        }
    }

    /// Ends a clock without a verdict; a breached one stops instead, and stays breached.
    pub(super) fn cancel(&mut self, key: ClockKey, at: Timestamp, reason: CancelReason) {
        let Some(clock) = self.ticket.clock(key).filter(|clock| clock.is_open()) else { return };
        let at = at.max(clock.anchor());
        let elapsed_ms = clock.elapsed_at(at);
        if clock.breached_at.is_some() || self.settle(key, at, BreachCause::Due) {
            self.change(key, at, Change::StoppedAfterBreach { at, elapsed_ms });
        } else {
            self.change(key, at, Change::Cancelled { at, reason });
        }
    }

    /// Breaches a clock whose due instant lies before `at`. Returns whether it did.
    fn settle(&mut self, key: ClockKey, at: Timestamp, cause: BreachCause) -> bool {
        let Some(clock) = self.ticket.clock(key) else { return false };
        // A cancelled clock had run until then; it is asked about only when a stop undoes that.
        let ran = match clock.phase {
            Phase::Running(_) | Phase::Cancelled(_) => true,
            Phase::Paused(_) | Phase::Stopped(_) => false,
        };
        let due = clock.due_at.filter(|due| ran && clock.breached_at.is_none() && *due < at);
        let Some(due) = due else { return false };
        self.change(key, due, Change::Breached { at: due, cause });
        true
    }

    /// Gives an open clock the target of its ticket's policy and priority; what has passed carries over.
    pub(super) fn retarget(&mut self, key: ClockKey, at: Timestamp) {
        let Some(clock) = self.ticket.clock(key).filter(|clock| clock.is_open()) else { return };
        let target_ms = self.space.target(&self.ticket, key.metric);
        let policy = self.ticket.policy.clone();
        let warn = self.space.warnings(policy.as_ref());
        if clock.target_ms == target_ms && clock.policy == policy && clock.warn == warn {
            return;
        }
        let at = at.max(clock.anchor());
        let (elapsed, running) = (clock.elapsed_at(at), clock.is_running());
        self.settle(key, at, BreachCause::Due);
        let due_at = target_ms.filter(|_| running).map(|target| due_instant(at, elapsed, target));
        self.change(key, at, Change::Retargeted { at, target_ms, due_at, policy });
        let passed = target_ms.is_some_and(|target| target < elapsed);
        let breached = self.ticket.clock(key).is_some_and(|clock| clock.breached_at.is_some());
        if passed && !breached {
            self.change(key, at, Change::Breached { at, cause: BreachCause::Retarget });
        } else {
            self.warn_of_passed(key, at);
        }
    }

    /// Of the warnings that a new target has put into the past only the highest is given.
    fn warn_of_passed(&mut self, key: ClockKey, at: Timestamp) {
        let alarm = self.ticket.clock(key).and_then(Clock::next_alarm);
        if let Some((since, Alarm::Warn(permille))) = alarm.filter(|(since, _)| *since <= at) {
            self.warn(key, since, permille);
        }
    }

    /// Warns.
    pub(super) fn warn(&mut self, key: ClockKey, at: Timestamp, permille: u16) {
        if let Some(due_at) = self.ticket.clock(key).and_then(Clock::due) {
            self.change(key, at, Change::Warned { permille, due_at });
        }
    }

    /// Breaches a clock whose due instant has passed.
    pub(super) fn breach(&mut self, key: ClockKey) {
        if let Some(due) = self.ticket.clock(key).and_then(Clock::due) {
            self.change(key, due, Change::Breached { at: due, cause: BreachCause::Due });
        }
    }

    /// Lets the ticket follow the policies as they are, since `at`.
    pub(super) fn follow_policies(&mut self, at: Timestamp) {
        let policy = self.space.choose(&self.ticket);
        self.note(at, |note| note.policy = policy);
        self.retarget_all(at);
    }

    /// Gives every open clock the target that holds now.
    pub(super) fn retarget_all(&mut self, at: Timestamp) {
        for key in self.keys(Clock::is_open) {
            self.retarget(key, at);
        }
    }
}

/// When what has passed reaches the target, for a clock that runs at `at`.
fn due_instant(at: Timestamp, elapsed: u64, target: u64) -> Timestamp {
    if target >= elapsed {
        at.plus_millis(target.saturating_sub(elapsed))
    } else {
        at.minus_millis(elapsed.saturating_sub(target))
    }
}

/// When a clock that goes on at `at` is due. One that is over its target keeps the due instant that it had.
fn due_after_rest(clock: &Clock, at: Timestamp) -> Option<Timestamp> {
    let target = clock.target_ms?;
    if clock.elapsed_ms > target && clock.due_at.is_some() {
        return clock.due_at;
    }
    Some(due_instant(at, clock.elapsed_ms, target))
}
