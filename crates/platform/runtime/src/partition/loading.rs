//! From a snapshot and the log to a state, and the claim to lead.

use event_log::{AppendError, EventLog, EventLogProvider, LogError, Record, Seq};
use kernel::planted::{self, Bug};
use snapshots::{Snapshot, SnapshotKey, SnapshotStore};
use wire::events::v1::{Commit, LeaderClaimed, Note, note::Kind};

use super::lineage::{Known, Standing, ask_readers, lost};
use super::stop::Stop;
use super::{Core, READ_BYTES};
use crate::aside::aside;
use crate::commit::{ChainReader, Doubt, FORMAT, origin, read_first, reader_of, seal};
use crate::fold::Fold;
use crate::replay::{ReplayError, replay};
use crate::service::Service;
use crate::snapshotting::SnapshotStatus;

/// How often a claim is tried before it is left to whoever else claims.
const CLAIMS_MAX: usize = 10;

/// The key of a partition's snapshots.
pub(crate) fn snapshot_key<S: Service>(core: &Core<S>) -> SnapshotKey {
    SnapshotKey { service: S::ID.name().to_owned(), partition: core.partition }
}

/// The same before the log was ever read by this process: once nobody who has read it knows more of it, or another in
/// its place.
pub(crate) async fn load_first<S: Service>(
    core: &Core<S>,
    provider: &dyn EventLogProvider,
    snapshots: &dyn SnapshotStore,
) -> Result<Fold<S>, Stop> {
    ask_readers(core, provider).await?;
    load(core, snapshots).await
}

/// The state as the log has it: the newest snapshot that can be trusted, and what came after.
pub(crate) async fn load<S: Service>(
    core: &Core<S>,
    snapshots: &dyn SnapshotStore,
) -> Result<Fold<S>, Stop> {
    let mut fold = match restore(core, snapshots).await? {
        Some(fold) => fold,
        None => from_the_first(core).await?,
    };
    if planted::is(Bug::SnapshotOffByOne) && fold.reader.seq > 0 {
        // Takes the next record's place in the chain without its events.
        let next = read(&*core.log, fold.reader.seq + 1).await?;
        drop(next.first().map(|record| fold.reader.take(record)));
    }
    let folded = replay(&core.service, &*core.log, fold).await;
    let fold = folded.map_err(|error| {
        match &error {
            ReplayError::Doubt(doubt) => core.metrics.doubt(doubt),
            ReplayError::Log(error) => core.metrics.log_error(error),
            ReplayError::Broken(_) => {}
        }
        Stop::Halted(error.to_string())
    })?;
    if fold.reader.log_id == core.identity.log_id {
        return Ok(fold);
    }
    Err(Stop::Halted("the log has another identity than a moment ago".to_owned()))
}

/// A fold that has read nothing of a log that still has its first record.
pub(crate) async fn from_the_first<S: Service>(core: &Core<S>) -> Result<Fold<S>, Stop> {
    let doubt = |doubt: Doubt| Stop::Halted(doubt.to_string());
    let first = match core.log.read(1, 1).await {
        Err(LogError::Unavailable(_)) => read(&*core.log, 1).await,
        Err(LogError::Trimmed { first }) => Err(Stop::Halted(format!(
            "the log begins at record {first} and no snapshot reaches that far: start with --archive"
        ))),
        Err(error) => Err(Stop::Halted(error.to_string())),
        Ok(records) => Ok(records),
    };
    match first?.first() {
        Some(record) => {
            let (log_id, _) = read_first(record, S::ID, core.partition).map_err(doubt)?;
            Ok(Fold::at_start(log_id))
        }
        None => Err(Stop::Halted("the log is empty".to_owned())),
    }
}

/// Folds what the log has beyond `fold`.
async fn catch_up<S: Service>(core: &Core<S>, fold: &mut Fold<S>) -> Result<(), Stop> {
    loop {
        let records = read(&*core.log, fold.reader.seq + 1).await?;
        if records.is_empty() {
            return Ok(());
        }
        for record in &records {
            fold.take(&core.service, record).map_err(|doubt| {
                core.metrics.doubt(&doubt);
                Stop::Halted(doubt.to_string())
            })?;
        }
    }
}

/// Takes the log's end for its place without what stands before it: what planted bugs do.
pub(super) async fn pass_over<S: Service>(core: &Core<S>, fold: &mut Fold<S>) -> Result<(), Stop> {
    for record in read(&*core.log, fold.reader.seq + 1).await? {
        drop(fold.reader.take(&record));
    }
    Ok(())
}

/// Reads on; waits while the log can't be reached.
pub(crate) async fn read(log: &dyn EventLog, from: Seq) -> Result<Vec<Record>, Stop> {
    loop {
        match log.read(from, READ_BYTES).await {
            Ok(records) => return Ok(records),
            Err(LogError::Unavailable(error)) => {
                // Whoever keeps the connection says that it is gone, once.
                tracing::debug!(%error, "the log can't be read yet");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            Err(error) => return Err(Stop::Halted(error.to_string())),
        }
    }
}

/// The newest snapshot that the log confirms. Those that it doesn't are set aside on the way, newest first.
pub(crate) async fn restore<S: Service>(
    core: &Core<S>,
    snapshots: &dyn SnapshotStore,
) -> Result<Option<Fold<S>>, Stop> {
    let key = snapshot_key(core);
    while let Some(snapshot) = snapshots.load(&key).await {
        let seq = snapshot.seq;
        if let Some(fold) = check(core, snapshot).await? {
            core.saved.send_modify(|saved| *saved = SnapshotStatus::of(&fold).after(saved));
            return Ok(Some(fold));
        }
        tracing::warn!(service = %S::ID, partition = core.partition, seq, "a snapshot is set aside");
        core.metrics.snapshots_set_aside.inc();
        if let Err(error) = snapshots.discard(&key, seq).await {
            tracing::warn!(%error, "it could not be discarded");
            break;
        }
    }
    core.saved.send_replace(SnapshotStatus::default());
    Ok(None)
}

/// A snapshot counts only if the log confirms it: same identity, same record, same chain. One that knows another log,
/// or more of this one than it holds, is evidence that the log was lost, and stops the partition.
pub(crate) async fn check<S: Service>(
    core: &Core<S>,
    snapshot: Snapshot,
) -> Result<Option<Fold<S>>, Stop> {
    let Snapshot { log_id, seq, chain, .. } = snapshot;
    let known = Known { log_id, seq, chain };
    let standing = known.standing(core).await?;
    match standing {
        Standing::Holds => {}
        Standing::Rewritten if planted::is(Bug::SnapshotUnchecked) => {}
        // A snapshot from before a restoring is left where it was when an operator restores.
        Standing::Rewritten | Standing::Trimmed | Standing::Earlier | Standing::Undone => {
            return Ok(None);
        }
        Standing::Longer { .. } | Standing::OtherLog => {
            core.evidence.send_replace(Some((log_id, seq)));
            let reason = lost("a snapshot", &known, &core.identity.log_id, &standing);
            return Err(Stop::Halted(reason));
        }
    }
    if snapshot.version != Fold::<S>::LAYOUT || log_id != core.identity.log_id {
        return Ok(None);
    }
    let record = core.log.read(seq, 1).await.ok().and_then(|records| records.into_iter().next());
    let reader = record.and_then(|record| ChainReader::after(log_id, &record).ok());
    let Some(reader) = reader else { return Ok(None) };
    // Decoding a large state takes a while: not on the threads that serve.
    let decoded = aside(move || Fold::from_snapshot(reader, &snapshot.bytes)).await;
    Ok(decoded.unwrap_or(None))
}

/// How one attempt to claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The log is this writer's.
    Ours,
    /// Another writer was quicker.
    Rival,
    /// The log can't be reached.
    CutOff,
    /// The log has no room for it.
    Full,
}

/// Claims the log unless another writer claims it first; what a leader before wrote at its end is no obstacle.
pub(crate) async fn claim_once<S: Service>(
    core: &Core<S>,
    fold: &mut Fold<S>,
    writer: [u8; 16],
    partitions: u16,
) -> Result<Claimed, Stop> {
    let known = fold.meta.epoch;
    if planted::is(Bug::ClaimNotCaughtUp) {
        pass_over(core, fold).await?;
    }
    for _ in 0..CLAIMS_MAX {
        let claim = claim_of(core, fold, writer, partitions);
        match core.log.append(fold.reader.seq, seal(&claim)).await {
            Ok(_) | Err(AppendError::Fenced { .. } | AppendError::Unknown(_)) => {}
            Err(AppendError::Full) => return Ok(Claimed::Full),
            Err(error) => {
                tracing::debug!(service = %S::ID, partition = core.partition, %error, "a claim could not be written");
                return Ok(Claimed::CutOff);
            }
        }
        catch_up(core, fold).await?;
        let ours = fold.writer == writer || planted::is(Bug::ClaimIgnoresWriter);
        if fold.meta.epoch == claim.epoch && ours {
            return Ok(Claimed::Ours);
        }
        if fold.meta.epoch > known {
            return Ok(Claimed::Rival);
        }
    }
    Ok(Claimed::CutOff)
}

/// The record that claims the log for a new epoch.
fn claim_of<S: Service>(
    core: &Core<S>,
    fold: &Fold<S>,
    writer: [u8; 16],
    partitions: u16,
) -> Commit {
    let epoch = (fold.meta.epoch + u64::from(!planted::is(Bug::EpochNotRaised))).max(1);
    let notes = vec![
        Note { kind: Some(Kind::LeaderClaimed(LeaderClaimed { epoch })) },
        origin(S::ID, core.partition, partitions, fold.meta.consumed_list()),
    ];
    Commit {
        format: FORMAT,
        min_reader: reader_of(&notes),
        log_id: fold.reader.log_id.to_vec(),
        seq: fold.reader.seq + 1,
        epoch,
        writer: writer.to_vec(),
        prev: fold.reader.chain.to_vec(),
        time_ns: fold.time_ns(core.clock.now()),
        notes,
        ..Commit::default()
    }
}
