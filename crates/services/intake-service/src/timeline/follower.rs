//! Feeds the index from one log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, LogError, OpenError, Seq};
use futures::StreamExt;
use runtime::{ServiceId, open_record, origin_in};
use wire::events::v1::{Commit, Consumed};

use super::{Beginning, Shared, lock};

/// How long to wait before another try at a log that isn't there yet or that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Follows the log for ever. Whatever fails is tried again from the same record: the index never skips one.
pub(super) async fn run(shared: Arc<Shared>, service: ServiceId) {
    let partition = shared.number;
    let mut next: Seq = 1;
    // What was said last of a log that is in doubt: it is tried on, and said once.
    let mut said = String::new();
    shared.begin().await;
    loop {
        match shared.open(service).await {
            Ok(log) => {
                next = follow(&shared, service, &log, next, &mut said).await;
            }
            Err(OpenError::Missing { .. }) => {}
            // The partitions say so already, and at a stop it is only what a log does that was closed.
            Err(OpenError::Unavailable(error)) => {
                tracing::debug!(%service, partition, %error, "the timeline waits for a log");
            }
            Err(error) if is_news(&mut said, &error) => {
                tracing::warn!(%service, partition, %error, "the timeline can't open a log");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Whether something else is wrong than what was said last.
fn is_news(said: &mut String, error: &dyn std::fmt::Display) -> bool {
    let text = error.to_string();
    let news = *said != text;
    *said = text;
    news
}

/// Notes where a log begins of which records were trimmed away before they were indexed. `None`: it can't be read now.
async fn begin(shared: &Shared, service: ServiceId, log: &dyn EventLog, first: Seq) -> Option<Seq> {
    let record = log.read(first, 1).await.ok()?.into_iter().next()?;
    let commit = open_record(&record).ok()?;
    let beginning = Beginning { first, read: read_before(&commit) };
    *lock(&shared.log(service)?.beginning) = Some(beginning);
    Some(first)
}

/// How far a service had read the other logs before it wrote `commit`, with which its log may begin.
fn read_before(commit: &Commit) -> Option<BTreeMap<ServiceId, Seq>> {
    let origin = origin_in(commit)?;
    let read = |consumed: &Consumed| {
        let partly = u64::from(consumed.events_of_next > 0);
        Some((ServiceId::from_number(consumed.service)?, consumed.seq.saturating_add(partly)))
    };
    Some(origin.consumed.iter().filter_map(read).collect())
}

/// Indexes records from `next` on until something fails; returns where to go on.
async fn follow(
    shared: &Shared,
    service: ServiceId,
    log: &Arc<dyn EventLog>,
    mut next: Seq,
    said: &mut String,
) -> Seq {
    let mut commits = shared.commits(service, &**log, next);
    while let Some(commit) = commits.next().await {
        let commit = match commit {
            Ok(commit) => commit,
            Err(LogError::Trimmed { first }) => {
                return begin(shared, service, &**log, first).await.unwrap_or(next);
            }
            Err(LogError::Unavailable(error)) => {
                tracing::debug!(%service, partition = shared.number, next, %error, "the timeline waits for a log");
                return next;
            }
            Err(error) => {
                if is_news(said, &error) {
                    tracing::warn!(%service, partition = shared.number, next, %error, "the timeline can't read a log");
                }
                if let Some(log) = shared.log(service) {
                    log.unreadable.send_replace(Some(next));
                }
                return next;
            }
        };
        if !said.is_empty() {
            said.clear();
            if let Some(log) = shared.log(service) {
                log.unreadable.send_replace(None);
            }
        }
        lock(&shared.index).take(service, &commit);
        next = commit.seq.saturating_add(1);
        if let Some(log) = shared.log(service) {
            log.indexed.send_replace(commit.seq);
        }
    }
    next
}
