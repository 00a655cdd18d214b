//! The board as one instance sees it: its notices take their time, get lost, or come too late, and so does what it
//! shows.
//!
//! Promises kept, as the board on NATS keeps them: notices of one instance never overtake each other, and while nothing
//! of the board comes through, nothing that was seen goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use event_log::memory::MemoryBoard;
use event_log::{BoardError, LeaseBoard, Notices};
use tokio::sync::watch;

use crate::instance::{Fault, Instance};

/// One instance's board.
#[derive(Debug)]
pub(crate) struct FarBoard {
    instance: Instance,
    board: MemoryBoard,
    shown: watch::Sender<Notices>,
    sent: AtomicU64,
    /// The last notice that arrived.
    arrived: Arc<AtomicU64>,
}

impl FarBoard {
    pub(crate) fn of(instance: &Instance) -> Self {
        let board = instance.world.board.join();
        let shown = watch::Sender::new(Notices::default());
        drop(tokio::spawn(show(instance.clone(), board.watch(), shown.clone())));
        Self {
            instance: instance.clone(),
            board,
            shown,
            sent: AtomicU64::new(0),
            arrived: Arc::new(AtomicU64::new(0)),
        }
    }

    fn reached(&self) -> Result<(), BoardError> {
        if self.instance.link.is(Fault::Board) {
            return Err(BoardError::Failed("cut off".to_owned()));
        }
        Ok(())
    }

    async fn send(&self, key: &str, notice: Bytes) -> Result<(), BoardError> {
        let (instance, world) = (&self.instance, &self.instance.world);
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        instance.latency().await;
        if instance.link.is(Fault::Slow) {
            instance.pause(200..2_000).await;
        }
        self.reached()?;
        if world.fault("lost notice", world.swarm.lost_notice) {
            instance.pause(100..2_000).await;
            return Err(BoardError::Failed("no answer".to_owned()));
        }
        if world.fault("late notice", world.swarm.late_notice) {
            self.send_later(number, key.to_owned(), notice);
            instance.pause(1_000..2_000).await;
            return Err(BoardError::Failed("no answer".to_owned()));
        }
        self.arrived.store(number, Ordering::Relaxed);
        self.board.put(key, notice).await?;
        instance.latency().await;
        Ok(())
    }

    /// A notice that arrives later, whatever becomes of its process, unless a newer one was quicker.
    fn send_later(&self, number: u64, key: String, notice: Bytes) {
        let (instance, board) = (self.instance.clone(), self.board.clone());
        let arrived = Arc::clone(&self.arrived);
        drop(tokio::spawn(async move {
            instance.pause(500..4_000).await;
            if arrived.fetch_max(number, Ordering::Relaxed) < number {
                // Nobody waits for its answer.
                drop(board.put(&key, notice).await);
            }
        }));
    }
}

#[async_trait]
impl LeaseBoard for FarBoard {
    async fn put(&self, key: &str, notice: Bytes) -> Result<(), BoardError> {
        self.instance.live(self.send(key, notice)).await
    }

    async fn remove(&self, key: &str) -> Result<(), BoardError> {
        let remove = async {
            self.instance.latency().await;
            self.reached()?;
            self.arrived.store(self.sent.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            self.board.remove(key).await
        };
        self.instance.live(remove).await
    }

    fn watch(&self) -> watch::Receiver<Notices> {
        self.shown.subscribe()
    }
}

/// Shows one instance what stands, a little later, and for as long as it lives.
async fn show(
    instance: Instance,
    mut board: watch::Receiver<Notices>,
    shown: watch::Sender<Notices>,
) {
    let world = Arc::clone(&instance.world);
    loop {
        let notices = Arc::clone(&board.borrow_and_update());
        let on_the_way = async {
            let slow = world.fault("slow view", world.swarm.slow_view);
            instance.pause(if slow { 100..2_500 } else { 0..4 }).await;
            instance.link.board_seen().await;
        };
        instance.live(on_the_way).await;
        shown.send_if_modified(|known| {
            let news = *known != notices;
            if news {
                *known = notices;
            }
            news
        });
        if instance.live(board.changed()).await.is_err() {
            return;
        }
    }
}
