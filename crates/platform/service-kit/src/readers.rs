//! Who reads answers, and how far behind they are: one budget of bytes over a whole server, so that slow readers cost
//! their own watch and nobody's memory.
//!
//! What is encoded for a reader counts from then until the socket has taken it, and what a watch has read of the log
//! until it is looked at. Nothing is made for watches while the budget is spent; to let the others go on, those that
//! have taken nothing for longest are broken off. A watch that takes nothing for [`Limits::slow_after`] is ended, with
//! a token to go on from; if it doesn't even take that, its stream is reset.
//!
//! That budget has two parts, since who has read waits for room to send: were it one, all could wait for each other. It
//! is passed by what is being encoded at that moment: of watches, one piece a thread; of the calls whose answers may be
//! large, as many answers as there are turns.
//!
//! Requests have a pool of their own beside it, [`Part::Received`]. A request of which more than 16 KiB have come and
//! that isn't whole waits for a place for all that it announced, in the order of their coming, and nothing more is read
//! of it until then: HTTP/2 holds the sender. Were each to take as it comes, all could hold a half and wait for the
//! rest. Its place is its own until it is decoded, or dropped. While others wait, those of which nothing has come for
//! longest are broken off; and in any case, one of which nothing has come for [`Limits::slow_after`]. What is smaller
//! is the deadlines' affair.

mod body;
mod layer;
mod reader;
mod request;
mod turn;

use std::collections::BTreeMap;
use std::pin::pin;
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
use reader::Kind;
pub(crate) use reader::{Reader, Unsent};
pub(crate) use turn::TurnsLayer;

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
/// How much large requests may hold while they come, in bytes, if that is less than a quarter of the budget.
const RECEIVED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A part of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What was read and not looked at yet: a quarter.
    Read,
    /// What was encoded and not sent yet: the rest.
    Sent,
    /// What large requests have announced, while they come: beside the two, a quarter as much as they have together.
    Received,
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
    received: Pool,
    /// The bytes of `received` that are free; whoever waits for some has a place in its queue.
    free: Arc<Semaphore>,
    pages: Semaphore,
    turns: turn::Turns,
}

#[derive(Debug)]
struct Entry {
    reader: Arc<Reader>,
    /// A watch's place; none for others.
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
        let received = (limits.unsent_bytes / 4).clamp(1, RECEIVED_BYTES_MAX);
        Self(Arc::new(Shared {
            limits,
            metrics,
            began: Instant::now(),
            places,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            read: Pool::new(limits.unsent_bytes / 4),
            sent: Pool::new(limits.unsent_bytes - limits.unsent_bytes / 4),
            received: Pool::new(received),
            free: Arc::new(Semaphore::new(received)),
            pages: Semaphore::new(PAGES_AT_ONCE),
            turns: turn::Turns::default(),
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
        let place = Place { _permit: permit, _counted: counted };
        Ok(self.enter(Kind::Watch, Some(place)))
    }

    /// Takes a reader on whose answer comes whole, and is large.
    pub(crate) fn admit_answer(&self) -> Arc<Reader> {
        self.enter(Kind::Answer, None)
    }

    /// Takes on the sender of a request that is large, and not whole yet.
    fn admit_request(&self) -> Arc<Reader> {
        self.enter(Kind::Request, None)
    }

    fn enter(&self, kind: Kind, place: Option<Place>) -> Arc<Reader> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let reader = Arc::new(Reader::new(self.clone(), number, Stream::current(), kind));
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
            Part::Received => &self.0.received,
        }
    }

    /// The figure that shows a part.
    fn shown(&self, part: Part) -> &AtomicUsize {
        let counts = self.0.metrics.counts();
        match part {
            Part::Read | Part::Sent => &counts.unsent_bytes,
            Part::Received => &counts.received_bytes,
        }
    }

    fn add(&self, part: Part, bytes: usize) {
        self.pool(part).used.fetch_add(bytes, Ordering::AcqRel);
        self.shown(part).fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, part: Part, bytes: usize) {
        self.shown(part).fetch_sub(bytes, Ordering::Relaxed);
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

    /// The bytes that are kept free for a request of this size: at most all there are, for one that is larger still.
    fn share(&self, bytes: usize) -> usize {
        bytes.min(self.0.received.limit)
    }

    /// Returns once so many bytes are kept free for a request, in the order in which they are asked for. Whose sender
    /// sends nothing meanwhile is broken off.
    async fn keep_free(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        // One and the same until it is had: whoever asks anew is the last again.
        let mut kept = pin!(Arc::clone(&self.0.free).acquire_many_owned(wanted));
        loop {
            match timeout(RELIEVE_EVERY, &mut kept).await {
                // It is never closed.
                Ok(kept) => return kept.ok(),
                Err(_) => self.make_free(bytes),
            }
        }
    }

    /// Breaks off requests of which nothing has come for longest, until so many bytes are free.
    fn make_free(&self, bytes: usize) {
        let pool = self.pool(Part::Received);
        let after = pool.used.load(Ordering::Acquire).saturating_add(bytes);
        let over = after.saturating_sub(pool.limit);
        // Who waits behind another alone leaves the look to that one.
        if over > 0 && pool.is_time_to_relieve() {
            self.break_off_stalled(Part::Received, over);
        }
    }

    /// Breaks off whoever has taken nothing for longest, until a quarter of the part is free again.
    fn relieve(&self, part: Part) {
        let pool = self.pool(part);
        if !pool.is_spent() || !pool.is_time_to_relieve() {
            return;
        }
        let used = pool.used.load(Ordering::Acquire);
        self.break_off_stalled(part, used.saturating_sub(pool.limit / 4 * 3));
    }

    /// Breaks off whoever has stalled longest, until that makes so many bytes of the part.
    fn break_off_stalled(&self, part: Part, mut over: usize) {
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
        if !reader.break_off() {
            return;
        }
        let counts = self.0.metrics.counts();
        let count = match reader.kind() {
            Kind::Watch | Kind::Answer => &counts.streams_reset_slow,
            Kind::Request => &counts.requests_reset_slow,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends those who read, or send, too slowly, for as long as it runs.
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
            let hears = reader.kind() == Kind::Watch && reader.told_for(now_ms) < slow_after / 3;
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
