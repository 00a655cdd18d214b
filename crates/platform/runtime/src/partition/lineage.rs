//! Whether a log is the one that others know: what snapshots, the services that have read it and other instances say of
//! it, compared with what it holds.
//!
//! A log that was lost and made anew is whole by itself, and empty. Only who knew the lost one can tell. **Invariant:**
//! whoever knows a log of another identity, or more of this one than it holds, keeps it from being led, until an
//! operator has given the lost one up (`Supersedes` in the genesis).

use std::fmt;
use std::time::Duration;

use event_log::{EventLog, EventLogProvider, LogError, OpenError, Record, Seq};
use wire::events::v1::{Commit, Consumed};

use super::stop::Stop;
use super::{Core, READ_BYTES, read};
use crate::commit::{Chain, ChainReader, open_record, origin_in, restored_in};
use crate::service::Service;
use crate::{LogId, ServiceId};

/// How often the news that a log ends too early is asked for again before it is believed: right after an election its
/// leader may not have applied yet what others have read already.
const CONFIRMATIONS: u32 = 10;
const CONFIRM_EVERY: Duration = Duration::from_millis(200);
/// How many of a reader's last records are searched for how far it has read. A reader that has read anything writes so
/// every thousand inputs or ten seconds, and with every claim.
const SEARCHED_MAX: Seq = 20_000;
/// The records that are searched first; then twice as many, and so on.
const SEARCHED_FIRST: Seq = 32;
/// How long another log may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A place in a log that somebody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) log_id: LogId,
    pub(crate) seq: Seq,
    /// The chain value after the record; zeros: it isn't known.
    pub(crate) chain: Chain,
}

/// How a known place stands to the log as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The log has just that there.
    Holds,
    /// The log doesn't go back so far any more.
    Trimmed,
    /// It was given up with a lost log, in whose place this one began.
    Earlier,
    /// It was of this log, which was restored to before it.
    Undone,
    /// The log is of that identity, and has another record there.
    Rewritten,
    /// The log ends before it.
    Longer { last: Seq },
    /// It is of a log that this one has never been.
    OtherLog,
}

impl Known {
    /// Compares the place with the log.
    pub(crate) async fn standing<S: Service>(&self, core: &Core<S>) -> Result<Standing, Stop> {
        let mut asked = 0;
        loop {
            let standing = self.standing_now(core).await?;
            let early = matches!(standing, Standing::Longer { .. });
            if !early || asked == CONFIRMATIONS {
                return Ok(standing);
            }
            asked += 1;
            tokio::time::sleep(CONFIRM_EVERY).await;
        }
    }

    async fn standing_now<S: Service>(&self, core: &Core<S>) -> Result<Standing, Stop> {
        let record = match core.log.read(self.seq, 1).await {
            Ok(records) => records.into_iter().next(),
            Err(LogError::Unavailable(_)) => read(&*core.log, self.seq).await?.into_iter().next(),
            Err(LogError::Trimmed { .. }) => return Ok(Standing::Trimmed),
            // What else is wrong with the log is for whoever folds it to say.
            Err(_) => None,
        };
        let there = record.and_then(|record| ChainReader::after(self.log_id, &record).ok());
        match there {
            Some(there) if self.chain == Chain::default() || there.chain == self.chain => {
                return Ok(Standing::Holds);
            }
            Some(_) => return Ok(Standing::Rewritten),
            None => {}
        }
        if self.log_id != core.identity.log_id {
            let standing = if has_been(core, self.log_id).await? {
                Standing::Undone
            } else if core.identity.supersedes {
                Standing::Earlier
            } else {
                Standing::OtherLog
            };
            return Ok(standing);
        }
        match core.log.tail().await {
            Ok(tail) if tail.last < self.seq => Ok(Standing::Longer { last: tail.last }),
            Ok(_) | Err(LogError::Unavailable(_)) => Ok(Standing::Rewritten),
            Err(error) => Err(Stop::Halted(error.to_string())),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of log {}", self.seq, hex::encode(self.log_id))
    }
}

/// What is said of a log that somebody knows otherwise.
pub(crate) fn lost(who: &str, known: &Known, of: &LogId, standing: &Standing) -> String {
    let how = match standing {
        Standing::Longer { last } => format!("it ends at record {last}"),
        Standing::OtherLog => format!("it is log {}", hex::encode(of)),
        Standing::Rewritten => "it has another record there".to_owned(),
        Standing::Undone => "it was restored to before that".to_owned(),
        Standing::Holds | Standing::Trimmed | Standing::Earlier => "it is that one".to_owned(),
    };
    format!(
        "{who} knows {known}, and {how}: the log was lost or replaced. Bring it back or restore a backup; to go on without what is \
         lost, `switchyard init --accept-loss`"
    )
}

/// Whether the log has ever been of this identity.
async fn has_been<S: Service>(core: &Core<S>, log_id: LogId) -> Result<bool, Stop> {
    let identity = &core.identity;
    if log_id == identity.born || log_id == identity.log_id {
        return Ok(true);
    }
    if identity.born == identity.log_id {
        // Each restoring gives another identity, so there was none.
        return Ok(false);
    }
    let mut from = match core.log.tail().await {
        Ok(tail) => tail.first,
        Err(_) => return Ok(false),
    };
    loop {
        let records = read(&*core.log, from).await?;
        let Some(last) = records.last() else { return Ok(false) };
        from = last.seq + 1;
        let of_it = |record: &Record| {
            let commit = open_record(record).ok();
            commit.as_ref().and_then(restored_in).is_some_and(|restored| {
                restored.previous_log_id == log_id || restored.log_id == log_id
            })
        };
        if records.iter().any(of_it) {
            return Ok(true);
        }
    }
}

/// Makes sure that no service has read more of this log, or of another in its place, than it holds.
pub(crate) async fn ask_readers<S: Service>(
    core: &Core<S>,
    provider: &dyn EventLogProvider,
) -> Result<(), Stop> {
    for reader in ServiceId::ALL.into_iter().filter(|reader| *reader != S::ID) {
        let asked = tokio::time::timeout(ANSWERS_WITHIN, said_by(core, provider, reader)).await;
        let Ok(Some(consumed)) = asked else { continue };
        let (Ok(log_id), Ok(chain)) = (
            LogId::try_from(consumed.log_id.as_slice()),
            Chain::try_from(consumed.chain.as_slice()),
        ) else {
            // Who reads that log says what is wrong with it.
            continue;
        };
        let known = Known { log_id, seq: consumed.seq, chain };
        if known.seq == 0 {
            continue;
        }
        let standing = known.standing(core).await?;
        match standing {
            Standing::Holds | Standing::Trimmed | Standing::Earlier => {}
            // A reader that wasn't restored with the log knows what the log has lost.
            Standing::Undone
            | Standing::Rewritten
            | Standing::Longer { .. }
            | Standing::OtherLog => {
                core.evidence.send_replace(Some((log_id, known.seq)));
                let who = format!("the log of {reader}/{}", core.partition);
                return Err(Stop::Halted(lost(&who, &known, &core.identity.log_id, &standing)));
            }
        }
    }
    Ok(())
}

/// How far a service has read this log, as its own log says last. None where that can't be told now: its own partition
/// will find out.
async fn said_by<S: Service>(
    core: &Core<S>,
    provider: &dyn EventLogProvider,
    reader: ServiceId,
) -> Option<Consumed> {
    let log = match provider.open(&reader.log(core.partition)).await {
        Ok(log) => log,
        Err(OpenError::Missing { .. }) => return None,
        Err(error) => {
            tracing::debug!(service = %S::ID, partition = core.partition, %reader, %error, "a reader's log isn't there to be asked");
            return None;
        }
    };
    match last_read_of(&*log, S::ID).await {
        Ok(said) => said,
        Err(error) => {
            tracing::debug!(service = %S::ID, partition = core.partition, %reader, %error, "a reader's log can't be asked");
            None
        }
    }
}

/// How far the owner of `log` has read that of `of`, by the last of its records that says so. None: it has read none of
/// it, or none of its last 20,000 records says so.
pub async fn last_read_of(log: &dyn EventLog, of: ServiceId) -> Result<Option<Consumed>, LogError> {
    let tail = log.tail().await?;
    let (mut end, mut count) = (tail.last, SEARCHED_FIRST);
    let lowest = tail.first.max(tail.last.saturating_sub(SEARCHED_MAX)).max(1);
    while end >= lowest {
        let begin = lowest.max(end.saturating_sub(count.saturating_sub(1)));
        let (mut next, mut last) = (begin, None);
        while next <= end {
            let records = log.read(next, READ_BYTES).await?;
            let Some(read) = records.last() else { break };
            next = read.seq + 1;
            for record in records.iter().filter(|record| record.seq <= end) {
                let Ok(commit) = open_record(record) else { continue };
                if let Some(said) = said_in(&commit, of) {
                    last = Some(said);
                }
            }
        }
        if let Some(said) = last {
            return Ok(said);
        }
        (end, count) = (begin.saturating_sub(1), count.saturating_mul(2));
    }
    Ok(None)
}

/// What a commit says of how far it has read `of`: nothing; or that it has read none of it; or how far.
#[expect(clippy::option_option, reason = "to say that nothing was read is not to say nothing")]
fn said_in(commit: &Commit, of: ServiceId) -> Option<Option<Consumed>> {
    let one = |all: &[Consumed]| all.iter().find(|one| one.service == of.number()).cloned();
    if let Some(moved) = one(&commit.consumed) {
        return Some(Some(moved));
    }
    // An origin names all of them.
    origin_in(commit).map(|origin| one(&origin.consumed))
}
