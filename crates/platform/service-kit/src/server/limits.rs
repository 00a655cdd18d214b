//! What a server's edge may hold, and what it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How many connections a server serves at once, unless told otherwise; beyond, new ones are closed at once.
pub const CONNECTIONS_MAX: usize = 2_000;
/// How many streams that last (watches and the like) a server serves at once, unless told otherwise.
pub const WATCHES_MAX: usize = 10_000;
/// How many bytes may wait for slow readers in all, unless told otherwise (256 MiB).
pub const UNSENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long a reader may take nothing of what there is for it, unless told otherwise.
pub const SLOW_AFTER: Duration = Duration::from_secs(30);

/// What the edge of one server may hold. All of it counts over the whole server, whoever calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Watches at once: streams that last.
    pub watches: usize,
    /// Bytes that wait for slow readers, in all. For large requests that are still coming there is a quarter as much
    /// beside it, and at most 64 MiB.
    pub unsent_bytes: usize,
    /// How long a reader may take nothing before its watch is ended; after a third more its stream is reset. So long
    /// may the sender of a large request send nothing of it, too.
    pub slow_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            watches: WATCHES_MAX,
            unsent_bytes: UNSENT_BYTES_MAX,
            slow_after: SLOW_AFTER,
        }
    }
}

/// What the edge of a server counts. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct EdgeMetrics(Arc<Counts>);

/// The counts behind [`EdgeMetrics`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) accept_pauses: AtomicU64,
    pub(crate) handshakes_timed_out: AtomicU64,
    pub(crate) connections_stalled: AtomicU64,
    pub(crate) connections_idle: AtomicU64,
    pub(crate) watches: AtomicUsize,
    pub(crate) watches_refused: AtomicU64,
    pub(crate) watches_ended_slow: AtomicU64,
    pub(crate) streams_reset_slow: AtomicU64,
    pub(crate) requests_reset_slow: AtomicU64,
    pub(crate) unsent_bytes: AtomicUsize,
    pub(crate) received_bytes: AtomicUsize,
}

impl EdgeMetrics {
    pub(crate) fn counts(&self) -> &Counts {
        &self.0
    }

    /// The gauges: name, help, value now.
    pub(crate) fn gauges(&self) -> [(&'static str, &'static str, i64); 4] {
        let now =
            |count: &AtomicUsize| i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        [
            ("edge_connections", "Connections that are open", now(&self.0.connections)),
            ("edge_watches", "Watches that are open", now(&self.0.watches)),
            ("edge_unsent_bytes", "Bytes that wait for slow readers", now(&self.0.unsent_bytes)),
            (
                "edge_received_bytes",
                "Bytes kept free for large requests that are still coming",
                now(&self.0.received_bytes),
            ),
        ]
    }

    /// The counters: name, help, count so far.
    pub(crate) fn counters(&self) -> [(&'static str, &'static str, u64); 9] {
        let counts = &*self.0;
        let so_far = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            (
                "edge_connections_refused",
                "Connections closed at once, since there were as many as may be",
                so_far(&counts.connections_refused),
            ),
            (
                "edge_accept_pauses",
                "Times that accepting paused, since the system had no room for a connection",
                so_far(&counts.accept_pauses),
            ),
            (
                "edge_handshakes_timed_out",
                "Connections closed since their caller did not begin to speak",
                so_far(&counts.handshakes_timed_out),
            ),
            (
                "edge_connections_stalled",
                "Connections closed since their caller took nothing",
                so_far(&counts.connections_stalled),
            ),
            (
                "edge_connections_idle",
                "Connections told to go since they had no call for long",
                so_far(&counts.connections_idle),
            ),
            (
                "edge_watches_refused",
                "Watches refused, since there were as many as may be",
                so_far(&counts.watches_refused),
            ),
            (
                "edge_watches_ended_slow",
                "Watches ended since they were read too slowly",
                so_far(&counts.watches_ended_slow),
            ),
            (
                "edge_streams_reset_slow",
                "Answers broken off since they were read too slowly and others needed their room",
                so_far(&counts.streams_reset_slow),
            ),
            (
                "edge_requests_reset_slow",
                "Large requests broken off since nothing more of them came",
                so_far(&counts.requests_reset_slow),
            ),
        ]
    }
}

/// One more, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(EdgeMetrics, fn(&Counts) -> &AtomicUsize);

impl Counted {
    pub(crate) fn new(metrics: &EdgeMetrics, of: fn(&Counts) -> &AtomicUsize) -> Self {
        of(metrics.counts()).fetch_add(1, Ordering::Relaxed);
        Self(metrics.clone(), of)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(self.0.counts()).fetch_sub(1, Ordering::Relaxed);
    }
}
