//! Archived logs behind the log's own contract: alone, to be read; or as the beginning of logs that were trimmed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{
    AppendError, EventLog, EventLogProvider, Inspection, LogError, LogName, OpenError, Record, Seq,
    Tail,
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use crate::{Archive, ArchiveError, ArchivedLog};

/// How many segments are kept in memory, of all logs together.
const SEGMENTS_KEPT: usize = 8;
/// What a follower reads at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;

/// The logs of an archive, to be read. Nothing can be appended.
#[derive(Debug, Clone)]
pub struct ArchiveProvider {
    archive: Archive,
    segments: Arc<Segments>,
}

/// Logs whose records are taken from an archive where the log itself has them no more. What is written goes to the
/// logs.
#[derive(Debug, Clone)]
pub struct WithArchive {
    logs: Arc<dyn EventLogProvider>,
    archive: ArchiveProvider,
}

/// A segment's log, first record and records.
type Segment = (LogName, Seq, Arc<[Record]>);

/// The segments that were read last.
#[derive(Debug, Default)]
struct Segments(Mutex<VecDeque<Segment>>);

/// The archived part of one log. Clones share what was read.
#[derive(Debug, Clone)]
struct Past {
    name: LogName,
    log: Arc<Mutex<ArchivedLog>>,
    segments: Arc<Segments>,
}

/// A log, and the past that it may have forgotten.
#[derive(Debug, Clone)]
struct Whole {
    past: Past,
    log: Arc<dyn EventLog>,
}

impl ArchiveProvider {
    /// The logs of this archive.
    pub fn new(archive: Archive) -> Self {
        Self { archive, segments: Arc::default() }
    }

    async fn past(&self, name: &LogName) -> Result<Past, OpenError> {
        name.check()?;
        let (archive, of) = (self.archive.clone(), name.clone());
        let log = blocking(move || archive.log(&of)).await;
        let log = log.map_err(|error| OpenError::Unavailable(error.into()))?;
        let (name, log) = (name.clone(), Arc::new(Mutex::new(log)));
        Ok(Past { name, log, segments: Arc::clone(&self.segments) })
    }
}

impl WithArchive {
    /// These logs, and what the archive has of them.
    pub fn new(logs: Arc<dyn EventLogProvider>, archive: Archive) -> Self {
        Self { logs, archive: ArchiveProvider::new(archive) }
    }

    async fn joined(
        &self,
        name: &LogName,
        log: Arc<dyn EventLog>,
    ) -> Result<Arc<dyn EventLog>, OpenError> {
        let past = self.archive.past(name).await?;
        past.must_fit(&*log).await.map_err(|misfit| match misfit {
            Misfit::Log(error) => OpenError::Unavailable(error.into()),
            Misfit::Reason(reason) => OpenError::Misconfigured { name: name.clone(), reason },
        })?;
        Ok(Arc::new(Whole { past, log }))
    }
}

#[async_trait]
impl EventLogProvider for ArchiveProvider {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        let past = self.past(name).await?;
        if past.last() == 0 {
            return Err(OpenError::Missing { name: name.clone() });
        }
        Ok(Arc::new(past))
    }

    async fn create(&self, _: &LogName, _: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        Err(OpenError::Denied("an archive can only be read".into()))
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        let archive = self.archive.clone();
        blocking(move || archive.logs()).await.map_err(|error| OpenError::Unavailable(error.into()))
    }
}

#[async_trait]
impl EventLogProvider for WithArchive {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        let log = self.logs.open(name).await?;
        self.joined(name, log).await
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        let log = self.logs.create(name, genesis).await?;
        self.joined(name, log).await
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        self.logs.list().await
    }
}

/// Why an archive is not the past of a log.
enum Misfit {
    Log(LogError),
    Reason(String),
}

impl From<LogError> for Misfit {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Past {
    fn last(&self) -> Seq {
        lock(&self.log).last()
    }

    /// The last record that both have must be the same; its chain vouches for all before. An archive that ends where
    /// the log does not yet begin, or goes on where the log has ended, is none of this log.
    async fn must_fit(&self, log: &dyn EventLog) -> Result<(), Misfit> {
        let (last, tail) = (self.last(), log.tail().await?);
        if last == 0 {
            return Ok(());
        }
        if last > tail.last {
            let text = format!("the archive goes to record {last}, the log to {}", tail.last);
            return Err(Misfit::Reason(text));
        }
        if last + 1 < tail.first {
            let text =
                format!("the archive ends at record {last}, the log begins at {}", tail.first);
            return Err(Misfit::Reason(text));
        }
        if last < tail.first {
            // The chain of the log's first record says whether it follows.
            return Ok(());
        }
        let archived = self.read(last, 1).await?;
        let stored = log.read(last, 1).await?;
        if archived.first() == stored.first() {
            return Ok(());
        }
        Err(Misfit::Reason(format!("the archive has another record {last} than the log")))
    }

    /// Whether it goes on to where a log begins. It may have been gone on with since it was opened.
    async fn reaches(&self, first: Seq) -> Result<bool, LogError> {
        let past = self.clone();
        let last = blocking(move || {
            let mut log = lock(&past.log);
            if log.last().saturating_add(1) < first {
                log.look_again()?;
            }
            Ok(log.last())
        });
        let last = last.await.map_err(|error| unreadable(error, first))?;
        Ok(last > 0 && last.saturating_add(1) >= first)
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        let past = self.clone();
        let segment = blocking(move || past.segment(from)).await;
        let segment = segment.map_err(|error| unreadable(error, from))?;
        let mut bytes = 0;
        let rest = segment.iter().skip_while(|record| record.seq < from).enumerate();
        let some = rest.take_while(|(index, record)| {
            bytes += record.bytes.len();
            *index == 0 || bytes <= max_bytes
        });
        Ok(some.map(|(_, record)| record.clone()).collect())
    }

    /// The segment that has this record; empty if none has.
    fn segment(&self, seq: Seq) -> Result<Arc<[Record]>, ArchiveError> {
        let first = {
            let mut log = lock(&self.log);
            if log.last() < seq {
                // It may have been gone on with.
                log.look_again()?;
            }
            log.segment_of(seq)
        };
        let Some(first) = first else { return Ok(Arc::default()) };
        if let Some(kept) = self.segments.get(&self.name, first) {
            return Ok(kept);
        }
        let read: Arc<[Record]> = lock(&self.log).read(seq)?.into();
        self.segments.keep(&self.name, first, &read);
        Ok(read)
    }
}

impl Segments {
    fn get(&self, name: &LogName, first: Seq) -> Option<Arc<[Record]>> {
        let mut kept = lock(&self.0);
        let index = kept.iter().position(|(of, at, _)| of == name && *at == first)?;
        let found = kept.remove(index)?;
        let records = Arc::clone(&found.2);
        kept.push_back(found);
        Some(records)
    }

    fn keep(&self, name: &LogName, first: Seq, records: &Arc<[Record]>) {
        let mut kept = lock(&self.0);
        if kept.len() == SEGMENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back((name.clone(), first, Arc::clone(records)));
    }
}

fn unreadable(error: ArchiveError, seq: Seq) -> LogError {
    match error {
        ArchiveError::Io { .. } | ArchiveError::Missing { .. } => {
            LogError::Unavailable(error.into())
        }
        ArchiveError::Damaged { .. }
        | ArchiveError::Broken { .. }
        | ArchiveError::OtherHistory { .. } => LogError::Corrupt { seq, reason: error.to_string() },
    }
}

fn read_only() -> AppendError {
    AppendError::Unavailable("an archive can only be read".into())
}

#[async_trait]
impl EventLog for Past {
    async fn append(&self, _: Seq, _: Bytes) -> Result<Seq, AppendError> {
        Err(read_only())
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        self.tail().await?.admits(from)?;
        Past::read(self, from, max_bytes).await
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        Ok(Tail { first: 1, last: self.last() })
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        read_on(Arc::new(self.clone()), from).chain(stream::pending()).boxed()
    }

    async fn trim(&self, _: Seq) -> Result<(), LogError> {
        Err(LogError::Unavailable("an archive can only be read".into()))
    }
}

#[async_trait]
impl EventLog for Whole {
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        self.log.append(fence, record).await
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        match self.log.read(from, max_bytes).await {
            Err(LogError::Trimmed { first }) if from > 0 => {
                let archived = self.past.read(from, max_bytes).await?;
                // What neither has is still said to be trimmed.
                if archived.is_empty() { Err(LogError::Trimmed { first }) } else { Ok(archived) }
            }
            read => read,
        }
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        let tail = self.log.tail().await?;
        Ok(if self.past.reaches(tail.first).await? { Tail { first: 1, ..tail } } else { tail })
    }

    /// Of the log itself: the archive's files vouch for nothing that is still to come.
    async fn inspect(&self) -> Result<Inspection, LogError> {
        self.log.inspect().await
    }

    fn connected(&self) -> Option<watch::Receiver<bool>> {
        self.log.connected()
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        let whole = self.clone();
        let begun = async move {
            match whole.log.tail().await {
                Ok(tail)
                    if from < tail.first
                        && whole.past.reaches(tail.first).await.is_ok_and(|reaches| reaches) =>
                {
                    let log = Arc::clone(&whole.log);
                    let last = tail.first.saturating_sub(1);
                    let past = read_on(Arc::new(whole), from);
                    let past = past.take_while(move |record| {
                        let old = record.as_ref().map_or(true, |record| record.seq <= last);
                        futures::future::ready(old)
                    });
                    past_then(past.boxed(), log, from)
                }
                // The log itself says what is wrong, if anything is.
                Ok(_) | Err(_) => whole.log.follow(from),
            }
        };
        stream::once(begun).flatten().boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        self.log.trim(upto).await
    }
}

/// The past, and then the log from where the past has ended; nothing after an error.
fn past_then(
    past: BoxStream<'static, Result<Record, LogError>>,
    log: Arc<dyn EventLog>,
    from: Seq,
) -> BoxStream<'static, Result<Record, LogError>> {
    enum Place {
        Past(BoxStream<'static, Result<Record, LogError>>, Seq),
        Log(BoxStream<'static, Result<Record, LogError>>),
        Over,
    }
    stream::unfold(Place::Past(past, from), move |place| {
        let log = Arc::clone(&log);
        async move {
            let mut records = match place {
                Place::Over => return None,
                Place::Log(records) => records,
                Place::Past(mut past, next) => match past.next().await {
                    Some(Ok(record)) => {
                        let next = record.seq + 1;
                        return Some((Ok(record), Place::Past(past, next)));
                    }
                    Some(Err(error)) => return Some((Err(error), Place::Over)),
                    None => log.follow(next),
                },
            };
            let item = records.next().await?;
            Some((item, Place::Log(records)))
        }
    })
    .boxed()
}

/// Every record from `from` to the end, by reading.
fn read_on(
    log: Arc<dyn EventLog>,
    from: Seq,
) -> impl futures::Stream<Item = Result<Record, LogError>> + Send {
    let step = |(log, next): (Arc<dyn EventLog>, Option<Seq>)| async move {
        match log.read(next?, READ_BYTES).await {
            Ok(records) => {
                let after = records.last()?.seq + 1;
                let items: Vec<_> = records.into_iter().map(Ok).collect();
                Some((items, (log, Some(after))))
            }
            Err(error) => Some((vec![Err(error)], (log, None))),
        }
    };
    stream::unfold((log, Some(from)), step).flat_map(stream::iter)
}

/// Runs what reads files where it keeps no task waiting.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(job).await {
        Ok(done) => done,
        Err(error) => Err(ArchiveError::Io {
            place: "the archive's task".to_owned(),
            error: std::io::Error::other(error),
        }),
    }
}

/// Every change under these locks is whole after each statement, so a panic elsewhere leaves nothing half-done.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
