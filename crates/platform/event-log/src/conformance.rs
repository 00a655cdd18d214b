//! The suite that every log passes: what the contract says, as cases that can be run.
//!
//! A log is put under test by a [`Harness`]. Each case works on a log of its own, so a suite may share
//! one backend. A case that can't exist on a log is reported as not applicable, with the reason that
//! the harness gives; it is never left out in silence.

mod appending;
mod damaged;
mod following;
mod opening;
mod reading;
mod report;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{AppendError, EventLog, EventLogProvider, LogError, LogName, OpenError, Record, Seq};
pub use report::{Report, Verdict};

/// How long one case may take before it counts as failed.
const CASE_TIMEOUT: Duration = Duration::from_secs(90);
/// The service whose logs the cases use.
const SERVICE: &str = "conformance";

/// What can be done to the log under test, or to what keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Stop everything and start it again, in good order.
    Restart,
    /// Stop whatever keeps the log as a crash does, and start it again.
    Crash,
    /// Make the log unreachable, until [`Act::Heal`].
    Cut,
    /// Write the next append but lose its answer; [`Act::Heal`] ends the trouble.
    LoseNextAck,
    /// Keep the next append on its way, until [`Act::Heal`] lets it arrive.
    HoldNextAppend,
    /// End what [`Act::Cut`], [`Act::LoseNextAck`] or [`Act::HoldNextAppend`] began.
    Heal,
    /// Leave no room for another record.
    FillUp,
    /// Make room again.
    MakeRoom,
    /// Damage the last record as a write that was cut short does.
    TearTail,
    /// Take one record away from every copy of the log.
    PunchHole(Seq),
    /// Take one record away from one copy of several.
    PunchHoleInOneCopy(Seq),
    /// Change the bytes of a record where they are stored.
    FlipBit(Seq),
    /// Lose every record after this one while followers are at work.
    DropAfter(Seq),
}

/// What came of an [`Act`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was done.
    Yes,
    /// It can't be done to this log, for this reason.
    NotApplicable(&'static str),
}

/// Puts one kind of log under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Says which log this is.
    fn name(&self) -> &'static str;

    /// Returns the provider to use now. After [`Act::Restart`] or [`Act::Crash`] it may be another.
    async fn provider(&self) -> Arc<dyn EventLogProvider>;

    /// Returns a provider that shares the backend but no connection with [`Harness::provider`]; the
    /// same one if there is no connection.
    async fn rival(&self) -> Arc<dyn EventLogProvider>;

    /// Does something to the log `name`, or to what keeps it. An error fails the case.
    async fn act(&self, name: &LogName, act: Act) -> Result<Done, String>;
}

/// Runs every case, one after another.
pub async fn run_all(harness: &dyn Harness) -> Report {
    let mut report = Report::new(harness.name());
    for (partition, case) in (0u16..).zip(cases()) {
        let bench = Bench { harness, log: LogName::new(SERVICE, partition) };
        let verdict = match tokio::time::timeout(CASE_TIMEOUT, (case.run)(&bench)).await {
            Ok(Ok(())) => Verdict::Ok,
            Ok(Err(Stop::NotApplicable(reason))) => Verdict::NotApplicable(reason),
            Ok(Err(Stop::Failed(reason))) => Verdict::Failed(reason),
            Err(_) => Verdict::Failed(format!("not done after {CASE_TIMEOUT:?}")),
        };
        report.add(case.name, verdict);
    }
    report
}

fn cases() -> Vec<Case> {
    [opening::cases(), appending::cases(), reading::cases(), following::cases(), damaged::cases()]
        .concat()
}

/// Why a case ended early.
#[derive(Debug)]
enum Stop {
    Failed(String),
    NotApplicable(&'static str),
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Failed(format!("opening: {error:?}"))
    }
}

impl From<AppendError> for Stop {
    fn from(error: AppendError) -> Self {
        Self::Failed(format!("appending: {error:?}"))
    }
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Self::Failed(format!("reading: {error:?}"))
    }
}

type Outcome = Result<(), Stop>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Bench<'a>) -> Running<'a>,
}

/// Lists functions as cases, each under its own name.
macro_rules! suite {
    ($($case:ident),+ $(,)?) => {
        pub(super) fn cases() -> Vec<super::Case> {
            vec![$(super::Case {
                name: stringify!($case),
                run: |bench| Box::pin($case(bench)),
            }),+]
        }
    };
}
use suite;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Stop::Failed(what())) }
}

/// Where one case works.
struct Bench<'a> {
    harness: &'a dyn Harness,
    log: LogName,
}

impl Bench<'_> {
    /// Makes this case's log, whose record 1 is [`numbered`]`(1)`.
    async fn create(&self) -> Result<Arc<dyn EventLog>, Stop> {
        Ok(self.harness.provider().await.create(&self.log, numbered(1)).await?)
    }

    /// Opens it anew through the harness's provider, trying again while it is unavailable.
    async fn open(&self) -> Result<Arc<dyn EventLog>, Stop> {
        loop {
            match self.harness.provider().await.open(&self.log).await {
                Err(OpenError::Unavailable(_)) => pause().await,
                other => return Ok(other?),
            }
        }
    }

    /// Makes this case's log with records 1 to `last`.
    async fn filled(&self, last: Seq) -> Result<Arc<dyn EventLog>, Stop> {
        let log = self.create().await?;
        fill(log.as_ref(), 1, last).await?;
        Ok(log)
    }

    async fn act(&self, act: Act) -> Outcome {
        match self.harness.act(&self.log, act).await {
            Ok(Done::Yes) => Ok(()),
            Ok(Done::NotApplicable(reason)) => Err(Stop::NotApplicable(reason)),
            Err(reason) => Err(Stop::Failed(format!("{act:?}: {reason}"))),
        }
    }
}

/// The bytes that a case stores as record `seq`.
fn numbered(seq: Seq) -> Bytes {
    Bytes::from(format!("record {seq}"))
}

/// Appends records `from + 1` to `last`.
async fn fill(log: &dyn EventLog, from: Seq, last: Seq) -> Outcome {
    for fence in from..last {
        let seq = append_surely(log, fence, numbered(fence + 1)).await?;
        ensure(seq == fence + 1, || format!("record {} became {seq}", fence + 1))?;
    }
    Ok(())
}

/// Appends as a caller must: an unknown outcome is resolved by reading, what wasn't written is tried
/// again with the same bytes and fence.
async fn append_surely(log: &dyn EventLog, fence: Seq, record: Bytes) -> Result<Seq, Stop> {
    loop {
        match log.append(fence, record.clone()).await {
            Ok(seq) => return Ok(seq),
            Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => {}
            Err(error @ AppendError::Fenced { .. }) => {
                return match resolve(log, fence, &record).await? {
                    Some(true) => Ok(fence + 1),
                    Some(false) | None => Err(error.into()),
                };
            }
            Err(error @ (AppendError::Full | AppendError::TooLarge { .. })) => {
                return Err(error.into());
            }
        }
        if let Some(ours) = resolve(log, fence, &record).await? {
            let lost = || format!("another record took the place of {}", fence + 1);
            ensure(ours, lost)?;
            return Ok(fence + 1);
        }
        pause().await;
    }
}

/// Says whether record `fence + 1` is there, and if so whether it is `record`.
async fn resolve(log: &dyn EventLog, fence: Seq, record: &Bytes) -> Result<Option<bool>, Stop> {
    loop {
        match log.read(fence + 1, 1).await {
            Ok(records) => return Ok(records.first().map(|found| found.bytes == *record)),
            Err(LogError::Unavailable(_)) => pause().await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the whole log from `from` on, `max_bytes` at a time.
async fn read_all(log: &dyn EventLog, from: Seq, max_bytes: usize) -> Result<Vec<Record>, Stop> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let next = all.last().map_or(from, |record| record.seq + 1);
        match log.read(next, max_bytes).await {
            Ok(records) if records.is_empty() => return Ok(all),
            Ok(records) => all.extend(records),
            Err(LogError::Unavailable(_)) => pause().await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks that `records` are the numbered ones from `from` to `last`, each once, in order.
fn ensure_numbered(records: &[Record], from: Seq, last: Seq) -> Outcome {
    let seqs: Vec<Seq> = records.iter().map(|record| record.seq).collect();
    let wanted: Vec<Seq> = (from..=last).collect();
    ensure(seqs == wanted, || format!("wanted records {from} to {last}, got {seqs:?}"))?;
    let wrong = records.iter().find(|record| record.bytes != numbered(record.seq));
    ensure(wrong.is_none(), || format!("a record has other bytes: {wrong:?}"))
}

type Follower = BoxStream<'static, Result<Record, LogError>>;

/// Takes the next `count` records.
async fn take(follower: &mut Follower, count: usize) -> Result<Vec<Record>, Stop> {
    let mut records = Vec::new();
    while records.len() < count {
        match follower.next().await {
            Some(record) => records.push(record?),
            None => return Err(Stop::Failed(format!("a follower ended after {}", records.len()))),
        }
    }
    Ok(records)
}

/// Takes records until the follower fails, and checks that it then ends.
async fn take_until_error(follower: &mut Follower) -> Result<(Vec<Record>, LogError), Stop> {
    let mut records = Vec::new();
    let error = loop {
        match follower.next().await {
            Some(Ok(record)) => records.push(record),
            Some(Err(error)) => break error,
            None => return Err(Stop::Failed("a follower ended without an error".to_owned())),
        }
    };
    let after = follower.next().await;
    ensure(after.is_none(), || format!("{after:?} came after an error"))?;
    Ok((records, error))
}

/// A backend that comes back gives no sign to wait for, so it is asked again, not too often.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
