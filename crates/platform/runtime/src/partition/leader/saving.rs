//! State hashes, and leaving the log in order.

use wire::events::v1::{Note, StateHash, note::Kind};

use super::Leader;
use crate::fold::Fold;
use crate::partition::batch::Batch;
use crate::partition::stop::Stop;
use crate::service::Service;

impl<S: Service> Leader<'_, S> {
    pub(super) fn state_hash(&mut self) -> Note {
        let seq = self.fold.reader.seq;
        self.hashed_at = seq;
        let hash = self.fold.state_hash().to_vec();
        let state_version = Fold::<S>::LAYOUT;
        Note { kind: Some(Kind::StateHash(StateHash { seq, hash, state_version })) }
    }

    /// Leaves the log in order: positions and the state's hash are written.
    pub(super) async fn end(&mut self) -> Stop {
        let mut batch = Batch::default();
        batch.positions_due = self.unwritten > 0;
        batch.notes.push(self.state_hash());
        if let Err(stop) = self.conclude(batch).await {
            return stop;
        }
        Stop::Shutdown
    }
}
