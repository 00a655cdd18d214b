//! The tasks of a connection's streams: counted, and each to be broken off by itself.
//!
//! hyper offers no way to end an answer whose reader takes nothing: the body isn't asked for more. Dropping the
//! stream's task does it: the caller gets `RST_STREAM`, and what was buffered for it is let go.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::socket::Socket;

tokio::task_local! {
    static STREAM: Stream;
}

/// What the streams of a connection share. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Streams(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    open: AtomicUsize,
    socket: Arc<Socket>,
    /// Closes the connection at once.
    close: CancellationToken,
}

/// One call's stream, to be broken off. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Stream(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    broken_off: CancellationToken,
    /// The task has ended: what is left to be sent is out of its hands.
    ended: AtomicBool,
    connection: Arc<Connection>,
}

impl Streams {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        let close = CancellationToken::new();
        Self(Arc::new(Connection { open: AtomicUsize::new(0), socket, close }))
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Returns when the connection is to be closed at once.
    pub(super) async fn closed(&self) {
        self.0.close.cancelled().await;
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let stream = Stream(Arc::new(Handle {
            broken_off: CancellationToken::new(),
            ended: AtomicBool::new(false),
            connection: Arc::clone(&self.0),
        }));
        let open = Open::new(&stream);
        tokio::spawn(STREAM.scope(stream.clone(), async move {
            let _open = open;
            tokio::select! {
                biased;
                () = stream.0.broken_off.cancelled() => {}
                () = task => {}
            }
        }));
    }
}

impl Stream {
    /// The stream of the call that is being served here; none if another kind of server serves it.
    pub(crate) fn current() -> Option<Self> {
        STREAM.try_with(Self::clone).ok()
    }

    /// Breaks it off, and lets go of what waits to be sent on it. Where that is not in the stream's hands any more, or
    /// the socket takes nothing at all, the connection is closed.
    pub(crate) fn break_off(&self) {
        self.0.broken_off.cancel();
        let connection = &self.0.connection;
        if self.0.ended.load(Ordering::Acquire) || connection.socket.is_blocked() {
            connection.close.cancel();
        }
    }
}

/// Counts a stream as open while its task is there.
struct Open(Stream);

impl Open {
    fn new(stream: &Stream) -> Self {
        stream.0.connection.open.fetch_add(1, Ordering::Relaxed);
        Self(stream.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.ended.store(true, Ordering::Release);
        self.0.0.connection.open.fetch_sub(1, Ordering::Relaxed);
    }
}
