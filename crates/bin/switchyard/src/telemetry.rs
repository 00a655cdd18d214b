//! Logs and traces of a server.

use anyhow::Result;
use service_kit::Telemetry;
use service_kit::telemetry::LogLevel;

use crate::cli::Server;

/// Sets up logs and traces. The level is --log-level's, else that of `RUST_LOG`, as other Rust programs take it.
pub(crate) fn start(service_name: &str, settings: &Server) -> Result<Telemetry> {
    let rust_log = std::env::var("RUST_LOG").ok();
    let named = [("--log-level", settings.log_level.as_deref()), ("RUST_LOG", rust_log.as_deref())];
    let level = named.into_iter().find_map(|(setting, filter)| {
        let filter = filter.filter(|filter| !filter.trim().is_empty())?;
        Some(LogLevel { setting, filter })
    });
    Ok(Telemetry::start(service_name, level)?)
}
