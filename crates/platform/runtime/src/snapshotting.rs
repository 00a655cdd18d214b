//! Snapshots, off the leader's path: one task per service folds the log once more, from the last snapshot on, and saves
//! what it comes to. It takes nothing from a leader but the number of the last record, one partition at a time, on
//! threads that serve nobody.
//!
//! On its way it compares the state hashes that leaders wrote. A snapshot of a state that differs is never saved; if
//! the log from its first record on differs too, the leader decides on a state that its log doesn't give, and halts.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use event_log::{Record, Seq};
use snapshots::{Snapshot, SnapshotStore, StoreError};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::aside::aside;
use crate::commit::Doubt;
use crate::fold::{Fold, Unencodable};
use crate::partition::{Core, Stop, Work, check, from_the_first, read, restore, snapshot_key};
use crate::service::Service;

/// A partition is saved once it has so many events more than its last snapshot, ...
pub const SNAPSHOT_EVENTS: u64 = 50_000;
/// ... or so many bytes of log, ...
pub const SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// ... or any at all for so long, unless its node was told another time; and so long after a failure it is tried again.
pub const SNAPSHOT_AFTER: Duration = Duration::from_secs(10 * 60);

/// How often the partitions are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long nothing is saved after a snapshot, in times of what it took: however quickly a large state changes, a
/// service's snapshots take a tenth of one core. Never longer than partitions may go unsaved: it may have taken long
/// because the log was away.
const RESTS: u32 = 9;

/// How far a partition is saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// The record that the newest snapshot stands for; 0: there is none.
    pub seq: Seq,
    /// The record of the one before it, which is kept as well; 0: there is none, or it was not looked at yet.
    pub older: Seq,
    /// Why no newer one could be saved; empty: it could. Nothing is lost by it, but it wants looking into.
    pub problem: String,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl SnapshotStatus {
    pub(crate) fn of<S: Service>(fold: &Fold<S>) -> Self {
        let (events, bytes) = (fold.meta.events, fold.meta.bytes);
        Self { seq: fold.reader.seq, older: 0, problem: String::new(), events, bytes }
    }

    /// This, right after what was known before: what was the newest is the one before now.
    pub(crate) fn after(self, known: &Self) -> Self {
        let older = match known.seq.cmp(&self.seq) {
            Ordering::Less => known.seq,
            Ordering::Equal => known.older,
            Ordering::Greater => 0,
        };
        Self { older, ..self }
    }
}

/// Why no snapshot was saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsaved {
    /// The store didn't take it.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The state can't be encoded.
    #[error("the state can't be encoded: {0}")]
    Encoding(#[from] Unencodable),
    /// The log can't be read, or can't be trusted.
    #[error("{0}")]
    Log(String),
    /// The log gives another state than its leader had.
    #[error("after record {seq} the leader had another state than its log gives")]
    Differs { seq: Seq, epoch: u64 },
    /// The fold itself broke.
    #[error("folding broke off: {0}")]
    Broken(#[from] JoinError),
}

impl From<Stop> for Unsaved {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Halted(reason) => Self::Log(reason),
            Stop::Shutdown | Stop::Rebuild | Stop::HandedOver | Stop::SteppedDown => {
                Self::Log("it stops".into())
            }
        }
    }
}

impl From<Doubt> for Unsaved {
    fn from(doubt: Doubt) -> Self {
        Self::Log(doubt.to_string())
    }
}

/// Keeps the partitions of one service saved until told to stop: each that has changed every `after` at the latest.
pub(crate) async fn keep<S: Service>(
    cores: Vec<Arc<Core<S>>>,
    store: Arc<dyn SnapshotStore>,
    after: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let start = |core| (core, Due::default(), 0);
    let mut partitions = cores.iter().map(start).collect::<Vec<_>>();
    let work = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for (core, due, looked_before) in &mut partitions {
                if due.look(core, after) {
                    let began = Instant::now();
                    renew(core, &*store).await;
                    tokio::time::sleep(rest(began.elapsed(), after)).await;
                    let well = core.saved.borrow().problem.is_empty();
                    let pause = if well { Duration::ZERO } else { after };
                    *due = Due { not_before: Some(Instant::now() + pause), since: None };
                }
                let SnapshotStatus { seq, older, .. } = *core.saved.borrow();
                if older == 0 && seq > *looked_before {
                    look_before(core, &*store, seq).await;
                    *looked_before = seq;
                }
            }
        }
    };
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}

/// How long nothing is saved after a snapshot that took so long.
fn rest(took: Duration, after: Duration) -> Duration {
    after.min(took.saturating_mul(RESTS))
}

/// Saves what a partition's snapshots lack, once its leader has stopped: it spares the next start the fold.
pub(crate) async fn finish<S: Service>(core: &Arc<Core<S>>, store: &dyn SnapshotStore) {
    if core.saved.borrow().events != core.events.load(Relaxed) {
        renew(core, store).await;
    }
}

/// Looks whether there is a snapshot before the newest one that the log confirms as well: who trims the log has to
/// leave it of use.
async fn look_before<S: Service>(core: &Core<S>, store: &dyn SnapshotStore, newest: Seq) {
    let Some(snapshot) = store.before(&snapshot_key(core), newest).await else { return };
    let seq = snapshot.seq;
    if matches!(check(core, snapshot).await, Ok(Some(_))) {
        core.saved.send_modify(|saved| {
            if saved.seq == newest {
                saved.older = seq;
            }
        });
    }
}

/// When a partition is to be saved next.
#[derive(Debug, Default)]
struct Due {
    /// Since when it has been seen to differ from its last snapshot.
    since: Option<Instant>,
    not_before: Option<Instant>,
}

impl Due {
    fn look<S: Service>(&mut self, core: &Core<S>, after: Duration) -> bool {
        let saved = core.saved.borrow();
        let events = core.events.load(Relaxed).saturating_sub(saved.events);
        let bytes = core.bytes.load(Relaxed).saturating_sub(saved.bytes);
        if events == 0 && bytes < SNAPSHOT_BYTES {
            self.since = None;
            return false;
        }
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let wanted = events >= SNAPSHOT_EVENTS
            || bytes >= SNAPSHOT_BYTES
            || now.duration_since(since) >= after;
        wanted && self.not_before.is_none_or(|instant| now >= instant)
    }
}

/// Saves a partition as its log has it now, or notes why it can't be.
async fn renew<S: Service>(core: &Arc<Core<S>>, store: &dyn SnapshotStore) {
    let Err(error) = fold_and_save(core, store).await else { return };
    let reason = error.to_string();
    let partition = core.partition;
    core.metrics.snapshot_failures.inc();
    match error {
        Unsaved::Differs { epoch, .. } => {
            tracing::error!(service = %S::ID, partition, %reason, "no snapshot is saved");
            if epoch == core.epoch.load(Relaxed) {
                // If no leader is there to hear it, none decides on a wrong state.
                core.inbox.own(Work::Doubt(reason.clone()));
            }
        }
        Unsaved::Store(_) | Unsaved::Encoding(_) | Unsaved::Log(_) | Unsaved::Broken(_) => {
            tracing::warn!(service = %S::ID, partition, %reason, "no snapshot could be saved");
        }
    }
    core.saved.send_modify(|saved| saved.problem = reason);
}

async fn fold_and_save<S: Service>(
    core: &Arc<Core<S>>,
    store: &dyn SnapshotStore,
) -> Result<(), Unsaved> {
    let upto = *core.applied.borrow();
    while let Some(fold) = restore(core, store).await? {
        let from = fold.seq();
        match advance(core, fold, upto).await {
            // What differs may be the snapshot: the one before it is asked, at last the log alone.
            Err(Unsaved::Differs { .. }) => store.discard(&snapshot_key(core), from).await?,
            Err(error) => return Err(error),
            Ok(fold) => return save(core, store, fold).await,
        }
    }
    let fold = advance(core, from_the_first(core).await?, upto).await?;
    save(core, store, fold).await
}

/// Folds the log up to `upto` at least.
async fn advance<S: Service>(
    core: &Arc<Core<S>>,
    mut fold: Fold<S>,
    upto: Seq,
) -> Result<Fold<S>, Unsaved> {
    while fold.seq() < upto {
        let records = read(&*core.log, fold.seq() + 1).await?;
        if records.is_empty() {
            return Err(Unsaved::Log(format!("the log ends before record {upto}")));
        }
        let service = Arc::clone(&core.service);
        fold = aside(move || take(&*service, fold, &records)).await??;
    }
    Ok(fold)
}

fn take<S: Service>(
    service: &S,
    mut fold: Fold<S>,
    records: &[Record],
) -> Result<Fold<S>, Unsaved> {
    for record in records {
        let check = fold.take_and_check(service, record)?;
        if let Some(check) = check.filter(|check| check.written != check.folded) {
            return Err(Unsaved::Differs { seq: check.seq, epoch: fold.reader.epoch });
        }
    }
    Ok(fold)
}

/// Saves a fold.
async fn save<S: Service>(
    core: &Core<S>,
    store: &dyn SnapshotStore,
    fold: Fold<S>,
) -> Result<(), Unsaved> {
    let status = SnapshotStatus::of(&fold);
    let snapshot = aside(move || {
        let bytes = fold.snapshot()?.into();
        let crate::ChainReader { log_id, seq, chain, .. } = fold.reader;
        Ok::<_, Unencodable>(Snapshot { version: Fold::<S>::LAYOUT, log_id, seq, chain, bytes })
    });
    store.save(&snapshot_key(core), snapshot.await??).await?;
    core.saved.send_modify(|saved| *saved = status.after(saved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_take_a_tenth_of_the_time_and_no_partition_goes_unsaved_for_it() {
        let after = SNAPSHOT_AFTER;
        assert_eq!(rest(Duration::from_secs(2), after), Duration::from_secs(18));
        assert_eq!(rest(after, after), after, "the log was away meanwhile");
        assert_eq!(rest(Duration::MAX, after), after);
    }
}
