//! Work that takes a while, aside from the threads that serve.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, spawn_blocking};

/// Runs it on a thread that serves nobody. A runtime of one thread (a simulation: its time stands still while another
/// thread works, and nobody could say when that one is done) runs it here and now.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if has_one_thread() { Ok(work()) } else { spawn_blocking(work).await }
}

/// Whether this runtime has no thread but the one that it runs on.
pub(crate) fn has_one_thread() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}
