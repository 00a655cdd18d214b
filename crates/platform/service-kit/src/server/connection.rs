//! One connection from its hello to its end. Whoever holds one without using it loses it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

use super::limits::{Counts, EdgeMetrics};
use super::listener::Accepted;
use super::socket::{Observed, Socket};
use super::streams::Streams;

/// How long a caller may take to begin to speak HTTP/2.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How often an idle connection is probed.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// How long a probe may go unanswered.
const PROBE_WITHIN: Duration = Duration::from_secs(10);
/// How long a caller may take nothing of what there is to send.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How long a connection may have no call before it is told to go. A client dials again without its caller noticing.
const IDLE_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long one that was told to go may stay without a call.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How many calls one connection may have in flight.
const STREAMS_MAX: u32 = 256;
/// How many streams that the other end has reset may wait to be noticed: more is an attack (rapid reset).
const RESETS_PENDING_MAX: usize = 20;
/// How large the headers of a call may be, in bytes as HTTP/2 counts them.
const HEADERS_MAX_BYTES: u32 = 16 * 1024;
/// How many bytes of an answer wait beside the one piece in hand while the socket takes nothing.
const STREAM_BUFFER_BYTES: usize = 64 * 1024;

/// Serves one connection until it ends, `leave` tells it to go and it has gone, or it is of no use.
pub(super) async fn serve<S>(
    accepted: Accepted,
    service: S,
    metrics: EdgeMetrics,
    leave: CancellationToken,
) where
    S: tower::Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send,
{
    let (stream, _place) = accepted.into_parts();
    let socket = Socket::new();
    let streams = Streams::new(Arc::clone(&socket));
    let service = service.map_request(|request: Request<Incoming>| request.map(Body::new));
    let io = TokioIo::new(Observed { stream, socket: Arc::clone(&socket) });
    let serving = builder(&streams).serve_connection(io, TowerToHyperService::new(service));
    let mut serving = pin!(serving);
    let mut watch = Watch::new(socket, streams.clone());
    loop {
        tokio::select! {
            biased;
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = leave.cancelled(), if !watch.leaves() => {
                watch.leave();
                serving.as_mut().graceful_shutdown();
            }
            () = streams.closed() => return,
            () = sleep_until(watch.look_at) => match watch.look() {
                Verdict::Stay => {}
                Verdict::Leave => {
                    count(&metrics, |counts| &counts.connections_idle);
                    serving.as_mut().graceful_shutdown();
                }
                Verdict::Silent => return count(&metrics, |counts| &counts.handshakes_timed_out),
                Verdict::Stalled => return count(&metrics, |counts| &counts.connections_stalled),
                Verdict::Over => return,
            },
        }
    }
}

fn builder(streams: &Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PROBE_EVERY)
        .keep_alive_timeout(PROBE_WITHIN)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_header_list_size(HEADERS_MAX_BYTES)
        .max_send_buf_size(STREAM_BUFFER_BYTES);
    builder
}

fn count(metrics: &EdgeMetrics, of: fn(&Counts) -> &AtomicU64) {
    of(metrics.counts()).fetch_add(1, Ordering::Relaxed);
}

/// What is to become of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stay,
    /// It had no call for long: it is told to go.
    Leave,
    /// Its caller never began to speak.
    Silent,
    /// Its caller takes nothing.
    Stalled,
    /// It was told to go, and did not.
    Over,
}

/// Watches over one connection.
struct Watch {
    socket: Arc<Socket>,
    streams: Streams,
    /// Since when it has no call, as far as it was looked at.
    idle_since: Option<Instant>,
    leaving: bool,
    look_at: Instant,
}

impl Watch {
    fn new(socket: Arc<Socket>, streams: Streams) -> Self {
        let look_at = socket.opened() + HELLO_WITHIN;
        Self { socket, streams, idle_since: None, leaving: false, look_at }
    }

    const fn leaves(&self) -> bool {
        self.leaving
    }

    fn leave(&mut self) {
        self.leaving = true;
        self.idle_since = None;
    }

    fn look(&mut self) -> Verdict {
        let now = Instant::now();
        self.look_at = now + LOOK_EVERY;
        if !self.socket.is_greeted() {
            return Verdict::Silent;
        }
        if self.socket.blocked_for() >= STALLED_AFTER {
            return Verdict::Stalled;
        }
        if self.streams.open() > 0 {
            self.idle_since = None;
            return Verdict::Stay;
        }
        let idle_for = now.saturating_duration_since(*self.idle_since.get_or_insert(now));
        if self.leaving {
            return if idle_for >= LEAVES_WITHIN { Verdict::Over } else { Verdict::Stay };
        }
        if idle_for < IDLE_AFTER {
            return Verdict::Stay;
        }
        self.leave();
        Verdict::Leave
    }
}
