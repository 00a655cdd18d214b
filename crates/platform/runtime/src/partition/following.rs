//! Following a partition: its commits as they come, from memory or from the log.

use std::sync::Arc;

use event_log::{LogError, Seq};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use wire::events::v1::Commit;

use super::{Core, PartitionHandle, READ_BYTES};
use crate::Position;
use crate::commit::open_record;
use crate::service::Service;

/// A committed record, decoded.
pub type CommittedRecord = (Position, Arc<Commit>);

/// Some committed records, without a hole between them.
#[derive(Debug, Clone)]
pub struct CommittedRecords {
    /// The records, at least one.
    pub records: Vec<CommittedRecord>,
    /// How many bytes they have in the log.
    pub bytes: usize,
}

impl<S: Service> PartitionHandle<S> {
    /// Every commit from `from` on, those to come included; ends with an error or when the partition is gone, which it
    /// does not keep. Recent ones come from memory.
    pub fn follow(&self, from: Seq) -> BoxStream<'static, Result<CommittedRecord, LogError>> {
        let some = self.follow_in_steps(from, READ_BYTES, || std::future::ready(()).boxed());
        some.flat_map(|step| {
            let (records, error) = match step {
                Ok((step, ())) => (step.records, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            stream::iter(records.into_iter().map(Ok).chain(error.map(Err)))
        })
        .boxed()
    }

    /// The same in steps of about `step_bytes` bytes, at least one commit each. Nothing is held but the step that was
    /// given out: the next one is fetched when it is asked for. Once there is one, and before it is fetched, `turn` is
    /// waited for; what it gives comes with the step.
    pub fn follow_in_steps<T: Send + 'static>(
        &self,
        from: Seq,
        step_bytes: usize,
        turn: impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<(CommittedRecords, T), LogError>> {
        let cursor = (Arc::downgrade(&self.0), self.0.applied.subscribe(), from.max(1), turn);
        stream::unfold(Some(cursor), move |cursor| async move {
            let (weak, mut applied, next, turn) = cursor?;
            if applied.wait_for(|seq| *seq >= next).await.is_err() {
                return None;
            }
            let taken = turn().await;
            let core = weak.upgrade()?;
            let step = match fetch(&core, next, step_bytes).await {
                Ok(step) => step,
                Err(error) => return Some((Err(error), None)),
            };
            let (last, _) = step.records.last()?;
            let next = last.seq + 1;
            Some((Ok((step, taken)), Some((weak, applied, next, turn))))
        })
        .boxed()
    }
}

async fn fetch<S: Service>(
    core: &Core<S>,
    from: Seq,
    max_bytes: usize,
) -> Result<CommittedRecords, LogError> {
    let (recent, bytes) = core.recent(from, max_bytes);
    if !recent.is_empty() {
        let placed = recent.into_iter().map(|commit| (core.position(commit.seq), commit));
        return Ok(CommittedRecords { records: placed.collect(), bytes });
    }
    let records = core.log.read(from, max_bytes).await?;
    let bytes = records.iter().map(|record| record.bytes.len()).sum();
    let opened = records.iter().map(|record| match open_record(record) {
        Ok(commit) => Ok((core.position(commit.seq), Arc::new(commit))),
        Err(doubt) => Err(LogError::Corrupt { seq: record.seq, reason: doubt.to_string() }),
    });
    Ok(CommittedRecords { records: opened.collect::<Result<_, _>>()?, bytes })
}
