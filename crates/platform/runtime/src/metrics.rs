//! What a partition counts for its operator. To count is one addition to an atomic, so it may stand on the hot path.
//!
//! The names under which an operator sees them, and what else is shown, are the edge's to say.

use std::time::Duration;

use event_log::LogError;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::ServiceId;
use crate::commit::Doubt;
use crate::meta::Meta;

/// The bounds of an append's duration, in seconds.
const APPEND_BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The invariants that are watched in production, by the numbers that the simulation checks them under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: what was acknowledged is not lost. A log went backwards.
    NoAckedLoss,
    /// I2: nothing is told of what was never there.
    Known,
    /// I3: a request is answered once, a ticket opened once.
    AnsweredOnce,
    /// I4: revisions and ticket numbers count 1, 2, 3.
    Revisions,
    /// I5: records are contiguous, and their time goes on.
    Contiguity,
    /// I6: each record names the one before it; a record's bytes and identity are those that were written.
    Chain,
    /// I7: what an input caused and how far it was read are in one commit.
    Together,
    /// I9: a status follows the one before it.
    Statuses,
    /// I12: an input is handled once.
    InputsOnce,
    /// I15: a record of a newer schema stops its reader.
    FutureSchema,
    /// I18: a ticket has one owner or one offer at most.
    OneOwner,
    /// I19: no offer takes an agent above its capacity.
    Capacity,
    /// I20: an offer goes to one who is there and has the skills.
    Able,
    /// I22: no ticket waits while someone could take it.
    NobodyInVain,
    /// I23: no record of an older epoch follows one of a newer.
    Fencing,
    /// I24: an offer ends once, and expires only when its time is over.
    OffersEnd,
    /// I25: a clock ends once and breaches once.
    ClocksEnd,
    /// I26: no breach is decided before its instant.
    NotEarly,
    /// I28: no clock breaches after it was met.
    NotAfterMet,
    /// I31: a warning is given once, and before the breach.
    WarnedOnce,
    /// I32: an attempt ends once.
    AttemptsEnd,
    /// I33: a delivery is made once, and its attempts are counted.
    OneDelivery,
    /// I35: an attempt has its intent in the log.
    Intended,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::NoAckedLoss,
        Self::Known,
        Self::AnsweredOnce,
        Self::Revisions,
        Self::Contiguity,
        Self::Chain,
        Self::Together,
        Self::Statuses,
        Self::InputsOnce,
        Self::FutureSchema,
        Self::OneOwner,
        Self::Capacity,
        Self::Able,
        Self::NobodyInVain,
        Self::Fencing,
        Self::OffersEnd,
        Self::ClocksEnd,
        Self::NotEarly,
        Self::NotAfterMet,
        Self::WarnedOnce,
        Self::AttemptsEnd,
        Self::OneDelivery,
        Self::Intended,
    ];

    /// The one with this number, if it is watched in production.
    pub fn numbered(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.number() == number)
    }

    /// Its number.
    pub const fn number(self) -> &'static str {
        match self {
            Self::NoAckedLoss => "I1",
            Self::Known => "I2",
            Self::AnsweredOnce => "I3",
            Self::Revisions => "I4",
            Self::Contiguity => "I5",
            Self::Chain => "I6",
            Self::Together => "I7",
            Self::Statuses => "I9",
            Self::InputsOnce => "I12",
            Self::FutureSchema => "I15",
            Self::OneOwner => "I18",
            Self::Capacity => "I19",
            Self::Able => "I20",
            Self::NobodyInVain => "I22",
            Self::Fencing => "I23",
            Self::OffersEnd => "I24",
            Self::ClocksEnd => "I25",
            Self::NotEarly => "I26",
            Self::NotAfterMet => "I28",
            Self::WarnedOnce => "I31",
            Self::AttemptsEnd => "I32",
            Self::OneDelivery => "I33",
            Self::Intended => "I35",
        }
    }
}

/// How an attempt to append ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was acknowledged.
    Written,
    /// The fence refused it.
    Fenced,
    /// Nobody knows until the log is read.
    Unknown,
    /// It never left, or was refused.
    Unavailable,
    /// There was no room.
    Full,
    /// The record was too long.
    TooLarge,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Written, Self::Fenced, Self::Unknown, Self::Unavailable, Self::Full, Self::TooLarge];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Fenced => "fenced",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::TooLarge => "too_large",
        }
    }
}

impl EncodeLabelValue for Invariant {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.number().encode(encoder)
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.word().encode(encoder)
    }
}

/// Which invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfInvariant {
    /// It.
    pub invariant: Invariant,
}

/// Which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfOutcome {
    /// It.
    pub outcome: Outcome,
}

/// Which input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfInput {
    /// The service whose log it is.
    pub input: &'static str,
}

/// Something that a service counts of its own, such as its effects by their outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The figure's name, without the prefix that all have.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// The label ...
    pub label: &'static str,
    /// ... and its value. Never a text of a customer's.
    pub word: &'static str,
    /// How many there were.
    pub count: u64,
}

/// What one partition of one service counts from its process's start on. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Commits written.
    pub commits: Counter,
    /// Events in them.
    pub events: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Attempts to append by their outcome.
    pub appends: Family<OfOutcome, Counter>,
    /// How long an acknowledged attempt took, in seconds.
    pub append_seconds: Histogram,
    /// Records that a log had lost, or that stood out of their order.
    pub gaps: Counter,
    /// Records whose checksum, identity or chain was wrong.
    pub chain_breaks: Counter,
    /// Records that one copy of a log had lost and another still had.
    pub repaired: Counter,
    /// Records that were delivered again and dropped.
    pub redelivered: Counter,
    /// Readers that had stalled and were made anew.
    pub reader_restarts: Counter,
    /// Records of an input that its reader had not been given when they were last looked for.
    pub lag: Family<OfInput, Gauge>,
    /// Snapshots that could not be saved.
    pub snapshot_failures: Counter,
    /// Snapshots that were not trusted and set aside.
    pub snapshots_set_aside: Counter,
    /// Invariants found violated.
    pub violations: Family<OfInvariant, Counter>,
    /// The last record over which the invariants were checked, ...
    pub checked_seq: Gauge,
    /// ... the one before the first that the check knows, ...
    pub checked_since: Gauge,
    /// ... and records that it passed over, since there were too many for its share.
    pub checks_skipped: Counter,
    /// Inputs set aside, as of the last commit.
    pub parked: Gauge,
    /// Requests remembered, as of the last commit.
    pub requests: Gauge,
    /// The instant before which a request may have been forgotten, in milliseconds since 1970.
    pub request_horizon_ms: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            commits: Counter::default(),
            events: Counter::default(),
            bytes: Counter::default(),
            appends: Family::default(),
            append_seconds: Histogram::new(APPEND_BUCKETS),
            gaps: Counter::default(),
            chain_breaks: Counter::default(),
            repaired: Counter::default(),
            redelivered: Counter::default(),
            reader_restarts: Counter::default(),
            lag: Family::default(),
            snapshot_failures: Counter::default(),
            snapshots_set_aside: Counter::default(),
            violations: Family::default(),
            checked_seq: Gauge::default(),
            checked_since: Gauge::default(),
            checks_skipped: Counter::default(),
            parked: Gauge::default(),
            requests: Gauge::default(),
            request_horizon_ms: Gauge::default(),
        };
        // Shown from the start, so that the first one is seen as a rise.
        for outcome in Outcome::ALL {
            drop(metrics.appends.get_or_create(&OfOutcome { outcome }));
        }
        for invariant in Invariant::ALL {
            drop(metrics.violations.get_or_create(&OfInvariant { invariant }));
        }
        metrics
    }
}

impl Metrics {
    /// An attempt to append ended after so long.
    pub(crate) fn appended(&self, outcome: Outcome, took: Duration) {
        self.appends.get_or_create(&OfOutcome { outcome }).inc();
        if outcome == Outcome::Written {
            self.append_seconds.observe(took.as_secs_f64());
        }
    }

    /// A commit was written.
    pub(crate) fn committed(&self, events: usize, bytes: usize) {
        self.commits.inc();
        self.events.inc_by(u64::try_from(events).unwrap_or(u64::MAX));
        self.bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// What is remembered of the log now.
    pub(crate) fn remembers(&self, meta: &Meta) {
        self.parked.set(i64::try_from(meta.parked_count).unwrap_or(i64::MAX));
        self.requests.set(i64::try_from(meta.requests.len()).unwrap_or(i64::MAX));
        self.request_horizon_ms.set(meta.requests.horizon().as_millis());
    }

    /// How far an input's reader was behind when it was last looked at.
    pub(crate) fn behind(&self, input: ServiceId, records: u64) {
        let lag = self.lag.get_or_create(&OfInput { input: input.name() });
        lag.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// The invariants that were found violated, and how often each was.
    pub fn violated(&self) -> Vec<(Invariant, u64)> {
        let count = |invariant| self.violations.get_or_create(&OfInvariant { invariant }).get();
        let all = Invariant::ALL.into_iter().map(|invariant| (invariant, count(invariant)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// An invariant doesn't hold.
    pub fn violation(&self, invariant: Invariant) {
        self.violations.get_or_create(&OfInvariant { invariant }).inc();
        if matches!(invariant, Invariant::NoAckedLoss | Invariant::Contiguity) {
            self.gaps.inc();
        } else if invariant == Invariant::Chain {
            self.chain_breaks.inc();
        }
    }

    /// A record can't be trusted.
    pub(crate) fn doubt(&self, doubt: &Doubt) {
        self.violation(match doubt {
            Doubt::Sequence { .. } => Invariant::Contiguity,
            Doubt::Checksum { .. }
            | Doubt::Malformed { .. }
            | Doubt::Identity { .. }
            | Doubt::Chain { .. }
            | Doubt::Genesis { .. } => Invariant::Chain,
            Doubt::Epoch { .. } => Invariant::Fencing,
            Doubt::NewerReader { .. } | Doubt::Event { .. } => Invariant::FutureSchema,
        });
    }

    /// A log is not what it was.
    pub(crate) fn log_error(&self, error: &LogError) {
        match error {
            LogError::Gap { .. } => self.violation(Invariant::Contiguity),
            LogError::WentBackwards { .. }
            | LogError::Beyond { .. }
            | LogError::Missing
            | LogError::Replaced => {
                self.violation(Invariant::NoAckedLoss);
            }
            LogError::Corrupt { .. } => self.violation(Invariant::Chain),
            LogError::Trimmed { .. } | LogError::Unavailable(_) => {}
        }
    }
}
