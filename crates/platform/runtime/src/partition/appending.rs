//! Appending a commit until it is known whether it was written.
//!
//! Every attempt carries the same bytes and the same fence, so at most one can succeed. What an attempt leaves open is resolved by
//! reading the record behind the fence, never by hoping.

use std::time::Duration;

use bytes::Bytes;
use event_log::{AppendError, EventLog, LogError, Seq};
use tokio::sync::watch;

use crate::health::Health;

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

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Appends `bytes` behind `fence`. While the log can't be reached it tries on, and `health` says so.
pub(crate) async fn append(
    log: &dyn EventLog,
    fence: Seq,
    bytes: &Bytes,
    health: &watch::Sender<Health>,
) -> Appended {
    let mut pause = PAUSE_FIRST;
    loop {
        let attempt = log.append(fence, bytes.clone());
        let settled = match attempt.await {
            Ok(_) => Some(Appended::Written),
            Err(AppendError::Full) => Some(Appended::Full),
            Err(error @ AppendError::TooLarge { .. }) => Some(Appended::Doubt(error.to_string())),
            Err(AppendError::Fenced { last }) => {
                tracing::debug!(fence, last, "an append was refused");
                resolve(log, fence, bytes).await
            }
            Err(AppendError::Unknown(error)) => {
                tracing::warn!(%error, fence, "an append's outcome is unknown");
                // Said before it is resolved: each of the two may last as long as the log's patience, and callers must hear of a
                // log that is away before their own deadlines.
                health.send_if_modified(|health| {
                    leave(health, &Health::Ready, Health::LogUnavailable)
                });
                resolve(log, fence, bytes).await
            }
            Err(AppendError::Unavailable(error)) => {
                tracing::debug!(%error, fence, "the log is unavailable");
                None
            }
        };
        if let Some(settled) = settled {
            health.send_if_modified(|health| leave(health, &Health::LogUnavailable, Health::Ready));
            return settled;
        }
        health.send_if_modified(|health| leave(health, &Health::Ready, Health::LogUnavailable));
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

fn leave(health: &mut Health, from: &Health, to: Health) -> bool {
    let leaves = health == from;
    if leaves {
        *health = to;
    }
    leaves
}

/// What stands behind the fence: ours, another's, or nothing yet (`None`: try again).
async fn resolve(log: &dyn EventLog, fence: Seq, bytes: &Bytes) -> Option<Appended> {
    match log.read(fence + 1, 1).await {
        Ok(records) => match records.first() {
            Some(record) if record.bytes == *bytes => Some(Appended::Written),
            Some(_) => Some(Appended::Fenced),
            // A refusal may come from our own attempt that is not visible yet: nothing is decided by an absence.
            None => None,
        },
        Err(LogError::Unavailable(_)) => None,
        Err(LogError::Beyond { last }) => Some(Appended::Doubt(format!(
            "the log went backwards: it ended at {fence}, now at {last}"
        ))),
        Err(error) => Some(Appended::Doubt(error.to_string())),
    }
}
