//! The operator's services, over all services of one process: the clock, the partitions' status, the logs.

mod clock;
mod json;
mod follow;
mod logs;
mod parked;
mod source;
mod status;

use std::sync::Arc;

use runtime::{Clock, ServiceId};
use wire::admin::v1::clock_service_server::ClockServiceServer;
use wire::admin::v1::log_service_server::LogServiceServer;
use wire::admin::v1::parked_service_server::ParkedServiceServer;
use wire::admin::v1::status_service_server::StatusServiceServer;

use crate::{Drain, Services, tuned};

pub use json::commit_json;
pub use source::{AdminSource, PartitionLog};

/// How long the name may be of an operator who gives their word, and why, in characters.
const ACTOR_MAX: usize = 200;
const REASON_MAX: usize = 500;

/// Serves the operator's services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admin {
    sources: Arc<[Arc<dyn AdminSource>]>,
    clock: Clock,
    drain: Drain,
}

impl Admin {
    /// Over these services, which share this clock.
    pub fn new(
        sources: impl IntoIterator<Item = Arc<dyn AdminSource>>,
        clock: Clock,
        drain: Drain,
    ) -> Self {
        Self { sources: sources.into_iter().collect(), clock, drain }
    }

    /// Adds `ClockService`, `StatusService`, `ParkedService` and `LogService` to a server.
    pub fn add_to(self, services: Services) -> Services {
        services
            .with_plain(tuned!(ClockServiceServer::new(self.clone())))
            .with_plain(tuned!(StatusServiceServer::new(self.clone())))
            .with_plain(tuned!(ParkedServiceServer::new(self.clone())))
            .with_plain(tuned!(LogServiceServer::new(self)))
    }

    fn source(&self, service: ServiceId) -> Option<&Arc<dyn AdminSource>> {
        self.sources.iter().find(|source| source.service() == service)
    }
}
