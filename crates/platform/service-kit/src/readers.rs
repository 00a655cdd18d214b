//! Who reads answers, and how far behind they are: one budget of bytes over a whole server, so that slow readers cost
//! their own watch and nobody's memory.
//!
//! What is encoded for a reader counts from then until the socket has taken it, and what a watch has read of the log
//! until it is looked at. Nothing is made for watches while the budget is spent; to let the others go on, those that
//! have taken nothing for longest are broken off. A watch that takes nothing for [`Limits::slow_after`] is ended, with
//! a token to go on from; if it doesn't even take that, its stream is reset.
//!
//! The budget has two parts, since who has read waits for room to send: were it one, all could wait for each other. It
//! is passed by what is being encoded at that moment, at most one piece a thread.

mod body;
mod layer;
mod reader;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::request::Parts;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use wire::common::v1::ErrorReason;

use crate::Refusal;
use crate::server::{Counted, EdgeMetrics, Limits, Stream};

pub(crate) use layer::ReadersLayer;
pub(crate) use reader::{Reader, Unsent};

/// Who has taken something within this time is not broken off for the others' sake.
const STALLED_AFTER: Duration = Duration::from_secs(1);
/// How often readers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked who stands in the others' way while the budget is spent.
const RELIEVE_EVERY: Duration = Duration::from_millis(50);
/// When to try again once there are as many watches as may be.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How many pages of snapshots are taken at once: so many looks come before a command that arrives meanwhile.
const PAGES_AT_ONCE: usize = 4;

/// A part of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What was read and not looked at yet: a quarter.
    Read,
    /// What was encoded and not sent yet: the rest.
    Sent,
}

/// What is used of a part of the budget.
#[derive(Debug)]
struct Pool {
    limit: usize,
    used: AtomicUsize,
    /// Told when there is room again.
    room: Notify,
    relieved_at: Mutex<Option<Instant>>,
}

impl Pool {
    fn new(limit: usize) -> Self {
        let (used, room, relieved_at) = (AtomicUsize::new(0), Notify::new(), Mutex::default());
        Self { limit, used, room, relieved_at }
    }

    fn is_spent(&self) -> bool {
        self.used.load(Ordering::Acquire) >= self.limit
    }

    fn subtract(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        if before >= self.limit && before.saturating_sub(bytes) < self.limit {
            self.room.notify_waiters();
        }
    }

    /// One at a time looks who stands in the way, and not all the time.
    fn is_time_to_relieve(&self) -> bool {
        let Ok(mut relieved_at) = self.relieved_at.try_lock() else { return false };
        if relieved_at.is_some_and(|last| last.elapsed() < RELIEVE_EVERY) {
            return false;
        }
        *relieved_at = Some(Instant::now());
        true
    }
}

/// The readers of a server. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    metrics: EdgeMetrics,
    began: Instant,
    places: Arc<Semaphore>,
    open: Mutex<BTreeMap<u64, Entry>>,
    next: AtomicU64,
    read: Pool,
    sent: Pool,
    pages: Semaphore,
}

#[derive(Debug)]
struct Entry {
    reader: Arc<Reader>,
    /// A watch's place; none for an answer that comes whole.
    _place: Option<Place>,
}

/// A watch's place among those that may be.
#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Readers {
    /// Of a server with these limits, which counts here.
    pub(crate) fn new(limits: Limits, metrics: EdgeMetrics) -> Self {
        let places = Arc::new(Semaphore::new(limits.watches.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Shared {
            limits,
            metrics,
            began: Instant::now(),
            places,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            read: Pool::new(limits.unsent_bytes / 4),
            sent: Pool::new(limits.unsent_bytes - limits.unsent_bytes / 4),
            pages: Semaphore::new(PAGES_AT_ONCE),
        }))
    }

    /// Takes a watch on, if there is a place for it. `_caller`: who asks for it; a limit for each principal goes here,
    /// once a call has one.
    fn admit(&self, _caller: &Parts) -> Result<Arc<Reader>, Refusal> {
        let limit = self.0.limits.watches;
        let Ok(permit) = Arc::clone(&self.0.places).try_acquire_owned() else {
            self.0.metrics.counts().watches_refused.fetch_add(1, Ordering::Relaxed);
            let refusal = Refusal::of(
                ErrorReason::TooManyWatches,
                "the server has as many watches as it serves at once",
            );
            return Err(refusal.with("limit", limit).retry_after(RETRY_AFTER));
        };
        let counted = Counted::new(&self.0.metrics, |counts| &counts.watches);
        Ok(self.enter(Some(Place { _permit: permit, _counted: counted })))
    }

    /// Takes a reader on whose answer comes whole, and is large.
    pub(crate) fn admit_answer(&self) -> Arc<Reader> {
        self.enter(None)
    }

    fn enter(&self, place: Option<Place>) -> Arc<Reader> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let reader =
            Arc::new(Reader::new(self.clone(), number, Stream::current(), place.is_some()));
        let entry = Entry { reader: Arc::clone(&reader), _place: place };
        self.open().insert(number, entry);
        reader
    }

    fn leave(&self, number: u64) {
        let left = self.open().remove(&number);
        // Dropped outside the lock: a reader's end may wake others.
        drop(left);
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Reader>> {
        self.open().values().map(|entry| Arc::clone(&entry.reader)).collect()
    }

    /// Milliseconds since these readers were made.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn pool(&self, part: Part) -> &Pool {
        match part {
            Part::Read => &self.0.read,
            Part::Sent => &self.0.sent,
        }
    }

    fn add(&self, part: Part, bytes: usize) {
        self.pool(part).used.fetch_add(bytes, Ordering::AcqRel);
        self.0.metrics.counts().unsent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, part: Part, bytes: usize) {
        self.0.metrics.counts().unsent_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.pool(part).subtract(bytes);
    }

    /// Returns once something may be made for a reader. Who takes nothing meanwhile is broken off.
    async fn room(&self, part: Part) {
        let pool = self.pool(part);
        loop {
            let told = pool.room.notified();
            if !pool.is_spent() {
                return;
            }
            self.relieve(part);
            // An error means that nobody has told so yet.
            drop(timeout(RELIEVE_EVERY, told).await);
        }
    }

    /// Breaks off whoever has taken nothing for longest, until a quarter of the part is free again.
    fn relieve(&self, part: Part) {
        let pool = self.pool(part);
        if !pool.is_spent() || !pool.is_time_to_relieve() {
            return;
        }
        let used = pool.used.load(Ordering::Acquire);
        let mut over = used.saturating_sub(pool.limit / 4 * 3);
        let now_ms = self.now_ms();
        let mut stalled = Vec::new();
        for reader in self.all() {
            if reader.is_broken_off() {
                over = over.saturating_sub(reader.unsent_of(part));
            } else if reader.unsent_of(part) > 0 && reader.stalled_for(now_ms) >= STALLED_AFTER {
                stalled.push((reader.stalled_for(now_ms), reader));
            }
        }
        stalled.sort_by_key(|(longest, _)| std::cmp::Reverse(*longest));
        for (_, reader) in stalled {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(reader.unsent_of(part));
            self.break_off(&reader);
        }
    }

    fn break_off(&self, reader: &Reader) {
        if reader.break_off() {
            self.0.metrics.counts().streams_reset_slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends those who read too slowly, for as long as it runs.
    pub(crate) async fn watch_over(self) -> std::convert::Infallible {
        let mut looks = interval(LOOK_EVERY.min(self.0.limits.slow_after / 3));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let now_ms = self.now_ms();
        let slow_after = self.0.limits.slow_after;
        for reader in self.all() {
            if reader.stalled_for(now_ms) < slow_after {
                continue;
            }
            let hears = reader.is_watch() && reader.told_for(now_ms) < slow_after / 3;
            if !hears {
                self.break_off(&reader);
            } else if reader.tell_too_slow(now_ms) {
                self.0.metrics.counts().watches_ended_slow.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A turn to take a page of a snapshot.
    async fn page(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.pages.acquire().await.ok()
    }
}
