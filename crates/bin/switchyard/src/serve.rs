//! `switchyard serve`: one service, its log on NATS.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use notify_service::Keys;

use crate::cli::{Role, Serve};
use crate::exit::bad_configuration;
use crate::server::{self, Place};
use crate::{logs, secrets, telemetry};

/// Runs until a signal.
pub(crate) async fn run(settings: Serve) -> Result<()> {
    let role = settings.role;
    let keys = keys(&settings)?;
    let telemetry = telemetry::start(&format!("switchyard-{}", role.name()), &settings.server)?;
    let listen =
        settings.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, role.port())));
    let place = Place::Nats(logs::nats(&settings.log, &settings.nats, 1).await?);
    let running =
        server::start(&[role], place, &settings.server, listen, &settings.advertised, keys).await?;
    let stopped = running.until_stopped(&settings.server).await;
    telemetry.shutdown().await;
    stopped
}

/// The keys of webhooks' secrets: notify can't do without, and nobody else gets them.
fn keys(settings: &Serve) -> Result<Keys> {
    match (settings.role, &settings.keys.secrets_key_file) {
        (Role::Notify, Some(file)) => secrets::read(file),
        (Role::Notify, None) => Err(bad_configuration(
            "serve notify needs --secrets-key-file, the same for every instance: its key seals webhooks' secrets \
             (`switchyard init --secrets-key-file FILE` makes one)",
        )),
        (_, Some(_)) => Err(bad_configuration("--secrets-key-file is for serve notify alone")),
        (_, None) => Ok(Keys::none()),
    }
}
