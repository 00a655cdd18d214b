//! A TCP proxy that can be told to lose, hold back or cut what passes through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// What the client sends waits until the mode changes; then it arrives.
    Hold,
    /// What the server sends is lost. A connection that lost something ends when the mode changes.
    Swallow,
    /// Every connection ends, and new ones end at once.
    Cut,
    /// Everything passes late, both ways.
    Slow,
}

/// How late, each time.
pub const LATE: Duration = Duration::from_millis(40);

/// What a proxy has seen.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    severed: AtomicUsize,
    delayed: AtomicUsize,
}

/// A proxy on a loopback port of its own.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of `target`.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mode = Arc::new(watch::channel(Mode::Pass).0);
        let modes = Arc::clone(&mode);
        let seen = Arc::<Seen>::default();
        let noted = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                noted.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(join(client, target, modes.subscribe(), Arc::clone(&noted)));
            }
        });
        Ok(Self { address, mode, seen, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// How many connections in use were cut so far.
    pub fn severed(&self) -> usize {
        self.seen.severed.load(Ordering::Relaxed)
    }

    /// How many pieces were passed late so far.
    pub fn delayed(&self) -> usize {
        self.seen.delayed.load(Ordering::Relaxed)
    }

    /// Changes what happens to bytes from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Both directions end together.
async fn join(client: TcpStream, target: SocketAddr, mode: watch::Receiver<Mode>, seen: Arc<Seen>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    // Small packets are the point of these tests.
    client.set_nodelay(true).unwrap_or(());
    server.set_nodelay(true).unwrap_or(());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = upstream(from_client, to_server, mode.clone(), &seen) => {}
        () = downstream(from_server, to_client, mode.clone(), &seen) => {}
        () = cut(mode) => {
            seen.severed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn cut(mut mode: watch::Receiver<Mode>) {
    if mode.wait_for(|mode| *mode == Mode::Cut).await.is_err() {
        // The proxy is gone; its connections last as long as their ends.
        std::future::pending::<()>().await;
    }
}

async fn upstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    seen: &Seen,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
            return;
        }
        let now = *mode.borrow();
        dawdle(now, seen).await;
        if to.write_all(buffer.get(..count).unwrap_or(&[])).await.is_err() {
            return;
        }
    }
}

async fn downstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    seen: &Seen,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if *mode.borrow_and_update() == Mode::Swallow {
            // The rest of the conversation would make no sense any more.
            drop(mode.wait_for(|mode| *mode != Mode::Swallow).await);
            return;
        }
        let now = *mode.borrow();
        dawdle(now, seen).await;
        if to.write_all(buffer.get(..count).unwrap_or(&[])).await.is_err() {
            return;
        }
    }
}

/// Holds a piece back for a while, if the link is slow.
async fn dawdle(mode: Mode, seen: &Seen) {
    if mode == Mode::Slow {
        seen.delayed.fetch_add(1, Ordering::Relaxed);
        sleep(LATE).await;
    }
}
