//! Following another service's log: contiguous, chain-checked, watched, from where we left off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, EventLogProvider, LogError, OpenError, Record, Tail};
use futures::StreamExt;
use kernel::Timestamp;
use tokio::sync::{mpsc, watch};
use wire::events::v1::Commit;

use crate::commit::{
    Chain, ChainReader, Doubt, identity_of, open_record, read_first, supersedes_in, written_at,
};
use crate::meta::Handled;
use crate::metrics::{Invariant, Metrics};
use crate::partition::time::{Held, PartitionTime};
use crate::partition::watchdog::{Reader, Sight, Watchdog, rewritten};
use crate::partition::{Core, Work};
use crate::service::Service;
use crate::{LogId, ServiceId};

/// How many records of one input may wait for the leader.
pub(crate) const WAITING_MAX: usize = 64;

const PAUSE: Duration = Duration::from_millis(200);
/// How often in a row a log that was read before must be missing before that is believed.
const MISSING_TIMES: u32 = 40;

/// A record of another service.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) service: ServiceId,
    pub(crate) log_id: LogId,
    pub(crate) commit: Arc<Commit>,
    /// How many of its events are handled already.
    pub(crate) handled: usize,
    /// The chain value before it ...
    pub(crate) before: Chain,
    /// ... and after it.
    pub(crate) chain: Chain,
}

/// A record that is ahead of the time here.
#[derive(Debug)]
struct Waiting {
    input: Input,
    held: Held,
}

/// Returns when a record that waits is to be looked at again. True: an operator has accepted the time.
async fn look_again(waiting: &mut Option<Waiting>) -> bool {
    match waiting {
        Some(waiting) => waiting.held.look_again().await,
        None => std::future::pending().await,
    }
}

/// What is followed.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) provider: Arc<dyn EventLogProvider>,
    pub(crate) service: ServiceId,
    /// How many partitions it must have: as many as the follower.
    pub(crate) partitions: u16,
}

/// Why following ended.
enum End {
    /// The leader is gone.
    Leader,
    /// Try again from where we are.
    Again,
    /// The log isn't there.
    Missing,
    /// The input can't be trusted.
    Doubt(String),
}

/// Follows `source`'s log of the partition from `handled` on until the leader is gone, or the log is in doubt.
pub(crate) async fn follow<S: Service>(
    core: Arc<Core<S>>,
    source: Source,
    handled: Option<Handled>,
    inputs: mpsc::Sender<Input>,
) {
    let (service, partition) = (source.service, core.partition);
    let (metrics, ids, time, anew) = (&core.metrics, &core.input_ids, &core.time, &core.anew);
    let mut follower = Follower {
        source,
        partition,
        metrics,
        ids,
        time,
        anew,
        handled,
        before: Timestamp::default(),
        inputs,
    };
    let mut missing = 0;
    let reason = loop {
        let end = follower.follow_once().await;
        // A record that waited is read again.
        core.time.let_go(service);
        match end {
            End::Leader => return,
            End::Again => missing = 0,
            // One that was never there may still come.
            End::Missing if follower.handled.is_none() => {}
            End::Missing if missing < MISSING_TIMES => missing += 1,
            End::Missing => {
                core.metrics.log_error(&LogError::Missing);
                break LogError::Missing.to_string();
            }
            End::Doubt(reason) => break reason,
        }
        tokio::time::sleep(PAUSE).await;
    };
    let reason = format!("the log of {service}/{partition} is in doubt: {reason}");
    // If the leader is gone, nobody needs to know.
    core.inbox.own(Work::Doubt(reason));
}

struct Follower<'a> {
    source: Source,
    partition: u16,
    metrics: &'a Metrics,
    /// Who the inputs' logs are at their ends, for those who wait for positions.
    ids: &'a watch::Sender<BTreeMap<ServiceId, LogId>>,
    time: &'a PartitionTime,
    /// The inputs whose logs took the place of lost ones.
    anew: &'a watch::Sender<BTreeSet<ServiceId>>,
    handled: Option<Handled>,
    /// When the last record was written, by its writer.
    before: Timestamp,
    inputs: mpsc::Sender<Input>,
}

impl Follower<'_> {
    async fn follow_once(&mut self) -> End {
        let name = self.source.service.log(self.partition);
        let log = match self.source.provider.open(&name).await {
            Ok(log) => log,
            Err(OpenError::Missing { .. }) => return End::Missing,
            Err(OpenError::Unavailable(_)) => return End::Again,
            Err(error) => return End::Doubt(error.to_string()),
        };
        let (mut reader, now) = match self.begin(&*log).await {
            Ok(begun) => begun,
            Err(end) => return end,
        };
        self.ids.send_modify(|ids| {
            ids.insert(self.source.service, now);
        });
        let mut watchdog = Watchdog::new(Reader::Attentive);
        let mut records = log.follow(reader.seq + 1);
        let mut waiting = None;
        loop {
            let record = tokio::select! {
                biased;
                accepted = look_again(&mut waiting), if waiting.is_some() => {
                    if let Err(end) = self.try_again(&mut waiting, accepted).await {
                        return end;
                    }
                    continue;
                }
                record = records.next(), if waiting.is_none() => record,
                () = watchdog.time() => match watchdog.look(&*log, &reader, self.metrics).await {
                    Sight::Unreached => continue,
                    Sight::Well => {
                        self.metrics.behind(self.source.service, watchdog.lag);
                        continue;
                    }
                    // It isn't the reader that stalls.
                    Sight::Stalled if waiting.is_some() => continue,
                    Sight::Stalled => {
                        tracing::warn!(log = %name, seq = reader.seq, "a reader has stalled and is made anew");
                        self.metrics.reader_restarts.inc();
                        return End::Again;
                    }
                    Sight::Replaced => return End::Again,
                    Sight::Doubt(reason) => return End::Doubt(reason),
                },
            };
            let taken = match record {
                Some(Ok(record)) => self.take(&mut reader, &record, &mut waiting).await,
                Some(Err(error)) => Err(self.log_error(error)),
                None => Err(End::Again),
            };
            if let Err(end) = taken {
                return end;
            }
        }
    }

    /// Hands the next record to the leader, or lets it wait if it is ahead of the time here. One that was read already
    /// is dropped: a reader may be given what lies behind it.
    async fn take(
        &mut self,
        reader: &mut ChainReader,
        record: &Record,
        waiting: &mut Option<Waiting>,
    ) -> Result<(), End> {
        if record.seq <= reader.seq {
            self.metrics.redelivered.inc();
            return Ok(());
        }
        let before = reader.chain;
        let commit = reader.take(record).map_err(|doubt| self.doubt(&doubt))?;
        let done = self.handled.map_or(0, |handled| handled.events_of_next);
        let (log_id, chain) = (reader.log_id, reader.chain);
        let input = Input {
            service: self.source.service,
            log_id,
            commit: Arc::new(commit),
            handled: usize::try_from(done).unwrap_or(0),
            before,
            chain,
        };
        let time = written_at(&input.commit);
        if self.time.is_early(time, self.before) {
            let held = self.time.hold(input.service, input.commit.seq, time);
            *waiting = Some(Waiting { input, held });
            return Ok(());
        }
        self.hand_over(input).await
    }

    /// Hands a record that waited to the leader, if it need not wait any longer.
    async fn try_again(
        &mut self,
        waiting: &mut Option<Waiting>,
        accepted: bool,
    ) -> Result<(), End> {
        let before = self.before;
        let early = |one: &mut Waiting| self.time.is_early(written_at(&one.input.commit), before);
        let Some(Waiting { input, .. }) = waiting.take_if(|one| accepted || !early(one)) else {
            return Ok(());
        };
        self.time.let_go(input.service);
        self.hand_over(input).await
    }

    async fn hand_over(&mut self, input: Input) -> Result<(), End> {
        let (log_id, seq, chain) = (input.log_id, input.commit.seq, input.chain);
        self.handled = Some(Handled { log_id, seq, events_of_next: 0, chain });
        self.before = written_at(&input.commit);
        self.inputs.send(input).await.map_err(|_| End::Leader)
    }

    /// Checks that the log is the one we know, split as ours is, and that what we have read of it is still there: the
    /// record that we had last must be of the identity that it was of then. A log that took a lost one's place, as its
    /// first record says, is read from there on. Returns also who the log is at its end.
    async fn begin(&mut self, log: &dyn EventLog) -> Result<(ChainReader, LogId), End> {
        let tail = log.tail().await.map_err(|error| self.log_error(error))?;
        let first = match log.read(tail.first, 1).await {
            // It was trimmed in this very moment.
            Err(LogError::Trimmed { .. }) => return Err(End::Again),
            Ok(records) => records.into_iter().next().ok_or(End::Again)?,
            Err(error) => return Err(self.log_error(error)),
        };
        let (born, partitions) = read_first(&first, self.source.service, self.partition)
            .map_err(|doubt| self.doubt(&doubt))?;
        if partitions != self.source.partitions {
            let ours = self.source.partitions;
            return Err(End::Doubt(format!("it has {partitions} partitions and ours has {ours}")));
        }
        let now = identity_of(&self.one(log, tail.last).await?).unwrap_or(born);
        if open_record(&first).is_ok_and(|commit| supersedes_in(&commit).is_some()) {
            self.anew.send_if_modified(|anew| anew.insert(self.source.service));
            self.give_up(log, tail, born).await?;
        }
        let Some(handled) = self.handled.filter(|handled| handled.seq > 0) else {
            if tail.first > 1 {
                return Err(self.log_error(LogError::Trimmed { first: tail.first }));
            }
            return Ok((ChainReader::at_start(born), now));
        };
        let last = self.one(log, handled.seq).await?;
        let there =
            ChainReader::after(handled.log_id, &last).map_err(|doubt| self.doubt(&doubt))?;
        let commit = open_record(&last).map_err(|doubt| self.doubt(&doubt))?;
        self.before = written_at(&commit);
        // A log of before places were kept with their chain has none.
        if handled.chain != Chain::default() && there.chain != handled.chain {
            self.metrics.violation(Invariant::Chain);
            return Err(End::Doubt(rewritten(handled.seq)));
        }
        if handled.events_of_next > 0 {
            // A part of the next one was handled, so it must be of the same log as well.
            let seq = handled.seq + 1;
            if identity_of(&self.one(log, seq).await?) != Some(handled.log_id) {
                return Err(self.doubt(&Doubt::Identity { seq }));
            }
        }
        Ok((there, now))
    }

    /// Forgets the place in a lost log, if that is what was read last: `log` took its place.
    async fn give_up(&mut self, log: &dyn EventLog, tail: Tail, born: LogId) -> Result<(), End> {
        let Some(handled) = self.handled.filter(|handled| handled.log_id != born) else {
            return Ok(());
        };
        // It may have been restored since, and was read as that.
        let later = handled.seq <= tail.last
            && identity_of(&self.one(log, handled.seq).await?) == Some(handled.log_id);
        if !later {
            let (input, partition, seq) = (self.source.service, self.partition, handled.seq);
            tracing::warn!(%input, partition, seq, "its log was given up, and the one in its place is read from record 1");
            self.handled = None;
        }
        Ok(())
    }

    async fn one(&self, log: &dyn EventLog, seq: u64) -> Result<Record, End> {
        match log.read(seq, 1).await {
            Ok(records) => match records.into_iter().next() {
                Some(record) => Ok(record),
                None => Err(self.log_error(LogError::WentBackwards { had: seq, last: seq - 1 })),
            },
            Err(LogError::Beyond { last }) => {
                Err(self.log_error(LogError::WentBackwards { had: seq, last }))
            }
            Err(error) => Err(self.log_error(error)),
        }
    }

    fn doubt(&self, doubt: &Doubt) -> End {
        self.metrics.doubt(doubt);
        End::Doubt(doubt.to_string())
    }

    fn log_error(&self, error: LogError) -> End {
        self.metrics.log_error(&error);
        match error {
            // A log that was made anew is opened again, and compared with what was read of the one before.
            LogError::Unavailable(_) | LogError::Replaced => End::Again,
            LogError::Missing => End::Missing,
            doubt @ (LogError::Gap { .. }
            | LogError::WentBackwards { .. }
            | LogError::Trimmed { .. }
            | LogError::Beyond { .. }
            | LogError::Corrupt { .. }) => End::Doubt(doubt.to_string()),
        }
    }
}
