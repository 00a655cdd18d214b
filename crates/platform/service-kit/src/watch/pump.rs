//! What makes a watch's messages, one at a time, as its reader asks for them.

use std::sync::Arc;
use std::time::Duration;

use event_log::LogError;
use futures::stream::{BoxStream, StreamExt};
use kernel::planted::{self, Bug};
use runtime::{CommittedRecord, CommittedRecords, Position};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use wire::common::v1::Checkpoint;
use wire::events::v1::{Commit, Event};

use super::cursor::{Cursor, unreadable};
use super::pages::Items;
use super::{End, Item, Message, Watcher};
use crate::Refusal;
use crate::readers::Unsent;

/// Of each step, what counts for it while it is in hand.
type Steps = BoxStream<'static, Result<(CommittedRecords, Option<Unsent>), LogError>>;

pub(super) struct Pump<N, F, W> {
    pub(super) commits: Steps,
    pub(super) ends: Watcher,
    pub(super) cursor: Cursor,
    pub(super) binding: u64,
    pub(super) every: Duration,
    pub(super) change: F,
    pub(super) render: W,
    /// The snapshot, while it is not complete.
    pub(super) snapshot: Option<Items<N>>,
    /// The last record that the snapshot knows of, as far as it has come.
    pub(super) shown_at: Position,
    pub(super) step: Step,
    /// When a sign of life is due.
    pub(super) quiet_until: Option<Instant>,
    pub(super) ended: bool,
}

/// What was read of the log and not looked at yet.
#[derive(Default)]
pub(super) struct Step {
    /// The record in hand.
    record: Option<CommittedRecord>,
    rest: std::vec::IntoIter<CommittedRecord>,
    _held: Option<Unsent>,
}

impl<N, F, W> Pump<N, F, W> {
    /// The next message, or why there is none; nothing after that.
    pub(super) async fn next<C, M>(mut self) -> Option<(Result<M, Status>, Self)>
    where
        F: FnMut(Position, &Event) -> Option<C>,
        W: FnMut(Message<C, N>) -> M,
    {
        if self.ended {
            return None;
        }
        let message = self.message().await.map(|message| (self.render)(message));
        self.ended = message.is_err();
        self.quiet_until = Some(Instant::now() + self.every);
        Some((message, self))
    }

    async fn message<C>(&mut self) -> Result<Message<C, N>, Status>
    where
        F: FnMut(Position, &Event) -> Option<C>,
    {
        let watcher = self.ends.clone();
        let made = tokio::select! {
            biased;
            end = watcher.ends() => Err(end.refusal()),
            made = self.make() => made?,
        };
        // Whoever is ended by us goes on from here.
        made.map_err(|refusal| refusal.with("resume_token", self.token()).into())
    }

    /// The inner error is told with a token.
    async fn make<C>(&mut self) -> Result<Result<Message<C, N>, Refusal>, Status>
    where
        F: FnMut(Position, &Event) -> Option<C>,
    {
        let Some(items) = &mut self.snapshot else { return Ok(self.change().await) };
        let item = if let Some(item) = items.next().await {
            let (key, position, item) = item?;
            (self.cursor.shown, self.shown_at) = (Some(key), position);
            Item::Snapshot(item)
        } else {
            (self.snapshot, self.cursor.shown) = (None, None);
            Item::SnapshotComplete
        };
        Ok(Ok(self.of(self.shown_at, item)))
    }

    async fn change<C>(&mut self) -> Result<Message<C, N>, Refusal>
    where
        F: FnMut(Position, &Event) -> Option<C>,
    {
        // Silence counts from the last message, not from the last commit that the filter kept back.
        let every = self.every;
        let quiet_until = *self.quiet_until.get_or_insert_with(|| Instant::now() + every);
        loop {
            if let Some((position, commit)) = self.step.record.take() {
                if let Some(change) = self.pick(position, &commit) {
                    self.step.record = Some((position, commit));
                    return Ok(self.of(position, Item::Change(change)));
                }
                self.cursor = Cursor::at(position);
            }
            self.step.record = self.step.rest.next();
            if self.step.record.is_some() {
                continue;
            }
            self.step = Step::default();
            match timeout_at(quiet_until, self.commits.next()).await {
                Ok(Some(Ok((read, held)))) => self.step = Step::of(read, held),
                Ok(Some(Err(error))) => return Err(unreadable(&error)),
                Ok(None) => return Err(End::Draining.refusal()),
                Err(_) => {
                    let position = self.cursor.position;
                    let checkpoint = Checkpoint { position: Some(position.to_wire()) };
                    return Ok(self.of(position, Item::Checkpoint(checkpoint)));
                }
            }
        }
    }

    /// The next change of a record that the filter lets through.
    fn pick<C>(&mut self, position: Position, commit: &Arc<Commit>) -> Option<C>
    where
        F: FnMut(Position, &Event) -> Option<C>,
    {
        let before = Position { seq: position.seq.saturating_sub(1), ..position };
        for (number, event) in (1_u32..).zip(&commit.events) {
            if number <= self.cursor.events {
                continue;
            }
            if let Some(change) = (self.change)(position, event) {
                self.cursor = Cursor { events: number, ..Cursor::at(before) };
                return Some(change);
            } else if planted::is(Bug::WatchSkips) {
                break;
            }
        }
        None
    }

    fn of<C>(&self, position: Position, item: Item<C, N>) -> Message<C, N> {
        Message { resume_token: self.token(), position: position.to_wire(), item }
    }

    fn token(&self) -> String {
        self.cursor.token(self.binding)
    }
}

impl Step {
    fn of(read: CommittedRecords, held: Option<Unsent>) -> Self {
        // One record may be larger than what was counted.
        let held = held.map(|held| held.resized(read.bytes));
        Self { record: None, rest: read.records.into_iter(), _held: held }
    }
}

#[cfg(test)]
mod tests;
