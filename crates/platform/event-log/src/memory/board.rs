//! The board in memory: one handle for each instance, each of which can be cut off from the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lock;
use crate::{BoardError, LeaseBoard, NOTICE_STANDS, Notices};

/// One instance's handle to a board in memory. Clones are the same handle; [`MemoryBoard::join`] makes another
/// instance's. Its time is tokio's, so that a test that pauses time also decides when a notice is over.
#[derive(Clone, Debug)]
pub struct MemoryBoard(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    link: watch::Sender<Link>,
    seen: watch::Sender<Notices>,
    /// Keeps `seen` up to date; ends with the handle.
    lookout: Mutex<JoinSet<()>>,
}

/// How one instance reaches the board.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    cut: bool,
    stalled: bool,
    slow: Duration,
}

#[derive(Debug)]
struct Shared {
    notices: Mutex<BTreeMap<String, (Bytes, Instant)>>,
    /// Bumped at every change, so that the lookouts look again.
    changed: watch::Sender<u64>,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, (Bytes, Instant)>)) {
        change(&mut lock(&self.notices));
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What stands now, and when the first of it is over.
    fn standing(&self) -> (BTreeMap<String, Bytes>, Option<Instant>) {
        let now = Instant::now();
        let mut notices = lock(&self.notices);
        notices.retain(|_, (_, until)| *until > now);
        let first = notices.values().map(|(_, until)| *until).min();
        let standing = notices.iter().map(|(key, (notice, _))| (key.clone(), notice.clone()));
        (standing.collect(), first)
    }
}

impl MemoryBoard {
    /// Makes an empty board and the first handle to it. Must be called on a tokio runtime, which keeps the time.
    pub fn new() -> Self {
        Self::handle(Arc::new(Shared { notices: Mutex::default(), changed: watch::Sender::new(0) }))
    }

    /// Another instance's handle to the same board.
    pub fn join(&self) -> Self {
        Self::handle(Arc::clone(&self.0.shared))
    }

    fn handle(shared: Arc<Shared>) -> Self {
        let (link, linked) = watch::channel(Link::default());
        let seen = watch::Sender::new(Notices::default());
        let mut lookout = JoinSet::new();
        lookout.spawn(look_out(Arc::clone(&shared), linked, seen.clone()));
        Self(Arc::new(Handle { shared, link, seen, lookout: Mutex::new(lookout) }))
    }

    /// Cuts this handle off from the board, or back in: its notices can't be put, and what it sees stays as it is.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.0.link.send_modify(|link| link.cut = unreachable);
    }

    /// Lets this handle see the board as it is now, or go on: its own notices get through all the while.
    pub fn stall_view(&self, stalled: bool) {
        self.0.link.send_modify(|link| link.stalled = stalled);
    }

    /// Lets every notice of this handle take so long on its way.
    pub fn slow_puts(&self, by: Duration) {
        self.0.link.send_modify(|link| link.slow = by);
    }

    /// Takes all notices down, whoever put them up: a board that lost its memory.
    pub fn forget_all(&self) {
        self.0.shared.change(BTreeMap::clear);
    }

    /// Ends this handle as the crash of its process would: nothing more is put, what was put stands its time.
    pub fn crash(&self) {
        self.set_unreachable(true);
        lock(&self.0.lookout).abort_all();
    }

    async fn reach(&self) -> Result<(), BoardError> {
        let slow = self.0.link.borrow().slow;
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        if self.0.link.borrow().cut { Err(BoardError::Failed("injected".into())) } else { Ok(()) }
    }
}

impl Default for MemoryBoard {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl LeaseBoard for MemoryBoard {
    async fn put(&self, key: &str, notice: Bytes) -> Result<(), BoardError> {
        self.reach().await?;
        let until = Instant::now() + NOTICE_STANDS;
        self.0.shared.change(|notices| drop(notices.insert(key.to_owned(), (notice, until))));
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), BoardError> {
        self.reach().await?;
        self.0.shared.change(|notices| drop(notices.remove(key)));
        Ok(())
    }

    fn watch(&self) -> watch::Receiver<Notices> {
        self.0.seen.subscribe()
    }
}

/// Shows one handle what stands, for as long as it is linked.
async fn look_out(
    shared: Arc<Shared>,
    mut link: watch::Receiver<Link>,
    seen: watch::Sender<Notices>,
) {
    let mut changed = shared.changed.subscribe();
    loop {
        // Marked as seen before looking, so that a change in between is never slept through.
        changed.mark_unchanged();
        let Link { cut, stalled, .. } = *link.borrow_and_update();
        let mut over = None;
        if !cut && !stalled {
            let (standing, first) = shared.standing();
            over = first;
            seen.send_if_modified(|known| {
                let news = **known != standing;
                if news {
                    *known = Arc::new(standing);
                }
                news
            });
        }
        let time = async {
            match over {
                Some(over) => tokio::time::sleep_until(over).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            linked = link.changed() => if linked.is_err() { return },
            again = changed.changed() => if again.is_err() { return },
            () = time => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(board: &MemoryBoard, keys: &[&str]) {
        let mut seen = board.watch();
        seen.wait_for(|notices| notices.keys().eq(keys.iter().copied())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_stands_its_time_and_no_longer() {
        let (mine, yours) = {
            let board = MemoryBoard::new();
            (board.join(), board)
        };
        mine.put("a", Bytes::from_static(b"1")).await.unwrap();
        until(&yours, &["a"]).await;
        let put = Instant::now();
        until(&yours, &[]).await;
        assert!(put.elapsed() >= NOTICE_STANDS, "{:?}", put.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_cut_off_sees_what_stood_and_is_forgotten() {
        let board = MemoryBoard::new();
        let other = board.join();
        board.put("a", Bytes::new()).await.unwrap();
        until(&board, &["a"]).await;
        board.set_unreachable(true);
        assert!(board.put("a", Bytes::new()).await.is_err());
        // Later, so that the one is over before the other.
        tokio::time::sleep(NOTICE_STANDS / 2).await;
        other.put("b", Bytes::new()).await.unwrap();
        until(&other, &["a", "b"]).await;
        until(&other, &["b"]).await;
        assert!(board.watch().borrow().keys().eq(["a"]));
        board.set_unreachable(false);
        other.put("b", Bytes::new()).await.unwrap();
        until(&board, &["b"]).await;
        other.remove("b").await.unwrap();
        until(&board, &[]).await;
    }
}
