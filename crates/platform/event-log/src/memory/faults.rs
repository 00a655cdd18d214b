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

    /// Brings a hidden record back.
    pub fn unhide(&self, seq: Seq) {
        self.shared.change(|state| state.hidden.remove(&seq));
    }

    /// Forgets every record after `last`: the log goes backwards.
    pub fn drop_after(&self, last: Seq) {
        self.shared.change(|state| state.truncate(last));
    }
}
