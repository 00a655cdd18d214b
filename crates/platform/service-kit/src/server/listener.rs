//! Accepting connections: never more than there may be, and never in a hurry while the system has no room for one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::limits::{Counted, EdgeMetrics};

/// How long accepting pauses first while the system has no room (no file descriptors, no memory), doubled up to the
/// longest.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// After so long without a refusal it is said that connections are no longer refused.
const QUIET_AFTER: Duration = Duration::from_secs(10);
/// How many bytes the kernel may hold for a connection before they are on their way: what a reader that takes nothing
/// costs there.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_IN_KERNEL: u32 = 64 * 1024;

/// A bound address that accepts at most so many connections at once.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    places: Arc<Semaphore>,
    connections_max: usize,
    metrics: EdgeMetrics,
    /// When it last refused a connection, while that was said and not taken back.
    refusing: Option<Instant>,
    starved: Option<Starved>,
}

/// A connection, and its place among those that may be. Holding it keeps the place.
#[derive(Debug)]
pub(crate) struct Accepted {
    stream: TcpStream,
    place: Place,
}

/// A place among the connections that may be.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Accepted {
    /// The connection and its place apart.
    pub(crate) fn into_parts(self) -> (TcpStream, Place) {
        (self.stream, self.place)
    }
}

impl Listener {
    /// Accepts at most `connections_max` at once from a bound address.
    pub(crate) fn new(listener: TcpListener, connections_max: usize, metrics: EdgeMetrics) -> Self {
        let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { socket: listener, places, connections_max, metrics, refusing: None, starved: None }
    }

    /// The next connection that there is a place for. Those beyond are closed at once. While the system has no room for
    /// another, it waits, longer after each failure; that it waits is said once, and once that it is over.
    ///
    /// Dropping the future loses no connection and shortens no wait.
    pub(crate) async fn accept(&mut self) -> Accepted {
        loop {
            if let Some(starved) = &self.starved {
                sleep_until(starved.until).await;
            }
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    if let Some(starved) = self.starved.take() {
                        starved.over();
                    }
                    if let Some(accepted) = self.admit(stream) {
                        return accepted;
                    }
                }
                Err(error) if concerns_the_connection(&error) => {}
                Err(error) => match &mut self.starved {
                    Some(starved) => starved.goes_on(),
                    none => *none = Some(Starved::begin(&error, &self.metrics)),
                },
            }
        }
    }

    fn admit(&mut self, stream: TcpStream) -> Option<Accepted> {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.counts().connections_refused.fetch_add(1, Ordering::Relaxed);
            if self.refusing.replace(Instant::now()).is_none() {
                let limit = self.connections_max;
                tracing::warn!(limit, "new connections are refused: there are as many as may be");
            }
            return None;
        };
        if self.refusing.is_some_and(|last| last.elapsed() > QUIET_AFTER) {
            self.refusing = None;
            tracing::info!("connections are no longer refused");
        }
        prepare(&stream);
        let counted = Counted::new(&self.metrics, |counts| &counts.connections);
        Some(Accepted { stream, place: Place { _permit: permit, _counted: counted } })
    }
}

/// A connection that failed before it was taken is no reason to wait: the next one may be well.
fn concerns_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Small answers leave at once, and what a reader doesn't take stays with us, where it is counted, not in the kernel. A
/// socket that refuses is served all the same.
fn prepare(stream: &TcpStream) {
    let mut set = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if set.is_ok() {
        set = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_IN_KERNEL);
    }
    if let Err(error) = set {
        tracing::debug!(%error, "a connection's socket could not be set up");
    }
}

/// While the system has no room for a connection.
#[derive(Debug)]
struct Starved {
    since: Instant,
    pause: Duration,
    /// When to try again.
    until: Instant,
}

impl Starved {
    fn begin(error: &io::Error, metrics: &EdgeMetrics) -> Self {
        metrics.counts().accept_pauses.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "no connection can be accepted; trying again");
        let since = Instant::now();
        Self { since, pause: PAUSE_FIRST, until: since + PAUSE_FIRST }
    }

    fn goes_on(&mut self) {
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        self.until = Instant::now() + self.pause;
    }

    fn over(self) {
        let seconds = self.since.elapsed().as_secs();
        tracing::info!(seconds, "connections are accepted again");
    }
}
