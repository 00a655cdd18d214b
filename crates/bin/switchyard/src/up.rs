//! `switchyard up`: all services in one process.

use anyhow::Result;

use crate::cli::Up;
use crate::server::{self, Place};
use crate::{logs, telemetry};

/// Runs until a signal.
pub(crate) async fn run(settings: Up) -> Result<()> {
    let telemetry = telemetry::start("switchyard", &settings.server)?;
    let place = match &settings.log {
        Some(urls) => Place::Nats(logs::nats(urls, &settings.nats, 1).await?),
        None => Place::directory(&settings.server.data_dir).await?,
    };
    let Up { server, listen, advertised, roles, .. } = &settings;
    let running = server::start(roles, place, server, *listen, advertised).await?;
    let stopped = running.until_stopped(&settings.server).await;
    telemetry.shutdown().await;
    stopped
}
