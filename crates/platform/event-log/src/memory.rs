//! The log in memory: a full implementation that does what its [`Faults`] tell it to.
//!
//! Nothing survives the process. It is as strict as the durable ones, so what passes on it fails
//! elsewhere only for reasons of that other log.

mod board;
mod faults;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use crate::{
    AppendError, EventLog, EventLogProvider, LogError, LogName, OpenError, RECORD_MAX_BYTES,
    Record, Seq, Tail,
};
pub use board::MemoryBoard;
pub use faults::{Faults, Injected};
use state::{Plan, State, Step};

/// All logs of one test. Clones share them, as two processes share a server.
#[derive(Clone, Debug, Default)]
pub struct MemoryProvider {
    logs: Arc<Mutex<BTreeMap<LogName, MemoryLog>>>,
}

impl MemoryProvider {
    /// Starts with no log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the means to make the named log fail, if it was created.
    pub fn faults(&self, name: &LogName) -> Option<Faults> {
        lock(&self.logs).get(name).map(MemoryLog::faults)
    }
}

#[async_trait]
impl EventLogProvider for MemoryProvider {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        name.check()?;
        match lock(&self.logs).get(name) {
            Some(log) => Ok(Arc::new(log.clone())),
            None => Err(OpenError::Missing { name: name.clone() }),
        }
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        name.check()?;
        if genesis.len() > RECORD_MAX_BYTES {
            return Err(OpenError::TooLarge { bytes: genesis.len(), max: RECORD_MAX_BYTES });
        }
        let mut logs = lock(&self.logs);
        let log = logs.entry(name.clone()).or_insert_with(|| MemoryLog::with_genesis(genesis));
        Ok(Arc::new(log.clone()))
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        Ok(lock(&self.logs).keys().cloned().collect())
    }
}

/// One log in memory. Clones are handles to the same log.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Bumped at every change, so that followers and stalled appends look again.
    changed: watch::Sender<u64>,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut lock(&self.state));
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        result
    }
}

impl MemoryLog {
    /// Makes a log that holds nothing at all. A provider's logs begin with their genesis.
    pub fn new() -> Self {
        let (changed, _) = watch::channel(0);
        Self { shared: Arc::new(Shared { state: Mutex::new(State::default()), changed }) }
    }

    fn with_genesis(genesis: Bytes) -> Self {
        let log = Self::new();
        lock(&log.shared.state).push(genesis);
        log
    }

    /// Returns the means to make this log fail.
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.shared))
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        if record.len() > RECORD_MAX_BYTES {
            return Err(AppendError::TooLarge { bytes: record.len(), max: RECORD_MAX_BYTES });
        }
        let mut changed = self.shared.changed.subscribe();
        let stalled = |state: &State| state.appends_stalled;
        while stalled(&lock(&self.shared.state)) {
            // The sender lives in `shared`, so this can't end before the log does.
            if changed.changed().await.is_err() {
                return Err(AppendError::Unavailable("the log is gone".into()));
            }
        }
        self.shared.change(|state| match state.plan() {
            Plan::Write => state.append(fence, record),
            Plan::WriteAndLoseAck => match state.append(fence, record) {
                // A refusal is an answer too, and is lost with it.
                Ok(_) | Err(_) => Err(AppendError::Unknown("injected: the answer was lost".into())),
            },
            Plan::Hold => {
                state.held.push((fence, record));
                Err(AppendError::Unknown("injected: the append is on its way".into()))
            }
            Plan::Unavailable => Err(AppendError::Unavailable("injected".into())),
        })
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        lock(&self.shared.state).read(from, max_bytes)
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        let state = lock(&self.shared.state);
        state.reachable()?;
        Ok(state.tail())
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        let changed = self.shared.changed.subscribe();
        let truncations = lock(&self.shared.state).truncations.len();
        let cursor = Cursor {
            shared: Arc::clone(&self.shared),
            changed,
            from,
            next: from,
            truncations,
            ended: false,
        };
        stream::unfold(cursor, Cursor::advance).boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        self.shared.change(|state| state.trim(upto))
    }
}

/// Where one follower stands.
#[derive(Debug)]
struct Cursor {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    from: Seq,
    next: Seq,
    /// How many losses of a suffix this follower has taken into account.
    truncations: usize,
    ended: bool,
}

impl Cursor {
    async fn advance(mut self) -> Option<(Result<Record, LogError>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            // Marked as seen before looking, so that a change in between is never slept through.
            self.changed.mark_unchanged();
            let step = {
                let state = lock(&self.shared.state);
                let had = (self.next > self.from).then(|| self.next.saturating_sub(1));
                let step = state.step(self.next, had, self.truncations);
                self.truncations = state.truncations.len();
                step
            };
            match step {
                Step::Deliver(record) => {
                    self.next = self.next.saturating_add(1);
                    return Some((Ok(record), self));
                }
                Step::Fail(error) => {
                    self.ended = true;
                    return Some((Err(error), self));
                }
                Step::Wait => self.changed.changed().await.ok()?,
            }
        }
    }
}

/// A panic elsewhere leaves no half-made change behind, for every change is one assignment or push.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
