//! The vigil: walks what a server's leaders write, off their path, and counts every invariant that doesn't hold.
//!
//! It follows the commits that were acknowledged, as a watch does, with the walk of [`invariants`] that the simulation
//! uses. The records themselves were checked by whoever wrote or read them; what is checked here is what they say. A
//! log that is young is walked from its first record; of an older one the walk knows what came since it began
//! ([`Scope::Since`]), and `switchyard verify` checks the rest.
//!
//! **Invariants:** it is never in a leader's way: all vigils of a process share one allowance of time, and what doesn't
//! fit into it is passed over and counted. What it remembers is bounded. What it finds changes nothing but figures and
//! the log of errors: the facts stand, and to stop serving would not mend them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::{LogError, Seq};
use futures::StreamExt as _;
use invariants::{LogWalk, Scope, Violation};
use runtime::metrics::Invariant;
use runtime::{CommittedRecord, Node, PartitionHandle, Service};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// A log with at most so many records when a vigil begins is walked from the first.
const YOUNG_RECORDS: Seq = 10_000;
/// So many records behind its leader, a vigil gives up what lies between: beyond, commits would have to be read from
/// the log again.
const BEHIND_MAX: Seq = 512;
/// So many commits are walked before others have their turn.
const AT_ONCE: usize = 64;
/// So many entries a walk may remember; beyond, it begins anew.
const KEPT_MAX: usize = 20_000;
/// How long to wait before a log that can't be followed is followed again.
const PAUSE: Duration = Duration::from_secs(5);

/// What all vigils of a process may take together. Clones share it.
#[derive(Debug, Clone)]
pub struct Allowance {
    turn: Arc<Mutex<()>>,
    percent: u32,
}

impl Allowance {
    /// So many percent of one core, at most 100; `None` for 0: no vigil is kept.
    pub fn percent(percent: u32) -> Option<Self> {
        (percent > 0).then(|| Self { turn: Arc::default(), percent: percent.min(100) })
    }

    /// The pause that is owed for having worked so long.
    fn pause_after(&self, worked: Duration) -> Duration {
        worked * (100 - self.percent) / self.percent
    }
}

/// Keeps a vigil over every partition of a node, for as long as `vigils` is kept.
pub fn keep_vigil<S: Service>(node: &Node<S>, allowance: &Allowance, vigils: &mut JoinSet<()>) {
    for partition in node.partitions() {
        vigils.spawn(keep(partition.clone(), allowance.clone()));
    }
}

async fn keep<S: Service>(partition: PartitionHandle<S>, allowance: Allowance) {
    let mut health = partition.watch_health();
    let mut first = true;
    // An error means that the partition is gone.
    while health.wait_for(runtime::Health::is_ready).await.is_ok() {
        let led = watch(&partition, &allowance, std::mem::take(&mut first));
        let over = health.wait_for(|health| !health.is_ready());
        let ended = tokio::select! {
            biased;
            ended = led => ended,
            _ = over => Ok(()),
        };
        if let Err(error) = ended {
            tracing::warn!(service = %S::ID, partition = partition.id(), %error, "the vigil is broken off");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Watches what a leader writes until it can't be followed.
async fn watch<S: Service>(
    partition: &PartitionHandle<S>,
    allowance: &Allowance,
    may_be_young: bool,
) -> Result<(), LogError> {
    let mut begin_at = partition.head().seq;
    let mut scope = Scope::Since;
    if may_be_young && begin_at <= YOUNG_RECORDS && partition.log().tail().await?.first == 1 {
        (begin_at, scope) = (0, Scope::Whole);
    }
    loop {
        let mut vigil = Vigil::begin(partition, begin_at, scope);
        let mut commits = partition.follow(begin_at.saturating_add(1)).ready_chunks(AT_ONCE);
        loop {
            let Some(some) = commits.next().await else { return Ok(()) };
            vigil.take(some, allowance).await?;
            if let Some(next) = vigil.begins_anew_at() {
                (begin_at, scope) = (next, Scope::Since);
                break;
            }
        }
    }
}

/// One walk over a partition's log.
struct Vigil<'a, S: Service> {
    partition: &'a PartitionHandle<S>,
    walk: LogWalk,
    /// It has not come to the log's end yet.
    catching_up: bool,
    seq: Seq,
}

impl<'a, S: Service> Vigil<'a, S> {
    /// Begins behind record `seq`.
    fn begin(partition: &'a PartitionHandle<S>, seq: Seq, scope: Scope) -> Self {
        partition.metrics().checked_since.set(i64::try_from(seq).unwrap_or(i64::MAX));
        let walk = LogWalk::over(S::ID, partition.head().log_id, scope);
        Self { partition, walk, catching_up: true, seq }
    }

    /// Walks over some commits, and pauses for as long as it owes for that.
    async fn take(
        &mut self,
        commits: Vec<Result<CommittedRecord, LogError>>,
        allowance: &Allowance,
    ) -> Result<(), LogError> {
        let _turn = allowance.turn.lock().await;
        let began = Instant::now();
        for commit in commits {
            let (position, commit) = commit?;
            let violations = self.walk.take_commit(&commit);
            self.seq = position.seq;
            if !violations.is_empty() {
                report(self.partition, &violations);
            }
        }
        let metrics = self.partition.metrics();
        metrics.checked_seq.set(i64::try_from(self.seq).unwrap_or(i64::MAX));
        tokio::time::sleep(allowance.pause_after(began.elapsed())).await;
        Ok(())
    }

    /// Where to begin anew, if it can't keep up or remembers too much.
    fn begins_anew_at(&mut self) -> Option<Seq> {
        let head = self.partition.head().seq;
        let behind = head.saturating_sub(self.seq);
        let allowed = if self.catching_up { YOUNG_RECORDS + BEHIND_MAX } else { BEHIND_MAX };
        if behind > allowed {
            self.partition.metrics().checks_skipped.inc_by(behind);
            return Some(head);
        }
        self.catching_up &= behind > 0;
        (self.walk.kept() > KEPT_MAX).then_some(self.seq)
    }
}

/// Counts what was found, and says the first of it.
fn report<S: Service>(partition: &PartitionHandle<S>, violations: &[Violation]) {
    for violation in violations {
        if let Some(invariant) = Invariant::numbered(violation.invariant) {
            partition.metrics().violation(invariant);
        }
    }
    if let Some(first) = violations.first() {
        tracing::error!(
            service = %S::ID,
            partition = partition.id(),
            record = first.seq,
            invariant = first.invariant,
            found = %first.what,
            in_this_commit = violations.len(),
            "an invariant is violated"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_paid_for_by_pauses() {
        assert!(Allowance::percent(0).is_none());
        let pause =
            |percent| Allowance::percent(percent).unwrap().pause_after(Duration::from_millis(10));
        assert_eq!(pause(5), Duration::from_millis(190));
        assert_eq!(pause(50), Duration::from_millis(10));
        assert_eq!((pause(100), pause(1_000)), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn every_number_that_a_walk_may_find_is_counted() {
        let source = include_str!("../../invariants/src/lib.rs").to_owned()
            + include_str!("../../invariants/src/commits.rs")
            + include_str!("../../invariants/src/intake.rs")
            + include_str!("../../invariants/src/routing.rs")
            + include_str!("../../invariants/src/routing/board.rs")
            + include_str!("../../invariants/src/sla.rs")
            + include_str!("../../invariants/src/notify.rs");
        let quoted = source.split('"').filter(|text| {
            text.strip_prefix('I').is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
            })
        });
        let numbers: std::collections::BTreeSet<&str> = quoted.collect();
        assert!(numbers.len() > 15, "{numbers:?}");
        for number in numbers {
            assert!(Invariant::numbered(number).is_some(), "{number} is not counted");
        }
    }
}
