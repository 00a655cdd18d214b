//! State hashes and snapshots, and leaving the log in order.

use std::sync::Arc;

use wire::events::v1::{Note, StateHash, note::Kind};

use super::{Leader, SNAPSHOT_EVERY};
use crate::partition::batch::Batch;
use crate::partition::loading::snapshot_key;
use crate::partition::stop::Stop;
use crate::service::Service;

impl<S: Service> Leader<'_, S> {
    pub(super) fn state_hash(&mut self) -> Note {
        let seq = self.fold.reader.seq;
        self.hashed_at = seq;
        let hash = self.fold.state_hash().to_vec();
        Note { kind: Some(Kind::StateHash(StateHash { seq, hash })) }
    }

    /// Leaves the log in order: positions and the state's hash are written, and a snapshot is saved.
    pub(super) async fn end(&mut self) -> Stop {
        let mut batch = Batch::default();
        batch.positions_due = self.unwritten > 0;
        batch.notes.push(self.state_hash());
        if let Err(stop) = self.conclude(batch).await {
            return stop;
        }
        self.save().await;
        Stop::Shutdown
    }

    pub(super) fn snapshot(&self) -> Option<snapshots::Snapshot> {
        let reader = &self.fold.reader;
        match self.fold.snapshot() {
            Ok(bytes) => Some(snapshots::Snapshot {
                version: S::STATE_VERSION,
                log_id: reader.log_id,
                seq: reader.seq,
                chain: reader.chain,
                bytes: bytes.into(),
            }),
            Err(error) => {
                tracing::error!(%error, "the state can't be encoded for a snapshot");
                None
            }
        }
    }

    pub(super) async fn save(&self) {
        let Some(snapshot) = self.snapshot() else { return };
        let key = snapshot_key(self.core);
        if let Err(error) = self.setting.snapshots.save(&key, snapshot).await {
            tracing::warn!(%error, "a snapshot could not be saved");
        }
    }

    pub(super) fn save_if_due(&mut self) {
        if self.fold.reader.seq < self.saved_at + SNAPSHOT_EVERY {
            return;
        }
        self.saved_at = self.fold.reader.seq;
        let Some(snapshot) = self.snapshot() else { return };
        let (key, store) = (snapshot_key(self.core), Arc::clone(&self.setting.snapshots));
        tokio::spawn(async move {
            if let Err(error) = store.save(&key, snapshot).await {
                tracing::warn!(%error, "a snapshot could not be saved");
            }
        });
    }
}
