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
    pub(super) fn state_hash(&mut self) -> Result<[Note; 2], Stop> {
        let seq = self.fold.reader.seq;
        self.hashed_at = seq;
        let hash = self.fold.state_hash().map_err(|error| Stop::Halted(error.to_string()))?;
        let hash = hash.to_vec();
        let state_version = Fold::<S>::LAYOUT;
        let consumed = self.fold.meta.consumed_list();
        let (partition, partitions) = (self.core.partition, self.setting.partitions);
        Ok([
            Note { kind: Some(Kind::StateHash(StateHash { seq, hash, state_version })) },
            origin(S::ID, partition, partitions, consumed),
        ])
    }

    /// Leaves the log in order: positions and the state's hash are written, unless there is no room.
    pub(super) async fn end(&mut self) -> Stop {
        if self.full.is_some() {
            return Stop::Shutdown;
        }
        let mut batch = Batch::default();
        batch.positions_due = self.unwritten > 0;
        match self.state_hash() {
            Ok(notes) => batch.notes.extend(notes),
            Err(stop) => return stop,
        }
        if let Err(stop) = self.conclude(batch).await {
            return stop;
        }
        Stop::Shutdown
    }
}
