//! What stands in for a log that can't be opened: every deed on it fails.

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{AppendError, EventLog, LogError, Record, Seq, Tail};
use futures::stream::{self, BoxStream, StreamExt};

/// A log that isn't there, or can't be opened. A partition that has halted for it still has to have one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MissingLog;

#[async_trait]
impl EventLog for MissingLog {
    async fn append(&self, _: Seq, _: Bytes) -> Result<Seq, AppendError> {
        Err(AppendError::Unavailable(LogError::Missing.into()))
    }

    async fn read(&self, _: Seq, _: usize) -> Result<Vec<Record>, LogError> {
        Err(LogError::Missing)
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        Err(LogError::Missing)
    }

    fn follow(&self, _: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        stream::once(async { Err(LogError::Missing) }).boxed()
    }

    async fn trim(&self, _: Seq) -> Result<(), LogError> {
        Err(LogError::Missing)
    }
}
