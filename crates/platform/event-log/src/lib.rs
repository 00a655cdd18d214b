//! The event log as a contract: numbered records, one fence, no silent gap.
//!
//! A log is an append-only sequence of records, numbered 1, 2, 3… without holes. Whoever appends says
//! which record it believes to be the last (the *fence*), and the log refuses if that is not so.
//! Nothing else protects a log from two writers, and nothing else is needed.
//!
//! Two traits make up the contract: [`EventLogProvider`] opens and creates logs, [`EventLog`] is one
//! of them. Both are dyn-compatible, for the log is picked when the program starts. [`memory`] is a
//! full implementation that can be told to fail, for tests, and [`conformance`] is the suite that
//! every implementation passes.
//!
//! **Invariant:** this crate never looks inside a record. Identity, order of events, hash chains and
//! epochs belong to the layer above.

mod error;
mod lease;
mod name;
pub mod memory;
pub mod conformance;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::watch;

pub use error::{AppendError, Cause, LogError, OpenError};
pub use lease::{BoardError, LeaseBoard, NOTICE_STANDS, Notices};
pub use name::LogName;

/// The number of a record in its log. The first record is 1; 0 means "before the first".
pub type Seq = u64;

/// The largest record that any log takes, in bytes (768 KiB). A longer one is refused with
/// [`AppendError::TooLarge`] before anything is written.
pub const RECORD_MAX_BYTES: usize = 768 * 1024;

/// One record as it was stored: its number and its bytes, which may be none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's number.
    pub seq: Seq,
    /// What was appended, byte for byte.
    pub bytes: Bytes,
}

/// What a log holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The lowest number that can still be read; `last + 1` if all was trimmed.
    pub first: Seq,
    /// The highest number ever appended; 0 if none was.
    pub last: Seq,
}

impl Tail {
    /// A log that never had a record.
    pub const EMPTY: Self = Self { first: 1, last: 0 };

    /// Says whether a reader may ask for `from`: [`LogError::Trimmed`] below `first`,
    /// [`LogError::Beyond`] above `last + 1`.
    pub fn admits(&self, from: Seq) -> Result<(), LogError> {
        if from < self.first {
            return Err(LogError::Trimmed { first: self.first });
        }
        if from > self.last.saturating_add(1) {
            return Err(LogError::Beyond { last: self.last });
        }
        Ok(())
    }
}

/// What a log's keeper says of it, beside its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What it holds.
    pub tail: Tail,
    /// What about the way it is kept could lose, reorder or invent records; none if all is well. Who finds any must
    /// stop writing.
    pub faults: Vec<String>,
    /// What could not be established, or asks for an operator without being a danger yet.
    pub warnings: Vec<String>,
    /// How many records this handle's readers found missing in one copy of the log and whole in another, since it was
    /// opened.
    pub repaired: u64,
}

/// Opens and creates logs of one place: a directory, a server, a test's memory.
#[async_trait]
pub trait EventLogProvider: Send + Sync + Debug {
    /// Opens a log that exists. It never creates one: a log that isn't there, or has no record yet,
    /// is [`OpenError::Missing`].
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError>;

    /// Makes the log with `genesis` as its record 1, or opens it if it is there already; then
    /// `genesis` is ignored, so of two racing creators one wins and both get the same log. Compare
    /// record 1 to know whose it is.
    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError>;

    /// Names every log of this place, in order of service and partition.
    async fn list(&self) -> Result<Vec<LogName>, OpenError>;
}

/// One log. Handles are shared: all methods take `&self` and may run at the same time.
#[async_trait]
pub trait EventLog: Send + Sync + Debug {
    /// Appends `record` as number `fence + 1`, provided that `fence` is the last number now, and
    /// returns that number once the record is as durable as the log makes it.
    ///
    /// After [`AppendError::Unknown`] the record may be there, may come yet, or may never: read
    /// `fence + 1` to find out. If nothing is there, append the *same* bytes with the *same* fence
    /// again; at most one of the attempts can ever succeed.
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError>;

    /// Reads records from `from` on, in order and without a hole, up to about `max_bytes` bytes: at
    /// least one if `from` exists, none if `from` is the next number to be appended. It sees every
    /// append that was answered before the call.
    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError>;

    /// Says what the log holds, including every append that was answered before the call.
    async fn tail(&self) -> Result<Tail, LogError>;

    /// Says what the log holds and whether it is kept as it must be. For a watchdog: it may cost as
    /// much as a few reads.
    async fn inspect(&self) -> Result<Inspection, LogError> {
        let tail = self.tail().await?;
        Ok(Inspection { tail, faults: Vec::new(), warnings: Vec::new(), repaired: 0 })
    }

    /// Whether whoever keeps the log is connected, as it changes: false as soon as that is known, so before any call
    /// has failed. None: there is no connection that could be lost.
    fn connected(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// Delivers every record from `from` on, each once and in order, and waits at the end for new
    /// ones. It rides out a log that can't be reached; it ends after any error it yields, and an
    /// error is the only way it leaves a record out.
    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>>;

    /// Forgets all records up to and including `upto`, for good. Numbers go on as before. Trimming
    /// what is already gone does nothing; `upto` above the last record is [`LogError::Beyond`].
    async fn trim(&self, upto: Seq) -> Result<(), LogError>;
}
