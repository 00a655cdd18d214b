//! The event log in a directory of this machine: one process, one file, one fsync per group.
//!
//! All logs of a directory live in one redb file. One thread writes: it takes every append that is
//! waiting, of all logs, checks each fence, writes them, commits once and then answers all. So under
//! load an fsync is shared, and without load nobody waits for company. Each record carries its own
//! CRC-32C, checked at every read, for redb does not check what it reads.
//!
//! **Invariant:** an append is answered with a number only after a commit that redb made durable.

mod backend;
mod full;
mod log;
mod place;
mod store;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{
    EventLog, EventLogProvider, LogError, LogName, OpenError, RECORD_MAX_BYTES, Seq, Tail,
};
use tokio::sync::{mpsc, oneshot, watch};

use full::FullDisk;
use log::EmbeddedLog;
use place::Place;
use store::{Found, Store};
use writer::Job;

/// Appends that may wait for the writer thread; further callers wait for room.
const QUEUE_MAX: usize = 1024;

/// The format of the directory that this version writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The logs of one directory.
///
/// The directory belongs to one process at a time. Clones share it; it is given back by
/// [`EmbeddedProvider::close`], or soon after the last clone and the last log are dropped.
#[derive(Clone, Debug)]
pub struct EmbeddedProvider {
    core: Arc<Core>,
    jobs: mpsc::Sender<Job>,
}

impl EmbeddedProvider {
    /// Opens the directory, making it if need be. Blocks for as long as the disk takes.
    ///
    /// [`OpenError::InUse`] if a process has it open, [`OpenError::OtherVersion`] if it was written in another format,
    /// [`OpenError::Damaged`] if its file can't be read at all. Damage that lies within one log is met when that log is
    /// opened or read; the others can be used.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        let directory = directory.as_ref().to_path_buf();
        let place = Place::take(&directory)?;
        let limit = Arc::new(AtomicU64::new(u64::MAX));
        let unusable = |error| store::unusable(&directory, error);
        let store = Store::open(&directory, &limit).map_err(unusable)?;
        let (found, highest) = store.heads().map_err(unusable)?;
        let heads = found.into_iter().map(|one| (one.name.clone(), Head::found(one))).collect();
        let core = Arc::new(Core {
            directory,
            limit,
            store: RwLock::new(Some(store)),
            heads: Mutex::new(heads),
            next_id: AtomicU32::new(highest.saturating_add(1)),
            full: Mutex::new(None),
            place: Mutex::new(Some(place)),
        });
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        writer::start(Arc::clone(&core), queue)
            .map_err(|error| OpenError::Unavailable(error.into()))?;
        Ok(Self { core, jobs })
    }

    /// Finishes what is queued, then closes the file and gives the directory back. Afterwards every
    /// call on any log of it is unavailable.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.jobs.send(Job::Close { reply }).await.is_ok() {
            // An error means that the writer has ended, which is what was asked for.
            closed.await.unwrap_or(());
        }
    }

    /// Limits the file to `bytes`: an append that would make it grow beyond is
    /// [`event_log::AppendError::Full`]. Room that is free inside the file is still used.
    pub fn set_max_bytes(&self, bytes: u64) {
        self.core.limit.store(bytes, Ordering::Relaxed);
    }

    /// Gives a log up: it is no log any more, and one of its name can be made. Its records stay in the file, where
    /// nothing reads them. Whoever has the log open finds it closed. Does nothing if there is no such log.
    pub async fn remove(&self, name: &LogName) -> Result<(), OpenError> {
        let Some(head) = self.find(name) else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let gone = || OpenError::Unavailable("the directory is closed".into());
        let job = Job::GiveUp { name: name.clone(), head, reply };
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Returns the size of the file, in bytes.
    pub fn file_bytes(&self) -> std::io::Result<u64> {
        Ok(std::fs::metadata(store::file_of(&self.core.directory))?.len())
    }

    /// Returns the last number of every log, from memory.
    pub fn last_seqs(&self) -> Vec<(LogName, Seq)> {
        let heads = lock(&self.core.heads);
        heads.iter().map(|(name, head)| (name.clone(), head.state.borrow().tail.last)).collect()
    }

    fn log(&self, name: &LogName, head: Arc<Head>) -> Result<Arc<dyn EventLog>, OpenError> {
        if let Some(reason) = &head.damage {
            let what = format!("the log {name}");
            return Err(OpenError::Damaged { what, reason: reason.clone() });
        }
        Ok(Arc::new(EmbeddedLog::new(Arc::clone(&self.core), self.jobs.clone(), head)))
    }

    fn find(&self, name: &LogName) -> Option<Arc<Head>> {
        lock(&self.core.heads).get(name).cloned()
    }
}

#[async_trait]
impl EventLogProvider for EmbeddedProvider {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        name.check()?;
        match self.find(name) {
            Some(head) => self.log(name, head),
            None => Err(OpenError::Missing { name: name.clone() }),
        }
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        name.check()?;
        if genesis.len() > RECORD_MAX_BYTES {
            return Err(OpenError::TooLarge { bytes: genesis.len(), max: RECORD_MAX_BYTES });
        }
        if let Some(head) = self.find(name) {
            return self.log(name, head);
        }
        let (reply, answer) = oneshot::channel();
        let gone = || OpenError::Unavailable("the directory is closed".into());
        let job = Job::Create { name: name.clone(), genesis, reply };
        self.jobs.send(job).await.map_err(|_| gone())?;
        let head = answer.await.map_err(|_| gone())??;
        self.log(name, head)
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        Ok(lock(&self.core.heads).keys().cloned().collect())
    }
}

/// What the writer thread, the logs and the provider share.
#[derive(Debug)]
struct Core {
    directory: PathBuf,
    /// The largest size of the file, in bytes.
    limit: Arc<AtomicU64>,
    /// Absent while it is being reopened after a failure, and after closing.
    store: RwLock<Option<Store>>,
    heads: Mutex<BTreeMap<LogName, Arc<Head>>>,
    /// The number of the next log that is made: none was ever given to another, even one that is no log any more.
    next_id: AtomicU32,
    /// Set while the disk is full.
    full: Mutex<Option<FullDisk>>,
    /// The lock on the directory.
    place: Mutex<Option<Place>>,
}

impl Core {
    /// Runs `read` on the store, or says that there is none now.
    fn with_store<T>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        match store.as_ref() {
            Some(store) => read(store),
            None => Err(LogError::Unavailable("the log's file is not open".into())),
        }
    }
}

/// What is known of one log without asking the disk.
#[derive(Debug)]
struct Head {
    /// The log's number within the file.
    id: u32,
    state: watch::Sender<HeadState>,
    /// Why nothing can be told of it, if that is so.
    damage: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct HeadState {
    tail: Tail,
    closed: bool,
}

impl Head {
    fn new(id: u32, tail: Tail) -> Arc<Self> {
        let (state, _) = watch::channel(HeadState { tail, closed: false });
        Arc::new(Self { id, state, damage: None })
    }

    fn found(found: Found) -> Arc<Self> {
        let (tail, damage) = match found.tail {
            Ok(tail) => (tail, None),
            Err(reason) => (Tail::EMPTY, Some(reason)),
        };
        let (state, _) = watch::channel(HeadState { tail, closed: false });
        Arc::new(Self { id: found.id, state, damage })
    }

    fn tail(&self) -> Tail {
        self.state.borrow().tail
    }

    fn set_tail(&self, tail: Tail) {
        self.state.send_modify(|state| state.tail = tail);
    }
}

/// Nothing is left half-changed by a panic, for each change is one insertion or assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
