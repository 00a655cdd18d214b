//! `switchyard serve`: one service, its log on NATS.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;

use crate::cli::Serve;
use crate::server::{self, Place};
use crate::{logs, telemetry};

/// Runs until a signal.
pub(crate) async fn run(settings: Serve) -> Result<()> {
    let role = settings.role;
    let telemetry = telemetry::start(&format!("switchyard-{}", role.name()), &settings.server)?;
    let listen =
        settings.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, role.port())));
    let place = Place::Nats(logs::nats(&settings.log, &settings.nats, 1).await?);
    let running =
        server::start(&[role], place, &settings.server, listen, &settings.advertised).await?;
    let stopped = running.until_stopped(&settings.server).await;
    telemetry.shutdown().await;
    stopped
}
