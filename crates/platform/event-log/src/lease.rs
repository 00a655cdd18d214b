//! Who is alive and who leads: a board of short-lived notices that instances of a service put up for each other.
//!
//! A notice is a hint and nothing more: it says who should try to lead, and whom to ask. Two instances that both
//! believe to lead are told apart by the log's fence, never by the board.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

/// How long a notice stands unless it is put up again.
pub const NOTICE_STANDS: Duration = Duration::from_secs(3);

/// The notices that stand, by key.
pub type Notices = Arc<BTreeMap<String, Bytes>>;

/// The board can't be reached now. What stands on it is not known either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// The connection that it is reached by is lost; whoever keeps the connection says so.
    #[error("the lease board can't be reached: not connected")]
    NotConnected,
    /// It didn't take what was to be put up, or down.
    #[error("the lease board can't be reached: {0}")]
    Failed(String),
}

/// A board of notices. Handles are shared.
#[async_trait]
pub trait LeaseBoard: Send + Sync + Debug {
    /// Puts a notice up, or renews it, in place of the one under its key. It stands for [`NOTICE_STANDS`]. Keys are of
    /// `a-z`, `0-9`, `-` and `.`.
    async fn put(&self, key: &str, notice: Bytes) -> Result<(), BoardError>;

    /// Takes a notice down before its time.
    async fn remove(&self, key: &str) -> Result<(), BoardError>;

    /// The notices that stand, to watch. A notice that isn't renewed in time goes by itself; but while the board can't
    /// be reached nobody's silence means anything, so then nothing goes.
    fn watch(&self) -> watch::Receiver<Notices>;
}
