//! An instance as the world around it sees it: a process that may be dead or stopped, on a network that may be cut.
//!
//! Nothing of a dead process goes on at its borders, where all that it does becomes visible: its log, its board, its
//! disk, its callers. A stopped one is held there too: what it asks for waits, and so does every answer to it, until it
//! is let go on, later than it knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runtime::ServiceId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// A process.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) world: Arc<World>,
    /// Its name on the board: another one at every start.
    pub(crate) name: Arc<str>,
    pub(crate) place: Place,
    pub(crate) dead: CancellationToken,
    stopped: Arc<watch::Sender<bool>>,
    pub(crate) link: Arc<Link>,
}

/// Where a process runs: one of the places of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) service: ServiceId,
    pub(crate) number: usize,
}

impl Place {
    /// Where the others reach whoever runs there.
    pub(crate) fn address(self) -> String {
        format!("{}-{}.sim:7400", self.service, self.number)
    }
}

/// A place's network. It outlives the processes there.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// No log can be reached.
    log: Cut,
    /// The board can't be reached.
    board: Cut,
    /// What the board shows doesn't come through, though notices can be put.
    view: Cut,
    /// The other instance can't be reached.
    peers: AtomicBool,
    /// Notices take long.
    slow: AtomicBool,
}

/// A way that can be cut.
#[derive(Debug)]
struct Cut(watch::Sender<bool>);

impl Default for Cut {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cut {
    fn set(&self, cut: bool) {
        self.0.send_replace(cut);
    }

    fn is_cut(&self) -> bool {
        *self.0.borrow()
    }

    async fn passable(&self) {
        // The sender is ours.
        drop(self.0.subscribe().wait_for(|cut| !cut).await);
    }
}

/// What can be wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Log,
    Board,
    View,
    Peers,
    Slow,
}

impl Link {
    pub(crate) fn set(&self, fault: Fault, wrong: bool) {
        match fault {
            Fault::Log => self.log.set(wrong),
            Fault::Board => self.board.set(wrong),
            Fault::View => self.view.set(wrong),
            Fault::Peers => self.peers.store(wrong, Ordering::Relaxed),
            Fault::Slow => self.slow.store(wrong, Ordering::Relaxed),
        }
    }

    pub(crate) fn is(&self, fault: Fault) -> bool {
        match fault {
            Fault::Log => self.log.is_cut(),
            Fault::Board => self.board.is_cut(),
            Fault::View => self.view.is_cut(),
            Fault::Peers => self.peers.load(Ordering::Relaxed),
            Fault::Slow => self.slow.load(Ordering::Relaxed),
        }
    }

    /// Returns when the logs can be reached.
    pub(crate) async fn log_reached(&self) {
        self.log.passable().await;
    }

    /// Returns when the board can be seen.
    pub(crate) async fn board_seen(&self) {
        while self.board.is_cut() || self.view.is_cut() {
            self.board.passable().await;
            self.view.passable().await;
        }
    }
}

impl Instance {
    pub(crate) fn new(
        world: &Arc<World>,
        place: Place,
        link: &Arc<Link>,
        name: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            world: Arc::clone(world),
            name: name.into(),
            place,
            dead: CancellationToken::new(),
            stopped: Arc::new(watch::Sender::new(false)),
            link: Arc::clone(link),
        }
    }

    /// Stops the process, or lets it go on.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.stopped.send_replace(stopped);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Whether nothing keeps it from its work.
    pub(crate) fn is_able(&self) -> bool {
        let faults = [Fault::Log, Fault::Board, Fault::View, Fault::Slow];
        !self.dead.is_cancelled()
            && !self.is_stopped()
            && !faults.into_iter().any(|fault| self.link.is(fault))
    }

    /// Returns when the process runs; what was held back while it was stopped goes on in no order.
    pub(crate) async fn running(&self) {
        if self.is_stopped() {
            // The sender is ours.
            drop(self.stopped.subscribe().wait_for(|stopped| !stopped).await);
            tokio::time::sleep(self.world.chance(|rng| rng.millis(0..6))).await;
        }
    }

    /// Goes on with `deed` as long as the process lives, and then never returns.
    pub(crate) async fn live<T>(&self, deed: impl Future<Output = T>) -> T {
        self.running().await;
        let done = tokio::select! {
            biased;
            () = self.dead.cancelled() => std::future::pending().await,
            done = deed => done,
        };
        self.running().await;
        done
    }

    /// A named point at which the process may die.
    pub(crate) async fn may_crash(&self, point: &'static str) {
        if !self.dead.is_cancelled() && self.world.fault(point, self.world.swarm.crash_point) {
            self.dead.cancel();
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// What any way takes.
    pub(crate) async fn latency(&self) {
        tokio::time::sleep(self.world.chance(|rng| rng.millis(0..4))).await;
    }

    /// Sleeps for a time of this range, by chance.
    pub(crate) async fn pause(&self, millis: std::ops::Range<u64>) {
        tokio::time::sleep(self.world.chance(|rng| rng.millis(millis))).await;
    }
}

/// How long a way that hears nothing is waited for before it counts as broken.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);
