//! Snapshots in a directory, on sled.
//!
//! sled's `flush` is no fsync and its `Drop` may hang, so it holds only what the log can rebuild, and one thread of our
//! own owns it: callers speak to that thread by a channel and give up on it after [`ANSWER_WITHIN`].
//!
//! A snapshot is written as chunks of at most 1 MiB, each with its hash in the manifest, and the manifest last. Two
//! generations are kept. Whatever fails, even a panic inside sled, sets the whole directory aside as `quarantine-N` and
//! starts a fresh one.

mod database;
mod owner;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::{Snapshot, SnapshotKey, SnapshotStore, StoreError};
use owner::{Job, Owner};

/// How long a caller waits for the store's thread; after that the store counts as dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How many jobs may wait for the store's thread.
const WAITING_MAX: usize = 64;

/// Snapshots on sled. Clones are the same store.
#[derive(Clone)]
pub struct SledSnapshots {
    place: PathBuf,
    jobs: mpsc::Sender<Job>,
}

impl fmt::Debug for SledSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SledSnapshots").field(&self.place).finish()
    }
}

impl SledSnapshots {
    /// Opens the store in a directory of its own, which is made if needed. A store that doesn't open is set aside and
    /// started afresh; only a directory that can't be written, or that another process has, is an error. Blocks for as
    /// long as sled needs to open.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let place = directory.as_ref().to_owned();
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let owner = Owner::open(&place).map_err(StoreError::Open)?;
        std::thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || owner.run(waiting))
            .map_err(StoreError::Open)?;
        Ok(Self { place, jobs })
    }

    /// Flushes and closes the files. Later calls of any clone are answered with [`StoreError::Dead`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(|reply| Job::Close { reply }).await
    }

    async fn ask<R>(&self, job: impl FnOnce(oneshot::Sender<R>) -> Job) -> Result<R, StoreError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.jobs.send(job(reply)).await.map_err(|_| StoreError::Dead)?;
            answer.await.map_err(|_| StoreError::Dead)
        };
        tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| StoreError::Dead)?
    }
}

#[async_trait]
impl SnapshotStore for SledSnapshots {
    async fn save(&self, key: &SnapshotKey, snapshot: Snapshot) -> Result<(), StoreError> {
        let key = key.clone();
        self.ask(|reply| Job::Save { key, snapshot, reply }).await?
    }

    async fn load(&self, key: &SnapshotKey) -> Option<Snapshot> {
        let key = key.clone();
        let loaded = self.ask(|reply| Job::Load { key, reply }).await;
        loaded.unwrap_or_else(|error| {
            tracing::warn!(%error, "no snapshot could be loaded");
            None
        })
    }

    async fn before(&self, key: &SnapshotKey, seq: u64) -> Option<Snapshot> {
        let key = key.clone();
        self.ask(|reply| Job::Before { key, seq, reply }).await.unwrap_or(None)
    }

    async fn discard(&self, key: &SnapshotKey, seq: u64) -> Result<(), StoreError> {
        let key = key.clone();
        self.ask(|reply| Job::Discard { key, seq, reply }).await?
    }
}

#[cfg(test)]
mod tests;
