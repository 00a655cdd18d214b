//! The thread that owns the database, and what it does when the database fails.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use super::database::Database;
use crate::{Snapshot, SnapshotKey, StoreError};

/// The directory of this sled and this layout; another version of either has another name, and finds nothing.
pub(super) const CURRENT: &str = "sled-0.34.7-v1";

/// How many directories that were set aside are kept for whoever wants to know why.
const QUARANTINES: usize = 3;

/// What the thread is asked.
pub(super) enum Job {
    Save {
        key: SnapshotKey,
        snapshot: Snapshot,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    Load {
        key: SnapshotKey,
        reply: oneshot::Sender<Option<Snapshot>>,
    },
    Before {
        key: SnapshotKey,
        seq: u64,
        reply: oneshot::Sender<Option<Snapshot>>,
    },
    Discard {
        key: SnapshotKey,
        seq: u64,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Closes the files; the thread ends.
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// Owns the database.
pub(super) struct Owner {
    place: PathBuf,
    /// Held while the place is ours; the operating system lets go of it however this process ends. None: there was no
    /// room for its file.
    lock: Option<File>,
    database: Option<Database>,
}

impl Owner {
    /// Opens the database, or a fresh one in its stead. A disk without room is no error: there may be room for the next
    /// job.
    pub(super) fn open(place: &Path) -> io::Result<Self> {
        let mut owner = Self { place: place.to_owned(), lock: None, database: None };
        match owner.prepare() {
            Err(error) if lacks_room(&error) => {
                tracing::warn!(%error, "there is no room for snapshots");
            }
            prepared => prepared?,
        }
        Ok(owner)
    }

    fn prepare(&mut self) -> io::Result<()> {
        private_files::create_dir_all(&self.place)?;
        // Before anything is touched: what another process has open would look damaged.
        self.lock = Some(take(&self.place)?);
        remove_other_versions(&self.place)?;
        let Err(reason) = self.start() else { return Ok(()) };
        self.set_aside(&reason)?;
        let Err(reason) = self.start() else { return Ok(()) };
        // sled says it in words alone; a write of our own says it for sure.
        try_to_write(&self.place)?;
        Err(io::Error::other(reason))
    }

    fn start(&mut self) -> Result<(), String> {
        let place = self.place.join(CURRENT);
        self.database = Some(guarded(|| Database::open(&place))?);
        // sled makes its files as the umask lets it; the folder above keeps others out of those that it makes later.
        if let Err(error) = private_files::tighten(&place) {
            tracing::warn!(%error, "the snapshots' files can't be closed to others");
        }
        Ok(())
    }

    /// Serves until it is told to close or every handle of the store is gone.
    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut closing = None;
        while let Some(job) = waiting.blocking_recv() {
            // Whoever asked may have given up; then nobody needs the answer.
            match job {
                Job::Save { key, snapshot, reply } => {
                    drop(reply.send(self.attempt(|database| database.save(&key, &snapshot))));
                }
                Job::Load { key, reply } => {
                    drop(reply.send(self.attempt(|database| database.load(&key)).unwrap_or(None)));
                }
                Job::Before { key, seq, reply } => {
                    let found = self.attempt(|database| database.before(&key, seq));
                    drop(reply.send(found.unwrap_or(None)));
                }
                Job::Discard { key, seq, reply } => {
                    drop(reply.send(self.attempt(|database| database.discard(&key, seq))));
                }
                Job::Close { reply } => {
                    closing = Some(reply);
                    break;
                }
            }
        }
        if let Some(database) = self.database.take() {
            database.close();
        }
        drop(self.lock.take());
        if let Some(reply) = closing {
            reply.send(()).ok();
        }
    }

    /// Runs one job; any failure sets the database aside.
    fn attempt<R>(
        &mut self,
        job: impl FnOnce(&Database) -> Result<R, String>,
    ) -> Result<R, StoreError> {
        if self.database.is_none()
            && let Err(reason) = self.start()
        {
            return Err(self.recover(&reason));
        }
        let Some(database) = &self.database else { return Err(StoreError::Dead) };
        match guarded(|| job(database)) {
            Ok(done) => Ok(done),
            Err(reason) => Err(self.recover(&reason)),
        }
    }

    fn recover(&mut self, reason: &str) -> StoreError {
        match self.set_aside(reason) {
            // The next job starts the fresh one.
            Ok(()) => StoreError::SetAside(reason.to_owned()),
            Err(error) => StoreError::Open(error),
        }
    }

    /// Moves the database's directory out of the way.
    fn set_aside(&mut self, reason: &str) -> io::Result<()> {
        if let Some(database) = self.database.take() {
            // Dropping a sled that has failed may hang for ever; its memory is the smaller loss.
            std::mem::forget(database);
        }
        let current = self.place.join(CURRENT);
        if !current.exists() {
            return Ok(());
        }
        let mut earlier = quarantines(&self.place)?;
        let number = earlier.last().map_or(1, |last| last.saturating_add(1));
        let aside = quarantine(&self.place, number);
        std::fs::rename(&current, &aside)?;
        tracing::warn!(reason, aside = %aside.display(), "the snapshot store was set aside");
        earlier.push(number);
        let surplus = earlier.len().saturating_sub(QUARANTINES);
        earlier.iter().take(surplus).try_for_each(|old| remove(&quarantine(&self.place, *old)))
    }
}

/// Takes a place for this process alone.
fn take(place: &Path) -> io::Result<File> {
    let mut options = private_files::options();
    let lock = options.create(true).truncate(false).write(true).open(place.join("LOCK"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "in use by another process"))
        }
    }
}

fn quarantine(place: &Path, number: u64) -> PathBuf {
    place.join(format!("quarantine-{number}"))
}

/// The numbers of the directories that were set aside, in order.
fn quarantines(place: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(place)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("quarantine-"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes as much as any file system must find room for.
fn try_to_write(place: &Path) -> io::Result<()> {
    let probe = place.join("probe");
    let written = private_files::create(&probe).and_then(|mut file| file.write_all(&[0; 4096]));
    // A file that could not be filled may be there all the same.
    if probe.exists() {
        std::fs::remove_file(&probe)?;
    }
    written
}

fn lacks_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [StorageFull, QuotaExceeded, FileTooLarge].contains(&error.kind())
}

/// Another version's store is of no use here, and would only take room.
fn remove_other_versions(place: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("sled-") && name != CURRENT) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// Runs something of sled's, which panics now and then.
fn guarded<R>(job: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", text.unwrap_or("without a word")))
    })
}
