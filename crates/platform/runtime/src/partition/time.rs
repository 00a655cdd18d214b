//! A partition's time: the clock's, as long as nothing that is in the logs speaks against the clock.
//!
//! Two things do. Its own log ends more than five minutes after the clock's time: then its time is the log's, and what
//! the steady clock has counted since, and timers hold. Or a record of another service is that far ahead: then that
//! record and those behind it wait, for another instance's wrong clock must not move this log's time, which never comes
//! back. Either is over when the clock comes within five minutes, or an operator accepts the time. The first also ends
//! when the kernel has called the clock synchronised for a minute.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::Seq;
use kernel::Timestamp;
use tokio::sync::watch;

use crate::clock::BELIEVED_MILLIS;
use crate::{Clock, ClockStep, ServiceId};

/// How long the clock must have stood against the log before the kernel's word decides, in milliseconds ...
const HOLDS_MILLIS: i64 = 60_000;
/// ... and how often the kernel is asked, in milliseconds.
const ASKED_EVERY_MILLIS: i64 = 1_000;
/// How often a record that is held is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why a partition's time is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeDoubt {
    /// The wall clock was set, and can't be believed yet: timers hold.
    Clock(ClockStep),
    /// The log goes on by its own time, for it is ahead of the clock: timers hold.
    LogAhead {
        /// By so many milliseconds.
        by_ms: u64,
    },
    /// A record of another service is ahead of this partition's time: it waits, and so do those behind it.
    InputAhead {
        /// The other service.
        input: ServiceId,
        /// The record.
        seq: Seq,
        /// By so many milliseconds.
        by_ms: u64,
    },
}

impl TimeDoubt {
    /// Whether timers hold.
    pub fn holds_timers(self) -> bool {
        match self {
            Self::Clock(_) | Self::LogAhead { .. } => true,
            Self::InputAhead { .. } => false,
        }
    }

    /// The service whose records wait, if any do.
    pub fn input(self) -> Option<ServiceId> {
        match self {
            Self::Clock(_) | Self::LogAhead { .. } => None,
            Self::InputAhead { input, .. } => Some(input),
        }
    }
}

impl fmt::Display for TimeDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(ClockStep { by_ms, .. }) => {
                write!(
                    f,
                    "timers hold: the wall clock was set by {by_ms} ms and is not believed yet"
                )
            }
            Self::LogAhead { by_ms } => {
                write!(f, "timers hold: the log is {by_ms} ms ahead of the clock")
            }
            Self::InputAhead { input, seq, by_ms } => write!(
                f,
                "inputs of {input} wait from record {seq} on: it is {by_ms} ms ahead of the time here"
            ),
        }
    }
}

/// A log that is ahead of the clock.
#[derive(Debug)]
struct Ahead {
    /// The time that the log had reached, ...
    log: Timestamp,
    /// ... and when that was, by the steady clock.
    since: i64,
    asked: i64,
    /// How often an operator had accepted the time by then.
    accepted: u64,
}

impl Ahead {
    fn time(&self, clock: &Clock) -> Timestamp {
        let passed = clock.steady_millis().saturating_sub(self.since);
        self.log.plus_millis(u64::try_from(passed).unwrap_or(0))
    }
}

#[derive(Debug, Default)]
struct Standing {
    ahead: Option<Ahead>,
    /// A log that was ahead and was believed in spite of it: up to here there is no doubt about it any more.
    settled: Timestamp,
    /// Records of other services that wait, by their time.
    held: BTreeMap<ServiceId, (Seq, Timestamp)>,
}

/// A partition's time.
#[derive(Debug)]
pub(crate) struct PartitionTime {
    service: ServiceId,
    partition: u16,
    clock: Clock,
    standing: Mutex<Standing>,
}

impl PartitionTime {
    pub(crate) fn new(service: ServiceId, partition: u16, clock: Clock) -> Self {
        Self { service, partition, clock, standing: Mutex::default() }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leadership begins on a log that has come to this time.
    pub(crate) fn begin(&self, log: Timestamp) {
        let (now, since) = (self.clock.now(), self.clock.steady_millis());
        let mut standing = self.standing();
        if self.clock.is_manual() || !is_ahead(log, now.max(standing.settled)) {
            standing.ahead = None;
            return;
        }
        let Self { service, partition, .. } = self;
        let ahead_ms = log.millis_since(now);
        tracing::error!(
            %service, partition, ahead_ms,
            "the log is ahead of the clock: timers hold, and decisions go on from the log's time"
        );
        let accepted = *self.clock.accepted().borrow();
        standing.ahead = Some(Ahead { log, since, asked: since, accepted });
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        let mut standing = self.standing();
        self.settle(&mut standing).unwrap_or_else(|| self.clock.now())
    }

    /// Whether nothing that is due may be decided now.
    pub(crate) fn holds_timers(&self) -> bool {
        // First the log: its word may end the clock's doubt.
        let ahead = self.settle(&mut self.standing()).is_some();
        ahead || self.clock.doubt().is_some()
    }

    /// All that is in doubt.
    pub(crate) fn doubts(&self) -> Vec<TimeDoubt> {
        let now = self.now();
        let standing = self.standing();
        let clock = self.clock.doubt().map(TimeDoubt::Clock);
        let log = standing
            .ahead
            .as_ref()
            .map(|_| TimeDoubt::LogAhead { by_ms: now.millis_since(self.clock.now()) });
        let inputs = standing.held.iter().map(|(input, (seq, time))| TimeDoubt::InputAhead {
            input: *input,
            seq: *seq,
            by_ms: time.millis_since(now),
        });
        clock.into_iter().chain(log).chain(inputs).collect()
    }

    /// The time of a decision that an input causes: the input's, but no more than five minutes ahead of the time here.
    pub(crate) fn of_input(&self, input: Timestamp, now: Timestamp) -> Timestamp {
        if self.clock.is_manual() { input } else { input.min(now.plus_millis(BELIEVED_MILLIS)) }
    }

    /// Whether a record of another service must wait: it is ahead of the time here, and of the record before it. Where
    /// that one was taken, an operator has accepted the time of both.
    pub(crate) fn is_early(&self, record: Timestamp, before: Timestamp) -> bool {
        !self.clock.is_manual() && is_ahead(record, self.now().max(before))
    }

    /// A record of another service waits. Says so once.
    pub(crate) fn hold(&self, input: ServiceId, seq: Seq, time: Timestamp) -> Held {
        let ahead_ms = time.millis_since(self.now());
        let Self { service, partition, .. } = self;
        tracing::error!(
            %service, partition, %input, seq, ahead_ms,
            "a record is ahead of the time here: it and those behind it wait"
        );
        self.standing().held.insert(input, (seq, time));
        Held { accepted: self.clock.accepted() }
    }

    /// It waits no more, whatever became of it.
    pub(crate) fn let_go(&self, input: ServiceId) {
        if let Some((seq, _)) = self.standing().held.remove(&input) {
            let Self { service, partition, .. } = self;
            tracing::warn!(%service, partition, %input, seq, "inputs go on");
        }
    }

    /// The log's time while it is ahead of the clock, unless that is over now.
    fn settle(&self, standing: &mut Standing) -> Option<Timestamp> {
        let ahead = standing.ahead.as_mut()?;
        let time = ahead.time(&self.clock);
        // A wall clock that was set to the time of the log was set right.
        self.clock.vouch(time);
        let why = if !is_ahead(time, self.clock.now()) {
            "the clock has caught up with it"
        } else if *self.clock.accepted().borrow() != ahead.accepted {
            "an operator accepts the time"
        } else if self.has_kernel_s_word(ahead) {
            "the kernel calls the clock synchronised"
        } else {
            return Some(time);
        };
        let Self { service, partition, .. } = self;
        tracing::warn!(%service, partition, why, "a log that was ahead of the clock goes by the clock again");
        standing.settled = time;
        standing.ahead = None;
        None
    }

    fn has_kernel_s_word(&self, ahead: &mut Ahead) -> bool {
        let steady = self.clock.steady_millis();
        let held = steady.saturating_sub(ahead.since) >= HOLDS_MILLIS;
        if !held || steady.saturating_sub(ahead.asked) < ASKED_EVERY_MILLIS {
            return false;
        }
        ahead.asked = steady;
        self.clock.is_synchronised()
    }
}

/// What a record that waits is waiting for.
#[derive(Debug)]
pub(crate) struct Held {
    accepted: watch::Receiver<u64>,
}

impl Held {
    /// Returns when it is time to look again. True: an operator has accepted the time.
    pub(crate) async fn look_again(&mut self) -> bool {
        tokio::time::timeout(LOOK_AGAIN, self.accepted.changed())
            .await
            .is_ok_and(|changed| changed.is_ok())
    }
}

fn is_ahead(time: Timestamp, of: Timestamp) -> bool {
    time > of.plus_millis(BELIEVED_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn set(file: &tempfile::NamedTempFile, offset_ms: i64) {
        std::fs::write(file.path(), offset_ms.to_string()).unwrap();
    }

    fn stepped(offset_ms: i64) -> (tempfile::NamedTempFile, Clock, PartitionTime) {
        let file = tempfile::NamedTempFile::new().unwrap();
        set(&file, offset_ms);
        let clock = Clock::with_offset_file(file.path().to_owned()).unwrap();
        let time = PartitionTime::new(ServiceId::Sla, 3, clock.clone());
        (file, clock, time)
    }

    #[test]
    fn a_log_ahead_of_the_clock_goes_on_from_its_own_time_until_the_clock_is_set_right() {
        let (file, clock, time) = stepped(-3_600_000);
        let log = clock.now().plus_millis(HOUR);
        time.begin(log);
        assert!(time.holds_timers());
        let now = time.now();
        assert!(log <= now && now.millis_since(log) < HOUR / 2, "{now:?}");
        assert!(matches!(time.doubts()[..], [TimeDoubt::LogAhead { .. }]), "{:?}", time.doubts());
        // That is a step of the wall clock, and the log vouches for it.
        set(&file, 0);
        assert!(!time.holds_timers() && time.doubts().is_empty(), "{:?}", time.doubts());
        assert!(time.now() >= log);
    }

    #[test]
    fn a_log_a_little_ahead_is_no_doubt() {
        let (_file, clock, time) = stepped(0);
        time.begin(clock.now().plus_millis(BELIEVED_MILLIS - 1_000));
        assert!(!time.holds_timers());
        time.begin(clock.now().plus_millis(BELIEVED_MILLIS + 60_000));
        assert!(time.holds_timers());
    }

    #[test]
    fn what_an_operator_has_accepted_is_not_doubted_again() {
        let (_file, clock, time) = stepped(0);
        let log = clock.now().plus_millis(20 * 365 * 24 * HOUR);
        time.begin(log);
        assert!(time.holds_timers());
        assert_eq!(clock.accept(), None, "it is not the clock that was set");
        assert!(!time.holds_timers());
        time.begin(log);
        assert!(!time.holds_timers(), "the next term goes on so");
        time.begin(log.plus_millis(HOUR));
        assert!(time.holds_timers(), "that is another doubt");
    }

    #[test]
    fn a_manual_clock_is_never_doubted() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let time = PartitionTime::new(ServiceId::Sla, 3, clock);
        let late = Timestamp::from_millis(i64::MAX);
        time.begin(late);
        assert!(!time.holds_timers() && !time.is_early(late, Timestamp::default()));
        assert_eq!(time.of_input(late, time.now()), late);
    }

    #[tokio::test]
    async fn a_record_far_ahead_waits_until_the_time_is_accepted() {
        let (_file, clock, time) = stepped(0);
        let now = clock.now();
        let (near, far) = (now.plus_millis(BELIEVED_MILLIS), now.plus_millis(20 * HOUR));
        assert!(!time.is_early(near, Timestamp::default()));
        assert!(time.is_early(far, Timestamp::default()) && time.is_early(far, near));
        assert!(!time.is_early(far, far.minus_millis(1)), "the one before it was taken");
        let most = time.of_input(far, now);
        assert_eq!(most, now.plus_millis(BELIEVED_MILLIS), "taken, it moves the time so far");
        let mut held = time.hold(ServiceId::Intake, 17, far);
        assert!(matches!(time.doubts()[..], [TimeDoubt::InputAhead { seq: 17, .. }]));
        assert!(!time.holds_timers());
        clock.accept();
        assert!(held.look_again().await);
        time.let_go(ServiceId::Intake);
        assert!(time.doubts().is_empty());
    }
}
