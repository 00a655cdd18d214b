//! Snapshots in memory, for tests; and none at all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::{GENERATIONS, Snapshot, SnapshotKey, SnapshotStore, StoreError};

/// Keeps each key's two newest snapshots until the process ends.
#[derive(Debug, Default)]
pub struct MemorySnapshots(Mutex<BTreeMap<SnapshotKey, Vec<Snapshot>>>);

impl MemorySnapshots {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<R>(&self, key: &SnapshotKey, change: impl FnOnce(&mut Vec<Snapshot>) -> R) -> R {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(key.clone()).or_default())
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshots {
    async fn save(&self, key: &SnapshotKey, snapshot: Snapshot) -> Result<(), StoreError> {
        self.with(key, |held| {
            held.push(snapshot);
            if held.len() > GENERATIONS {
                held.remove(0);
            }
        });
        Ok(())
    }

    async fn load(&self, key: &SnapshotKey) -> Option<Snapshot> {
        self.with(key, |held| held.last().cloned())
    }

    async fn before(&self, key: &SnapshotKey, seq: u64) -> Option<Snapshot> {
        self.with(key, |held| held.iter().rev().find(|snapshot| snapshot.seq < seq).cloned())
    }

    async fn discard(&self, key: &SnapshotKey, seq: u64) -> Result<(), StoreError> {
        self.with(key, |held| held.retain(|snapshot| snapshot.seq != seq));
        Ok(())
    }
}

/// Keeps nothing: every start rebuilds from the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSnapshots;

#[async_trait]
impl SnapshotStore for NoSnapshots {
    async fn save(&self, _key: &SnapshotKey, _snapshot: Snapshot) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&self, _key: &SnapshotKey) -> Option<Snapshot> {
        None
    }

    async fn discard(&self, _key: &SnapshotKey, _seq: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn keeps(&self) -> bool {
        false
    }
}
