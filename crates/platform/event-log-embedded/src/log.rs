//! One log of the directory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{AppendError, EventLog, LogError, RECORD_MAX_BYTES, Record, Seq, Tail};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::writer::Job;
use crate::{Core, Head, HeadState};

/// What a follower reads at once, in bytes.
const FOLLOW_BATCH_BYTES: usize = 256 * 1024;
/// A follower this close to the end reads without leaving its thread: those pages are in memory.
const NEAR_RECORDS: Seq = 16;
/// How long a follower waits before it tries a file again that failed.
const RETRY_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct EmbeddedLog {
    core: Arc<Core>,
    jobs: mpsc::Sender<Job>,
    head: Arc<Head>,
}

impl EmbeddedLog {
    pub(crate) fn new(core: Arc<Core>, jobs: mpsc::Sender<Job>, head: Arc<Head>) -> Self {
        Self { core, jobs, head }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        if record.len() > RECORD_MAX_BYTES {
            return Err(AppendError::TooLarge { bytes: record.len(), max: RECORD_MAX_BYTES });
        }
        let (reply, answer) = oneshot::channel();
        let job = Job::Append { head: Arc::clone(&self.head), fence, record, reply };
        if self.jobs.send(job).await.is_err() {
            return Err(AppendError::Unavailable("the directory is closed".into()));
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(AppendError::Unknown("the writer ended before it answered".into())),
        }
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        open(&self.head)?;
        let tail = self.head.tail();
        tail.admits(from)?;
        if from > tail.last {
            return Ok(Vec::new());
        }
        read(Arc::clone(&self.core), self.head.id, from, tail.last, max_bytes).await
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        open(&self.head)?;
        Ok(self.head.tail())
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        let cursor = Cursor {
            core: Arc::clone(&self.core),
            state: self.head.state.subscribe(),
            head: Arc::clone(&self.head),
            next: from,
            batch: Vec::new().into_iter(),
            ended: false,
        };
        stream::unfold(cursor, Cursor::advance).boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        let gone = || LogError::Unavailable("the directory is closed".into());
        let job = Job::Trim { head: Arc::clone(&self.head), upto, reply };
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn open(head: &Head) -> Result<(), LogError> {
    if head.state.borrow().closed {
        return Err(LogError::Unavailable("the directory is closed".into()));
    }
    Ok(())
}

/// Reads without blocking the tasks beside, unless it is certain to be quick.
async fn read(
    core: Arc<Core>,
    id: u32,
    from: Seq,
    last: Seq,
    max_bytes: usize,
) -> Result<Vec<Record>, LogError> {
    if last.saturating_sub(from) < NEAR_RECORDS {
        return core.with_store(|store| store.read(id, from, last, max_bytes));
    }
    let read = move || core.with_store(|store| store.read(id, from, last, max_bytes));
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => Err(LogError::Unavailable(error.into())),
    }
}

/// Where one follower stands.
#[derive(Debug)]
struct Cursor {
    core: Arc<Core>,
    /// Outlives `state`, which hears from it.
    head: Arc<Head>,
    state: watch::Receiver<HeadState>,
    next: Seq,
    batch: std::vec::IntoIter<Record>,
    ended: bool,
}

impl Cursor {
    async fn advance(mut self) -> Option<(Result<Record, LogError>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(record) = self.batch.next() {
                self.next = record.seq.saturating_add(1);
                return Some((Ok(record), self));
            }
            if let Err(error) = self.refill().await {
                self.ended = true;
                return Some((Err(error), self));
            }
        }
    }

    /// Gets the next records, or waits until there may be some.
    async fn refill(&mut self) -> Result<(), LogError> {
        let HeadState { tail, closed } = *self.state.borrow_and_update();
        if closed {
            return Err(LogError::Unavailable("the directory is closed".into()));
        }
        tail.admits(self.next)?;
        if self.next > tail.last {
            // An error can't come: the sender is in `head`.
            return self.state.changed().await.map_err(|gone| LogError::Unavailable(gone.into()));
        }
        let core = Arc::clone(&self.core);
        match read(core, self.head.id, self.next, tail.last, FOLLOW_BATCH_BYTES).await {
            Ok(records) => self.batch = records.into_iter(),
            // The writer reopens a file that failed.
            Err(LogError::Unavailable(_)) => tokio::time::sleep(RETRY_EVERY).await,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
