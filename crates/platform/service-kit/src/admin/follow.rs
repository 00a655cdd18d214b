//! Following a log for an operator: a step at a time, as it is read.

use std::time::Duration;

use event_log::{LogError, Record, Seq};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Status;
use wire::admin::v1::FollowResponse;

use super::logs::{Place, refuse};
use crate::Watcher;
use crate::readers::Unsent;
use crate::watch::STEP_BYTES;

/// How often the log is looked at when nothing says that it has more: what others write is heard of only where it is
/// applied.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Every record from `from` on, those to come included. A log that can't be reached is waited for.
pub(super) fn follow(
    place: Place,
    watcher: Watcher,
    from: Seq,
    decode: bool,
) -> BoxStream<'static, Result<FollowResponse, Status>> {
    let rest = Vec::new().into_iter();
    let following = Following { place, watcher, decode, next: from, rest, held: None };
    stream::unfold(Some(following), |following| async {
        let mut following = following?;
        let told = following.told().await;
        let goes_on = told.is_ok();
        Some((told, goes_on.then_some(following)))
    })
    .boxed()
}

struct Following {
    place: Place,
    watcher: Watcher,
    decode: bool,
    next: Seq,
    /// Read and not given out yet.
    rest: std::vec::IntoIter<Record>,
    held: Option<Unsent>,
}

impl Following {
    async fn told(&mut self) -> Result<FollowResponse, Status> {
        let watcher = self.watcher.clone();
        let record = tokio::select! {
            biased;
            end = watcher.ends() => {
                return Err(end.refusal().with("from_seq", self.next).into());
            }
            record = self.record() => record.map_err(|error| Status::from(refuse(&error)))?,
        };
        self.next = record.seq.saturating_add(1);
        Ok(FollowResponse { record: Some(self.place.show(record, self.decode)) })
    }

    async fn record(&mut self) -> Result<Record, LogError> {
        loop {
            if let Some(record) = self.rest.next() {
                return Ok(record);
            }
            drop(self.held.take());
            let held = self.watcher.turn(STEP_BYTES).await;
            // Before the log is asked: what is applied meanwhile is heard of.
            self.place.applied.mark_unchanged();
            let read = match self.place.log.read(self.next, STEP_BYTES).await {
                Ok(read) => read,
                Err(LogError::Unavailable(_)) => Vec::new(),
                Err(error) => return Err(error),
            };
            if read.is_empty() {
                drop(held);
                // Either way the next thing to do is to look again.
                drop(timeout(LOOK_EVERY, applies(&mut self.place.applied)).await);
                continue;
            }
            let bytes = read.iter().map(|record| record.bytes.len()).sum();
            self.held = held.map(|held| held.resized(bytes));
            self.rest = read.into_iter();
        }
    }
}

/// Returns once more is applied; never where nothing is any more.
async fn applies(applied: &mut watch::Receiver<Seq>) {
    if applied.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
