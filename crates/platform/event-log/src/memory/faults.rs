//! The handle by which a test makes a log in memory fail.

use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use crate::{AppendError, Seq};

/// Makes one log fail on demand. Clones act on the same log.
#[derive(Clone, Debug)]
pub struct Faults {
    shared: Arc<Shared>,
}

/// What became of an append that had been held back.
pub type Injected = Result<Seq, AppendError>;

impl Faults {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The next append does what it does, but its caller gets
    /// [`AppendError::Unknown`].
    pub fn lose_next_ack(&self) {
        self.shared.change(|state| state.lose_next_ack = true);
    }

    /// The next append gets [`AppendError::Unknown`] and is kept back until
    /// [`Faults::release_held`].
    pub fn hold_next_append(&self) {
        self.shared.change(|state| state.hold_next = true);
    }

    /// Tries the appends that were kept back, oldest first, each against its own fence, and says
    /// what became of each.
    pub fn release_held(&self) -> Vec<Injected> {
        self.shared.change(|state| {
            let held: Vec<(Seq, Bytes)> = std::mem::take(&mut state.held);
            held.into_iter().map(|(fence, record)| state.append(fence, record)).collect()
        })
    }

    /// Cuts the log off, or back in: appends and reads are unavailable, followers wait.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.shared.change(|state| state.unavailable = unavailable);
    }

    /// Makes the next `count` appends [`AppendError::Unavailable`].
    pub fn refuse_appends(&self, count: u32) {
        self.shared.change(|state| state.unavailable_appends = count);
    }

    /// Makes every append whose fence holds [`AppendError::Full`], until told otherwise.
    pub fn set_full(&self, full: bool) {
        self.shared.change(|state| state.full = full);
    }

    /// Lets appends wait, neither written nor answered, until told otherwise. One whose caller gives
    /// up in the meantime is never written.
    pub fn stall_appends(&self, stalled: bool) {
        self.shared.change(|state| state.appends_stalled = stalled);
    }

    /// Keeps followers from getting anything until told otherwise.
    pub fn stall_followers(&self, stalled: bool) {
        self.shared.change(|state| state.followers_stalled = stalled);
    }

    /// Hides one record from all readers: a hole.
    pub fn hide(&self, seq: Seq) {
        self.shared.change(|state| state.hidden.insert(seq));
    }

    /// Forgets every record after `last`: the log goes backwards.
    pub fn drop_after(&self, last: Seq) {
        self.shared.change(|state| state.truncate(last));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{FutureExt, StreamExt};

    use crate::memory::MemoryLog;
    use crate::{AppendError, EventLog};

    #[tokio::test]
    async fn a_stalled_append_goes_on_when_it_is_let() {
        let log = MemoryLog::new();
        log.faults().stall_appends(true);
        let mut append = log.append(0, Bytes::new());
        assert!((&mut append).now_or_never().is_none());
        drop(log.append(0, Bytes::new()).now_or_never());
        log.faults().stall_appends(false);
        assert_eq!(append.await.unwrap(), 1);
        assert_eq!(log.tail().await.unwrap().last, 1);
    }

    #[tokio::test]
    async fn a_stalled_follower_goes_on_when_it_is_let() {
        let log = MemoryLog::new();
        let mut follower = log.follow(1);
        log.faults().stall_followers(true);
        log.append(0, Bytes::new()).await.unwrap();
        assert!(follower.next().now_or_never().is_none());
        log.faults().stall_followers(false);
        assert_eq!(follower.next().await.unwrap().unwrap().seq, 1);
    }

    #[tokio::test]
    async fn refused_appends_are_counted_off() {
        let log = MemoryLog::new();
        log.faults().refuse_appends(2);
        for _ in 0..2 {
            let refused = log.append(0, Bytes::new()).await;
            assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
        }
        assert_eq!(log.append(0, Bytes::new()).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_held_append_says_what_became_of_it() {
        let log = MemoryLog::new();
        log.faults().hold_next_append();
        let held = log.append(0, Bytes::from_static(b"late")).await;
        assert!(matches!(held, Err(AppendError::Unknown(_))), "{held:?}");
        log.append(0, Bytes::from_static(b"first")).await.unwrap();
        let became = log.faults().release_held();
        assert!(matches!(became.as_slice(), [Err(AppendError::Fenced { last: 1 })]), "{became:?}");
    }
}
