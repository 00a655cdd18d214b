//! Snapshots in memory, for tests; and none at all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Snapshot, SnapshotKey, SnapshotStore, StoreError};

/// Keeps each key's newest snapshot until the process ends.
#[derive(Debug, Default)]
pub struct MemorySnapshots(Mutex<BTreeMap<SnapshotKey, Snapshot>>);

impl MemorySnapshots {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<R>(&self, change: impl FnOnce(&mut BTreeMap<SnapshotKey, Snapshot>) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshots {
    async fn save(&self, key: &SnapshotKey, snapshot: Snapshot) -> Result<(), StoreError> {
        self.with(|held| held.insert(key.clone(), snapshot));
        Ok(())
    }

    async fn load(&self, key: &SnapshotKey) -> Option<Snapshot> {
        self.with(|held| held.get(key).cloned())
    }

    async fn discard(&self, key: &SnapshotKey) -> Result<(), StoreError> {
        self.with(|held| held.remove(key));
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

    async fn discard(&self, _key: &SnapshotKey) -> Result<(), StoreError> {
        Ok(())
    }
}
