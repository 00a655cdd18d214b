//! Where the demo plays: all services in this process, or each in one of its own over NATS.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::cli::{
    Advertised, ClockKind, Demo, Edge, INVARIANTS_SHARE, Init, Nats, Role, SecretsKeys, Server,
};
use crate::client::Client;
use crate::exit::bad_configuration;
use crate::server::{self, Place, Running};
use crate::{init, logs, out, secrets};

use super::fleet::{Fleet, Seat};
use super::memory;
use super::setup::WORKSPACE;

/// A call's deadline; one that waits for rest may take a while.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a child may take to be ready, and to end.
const CHILD_TIMEOUT: Duration = Duration::from_secs(60);

/// The file of the key of webhooks' secrets.
const KEYS: &str = "webhook-secrets.keys";

/// The services, ready.
#[derive(Debug)]
pub(crate) struct Stage {
    fleet: Fleet,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Here(Box<Running>),
    Processes { children: Vec<Service>, nats: String, streams: Box<Nats>, _data: TempDir },
}

/// A service's process. It stops when its stdin ends, so it can't outlive us.
#[derive(Debug)]
struct Service {
    role: Role,
    process: Child,
    stdin: ChildStdin,
}

impl Stage {
    /// Starts the services with their clocks at `now_ms`.
    pub(crate) async fn build(settings: &Demo, now_ms: i64) -> Result<Self> {
        let now = jiff::Timestamp::from_millisecond(now_ms)?;
        match &settings.log {
            None => Self::here(settings.data_dir.as_deref(), now).await,
            Some(nats) => Self::processes(settings, nats, now).await,
        }
    }

    /// The services.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The services, to be moved.
    pub(crate) fn fleet_mut(&mut self) -> &mut Fleet {
        &mut self.fleet
    }

    /// The most memory that all processes took, in MiB.
    pub(crate) fn peak_rss_mib(&self) -> Result<f64> {
        match &self.kind {
            Kind::Here(_) => memory::peak_rss_mib(&[]),
            Kind::Processes { children, .. } => {
                let ids: Vec<u32> =
                    children.iter().filter_map(|child| child.process.id()).collect();
                memory::peak_rss_mib(&ids)
            }
        }
    }

    /// Stops the services in order. What the demo made on NATS is removed; a directory is kept.
    pub(crate) async fn strike(self) -> Result<()> {
        match self.kind {
            Kind::Here(running) => running.stop().await,
            Kind::Processes { children, nats, streams, _data } => {
                let ended = try_join_all(children.into_iter().map(end)).await;
                let removed = logs::nats(&nats, &streams, 1).await?.remove_all().await;
                ended?;
                removed.context("removing the demo's streams")?;
                Ok(())
            }
        }
    }

    async fn here(data_dir: Option<&Path>, now: jiff::Timestamp) -> Result<Self> {
        let data_dir = directory(data_dir)?;
        out::note(&format!(
            "the log is in {}; switchyard verify --data-dir it",
            data_dir.display()
        ));
        let settings = server_settings(data_dir, now);
        let place = Place::directory(&settings.data_dir).await?;
        let listen = "127.0.0.1:0".parse()?;
        let keys = secrets::read_or_make(&secrets::beside(&settings.data_dir))?;
        let advertised = Advertised::default();
        let running =
            server::start(&Role::ALL, place, &settings, listen, &advertised, keys).await?;
        let client = Client::connect(&running.address().to_string(), DEADLINE).await?;
        let seats = vec![Seat { client, roles: Role::ALL.to_vec() }];
        let fleet = Fleet::new(seats, partition(logs::EMBEDDED_PARTITIONS));
        Ok(Self { fleet, kind: Kind::Here(Box::new(running)) })
    }

    async fn processes(settings: &Demo, nats: &str, now: jiff::Timestamp) -> Result<Self> {
        let prefix = format!("SYDEMO{}", uuid::Uuid::new_v4().simple()).to_uppercase();
        let streams = Nats { stream_prefix: prefix, ..settings.nats.clone() };
        init::run(Init {
            log: Some(nats.to_owned()),
            data_dir: None,
            accept_loss: Vec::new(),
            by: None,
            reason: None,
            partitions: settings.partitions,
            replicas: 1,
            keys: SecretsKeys::default(),
            nats: streams.clone(),
        })
        .await?;
        let data = tempfile::tempdir().context("a directory for the services' snapshots")?;
        secrets::make(&data.path().join(KEYS))?;
        let started = Role::ALL.map(|role| start(role, nats, &streams, data.path(), now));
        let started = try_join_all(started).await?;
        let mut children = Vec::new();
        let mut seats = Vec::new();
        for (child, address) in started {
            let client = Client::connect(&address, DEADLINE).await?;
            seats.push(Seat { client, roles: vec![child.role] });
            children.push(child);
        }
        let fleet = Fleet::new(seats, partition(settings.partitions));
        let (nats, streams) = (nats.to_owned(), Box::new(streams));
        Ok(Self { fleet, kind: Kind::Processes { children, nats, streams, _data: data } })
    }
}

fn partition(partitions: u16) -> u32 {
    runtime::partition_of(WORKSPACE, partitions).into()
}

fn server_settings(data_dir: PathBuf, now: jiff::Timestamp) -> Server {
    Server {
        archive: None,
        data_dir,
        dev: true,
        clock: ClockKind::Manual,
        clock_offset_file: None,
        now: Some(now),
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

/// The directory asked for, which must hold nothing yet, or a new one among the temporary files that stays.
fn directory(asked: Option<&Path>) -> Result<PathBuf> {
    let Some(asked) = asked else {
        return Ok(tempfile::Builder::new().prefix("switchyard-demo-").tempdir()?.keep());
    };
    private_files::create_dir_all(asked).with_context(|| format!("making {}", asked.display()))?;
    let mut entries =
        std::fs::read_dir(asked).with_context(|| format!("reading {}", asked.display()))?;
    if entries.next().is_some() {
        let why = format!("{} is not empty: the demo needs a new log", asked.display());
        return Err(bad_configuration(why));
    }
    Ok(asked.to_path_buf())
}

async fn start(
    role: Role,
    nats: &str,
    streams: &Nats,
    data: &Path,
    now: jiff::Timestamp,
) -> Result<(Service, String)> {
    let mut command = Command::new(std::env::current_exe().context("this program's path")?);
    command
        .args(["serve", role.name(), "--log", nats, "--listen", "127.0.0.1:0"])
        .args(["--stream-prefix", &streams.stream_prefix])
        .args([
            "--log-level",
            "warn",
            "--dev",
            "--clock",
            "manual",
            "--now",
            &now.to_string(),
            "--stop-with-stdin",
        ])
        .arg("--data-dir")
        .arg(data.join(role.name()));
    if role == Role::Notify {
        command.arg("--secrets-key-file").arg(data.join(KEYS));
    }
    let files = [
        ("--nats-creds", &streams.nats_creds),
        ("--nats-ca", &streams.nats_ca),
        ("--nats-cert", &streams.nats_cert),
        ("--nats-key", &streams.nats_key),
    ];
    for (flag, file) in files {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    let texts = [
        ("--nats-monitor", &streams.nats_monitor),
        ("--nats-inbox-prefix", &streams.nats_inbox_prefix),
    ];
    for (flag, text) in texts {
        if let Some(text) = text {
            command.args([flag, text]);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().with_context(|| format!("starting {}", role.name()))?;
    let stdin = process.stdin.take().context("the child's stdin")?;
    let stdout = process.stdout.take().context("the child's stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(CHILD_TIMEOUT, lines.next_line())
        .await
        .with_context(|| format!("{} is not ready in time", role.name()))??;
    let address = line.as_deref().and_then(server::address_of);
    let Some(address) = address else {
        bail!("{} ended before it was ready", role.name());
    };
    Ok((Service { role, process, stdin }, address))
}

async fn end(child: Service) -> Result<()> {
    let Service { role, mut process, stdin } = child;
    drop(stdin);
    let status = tokio::time::timeout(CHILD_TIMEOUT, process.wait())
        .await
        .with_context(|| format!("{} does not end", role.name()))??;
    if !status.success() {
        bail!("{} ended with {status}", role.name());
    }
    Ok(())
}
