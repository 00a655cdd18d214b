//! Snapshots of a partition's state: disposable, checksummed, and tied to a place in the log.
//!
//! A snapshot only saves time. Whoever can't load one rebuilds the state from the log, so nothing here is worth a
//! doubt: a snapshot whose checksums don't hold is set aside, and a store that fails is set aside as a whole.
//!
//! **Invariant:** a store never returns bytes other than those that were saved.

mod memory;
mod sled_store;

use std::fmt::{self, Debug};

use async_trait::async_trait;
use bytes::Bytes;

pub use memory::{MemorySnapshots, NoSnapshots};
pub use sled_store::SledSnapshots;

/// How many generations of a snapshot are kept.
const GENERATIONS: usize = 2;

/// Whose snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotKey {
    /// The service's name.
    pub service: String,
    /// The partition.
    pub partition: u16,
}

impl SnapshotKey {
    /// The key of a service's partition.
    pub fn new(service: impl Into<String>, partition: u16) -> Self {
        Self { service: service.into(), partition }
    }
}

impl fmt::Display for SnapshotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.partition)
    }
}

/// A state, encoded, and the place in the log that it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the state's layout; a reader of another version ignores the snapshot.
    pub version: u32,
    /// The log's identity.
    pub log_id: [u8; 16],
    /// The last record that the state holds.
    pub seq: u64,
    /// The hash chain after that record.
    pub chain: [u8; 16],
    /// The encoded state.
    pub bytes: Bytes,
}

impl Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("seq", &self.seq)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Why a snapshot was not saved, loaded or discarded. No caller needs to do anything about it: the log has everything.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's directory can't be used.
    #[error("the snapshot store can't be opened")]
    Open(#[source] std::io::Error),
    /// The store failed and was set aside; a fresh one takes its place.
    #[error("the snapshot store failed and was set aside: {0}")]
    SetAside(String),
    /// The store did not answer in time, or is gone. It isn't used any more.
    #[error("the snapshot store does not answer")]
    Dead,
}

/// Keeps the newest snapshots of each partition.
#[async_trait]
pub trait SnapshotStore: Send + Sync + Debug {
    /// Saves a snapshot as the newest one of its key. The one before is kept as well.
    async fn save(&self, key: &SnapshotKey, snapshot: Snapshot) -> Result<(), StoreError>;

    /// The newest snapshot whose checksums hold, if there is one. Doubtful ones are set aside with a warning.
    async fn load(&self, key: &SnapshotKey) -> Option<Snapshot>;

    /// The newest snapshot of a record before `seq` whose checksums hold: the one that is left should that of `seq` be
    /// set aside. Changes nothing. `None` as well from a store that can't tell.
    async fn before(&self, _key: &SnapshotKey, _seq: u64) -> Option<Snapshot> {
        None
    }

    /// Forgets the key's snapshots of record `seq`, which the log did not confirm, so that `load` finds the one before.
    async fn discard(&self, key: &SnapshotKey, seq: u64) -> Result<(), StoreError>;

    /// Whether anything saved is ever loaded again: false spares the work.
    fn keeps(&self) -> bool {
        true
    }
}
