//! Logs and traces of a server.

use anyhow::Result;
use service_kit::Telemetry;

use crate::cli::Server;
use crate::exit::bad_configuration;

/// Sets up logs and traces. The level is --log-level's, else that of `RUST_LOG`, as other Rust programs take it.
pub(crate) fn start(service_name: &str, settings: &Server) -> Result<Telemetry> {
    let rust_log = std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty());
    let level = settings.log_level.as_deref().filter(|level| !level.is_empty());
    Telemetry::start(service_name, level.or(rust_log.as_deref()))
        .map_err(|error| bad_configuration(format!("{:#}", anyhow::Error::new(error))))
}
