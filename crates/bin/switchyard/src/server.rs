//! Services in this process: started on a log, served on one address, drained and stopped in order.

mod nodes;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use archive::WithArchive;
use event_log::EventLogProvider;
use event_log_embedded::EmbeddedProvider;
use event_log_nats::NatsProvider;
use kernel::Timestamp;
use notify_service::Keys;
use runtime::{Clock, Membership, NodeConfig, SNAPSHOT_AFTER, ServiceId};
use serde_json::json;
use service_kit::{Allowance, Drain, ServerError};
use snapshots::SledSnapshots;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::cli::{Advertised, ClockKind, Role, Server};
use crate::exit::bad_configuration;
use crate::{logs, metrics, out, private, signals};

use nodes::Nodes;

/// Where the services' logs are.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a directory that belongs to this process.
    Directory(EmbeddedProvider),
    /// On NATS.
    Nats(NatsProvider),
}

impl Place {
    /// Opens the log of a data directory, and makes its parts where they are missing.
    pub(crate) async fn directory(data_dir: &Path) -> Result<Self> {
        let provider = logs::embedded(data_dir).await?;
        runtime::initialise(&provider, &ServiceId::ALL, logs::EMBEDDED_PARTITIONS)
            .await
            .map_err(logs::explain_start)?;
        Ok(Self::Directory(provider))
    }

    /// Who this process is among the instances that share the log; a directory is shared with nobody.
    fn membership(&self, address: String) -> Option<Membership> {
        match self {
            Self::Directory(_) => None,
            Self::Nats(provider) => Some(Membership {
                instance: Uuid::new_v4().simple().to_string(),
                address,
                board: Arc::new(provider.board()),
            }),
        }
    }

    /// The logs, with what an archive has of their beginnings.
    fn provider(&self, archive: Option<&Path>) -> Result<Arc<dyn EventLogProvider>> {
        let logs: Arc<dyn EventLogProvider> = match self {
            Self::Directory(provider) => Arc::new(provider.clone()),
            Self::Nats(provider) => Arc::new(provider.clone()),
        };
        Ok(match archive {
            Some(directory) => Arc::new(WithArchive::new(logs, logs::archive(directory)?)),
            None => logs,
        })
    }
}

/// Services that are ready.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    place: Place,
    snapshots: SledSnapshots,
    nodes: Nodes,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServerError>>,
    /// Ends with this.
    _metrics: Option<metrics::Metrics>,
    /// Looks after the clock; ends with this.
    _clock: JoinSet<()>,
}

/// Starts services and returns once all are ready. What an operator must change is bad configuration.
pub(crate) async fn start(
    roles: &[Role],
    place: Place,
    settings: &Server,
    listen: SocketAddr,
    advertised: &Advertised,
    keys: Keys,
) -> Result<Running> {
    let clock = clock(settings)?;
    private::data_dir(&settings.data_dir)?;
    let mut keeper = JoinSet::new();
    let kept = clock.clone();
    keeper.spawn(async move { kept.keep().await });
    let server = service_kit::Server::bind(listen)
        .await
        .map_err(|error| bad_configuration(format!("{:#}", anyhow::Error::new(error))))?
        .limited(settings.edge.limits());
    let address = server.address();
    let cluster = place.membership(advertised.address(address)?);
    let snapshots = snapshots(&settings.data_dir).await?;
    let config = NodeConfig {
        provider: place.provider(settings.archive.as_deref())?,
        snapshots: Arc::new(snapshots.clone()),
        snapshot_after: Duration::from_secs(settings.snapshot_seconds),
        clock,
        cluster,
    };
    let drain = Drain::new();
    let told = nodes::Told {
        allow_private_endpoints: settings.dev || settings.allow_private_endpoints,
        keys,
        allowance: Allowance::percent(settings.invariants_share),
    };
    let (nodes, services, scrape) =
        nodes::start(roles, &config, &told, &drain, server.metrics()).await?;
    let metrics = match settings.metrics_listen {
        Some(address) => Some(metrics::listen(address, scrape).await?),
        None => None,
    };
    let (stop, stopping) = oneshot::channel();
    let within = Duration::from_secs(settings.drain_seconds);
    let serving = tokio::spawn(server.serve(services, drain, within, async {
        // A sender that is gone means stop, too.
        stopping.await.unwrap_or(());
    }));
    nodes.ready().await?;
    Ok(Running {
        address,
        place,
        snapshots,
        nodes,
        stop,
        serving,
        _metrics: metrics,
        _clock: keeper,
    })
}

/// What a node on these logs runs with, its snapshots in a data directory, by the system's clock.
pub(crate) async fn node_config(
    provider: Arc<dyn EventLogProvider>,
    data_dir: &Path,
) -> Result<NodeConfig> {
    let snapshots = Arc::new(snapshots(data_dir).await?);
    let (snapshot_after, clock) = (SNAPSHOT_AFTER, Clock::system());
    Ok(NodeConfig { provider, snapshots, snapshot_after, clock, cluster: None })
}

impl Running {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that it is ready, waits for a reason to stop, and stops.
    pub(crate) async fn until_stopped(mut self, settings: &Server) -> Result<()> {
        if let Some(file) = &settings.port_file {
            publish(file, &format!("{}\n", self.address))
                .with_context(|| format!("writing {}", file.display()))?;
        }
        out::line(&json!({ "listening": self.address.to_string() }).to_string())?;
        let stdin = settings.stop_with_stdin;
        tokio::select! {
            () = signals::stop() => {}
            () = stdin_ends(), if stdin => {}
            ended = &mut self.serving => {
                stop_nodes(&self.nodes).await;
                return ended.context("the server's task")?.context("serving");
            }
        }
        self.stop().await
    }

    /// Drains the calls in flight, stops the services, and gives the directory back.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self { place, snapshots, nodes, stop, serving, .. } = self;
        // First, so that calls that still come in are sent on instead of refused.
        nodes.retire().await;
        drop(stop);
        let served = serving.await.context("the server's task");
        stop_nodes(&nodes).await;
        if let Err(error) = snapshots.close().await {
            tracing::warn!(%error, "the snapshots could not be closed; they will be made anew");
        }
        if let Place::Directory(provider) = place {
            provider.close().await;
        }
        served?.context("serving")
    }
}

/// How long the nodes may take to leave their logs in order. A log that can't be reached must not keep the process:
/// nothing that was acknowledged waits for it.
const STOP_WITHIN: Duration = Duration::from_secs(10);

async fn stop_nodes(nodes: &Nodes) {
    if tokio::time::timeout(STOP_WITHIN, nodes.shutdown()).await.is_err() {
        tracing::warn!("the log did not take the last positions and state hashes in time");
    }
}

/// Writes a file that others may read.
fn publish(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(file, text)?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))
}

/// The address in the line that [`Running::until_stopped`] prints.
pub(crate) fn address_of(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line.get("listening")?.as_str()?.to_owned())
}

fn clock(settings: &Server) -> Result<Clock> {
    match settings.clock {
        ClockKind::System if settings.now.is_some() => {
            Err(bad_configuration("--now is for --clock manual"))
        }
        ClockKind::System => match &settings.clock_offset_file {
            None => Ok(Clock::system()),
            Some(_) if !settings.dev => {
                Err(bad_configuration("--clock-offset-file is for development: it needs --dev"))
            }
            Some(file) => Clock::with_offset_file(file.clone()).map_err(|error| {
                let why = format!("{:#}", anyhow::Error::new(error));
                bad_configuration(format!("--clock-offset-file {}: {why}", file.display()))
            }),
        },
        ClockKind::Manual if settings.clock_offset_file.is_some() => {
            Err(bad_configuration("--clock-offset-file is for --clock system"))
        }
        ClockKind::Manual if !settings.dev => {
            Err(bad_configuration("--clock manual is for development: it needs --dev"))
        }
        ClockKind::Manual => {
            let now = settings.now.unwrap_or_else(jiff::Timestamp::now);
            let now = Timestamp::from_millis(now.as_millisecond());
            if !(Timestamp::from_millis(0)..=Clock::LAST).contains(&now) {
                return Err(bad_configuration("--now must lie between the years 1970 and 2499"));
            }
            Ok(Clock::manual(now))
        }
    }
}

async fn snapshots(data_dir: &Path) -> Result<SledSnapshots> {
    let place = data_dir.join("snapshots");
    let shown = place.display().to_string();
    tokio::task::spawn_blocking(move || SledSnapshots::open(place))
        .await?
        .map_err(|error| bad_configuration(format!("{shown}: {:#}", anyhow::Error::new(error))))
}

/// Returns at the end of stdin. A thread, for a blocked read of a terminal can't be given up.
async fn stdin_ends() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // An error ends it as well.
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        ended.send(()).unwrap_or(());
    });
    end.await.unwrap_or(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_readiness_is_understood() {
        let line = json!({ "listening": "127.0.0.1:7400" }).to_string();
        assert_eq!(address_of(&line).as_deref(), Some("127.0.0.1:7400"));
        assert_eq!(address_of("hello"), None);
    }
}
