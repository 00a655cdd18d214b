//! Notify in a process: started, or its log folded. Nothing here is generic, so that the runtime is compiled for notify
//! once.

use futures::future::BoxFuture;
use runtime::{AnyFold, LogId, StartError};
use service_kit::{Launch, tuned};

use crate::{Config, Keys, NotifyService, SenderError, server};

/// Starts notify in this process, and adds its gRPC service to those of the process.
pub fn start(launch: &mut Launch, service: NotifyService) -> BoxFuture<'_, Result<(), StartError>> {
    Box::pin(launch.start(service, |node, drain| tuned!(server(node, drain))))
}

/// A fold of notify's log that has read nothing: for programs that only read logs.
pub fn fold(log_id: LogId) -> Result<Box<dyn AnyFold>, SenderError> {
    Ok(<dyn AnyFold>::of(NotifyService::new(Config::default(), Keys::none())?, log_id))
}
