//! State hashes, and leaving the log in order.

use wire::events::v1::{Note, StateHash, note::Kind};

use super::Leader;
use crate::commit::origin;
use crate::fold::Fold;
use crate::partition::batch::Batch;
use crate::partition::stop::Stop;
use crate::service::Service;

impl<S: Service> Leader<'_, S> {
    /// The state's hash, and what lets a reader begin at the record that has it.
    pub(super) fn state_hash(&mut self) -> [Note; 2] {
        let seq = self.fold.reader.seq;
        self.hashed_at = seq;
        let hash = self.fold.state_hash().to_vec();
        let state_version = Fold::<S>::LAYOUT;
        let consumed = self.fold.meta.consumed_list();
        let (partition, partitions) = (self.core.partition, self.setting.partitions);
        [
            Note { kind: Some(Kind::StateHash(StateHash { seq, hash, state_version })) },
            origin(S::ID, partition, partitions, consumed),
        ]
    }

    /// Leaves the log in order: positions and the state's hash are written.
    pub(super) async fn end(&mut self) -> Stop {
        let mut batch = Batch::default();
        batch.positions_due = self.unwritten > 0;
        batch.notes.extend(self.state_hash());
        if let Err(stop) = self.conclude(batch).await {
            return stop;
        }
        Stop::Shutdown
    }
}
