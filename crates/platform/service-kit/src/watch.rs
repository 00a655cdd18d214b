//! Watches: streams of what changes, resumable from any message, that never leave anything out.
//!
//! A watch follows a partition's log. Each message carries the record that it is of, and a token from which a later
//! watch goes on just after it; a quiet stream sends a checkpoint, never ahead of what was delivered. A message is made
//! when the reader takes it, from the log or from what the partition keeps of its end: a slow reader holds nothing but
//! its place, and one step of the log. A reader that takes nothing for [`SLOW_AFTER`](crate::SLOW_AFTER) is ended with
//! `SLOW_CONSUMER`, a drain ends every watch with `SERVER_DRAINING`; both carry the token.
//!
//! A snapshot comes in pages, each taken from the state as it stands when the reader has come so far. Changes follow
//! from where the first page was taken. So a change that a later page shows already comes again: its record is not
//! after the page's.

mod cursor;
mod pages;
mod pump;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt};
use runtime::{PartitionHandle, Position, State};
use tonic::{Request, Status};
use wire::common::v1::{self as common, Checkpoint, ErrorReason, WatchStart};
use wire::events::v1::Event;

use crate::error::Refuse;
use crate::readers::{Part, Reader, Unsent};
use crate::validate::Fields;
use crate::{Drain, Refusal};
use cursor::begin;
use pages::Pages;
use pump::Pump;

pub use pages::Page;

/// The longest a quiet stream stays silent, and the default.
pub const CHECKPOINT_MAX: Duration = Duration::from_secs(15);
/// The shortest interval that may be asked for.
pub const CHECKPOINT_MIN: Duration = Duration::from_secs(1);
/// How many bytes of the log a watch reads at once, but for the last record: what a slow reader holds.
pub(crate) const STEP_BYTES: usize = 16 * 1024;

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

/// A message of a watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<C, N> {
    /// From here a later watch goes on.
    pub resume_token: String,
    /// Of a change, its record; else the last record that it knows of.
    pub position: common::Position,
    /// What it says.
    pub item: Item<C, N>,
}

/// What a message says: an item of the snapshot, a change, or a sign of the stream's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<C, N> {
    /// An entity as it stood when its page was taken.
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

/// Who watches, and when that must end.
#[derive(Debug, Clone)]
pub struct Watcher {
    drain: Drain,
    /// None where no server of ours counts what is read.
    reader: Option<Arc<Reader>>,
}

/// Why a watcher is to see no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Draining,
    TooSlow,
}

impl End {
    /// What a watcher is told.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Draining => Refusal::of(
                ErrorReason::ServerDraining,
                "the service is shutting down; resume with the last token",
            ),
            Self::TooSlow => Refusal::of(
                ErrorReason::SlowConsumer,
                "the watch was read too slowly; resume with the last token",
            ),
        }
    }
}

impl Watcher {
    /// Whoever makes this request, until `drain`.
    pub fn of<T>(request: &Request<T>, drain: &Drain) -> Self {
        let reader = request.extensions().get::<Arc<Reader>>().cloned();
        Self { drain: drain.clone(), reader }
    }

    /// Whoever it is, until `drain`.
    pub fn until(drain: &Drain) -> Self {
        Self { drain: drain.clone(), reader: None }
    }

    /// Returns when it is to end.
    pub(crate) async fn ends(&self) -> End {
        let too_slow = async {
            match &self.reader {
                Some(reader) => reader.is_too_slow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.drain.started() => End::Draining,
            () = too_slow => End::TooSlow,
        }
    }

    /// Returns once about `bytes` bytes may be read for it, and counts them until what it gives is dropped.
    pub(crate) async fn turn(&self, bytes: usize) -> Option<Unsent> {
        let reader = self.reader.as_ref()?;
        reader.room(Part::Read).await;
        Some(reader.hold(Part::Read, bytes))
    }
}

/// The interval of checkpoints that a request asks for: 1 s to 15 s, unset 15 s.
pub fn checkpoint_every(fields: &mut Fields, asked: Option<&prost_types::Duration>) -> Duration {
    let bounds = CHECKPOINT_MIN..=CHECKPOINT_MAX;
    fields.duration("checkpoint_every", asked, bounds).unwrap_or(CHECKPOINT_MAX)
}

/// Watches a partition. `page` takes the items of a snapshot whose keys come after the given one: it looks at the state
/// between two commits, so it must be quick (see [`Page`]). `change` picks the events that the filter lets through.
/// `render` makes the contract's message.
pub async fn watch<S, C, N, M>(
    partition: &PartitionHandle<S>,
    watcher: Watcher,
    request: WatchRequest,
    page: impl Fn(&State<S>, Option<u64>) -> Page<N> + Send + Sync + 'static,
    change: impl FnMut(Position, &Event) -> Option<C> + Send + 'static,
    render: impl FnMut(Message<C, N>) -> M + Send + 'static,
) -> Result<WatchStream<M>, Status>
where
    S: Refuse,
    C: Send + 'static,
    N: Send + 'static,
    M: Send + 'static,
{
    let mut cursor = begin(partition, request.start.as_ref(), request.binding).await?;
    let (mut snapshot, mut shown_at) = (None, cursor.position);
    if request.include_snapshot || cursor.shown.is_some() {
        let mut pages = Pages::new(partition.clone(), watcher.clone(), page, cursor.shown);
        shown_at.seq = pages.turn().await?;
        if cursor.shown.is_none() {
            cursor.position = shown_at;
        }
        snapshot = Some(pages.items());
    }
    let reads = watcher.clone();
    let turns = move || {
        let reads = reads.clone();
        async move { reads.turn(STEP_BYTES).await }.boxed()
    };
    let pump = Pump {
        commits: partition.follow_in_steps(cursor.next_commit(), STEP_BYTES, turns),
        ends: watcher,
        cursor,
        binding: request.binding,
        every: request.checkpoint_every,
        change,
        render,
        snapshot,
        shown_at,
        step: pump::Step::default(),
        quiet_until: None,
        ended: false,
    };
    Ok(stream::unfold(pump, Pump::next).boxed())
}
