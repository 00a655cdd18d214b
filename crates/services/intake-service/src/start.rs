//! Intake in a process: started, or its log folded. Nothing here is generic, so that the runtime is compiled for intake
//! once.

use std::sync::Arc;

use event_log::memory::MemoryProvider;
use futures::future::BoxFuture;
use runtime::{AnyFold, LogId, StartError};
use service_kit::{Launch, tuned};
use tokio::sync::watch;

use crate::{IntakeService, server};

/// Starts intake in this process, and adds its gRPC service to those of the process.
///
/// Logs are not read for timelines before `ready` is true or its sender gone, unless a timeline is asked for.
pub fn start(
    launch: &mut Launch,
    ready: watch::Receiver<bool>,
) -> BoxFuture<'_, Result<(), StartError>> {
    let service = IntakeService::reading_once(ready, Arc::clone(&launch.config().provider));
    Box::pin(launch.start(service, |node, drain| tuned!(server(node, drain))))
}

/// A fold of intake's log that has read nothing: for programs that only read logs.
pub fn fold(log_id: LogId) -> Box<dyn AnyFold> {
    // A fold serves no timelines, so there is nothing to read them from.
    <dyn AnyFold>::of(IntakeService::new(Arc::new(MemoryProvider::new())), log_id)
}
