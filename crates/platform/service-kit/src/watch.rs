//! Watches: streams of what changes, resumable from any message, that never leave anything out.
//!
//! A watch follows a partition's log. Each message carries a token from which a later watch goes on just after it; a quiet stream
//! sends a checkpoint, never ahead of what was delivered. A reader that takes nothing for [`SLOW_AFTER`] is ended with
//! `SLOW_CONSUMER`, a drain ends every watch with `SERVER_DRAINING`.
//!
//! A token from within a snapshot stands for its beginning: the watch that resumes from it sends the snapshot anew.

mod cursor;
mod pump;

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use runtime::{PartitionHandle, Position, State};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use wire::common::v1::{Checkpoint, WatchStart};
use wire::events::v1::Event;

use crate::Drain;
use crate::error::{Refuse, status_of};
use crate::validate::Fields;
use cursor::{Cursor, begin};
use pump::{Pump, draining};

/// The longest a quiet stream stays silent, and the default.
pub const CHECKPOINT_MAX: Duration = Duration::from_secs(15);
/// The shortest interval that may be asked for.
pub const CHECKPOINT_MIN: Duration = Duration::from_secs(1);
/// How long a reader may take nothing before it is ended.
pub const SLOW_AFTER: Duration = Duration::from_secs(30);
/// How many messages wait for a reader.
const WAITING_MAX: usize = 256;

/// What a watch was asked for.
#[derive(Debug, Clone)]
pub struct WatchRequest {
    /// Where it begins; unset: latest.
    pub start: Option<WatchStart>,
    /// Whether the state as it stands comes first.
    pub include_snapshot: bool,
    /// How often a quiet stream gives a sign of life; from [`checkpoint_every`].
    pub checkpoint_every: Duration,
    /// What its tokens are bound to: [`paging::binding`](crate::paging::binding) of the method and the filter alone.
    pub binding: u64,
}

/// A message of a watch: an item of the snapshot, a change, or a sign of the stream's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<C, N> {
    /// An entity as it stood when the watch began.
    Snapshot(N),
    /// The snapshot is complete.
    SnapshotComplete,
    /// Something changed.
    Change(C),
    /// Nothing happened up to here.
    Checkpoint(Checkpoint),
}

/// The stream that a handler returns.
pub type WatchStream<M> = BoxStream<'static, Result<M, Status>>;

/// The interval of checkpoints that a request asks for: 1 s to 15 s, unset 15 s.
pub fn checkpoint_every(fields: &mut Fields, asked: Option<&prost_types::Duration>) -> Duration {
    let bounds = CHECKPOINT_MIN..=CHECKPOINT_MAX;
    fields.duration("checkpoint_every", asked, bounds).unwrap_or(CHECKPOINT_MAX)
}

/// Watches a partition. `snapshot` sees the state at one position, and the changes go on from just there. `change` picks the events
/// that the filter lets through. `message` puts a token and an item into the contract's message.
pub async fn watch<S, C, N, M>(
    partition: &PartitionHandle<S>,
    drain: &Drain,
    request: WatchRequest,
    mut snapshot: impl FnMut(&State<S>) -> Vec<N> + Send + 'static,
    change: impl FnMut(Position, &Event) -> Option<C> + Send + 'static,
    message: impl FnMut(String, Item<C, N>) -> M + Send + 'static,
) -> Result<WatchStream<M>, Status>
where
    S: Refuse,
    C: Send + 'static,
    N: Send + 'static,
    M: Send + 'static,
{
    let begin = begin(partition, request.start.as_ref(), request.binding).await?;
    let mut cursor = begin.cursor;
    let mut items = None;
    if request.include_snapshot || begin.within_snapshot {
        let looked = partition.view(move |view| (view.head, snapshot(view.state))).await;
        let (seq, taken) = looked.map_err(|failure| status_of::<S>(&failure))?;
        cursor = Cursor::at(Position { seq, ..partition.head() });
        items = Some(taken);
    }
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let commits = partition.follow(cursor.next_commit());
    let every = request.checkpoint_every;
    let mut pump = Pump { cursor, binding: request.binding, every, change, message, sender };
    let (ended, end) = oneshot::channel();
    let drain = drain.clone();
    tokio::spawn(async move {
        let why = tokio::select! {
            biased;
            () = drain.started() => Some(draining()),
            why = pump.run(items, commits) => why,
        };
        // Known before the messages end, for it is asked for right after them; the reader may have gone.
        ended.send(why).ok();
        drop(pump);
    });
    // The end comes after all that waits, so that it is never lost behind a full buffer.
    let end = futures::stream::once(end).filter_map(|why| async { why.ok().flatten().map(Err) });
    Ok(ReceiverStream::new(receiver).map(Ok).chain(end).boxed())
}
