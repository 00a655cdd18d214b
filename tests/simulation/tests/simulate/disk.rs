//! Where snapshots are: a disk at each place, which outlives the instances there and may hold what it shouldn't.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use snapshots::{Snapshot, SnapshotKey, SnapshotStore, StoreError};

use crate::instance::{Instance, Place};

/// All snapshots ever saved, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<BTreeMap<Key, Vec<Snapshot>>>);

type Key = (Place, SnapshotKey);

impl Disk {
    fn with<T>(&self, deed: impl FnOnce(&mut BTreeMap<Key, Vec<Snapshot>>) -> T) -> T {
        deed(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An instance's way to its disk.
#[derive(Debug)]
pub(crate) struct NodeDisk(pub(crate) Instance);

impl NodeDisk {
    fn key(&self, key: &SnapshotKey) -> Key {
        (self.0.place, key.clone())
    }

    /// What a damaged disk gives: half of it, or the state of another history under the newest name.
    fn damaged(&self, all: &[Snapshot]) -> Option<Snapshot> {
        let mut newest = all.last()?.clone();
        let world = &self.0.world;
        if world.chance(|rng| rng.chance(3_000)) {
            world.count_fault("torn snapshot");
            newest.bytes.truncate(newest.bytes.len() / 2);
        } else {
            world.count_fault("foreign snapshot");
            newest.bytes = all.first()?.bytes.clone();
            newest.chain = [0x5a; 16];
        }
        Some(newest)
    }
}

#[async_trait]
impl SnapshotStore for NodeDisk {
    async fn save(&self, key: &SnapshotKey, snapshot: Snapshot) -> Result<(), StoreError> {
        let save = async {
            self.0.may_crash("crash before a snapshot is saved").await;
            self.0.world.disk.with(|all| all.entry(self.key(key)).or_default().push(snapshot));
            self.0.may_crash("crash after a snapshot was saved").await;
            Ok(())
        };
        self.0.live(save).await
    }

    async fn load(&self, key: &SnapshotKey) -> Option<Snapshot> {
        let world = &self.0.world;
        let all = world.disk.with(|all| all.get(&self.key(key)).cloned())?;
        if world.is_troubled() && world.chance(|rng| rng.chance(world.swarm.bad_snapshot)) {
            return self.damaged(&all);
        }
        all.last().cloned()
    }

    async fn discard(&self, key: &SnapshotKey, seq: u64) -> Result<(), StoreError> {
        let forget = |all: &mut Vec<Snapshot>| all.retain(|snapshot| snapshot.seq != seq);
        self.0.world.disk.with(|all| all.get_mut(&self.key(key)).map(forget));
        Ok(())
    }
}
