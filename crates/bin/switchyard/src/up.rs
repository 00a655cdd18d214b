//! `switchyard up`: all services in one process.

use anyhow::Result;
use notify_service::Keys;

use crate::cli::{Role, Up};
use crate::server::{self, Place};
use crate::{logs, secrets, telemetry};

/// Runs until a signal.
pub(crate) async fn run(settings: Up) -> Result<()> {
    let telemetry = telemetry::start("switchyard", &settings.server)?;
    let place = match &settings.log {
        Some(urls) => Place::Nats(logs::nats(urls, &settings.nats, 1).await?),
        None => Place::directory(&settings.server.data_dir).await?,
    };
    let Up { server, listen, advertised, roles, .. } = &settings;
    let keys = match (&settings.keys.secrets_key_file, roles.contains(&Role::Notify)) {
        (Some(file), _) => secrets::read(file)?,
        (None, true) => secrets::read_or_make(&secrets::beside(&server.data_dir))?,
        (None, false) => Keys::none(),
    };
    let running = server::start(roles, place, server, *listen, advertised, keys).await?;
    let stopped = running.until_stopped(&settings.server).await;
    telemetry.shutdown().await;
    stopped
}
