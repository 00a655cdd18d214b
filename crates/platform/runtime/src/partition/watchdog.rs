//! Looks after a log from its reader's place: whether it is kept as it must be, still goes as far as was read, and still holds there
//! what was read there. A log that was restored, made anew or written over shows it, however its last number looks.

use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, LogError, Record, Seq, Tail};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::commit::ChainReader;
use crate::metrics::{Invariant, Metrics};
use crate::partition::{Core, Work};
use crate::service::Service;

/// How often a log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A reader that is behind and hears nothing for so long is made anew.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// How often bad news is asked for again before it is believed: right after an election a log's leader may not have applied yet what
/// others have read already.
const CONFIRMATIONS: u32 = 10;
/// The same for a log that is missing: servers that just start may not know yet what they hold.
const MISSING_CONFIRMATIONS: u32 = 40;
const CONFIRM_EVERY: Duration = Duration::from_millis(200);

/// Looks at one log for one reader.
pub(crate) struct Watchdog {
    ticks: Interval,
    /// Where the reader stood when it was first seen to be behind, and when that was.
    behind: Option<(Seq, Instant)>,
    repaired: u64,
    warned: Vec<String>,
    /// How many records the reader had not been given at the last look.
    pub(crate) lag: u64,
}

/// What a look showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All is well, or the log can't be asked now.
    Well,
    /// There is more, and the reader has not been given any of it for [`STALLED_AFTER`].
    Stalled,
    /// The log can't be trusted any more.
    Doubt(String),
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        let mut ticks = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, behind: None, repaired: 0, warned: Vec::new(), lag: 0 }
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
        let inspection = match log.inspect().await {
            Ok(inspection) => inspection,
            Err(LogError::Unavailable(_)) => return Sight::Well,
            Err(error) => return confirm(log, reader, error, metrics).await,
        };
        metrics.repaired.inc_by(inspection.repaired.saturating_sub(self.repaired));
        self.repaired = inspection.repaired;
        if inspection.warnings != self.warned {
            for warning in &inspection.warnings {
                tracing::warn!(warning, "a log asks for an operator");
            }
            self.warned = inspection.warnings;
        }
        if !inspection.faults.is_empty() {
            let faults = inspection.faults.join(", ");
            return Sight::Doubt(format!("the log is not set up as it must be: {faults}"));
        }
        match place(log, reader, inspection.tail).await {
            Ok(()) => self.progress(reader.seq, inspection.tail.last),
            Err(Trouble::Log(LogError::Unavailable(_))) => Sight::Well,
            Err(Trouble::Log(error)) => confirm(log, reader, error, metrics).await,
            Err(Trouble::Rewritten) => {
                metrics.violation(Invariant::Chain);
                Sight::Doubt(rewritten(reader.seq))
            }
        }
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

/// Looks after a leader's own log until the leader is gone. The leader writes; what it has not written must not be there.
pub(crate) async fn own<S: Service>(core: Arc<Core<S>>) {
    let mut watchdog = Watchdog::new();
    loop {
        watchdog.time().await;
        let Some(reader) = core.place() else { continue };
        let reason = match watchdog.look(&*core.log, &reader, &core.metrics).await {
            Sight::Well => continue,
            Sight::Stalled => match intruder(&core, &reader).await {
                Some(reason) => reason,
                None => continue,
            },
            Sight::Doubt(reason) => reason,
        };
        if !core.inbox.own(Work::Doubt(format!("{}: {reason}", S::ID))) {
            return;
        }
    }
}

/// A record that stands behind the leader's last one and that no leader has written; none if a leader has, be it this one.
pub(crate) async fn intruder<S: Service>(core: &Core<S>, reader: &ChainReader) -> Option<String> {
    let records = core.log.read(reader.seq + 1, 1).await.ok()?;
    let doubt = reader.clone().take(records.first()?).err()?;
    core.metrics.doubt(&doubt);
    Some(format!("somebody else has written to the log: {doubt}"))
}
