//! What moves a watch on: from the log's commits to messages, one reader's pace at a time.

use std::time::Duration;

use event_log::LogError;
use futures::stream::{BoxStream, StreamExt};
use kernel::planted::{self, Bug};
use runtime::Position;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;
use wire::common::v1::{Checkpoint, ErrorReason};
use wire::events::v1::{Commit, Event};

use super::cursor::{Cursor, unreadable};
use super::{Item, SLOW_AFTER};
use crate::Refusal;

type Commits = BoxStream<'static, Result<(Position, std::sync::Arc<Commit>), LogError>>;

/// Why it ends; `None`: the reader has gone.
type Stop = Option<Status>;

pub(super) struct Pump<F, W, M> {
    pub(super) cursor: Cursor,
    pub(super) binding: u64,
    pub(super) every: Duration,
    pub(super) change: F,
    pub(super) message: W,
    pub(super) sender: mpsc::Sender<M>,
}

impl<F, W, M> Pump<F, W, M> {
    /// Runs until there is a reason to stop.
    pub(super) async fn run<C, N>(&mut self, items: Option<Vec<N>>, commits: Commits) -> Stop
    where
        F: FnMut(Position, &Event) -> Option<C>,
        W: FnMut(String, Item<C, N>) -> M,
    {
        match self.go(items, commits).await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn go<C, N>(
        &mut self,
        items: Option<Vec<N>>,
        mut commits: Commits,
    ) -> Result<std::convert::Infallible, Stop>
    where
        F: FnMut(Position, &Event) -> Option<C>,
        W: FnMut(String, Item<C, N>) -> M,
    {
        if let Some(items) = items {
            for item in items {
                self.send(Item::Snapshot(item), true).await?;
            }
            self.send(Item::SnapshotComplete, false).await?;
        }
        let mut quiet_until = Instant::now() + self.every;
        loop {
            let next = tokio::time::timeout_at(quiet_until, commits.next()).await;
            let spoke = match next {
                Ok(Some(Ok((position, commit)))) => self.pass_on(position, &commit).await?,
                Ok(Some(Err(error))) => return Err(Some(unreadable(&error).into())),
                Ok(None) => return Err(Some(draining())),
                Err(_) => {
                    let position = Some(self.cursor.position.to_wire());
                    self.send(Item::Checkpoint(Checkpoint { position }), false).await?;
                    true
                }
            };
            // Silence counts from the last message, not from the last commit that the filter kept back.
            if spoke {
                quiet_until = Instant::now() + self.every;
            }
        }
    }

    /// Sends what the filter lets through. Returns whether that was anything.
    async fn pass_on<C, N>(&mut self, position: Position, commit: &Commit) -> Result<bool, Stop>
    where
        F: FnMut(Position, &Event) -> Option<C>,
        W: FnMut(String, Item<C, N>) -> M,
    {
        let before = Position { seq: position.seq.saturating_sub(1), ..position };
        let mut spoke = false;
        for (number, event) in (1_u32..).zip(&commit.events) {
            if number <= self.cursor.events {
                continue;
            }
            if let Some(change) = (self.change)(position, event) {
                self.cursor = Cursor { position: before, events: number };
                self.send(Item::Change(change), false).await?;
                spoke = true;
            } else if planted::is(Bug::WatchSkips) {
                break;
            }
        }
        self.cursor = Cursor::at(position);
        Ok(spoke)
    }

    async fn send<C, N>(&mut self, item: Item<C, N>, within_snapshot: bool) -> Result<(), Stop>
    where
        W: FnMut(String, Item<C, N>) -> M,
    {
        let token = self.cursor.token(self.binding, within_snapshot);
        let message = (self.message)(token, item);
        match self.sender.send_timeout(message, SLOW_AFTER).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(None),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Some(slow())),
        }
    }
}

fn slow() -> Status {
    Refusal::of(
        ErrorReason::SlowConsumer,
        "the watch was read too slowly; resume with the last token",
    )
    .into()
}

pub(super) fn draining() -> Status {
    Refusal::of(
        ErrorReason::ServerDraining,
        "the service is shutting down; resume with the last token",
    )
    .into()
}

#[cfg(test)]
mod tests;
