//! Appending a commit until it is known whether it was written.
//!
//! Every attempt carries the same bytes and the same fence, so at most one can succeed. What an attempt leaves open is
//! resolved by reading the record behind the fence, never by hoping.

use std::time::Duration;

use bytes::Bytes;
use event_log::{AppendError, EventLog, LogError, Seq};
use kernel::planted::{self, Bug};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::health::Health;
use crate::metrics::{Metrics, Outcome};

/// How an append ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the log.
    Written,
    /// Another record stands in its place.
    Fenced,
    /// It was not written: no room.
    Full,
    /// The log can't be trusted.
    Doubt(String),
}

/// What is known after an attempt.
#[derive(Debug)]
enum Known {
    /// How it ended.
    End(Appended),
    /// Nothing yet: try again.
    Nothing,
    /// Bad news, which is believed once it has come so often.
    Bad(LogError, u32),
}

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often in a row a log must end before the fence before that is believed: right after an election its leader may
/// not have applied all.
const BACKWARDS_TIMES: u32 = 5;
/// How often it must be missing: servers that just start may not know yet what they hold.
const MISSING_TIMES: u32 = 20;

/// Appends `bytes` behind `fence`. While the log can't be reached it tries on, and `health` says so.
pub(crate) async fn append(
    log: &dyn EventLog,
    fence: Seq,
    bytes: &Bytes,
    health: &watch::Sender<Health>,
    metrics: &Metrics,
) -> Appended {
    let mut pause = PAUSE_FIRST;
    let mut bad_news = 0;
    loop {
        let begun = Instant::now();
        let mut behind = fence;
        if planted::is(Bug::FenceNotCarried) {
            behind = log.tail().await.map_or(fence, |tail| tail.last);
        }
        let attempt = log.append(behind, bytes.clone()).await;
        metrics.appended(outcome(&attempt), begun.elapsed());
        let known = match attempt {
            Ok(_) => Known::End(Appended::Written),
            Err(AppendError::Full) => Known::End(Appended::Full),
            Err(error @ AppendError::TooLarge { .. }) => {
                Known::End(Appended::Doubt(error.to_string()))
            }
            Err(AppendError::Fenced { last }) => {
                tracing::debug!(fence, last, "an append was refused");
                resolve(log, fence, bytes).await
            }
            Err(AppendError::Unknown(_)) if planted::is(Bug::UnknownIsFailure) => {
                Known::End(Appended::Full)
            }
            Err(AppendError::Unknown(_)) if planted::is(Bug::UnknownIsSuccess) => {
                Known::End(Appended::Written)
            }
            Err(AppendError::Unknown(error)) => {
                tracing::warn!(%error, fence, "an append's outcome is unknown");
                // Said before it is resolved: each of the two may last as long as the log's patience, and callers must
                // hear of a log that is away before their own deadlines.
                health.send_if_modified(|health| {
                    leave(health, &Health::Ready, Health::LogUnavailable)
                });
                resolve(log, fence, bytes).await
            }
            Err(AppendError::Unavailable(error)) => {
                tracing::debug!(%error, fence, "the log is unavailable");
                Known::Nothing
            }
        };
        let settled = match known {
            Known::End(appended) => Some(appended),
            Known::Nothing => None,
            Known::Bad(error, times) if bad_news >= times => {
                metrics.log_error(&error);
                Some(Appended::Doubt(error.to_string()))
            }
            Known::Bad(..) => {
                bad_news += 1;
                None
            }
        };
        if let Some(settled) = settled {
            // One that no longer leads isn't ready for having learned so.
            if matches!(settled, Appended::Written | Appended::Full) {
                health.send_if_modified(|health| {
                    leave(health, &Health::LogUnavailable, Health::Ready)
                });
            }
            return settled;
        }
        health.send_if_modified(|health| leave(health, &Health::Ready, Health::LogUnavailable));
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

fn outcome(attempt: &Result<Seq, AppendError>) -> Outcome {
    match attempt {
        Ok(_) => Outcome::Written,
        Err(AppendError::Fenced { .. }) => Outcome::Fenced,
        Err(AppendError::Unknown(_)) => Outcome::Unknown,
        Err(AppendError::Unavailable(_)) => Outcome::Unavailable,
        Err(AppendError::Full) => Outcome::Full,
        Err(AppendError::TooLarge { .. }) => Outcome::TooLarge,
    }
}

/// Changes a condition, if it is that one.
pub(crate) fn leave(health: &mut Health, from: &Health, to: Health) -> bool {
    let leaves = health == from;
    if leaves {
        *health = to;
    }
    leaves
}

/// What stands behind the fence: ours, another's, or nothing yet.
async fn resolve(log: &dyn EventLog, fence: Seq, bytes: &Bytes) -> Known {
    match log.read(fence + 1, 1).await {
        Ok(records) => match records.first() {
            Some(record) if record.bytes == *bytes => Known::End(Appended::Written),
            Some(_) => Known::End(Appended::Fenced),
            // A refusal may come from our own attempt that is not visible yet: nothing is decided by an absence.
            None => Known::Nothing,
        },
        Err(LogError::Unavailable(_)) => Known::Nothing,
        Err(LogError::Beyond { last }) => {
            Known::Bad(LogError::WentBackwards { had: fence, last }, BACKWARDS_TIMES)
        }
        Err(error @ LogError::Missing) => Known::Bad(error, MISSING_TIMES),
        Err(error) => Known::End(Appended::Doubt(error.to_string())),
    }
}
