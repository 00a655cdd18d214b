//! Where a benchmark's logs are: in a new directory, or on NATS under a prefix of their own. Removed at the end, also
//! after a failure.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use event_log::{EventLog, EventLogProvider, LogName};
use event_log_embedded::EmbeddedProvider;
use event_log_nats::NatsProvider;
use notify_service::Keys;
use runtime::ServiceId;
use tempfile::TempDir;

use crate::cli::{Advertised, Bench, ClockKind, Edge, INVARIANTS_SHARE, Nats, Role, Server};
use crate::exit::bad_configuration;
use crate::logs;
use crate::server::{self, Running};

/// How many partitions the logs have, on NATS too: all load goes to one workspace, so to one of them.
const PARTITIONS: u16 = logs::EMBEDDED_PARTITIONS;

/// Whose logs the floors' are; no service has this name.
const FLOOR: &str = "floor";

/// New, empty logs, and a directory for snapshots.
#[derive(Debug)]
pub(super) struct Place {
    directory: TempDir,
    nats: Option<OnNats>,
}

#[derive(Debug)]
struct OnNats {
    url: String,
    streams: Nats,
    provider: NatsProvider,
}

impl Place {
    pub(super) async fn make(settings: &Bench) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("switchyard-bench-")
            .tempdir()
            .context("a directory for the measurement")?;
        let Some(url) = &settings.log else { return Ok(Self { directory, nats: None }) };
        if ![1, 3, 5].contains(&settings.replicas) {
            return Err(bad_configuration("--replicas must be 1, 3 or 5"));
        }
        let prefix = format!("SYBENCH{}", uuid::Uuid::new_v4().simple()).to_uppercase();
        let streams = Nats { stream_prefix: prefix, ..settings.nats.clone() };
        let provider = logs::nats(url, &streams, settings.replicas).await?;
        let place = Self { directory, nats: Some(OnNats { url: url.clone(), streams, provider }) };
        if let Err(error) = place.initialise().await {
            place.remove().await?;
            return Err(error);
        }
        Ok(place)
    }

    async fn initialise(&self) -> Result<()> {
        let provider = self.provider().await?;
        runtime::initialise(&*provider, &ServiceId::ALL, PARTITIONS)
            .await
            .map_err(logs::explain_start)
    }

    /// Removes everything that was made.
    pub(super) async fn remove(self) -> Result<()> {
        if let Some(nats) = &self.nats {
            nats.provider.remove_all().await.context("removing the measurement's streams")?;
        }
        self.directory.close().context("removing the measurement's directory")
    }

    /// The data directory.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The arguments by which a child finds the logs.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut all = vec!["--data-dir".to_owned(), self.data_dir().display().to_string()];
        let Some(nats) = &self.nats else { return all };
        all.extend(["--log".to_owned(), nats.url.clone()]);
        all.extend(["--stream-prefix".to_owned(), nats.streams.stream_prefix.clone()]);
        let files = [
            ("--nats-creds", &nats.streams.nats_creds),
            ("--nats-ca", &nats.streams.nats_ca),
            ("--nats-cert", &nats.streams.nats_cert),
            ("--nats-key", &nats.streams.nats_key),
        ];
        for (flag, file) in files {
            let file = file.as_ref().map(|file| [flag.to_owned(), file.display().to_string()]);
            all.extend(file.into_iter().flatten());
        }
        all
    }

    /// The logs. A directory's belong to whoever opened them last: what was started on them must have been stopped.
    pub(super) async fn open(&self) -> Result<Opened> {
        if let Some(nats) = &self.nats {
            return Ok(Opened::Nats(nats.provider.clone()));
        }
        let provider = logs::embedded(&self.data_dir()).await?;
        // Services make what is missing at their start; so does whoever only reads.
        runtime::initialise(&provider, &ServiceId::ALL, PARTITIONS)
            .await
            .map_err(logs::explain_start)?;
        Ok(Opened::Directory(provider))
    }

    async fn provider(&self) -> Result<Arc<dyn EventLogProvider>> {
        Ok(self.open().await?.provider())
    }
}

/// Open logs.
#[derive(Debug, Clone)]
pub(super) enum Opened {
    Directory(EmbeddedProvider),
    Nats(NatsProvider),
}

impl Opened {
    pub(super) fn provider(&self) -> Arc<dyn EventLogProvider> {
        match self {
            Self::Directory(provider) => Arc::new(provider.clone()),
            Self::Nats(provider) => Arc::new(provider.clone()),
        }
    }

    /// A log for a floor: like a service's, and read by none.
    pub(super) async fn floor(&self, number: u16) -> Result<Arc<dyn EventLog>> {
        let name = LogName::new(FLOOR, number);
        self.provider().create(&name, "floor".into()).await.map_err(logs::explain_open)
    }

    /// What publishes to [`floor`](Self::floor) without a fence, where the log can.
    pub(super) fn publisher(&self, number: u16) -> Option<event_log_nats::Publisher> {
        match self {
            Self::Directory(_) => None,
            Self::Nats(provider) => Some(provider.publisher(&LogName::new(FLOOR, number))),
        }
    }

    /// Starts services on these logs, in this process.
    pub(super) async fn start(&self, roles: &[Role], settings: &Server) -> Result<Running> {
        let place = match self {
            Self::Directory(provider) => server::Place::Directory(provider.clone()),
            Self::Nats(provider) => server::Place::Nats(provider.clone()),
        };
        let listen = ([127, 0, 0, 1], 0).into();
        // Nobody sends or keeps a webhook's secret here.
        let keys = Keys::none();
        server::start(roles, place, settings, listen, &Advertised::default(), keys).await
    }

    /// Gives a directory back.
    pub(super) async fn close(&self) {
        if let Self::Directory(provider) = self {
            provider.close().await;
        }
    }
}

/// Settings of a server with its snapshots in the place; `now`: its clock stands there.
pub(super) fn server_settings(place: &Place, now: Option<jiff::Timestamp>) -> Server {
    Server {
        archive: None,
        data_dir: place.data_dir(),
        dev: true,
        clock: if now.is_some() { ClockKind::Manual } else { ClockKind::System },
        clock_offset_file: None,
        now,
        snapshot_seconds: runtime::SNAPSHOT_AFTER.as_secs(),
        drain_seconds: 10,
        port_file: None,
        metrics_listen: None,
        invariants_share: INVARIANTS_SHARE,
        edge: Edge::default(),
        allow_private_endpoints: true,
        log_level: None,
        stop_with_stdin: false,
    }
}
