//! The one signal that a server is about to stop: watches end by it, and health says so.

use tokio_util::sync::CancellationToken;

/// A drain signal. Clones are the same one; it is given once.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    /// Not given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives it.
    pub fn start(&self) {
        self.0.cancel();
    }

    /// Whether it was given.
    pub fn is_draining(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once it was given.
    pub async fn started(&self) {
        self.0.cancelled().await;
    }
}
