//! Looks after a log from its reader's place: whether it is kept as it must be, still goes as far as was read, still
//! holds there what was read there, and begins where it may begin. A log that was restored, made anew, written over or
//! purged shows it, however its last number looks.

use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, LogError, Record, Seq, Tail};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::commit::{ChainReader, is_origin, open_record};
use crate::health::Health;
use crate::metrics::{Invariant, Metrics};
use crate::partition::appending::leave;
use crate::partition::{Core, Work};
use crate::service::Service;

/// How often a log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How soon a leader's log is looked at again after something was written to it.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a log may take to answer before it counts as one that can't be reached. With the time between two looks it
/// is less than the five seconds within which that is to be noticed.
const ANSWERS_WITHIN: Duration = Duration::from_millis(2_500);
/// How often a log that can't be reached is asked again.
const ASK_AGAIN_EVERY: Duration = Duration::from_millis(200);
/// A connection that is made again so soon was not lost.
const BLIP: Duration = Duration::from_millis(500);
/// A log that is away for so long while its connection seems to be up is said by itself: a connection that is lost is
/// noticed sooner.
const SAID_AFTER: Duration = Duration::from_secs(4);
/// A reader that is behind and hears nothing for so long is made anew.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// How often bad news is asked for again before it is believed: right after an election a log's leader may not have
/// applied yet what others have read already.
const CONFIRMATIONS: u32 = 10;
/// The same for a log that is missing: servers that just start may not know yet what they hold.
const MISSING_CONFIRMATIONS: u32 = 40;
const CONFIRM_EVERY: Duration = Duration::from_millis(200);

/// Who reads a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Its leader, or a service that follows it: nothing is trimmed away before they have read it, nor the last that
    /// they have read.
    Attentive,
    /// A standby of its service: it may be further behind than what is trimmed, and begins anew from a snapshot.
    Standby,
}

/// Looks at one log for one reader.
pub(crate) struct Watchdog {
    ticks: Interval,
    whose: Reader,
    /// The first record that the log still had when that was last seen to be one that it may begin with.
    first: Option<Seq>,
    looked: Instant,
    /// Where the reader stood when it was first seen to be behind, and when that was.
    behind: Option<(Seq, Instant)>,
    repaired: u64,
    /// The warnings of the last look, and those that were told.
    seen: Vec<String>,
    warned: Vec<String>,
    /// How many records the reader had not been given at the last look.
    pub(crate) lag: u64,
}

/// What a look showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All is well.
    Well,
    /// The log can't be asked now.
    Unreached,
    /// There is more, and the reader has not been given any of it for [`STALLED_AFTER`].
    Stalled,
    /// The log was deleted, and another one of its name was made.
    Replaced,
    /// The log can't be trusted any more.
    Doubt(String),
}

impl Watchdog {
    pub(crate) fn new(whose: Reader) -> Self {
        let looked = Instant::now();
        let mut ticks = tokio::time::interval_at(looked + LOOK_EVERY, LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (behind, seen, warned) = (None, Vec::new(), Vec::new());
        Self { ticks, whose, first: None, looked, behind, repaired: 0, seen, warned, lag: 0 }
    }

    /// Warns of what two looks in a row have found, once: what passes by itself, such as a server that starts, asks for
    /// nobody.
    fn warn_of(&mut self, warnings: Vec<String>) {
        let lasting: Vec<_> =
            warnings.iter().filter(|one| self.seen.contains(one)).cloned().collect();
        for warning in lasting.iter().filter(|one| !self.warned.contains(one)) {
            tracing::warn!(warning, "a log's server needs an operator's look");
        }
        (self.seen, self.warned) = (warnings, lasting);
    }

    /// Returns when it is time to look.
    pub(crate) async fn time(&mut self) {
        self.ticks.tick().await;
    }

    /// Looks at `log` from where `reader` stands.
    pub(crate) async fn look(
        &mut self,
        log: &dyn EventLog,
        reader: &ChainReader,
        metrics: &Metrics,
    ) -> Sight {
        self.looked = Instant::now();
        let asked = tokio::time::timeout(ANSWERS_WITHIN, log.inspect()).await;
        let inspection = match asked {
            Ok(Ok(inspection)) => inspection,
            Err(_) | Ok(Err(LogError::Unavailable(_))) => return Sight::Unreached,
            Ok(Err(LogError::Replaced)) => return Sight::Replaced,
            Ok(Err(error)) => return confirm(log, reader, error, metrics).await,
        };
        metrics.repaired.inc_by(inspection.repaired.saturating_sub(self.repaired));
        self.repaired = inspection.repaired;
        self.warn_of(inspection.warnings);
        if !inspection.faults.is_empty() {
            let faults = inspection.faults.join(", ");
            return Sight::Doubt(format!("the log is not set up as it must be: {faults}"));
        }
        if let Some(sight) = self.beginning(log, reader.seq, inspection.tail, metrics).await {
            return sight;
        }
        let asked = tokio::time::timeout(ANSWERS_WITHIN, place(log, reader, inspection.tail));
        match asked.await {
            Ok(Ok(())) => self.progress(reader.seq, inspection.tail.last),
            Err(_) | Ok(Err(Trouble::Log(LogError::Unavailable(_)))) => Sight::Unreached,
            Ok(Err(Trouble::Log(error))) => confirm(log, reader, error, metrics).await,
            Ok(Err(Trouble::Rewritten)) => {
                metrics.violation(Invariant::Chain);
                Sight::Doubt(rewritten(reader.seq))
            }
        }
    }

    /// What the log's first record shows, if it isn't well. A log never is without a record: trimming leaves the last
    /// one, and begins at one that says of itself that a log may.
    async fn beginning(
        &mut self,
        log: &dyn EventLog,
        seq: Seq,
        tail: Tail,
        metrics: &Metrics,
    ) -> Option<Sight> {
        let Tail { first, last } = tail;
        let purged = if first > last && last >= seq {
            format!("it was purged: it holds no record, and record {seq} was its last")
        } else if seq < first && last >= seq && self.whose == Reader::Attentive {
            format!(
                "it was purged: it begins at record {first}, and record {seq} was not to go yet"
            )
        } else if first > 1 && last >= first && self.first != Some(first) {
            match log.read(first, 1).await.as_deref() {
                Err(LogError::Unavailable(_)) => return Some(Sight::Unreached),
                // It was trimmed in this very moment, or is looked at by whoever reads on.
                Err(_) | Ok([]) => return None,
                Ok([record, ..]) if open_record(record).is_ok_and(|commit| is_origin(&commit)) => {
                    self.first = Some(first);
                    return None;
                }
                Ok(_) => {
                    format!("it was purged: it begins at record {first}, which no trimming leaves")
                }
            }
        } else {
            return None;
        };
        metrics.violation(Invariant::NoAckedLoss);
        Some(Sight::Doubt(purged))
    }

    fn progress(&mut self, seq: Seq, last: Seq) -> Sight {
        self.lag = last.saturating_sub(seq);
        if last <= seq {
            self.behind = None;
            return Sight::Well;
        }
        match self.behind {
            Some((at, since)) if at == seq => {
                if since.elapsed() >= STALLED_AFTER {
                    Sight::Stalled
                } else {
                    Sight::Well
                }
            }
            Some(_) | None => {
                self.behind = Some((seq, Instant::now()));
                Sight::Well
            }
        }
    }
}

/// Why a reader's place is not as it was.
enum Trouble {
    Log(LogError),
    Rewritten,
}

/// What is said of a place at which another record stands now.
pub(crate) fn rewritten(seq: Seq) -> String {
    format!("record {seq} is not the one that was read: the log's history was rewritten")
}

/// Whether the log still goes as far as the reader, and has there what the reader has read.
async fn place(log: &dyn EventLog, reader: &ChainReader, tail: Tail) -> Result<(), Trouble> {
    let seq = reader.seq;
    if tail.last < seq {
        return Err(Trouble::Log(LogError::WentBackwards { had: seq, last: tail.last }));
    }
    if seq < tail.first {
        // Trimmed behind the reader; the next record's chain will tell.
        return Ok(());
    }
    let found = log.read(seq, 1).await.map_err(Trouble::Log)?;
    match found.first().map(|record| same(reader, record)) {
        Some(true) => Ok(()),
        Some(false) => Err(Trouble::Rewritten),
        None => Err(Trouble::Log(LogError::WentBackwards { had: seq, last: tail.last })),
    }
}

fn same(reader: &ChainReader, record: &Record) -> bool {
    let there = ChainReader::after(reader.log_id, record);
    there.is_ok_and(|there| there.chain == reader.chain)
}

/// Asks again before bad news is believed; it is enough to be told otherwise once.
async fn confirm(
    log: &dyn EventLog,
    reader: &ChainReader,
    error: LogError,
    metrics: &Metrics,
) -> Sight {
    let mut news = error;
    let times = match news {
        LogError::Missing => MISSING_CONFIRMATIONS,
        LogError::Gap { .. }
        | LogError::WentBackwards { .. }
        | LogError::Trimmed { .. }
        | LogError::Beyond { .. }
        | LogError::Corrupt { .. }
        | LogError::Replaced
        | LogError::Unavailable(_) => CONFIRMATIONS,
    };
    for _ in 0..times {
        tokio::time::sleep(CONFIRM_EVERY).await;
        let again = match log.tail().await {
            Ok(tail) => place(log, reader, tail).await,
            Err(error) => Err(Trouble::Log(error)),
        };
        match again {
            Ok(()) | Err(Trouble::Log(LogError::Unavailable(_))) => return Sight::Well,
            Err(Trouble::Rewritten) => {
                metrics.violation(Invariant::Chain);
                return Sight::Doubt(rewritten(reader.seq));
            }
            Err(Trouble::Log(error)) => news = error,
        }
    }
    metrics.log_error(&news);
    Sight::Doubt(news.to_string())
}

/// Looks after a leader's own log until the leader is gone. The leader writes; what it has not written must not be
/// there. Whether the log can be reached is seen here as well, so that it is known before anybody calls.
pub(crate) async fn own<S: Service>(core: Arc<Core<S>>) {
    let mut watchdog = Watchdog::new(Reader::Attentive);
    let mut applied = core.applied.subscribe();
    let mut reach = Reach { connected: core.log.connected(), away: None };
    loop {
        let (away, looked) = (reach.away.is_some(), watchdog.looked);
        tokio::select! {
            () = watchdog.time() => {}
            () = written(&mut applied, looked), if !away => {}
            () = reach.lost(), if !away => {}
            () = tokio::time::sleep(ASK_AGAIN_EVERY), if away => {}
        }
        let Some(reader) = core.place() else { continue };
        let sight = watchdog.look(&*core.log, &reader, &core.metrics).await;
        let written = *core.applied.borrow() > reader.seq;
        let reason = match sight {
            Sight::Unreached if written => continue,
            Sight::Unreached => {
                reach.is_away(&core);
                continue;
            }
            Sight::Well => {
                reach.is_back(&core);
                continue;
            }
            Sight::Replaced => LogError::Replaced.to_string(),
            Sight::Stalled => match intruder(&core, &reader).await {
                Some(reason) => reason,
                None => continue,
            },
            Sight::Doubt(reason) => reason,
        };
        if !core.inbox.own(Work::Doubt(reason)) {
            return;
        }
    }
}

/// Returns when it is time to look because something was written since the log was looked at.
async fn written(applied: &mut watch::Receiver<Seq>, looked: Instant) {
    // The sender is in the partition's core, which whoever looks holds.
    drop(applied.changed().await);
    tokio::time::sleep_until(looked + LOOK_AGAIN_AFTER).await;
}

/// Whether a leader's log can be reached.
struct Reach {
    connected: Option<watch::Receiver<bool>>,
    /// Since when it couldn't be, if this is who said so, and whether the log has a line about it.
    away: Option<(Instant, bool)>,
}

impl Reach {
    /// Returns when the connection has been lost for longer than a blip.
    async fn lost(&mut self) {
        if let Some(connected) = &mut self.connected {
            while connected.wait_for(|connected| !connected).await.is_ok() {
                let back = connected.wait_for(|connected| *connected);
                if tokio::time::timeout(BLIP, back).await.is_err() {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Calls are refused from now on, until the log answers again.
    fn is_away<S: Service>(&mut self, core: &Core<S>) {
        let away = |health: &mut Health| leave(health, &Health::Ready, Health::LogUnavailable);
        if core.health.send_if_modified(away) {
            self.away = Some((Instant::now(), false));
        }
        let connected = self.is_connected();
        if let Some((since, said @ false)) = &mut self.away
            && connected
            && since.elapsed() >= SAID_AFTER
        {
            *said = true;
            tracing::warn!(service = %S::ID, partition = core.partition, "its log can't be reached");
        }
    }

    fn is_back<S: Service>(&mut self, core: &Core<S>) {
        let Some((_, said)) = self.away.take() else { return };
        let back = |health: &mut Health| leave(health, &Health::LogUnavailable, Health::Ready);
        core.health.send_if_modified(back);
        if said {
            let partition = core.partition;
            tracing::info!(service = %S::ID, partition, "its log can be reached again");
        }
    }

    /// Whoever keeps the connection says of itself that it is lost, once for all partitions.
    fn is_connected(&self) -> bool {
        self.connected.as_ref().is_none_or(|connected| *connected.borrow())
    }
}

/// A record that stands behind the leader's last one and that no leader has written; none if a leader has, be it this
/// one.
pub(crate) async fn intruder<S: Service>(core: &Core<S>, reader: &ChainReader) -> Option<String> {
    let records = core.log.read(reader.seq + 1, 1).await.ok()?;
    let doubt = reader.clone().take(records.first()?).err()?;
    core.metrics.doubt(&doubt);
    Some(format!("somebody else has written to the log: {doubt}"))
}
