//! A connection's socket, and what it shows of who is at the other end: whether anybody began to speak, and whether
//! anything is taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What a client of HTTP/2 sends first: the preface of 24 bytes, and the head of a SETTINGS frame, 9 bytes.
const HELLO_BYTES: u64 = 24 + 9;
/// Stands for "not blocked".
const FLOWS: u64 = u64::MAX;

/// What is known of a socket.
#[derive(Debug)]
pub(super) struct Socket {
    opened: Instant,
    received: AtomicU64,
    /// Since when it takes nothing, in milliseconds after it was opened, or [`FLOWS`].
    blocked_ms: AtomicU64,
}

impl Socket {
    pub(super) fn new() -> Arc<Self> {
        let (received, blocked_ms) = (AtomicU64::new(0), AtomicU64::new(FLOWS));
        Arc::new(Self { opened: Instant::now(), received, blocked_ms })
    }

    /// When it was opened.
    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether the other end has said hello.
    pub(super) fn is_greeted(&self) -> bool {
        self.received.load(Ordering::Relaxed) >= HELLO_BYTES
    }

    /// Whether there is something to send that the other end doesn't take.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_ms.load(Ordering::Relaxed) != FLOWS
    }

    /// For how long the other end has taken nothing of what there is to send.
    pub(super) fn blocked_for(&self) -> Duration {
        match self.blocked_ms.load(Ordering::Relaxed) {
            FLOWS => Duration::ZERO,
            since => self.opened.elapsed().saturating_sub(Duration::from_millis(since)),
        }
    }

    fn receives(&self, bytes: usize) {
        self.received.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn sends(&self, outcome: &Poll<io::Result<usize>>) {
        if outcome.is_ready() {
            self.blocked_ms.store(FLOWS, Ordering::Relaxed);
        } else if !self.is_blocked() {
            let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(0);
            self.blocked_ms.store(now, Ordering::Relaxed);
        }
    }
}

/// A connection whose traffic its [`Socket`] sees.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) stream: TcpStream,
    pub(super) socket: Arc<Socket>,
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.socket.receives(buffer.filled().len().saturating_sub(before));
        read
    }
}

impl AsyncWrite for Observed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.socket.sends(&sent);
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.socket.sends(&sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
