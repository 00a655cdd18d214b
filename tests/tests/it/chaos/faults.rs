//! The faults: what is done to the stage, and what was seen of it. A fault that had no effect shows nothing, so each
//! must prove its own.

mod links;
mod servers;
mod services;
mod snapshots;

use crate::chaos::rng::Rng;
use crate::chaos::stage::Stage;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The process that leads a partition is killed.
    LeaderKilled,
    /// It stands still for longer than its notice stands, and goes on.
    LeaderFrozen,
    /// The server that leads a log's stream is killed.
    StreamLeaderKilled,
    /// It stands still, and goes on.
    ServerFrozen,
    /// All servers of the log are killed.
    LogDown,
    /// The connections of a leader with the log, or with its callers, are cut.
    ConnectionCut,
    /// The link between a leader and the log is slow.
    LinkSlow,
    /// An instance is started on a snapshot directory that was damaged.
    SnapshotDamaged,
    /// An instance's disk is full.
    DiskFull,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::LeaderKilled,
        Self::LeaderFrozen,
        Self::StreamLeaderKilled,
        Self::ServerFrozen,
        Self::LogDown,
        Self::ConnectionCut,
        Self::LinkSlow,
        Self::SnapshotDamaged,
        Self::DiskFull,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LeaderKilled => "service leader killed",
            Self::LeaderFrozen => "service leader frozen past its lease",
            Self::StreamLeaderKilled => "stream leader killed",
            Self::ServerFrozen => "NATS server frozen",
            Self::LogDown => "all of NATS down",
            Self::ConnectionCut => "connection cut",
            Self::LinkSlow => "link slow",
            Self::SnapshotDamaged => "snapshots damaged",
            Self::DiskFull => "snapshot disk full",
        }
    }
}

/// What was seen of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bite {
    /// It had an effect.
    pub(crate) has_bitten: bool,
    /// By what that was seen.
    pub(crate) seen: String,
    /// Appends that the fence refused to one who no longer led.
    pub(crate) refused_appends: u64,
}

impl Bite {
    fn new(has_bitten: bool, seen: impl Into<String>) -> Self {
        Self { has_bitten, seen: seen.into(), refused_appends: 0 }
    }
}

/// A counter's value, which a scrape gives as a floating number.
fn whole_number(value: f64) -> u64 {
    format!("{value:.0}").parse().unwrap_or(0)
}

/// The kinds in a seeded order, each once before any comes again.
pub(crate) fn plan(kinds: &[Kind], faults: usize, rng: &mut Rng) -> Vec<Kind> {
    let mut plan = Vec::new();
    while plan.len() < faults && !kinds.is_empty() {
        plan.extend(rng.shuffled(kinds.to_vec()));
    }
    plan.truncate(faults);
    plan
}

/// Does it. When it returns, what was taken away has been given back.
pub(crate) async fn inject(kind: Kind, stage: &mut Stage) -> anyhow::Result<Bite> {
    match kind {
        Kind::LeaderKilled => services::killed(stage).await,
        Kind::LeaderFrozen => services::frozen(stage).await,
        Kind::StreamLeaderKilled => servers::killed(stage).await,
        Kind::ServerFrozen => servers::frozen(stage).await,
        Kind::LogDown => servers::down(stage).await,
        Kind::ConnectionCut => links::cut(stage).await,
        Kind::LinkSlow => links::slow(stage).await,
        Kind::SnapshotDamaged => snapshots::damaged(stage).await,
        Kind::DiskFull => snapshots::full(stage).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_before_any_comes_again_and_a_seed_repeats_its_order() {
        let plan_of = |seed| plan(&Kind::ALL, 20, &mut Rng::new(seed));
        let plan = plan_of(7);
        assert_eq!(plan.len(), 20);
        for round in plan.chunks(Kind::ALL.len()).take(2) {
            let mut kinds = round.to_vec();
            kinds.sort_unstable();
            assert_eq!(kinds, Kind::ALL);
        }
        assert_eq!(plan, plan_of(7));
        assert_ne!(plan, plan_of(8));
    }
}
