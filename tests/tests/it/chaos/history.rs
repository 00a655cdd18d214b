//! What clients asked and what they were told, in the order in which it happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{Position, ServiceId};
use tokio::time::Instant;

/// When something began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Its place among all beginnings and ends, from 0 on without a gap.
    pub(crate) order: usize,
    /// Since the history began.
    pub(crate) at: Duration,
}

/// What a change leaves in the log: an event of this type that bears this mark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Effect {
    pub(crate) event_type: &'static str,
    pub(crate) mark: String,
}

/// How a change ended for who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done, and stands there. `told`: the number or revision of the reply; 0: it has none.
    Acknowledged { position: Position, told: u64 },
    /// Every attempt was refused for sure.
    Refused { reason: String },
    /// Some attempt had no answer, or one that says nothing.
    Unknown,
}

/// A call that changes something, over all its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) service: ServiceId,
    pub(crate) workspace: String,
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    /// The first 8 bytes of BLAKE3 over the request without its id.
    pub(crate) hash: u64,
    pub(crate) effect: Effect,
    /// The contract has it refused whenever it is tried.
    pub(crate) is_wrong: bool,
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    pub(crate) attempts: usize,
    pub(crate) outcome: Outcome,
}

/// A look at a ticket that was acknowledged before.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) service: ServiceId,
    pub(crate) ticket: String,
    /// The position of its opening was sent along.
    pub(crate) with_position: bool,
    pub(crate) began: Moment,
    /// Whether it was there; `None`: there was no answer.
    pub(crate) found: Option<bool>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) changes: Vec<Change>,
    pub(crate) looks: Vec<Look>,
    /// How many moments there were.
    pub(crate) moments: usize,
    /// What must never be, as it was seen at once.
    pub(crate) violations: Vec<String>,
}

/// Takes a history down. Clones write to the same one.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    began: Instant,
    history: Arc<Mutex<History>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), history: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, since the history began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Now, as a place among all moments.
    pub(crate) fn moment(&self) -> Moment {
        let mut history = self.lock();
        let moment = Moment { order: history.moments, at: self.now() };
        history.moments += 1;
        moment
    }

    pub(crate) fn change(&self, change: Change) {
        self.lock().changes.push(change);
    }

    pub(crate) fn look(&self, look: Look) {
        self.lock().looks.push(look);
    }

    pub(crate) fn violation(&self, what: String) {
        self.lock().violations.push(what);
    }

    /// How many changes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.count(|_| true)
    }

    /// How many changes were acknowledged of which this holds.
    pub(crate) fn count(&self, of: impl Fn(&Change) -> bool) -> usize {
        let is_done = |it: &&Change| matches!(it.outcome, Outcome::Acknowledged { .. });
        self.lock().changes.iter().rev().filter(is_done).filter(|it| of(it)).count()
    }

    /// How long acknowledged changes took that began from `since` on and of which this holds, shortest first.
    pub(crate) fn latencies(&self, since: Duration, of: impl Fn(&Change) -> bool) -> Vec<Duration> {
        let history = self.lock();
        let done = history.changes.iter().filter(|it| it.began.at >= since && of(it));
        let done = done.filter(|it| matches!(it.outcome, Outcome::Acknowledged { .. }));
        let mut took: Vec<_> = done.map(|it| it.ended.at.saturating_sub(it.began.at)).collect();
        took.sort_unstable();
        took
    }

    /// The longest time within these moments in which nothing was acknowledged of which this holds.
    pub(crate) fn longest_gap(
        &self,
        (since, until): (Duration, Duration),
        of: impl Fn(&Change) -> bool,
    ) -> Duration {
        let history = self.lock();
        let done = history.changes.iter().filter(|it| of(it));
        let done = done.filter(|it| matches!(it.outcome, Outcome::Acknowledged { .. }));
        let mut times: Vec<_> = done.map(|it| it.ended.at).collect();
        times.retain(|at| (since..until).contains(at));
        times.extend([since, until]);
        times.sort_unstable();
        let gaps =
            times.windows(2).filter_map(|two| Some(two.get(1)?.saturating_sub(*two.first()?)));
        gaps.max().unwrap_or_default()
    }

    /// The whole history; nothing is written to it any more.
    pub(crate) fn take(&self) -> History {
        std::mem::take(&mut self.lock())
    }
}
