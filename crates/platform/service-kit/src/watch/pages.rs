//! The pages of a snapshot: each taken when the reader has come so far, so that nobody ever holds more than one.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use runtime::{PartitionHandle, Position, State};
use tonic::Status;

use super::Watcher;
use crate::error::{Refuse, status_of};
use crate::readers::Unsent;

/// How many items a page has at most.
const ITEMS_MAX: usize = 200;
/// How many bytes a page has at most, but for its last item.
const BYTES_MAX: usize = 32 * 1024;

/// Some items of a snapshot, in the order of their keys.
#[derive(Debug)]
pub struct Page<N> {
    items: std::vec::IntoIter<(u64, N)>,
    bytes: usize,
    more: bool,
}

impl<N> Page<N> {
    /// As many as a page has room for: at most 200 items, and about 32 KiB by the sizes given with them.
    pub fn of(items: impl Iterator<Item = (u64, N, usize)>) -> Self {
        let (mut taken, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        for (key, item, size) in items {
            if taken.len() == ITEMS_MAX || bytes >= BYTES_MAX {
                more = true;
                break;
            }
            taken.push((key, item));
            bytes = bytes.saturating_add(size);
        }
        Self { items: taken.into_iter(), bytes, more }
    }

    /// Of what has no snapshot.
    pub fn none() -> Self {
        Self::of(std::iter::empty())
    }
}

/// A snapshot's items: each with its key, and the last record that it knows of.
pub(super) type Items<N> = BoxStream<'static, Result<(u64, Position, N), Status>>;

type Take<S, N> = Arc<dyn Fn(&State<S>, Option<u64>) -> Page<N> + Send + Sync>;

/// A snapshot on its way to a reader.
pub(super) struct Pages<S: Refuse, N> {
    partition: PartitionHandle<S>,
    watcher: Watcher,
    take: Take<S, N>,
    /// The key of the last item given out.
    last: Option<u64>,
    /// The last record that the page in hand knows of.
    seq: u64,
    page: Page<N>,
    held: Option<Unsent>,
}

impl<S: Refuse, N: Send + 'static> Pages<S, N> {
    /// The items after `last`; none is taken yet.
    pub(super) fn new(
        partition: PartitionHandle<S>,
        watcher: Watcher,
        take: impl Fn(&State<S>, Option<u64>) -> Page<N> + Send + Sync + 'static,
        last: Option<u64>,
    ) -> Self {
        let page = Page { items: Vec::new().into_iter(), bytes: 0, more: true };
        let take = Arc::new(take);
        Self { partition, watcher, take, last, seq: 0, page, held: None }
    }

    /// Takes the next page. Returns the last record that it knows of.
    pub(super) async fn turn(&mut self) -> Result<u64, Status> {
        drop(self.held.take());
        let held = self.watcher.turn(BYTES_MAX).await;
        let _turn = match &self.watcher.reader {
            Some(reader) => reader.page().await,
            None => None,
        };
        let (take, last) = (Arc::clone(&self.take), self.last);
        let looked = self.partition.view(move |view| (view.head, take(view.state, last))).await;
        let (seq, page) = looked.map_err(|failure| status_of::<S>(&failure))?;
        self.seq = seq;
        self.held = held.map(|held| held.resized(page.bytes));
        self.page = page;
        Ok(seq)
    }

    /// The items, with their keys and the last record that each knows of.
    pub(super) fn items(self) -> Items<N> {
        stream::unfold(Some(self), |pages| async {
            let mut pages = pages?;
            match pages.next().await {
                Ok(item) => Some((Ok(item?), Some(pages))),
                Err(status) => Some((Err(status), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<(u64, Position, N)>, Status> {
        loop {
            if let Some((key, item)) = self.page.items.next() {
                self.last = Some(key);
                let position = Position { seq: self.seq, ..self.partition.head() };
                return Ok(Some((key, position, item)));
            }
            if !self.page.more {
                return Ok(None);
            }
            self.turn().await?;
        }
    }
}
