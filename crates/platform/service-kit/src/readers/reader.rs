//! One reader of an answer, or one sender of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{Part, Readers};
use crate::server::Stream;

/// Stands for "not told".
const NOT_TOLD: u64 = u64::MAX;

/// What somebody is looked after for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer that lasts.
    Watch,
    /// An answer that comes whole.
    Answer,
    /// A request that comes in pieces: "reading" it is sending the next one.
    Request,
}

/// What is known of a reader.
#[derive(Debug)]
pub(crate) struct Reader {
    readers: Readers,
    number: u64,
    stream: Option<Stream>,
    kind: Kind,
    /// Bytes that were read for it and not looked at, and those that were encoded for it and that it has not taken.
    read: AtomicUsize,
    sent: AtomicUsize,
    /// Bytes that are kept free for the request that it sends.
    received: AtomicUsize,
    /// When it last took (or sent) anything, or was last found waiting for something to take.
    moved_ms: AtomicU64,
    /// It has asked for more, and there is nothing yet.
    waits: AtomicBool,
    /// It has asked for more, and there is no room to make it; or it has sent all.
    held_up: AtomicBool,
    too_slow: CancellationToken,
    /// When it was told that it is too slow.
    told_ms: AtomicU64,
    broken_off: AtomicBool,
    /// Nothing more is made for it.
    done: AtomicBool,
}

impl Reader {
    pub(super) fn new(readers: Readers, number: u64, stream: Option<Stream>, kind: Kind) -> Self {
        let moved_ms = AtomicU64::new(readers.now_ms());
        Self {
            readers,
            number,
            stream,
            kind,
            read: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            moved_ms,
            waits: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
            too_slow: CancellationToken::new(),
            told_ms: AtomicU64::new(NOT_TOLD),
            broken_off: AtomicBool::new(false),
            done: AtomicBool::new(false),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Relaxed)
    }

    pub(super) fn unsent_of(&self, part: Part) -> usize {
        self.part(part).load(Ordering::SeqCst)
    }

    fn unsent(&self) -> usize {
        let answer = self.unsent_of(Part::Read).saturating_add(self.unsent_of(Part::Sent));
        answer.saturating_add(self.unsent_of(Part::Received))
    }

    const fn part(&self, part: Part) -> &AtomicUsize {
        match part {
            Part::Read => &self.read,
            Part::Sent => &self.sent,
            Part::Received => &self.received,
        }
    }

    /// For how long it has taken nothing of what there is for it, or sent nothing of what it still has to send.
    pub(super) fn stalled_for(&self, now_ms: u64) -> Duration {
        let rests = self.waits.load(Ordering::Relaxed) && self.unsent() == 0;
        if rests || self.held_up.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let moved_ms = self.moved_ms.load(Ordering::Relaxed);
        Duration::from_millis(now_ms.saturating_sub(moved_ms))
    }

    /// For how long it has known that it is too slow.
    pub(super) fn told_for(&self, now_ms: u64) -> Duration {
        match self.told_ms.load(Ordering::Relaxed) {
            NOT_TOLD => Duration::ZERO,
            told_ms => Duration::from_millis(now_ms.saturating_sub(told_ms)),
        }
    }

    /// Ends its watch. Says whether that is news: how long it has known counts from then.
    pub(crate) fn tell_too_slow(&self, now_ms: u64) -> bool {
        let told =
            self.told_ms.compare_exchange(NOT_TOLD, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        self.too_slow.cancel();
        told.is_ok()
    }

    /// Returns once it is too slow.
    pub(crate) async fn is_too_slow(&self) {
        self.too_slow.cancelled().await;
    }

    /// Lets go of what is made for it. Says whether that is news.
    pub(super) fn break_off(&self) -> bool {
        let news = !self.broken_off.swap(true, Ordering::Relaxed);
        // Asked again each time: what was left to the stream at first may be in the connection's hands by now.
        if let Some(stream) = &self.stream {
            stream.break_off();
        }
        news
    }

    /// It has asked for more, and there may be nothing yet.
    pub(super) fn waits(&self) {
        if !self.waits.swap(true, Ordering::Relaxed) {
            self.moves();
        }
    }

    /// It is given something.
    pub(super) fn is_given(&self) {
        self.waits.store(false, Ordering::Relaxed);
        self.moves();
    }

    /// It has taken, or sent, something.
    pub(super) fn moves(&self) {
        self.moved_ms.store(self.readers.now_ms(), Ordering::Relaxed);
    }

    /// It has sent all: how long that stays here is not its affair.
    pub(super) fn has_sent_all(&self) {
        self.held_up.store(true, Ordering::Relaxed);
    }

    /// Nothing more is made for it; it stays known while it has not taken all.
    pub(super) fn is_done(&self) {
        self.done.store(true, Ordering::SeqCst);
        if self.unsent() == 0 {
            self.readers.leave(self.number);
        }
    }

    /// Returns once something may be made for it. It is not to blame for how long that takes.
    pub(crate) async fn room(&self, part: Part) {
        self.held_up.store(true, Ordering::Relaxed);
        self.readers.room(part).await;
        self.moves();
        self.held_up.store(false, Ordering::Relaxed);
    }

    /// Counts what is held for it, until that is dropped.
    pub(crate) fn hold(self: &Arc<Self>, part: Part, bytes: usize) -> Unsent {
        self.part(part).fetch_add(bytes, Ordering::SeqCst);
        self.readers.add(part, bytes);
        Unsent { reader: Arc::clone(self), part, bytes }
    }

    /// A turn to take a page of a snapshot.
    pub(crate) async fn page(&self) -> Option<SemaphorePermit<'_>> {
        self.readers.page().await
    }
}

/// Bytes that wait for a reader, or are kept free for a sender.
#[derive(Debug)]
pub(crate) struct Unsent {
    reader: Arc<Reader>,
    part: Part,
    bytes: usize,
}

impl Unsent {
    /// The same for so many bytes.
    pub(crate) fn resized(self, bytes: usize) -> Self {
        self.reader.hold(self.part, bytes)
    }

    /// Whom they wait for.
    pub(super) const fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let reader = &self.reader;
        reader.moves();
        reader.readers.subtract(self.part, self.bytes);
        reader.part(self.part).fetch_sub(self.bytes, Ordering::SeqCst);
        if reader.done.load(Ordering::SeqCst) && reader.unsent() == 0 {
            reader.readers.leave(reader.number);
        }
    }
}
