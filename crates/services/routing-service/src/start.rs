//! Routing in a process: started, or its log folded. Nothing here is generic, so that the runtime is compiled for
//! routing once.

use futures::future::BoxFuture;
use runtime::{AnyFold, LogId, StartError};
use service_kit::{Launch, tuned};

use crate::{RoutingService, server};

/// Starts routing in this process, and adds its gRPC service to those of the process.
pub fn start(launch: &mut Launch) -> BoxFuture<'_, Result<(), StartError>> {
    let service = RoutingService::new();
    Box::pin(launch.start(service, |node, drain| tuned!(server(node, drain))))
}

/// A fold of routing's log that has read nothing: for programs that only read logs.
pub fn fold(log_id: LogId) -> Box<dyn AnyFold> {
    <dyn AnyFold>::of(RoutingService::new(), log_id)
}
