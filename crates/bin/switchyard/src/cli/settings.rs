//! Settings that several commands share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use tonic::codegen::http::uri::Authority;

use super::edge::Edge;
use crate::exit::bad_configuration;
use crate::out::Output;

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Role {
    /// Tickets and their conversation
    Intake,
    /// Agents, queues and offers
    Routing,
    /// Policies and clocks
    Sla,
    /// Rules, endpoints and deliveries
    Notify,
}

impl Role {
    /// All four.
    pub(crate) const ALL: [Self; 4] = [Self::Intake, Self::Routing, Self::Sla, Self::Notify];

    /// The word on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Routing => "routing",
            Self::Sla => "sla",
            Self::Notify => "notify",
        }
    }

    /// The port it listens on unless told otherwise.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Intake => 7401,
            Self::Routing => 7402,
            Self::Sla => 7403,
            Self::Notify => 7404,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How to reach NATS.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "the names are the flags'")]
pub(crate) struct Nats {
    /// What the streams' names begin with: letters and digits
    #[arg(long, env = "SWITCHYARD_STREAM_PREFIX", default_value = "SY", value_name = "PREFIX")]
    pub(crate) stream_prefix: String,
    /// A NATS credentials file
    #[arg(long, env = "SWITCHYARD_NATS_CREDS", value_name = "FILE")]
    pub(crate) nats_creds: Option<PathBuf>,
    /// Certificate authorities to trust for NATS, in PEM
    #[arg(long, env = "SWITCHYARD_NATS_CA", value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,
    /// Our certificate for NATS, in PEM
    #[arg(long, env = "SWITCHYARD_NATS_CERT", value_name = "FILE", requires = "nats_key")]
    pub(crate) nats_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "SWITCHYARD_NATS_KEY", value_name = "FILE", requires = "nats_cert")]
    pub(crate) nats_key: Option<PathBuf>,
    /// What replies from NATS are addressed to, where the user's permissions ask for one of its own; unset: _INBOX
    #[arg(long, env = "SWITCHYARD_NATS_INBOX_PREFIX", value_name = "PREFIX")]
    pub(crate) nats_inbox_prefix: Option<String>,
    /// The NATS servers' monitoring ports, `http://HOST:8222`, separated by commas: a server that does not sync every
    /// append is then refused
    #[arg(long, env = "SWITCHYARD_NATS_MONITOR", value_name = "URLS")]
    pub(crate) nats_monitor: Option<String>,
}

/// Where other instances reach this one.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Advertised {
    /// Where other instances reach this one; unset: where it listens, or this host's name if that is every address
    #[arg(long, env = "SWITCHYARD_ADVERTISE", value_name = "HOST:PORT")]
    pub(crate) advertise: Option<Authority>,
}

impl Advertised {
    /// The address to tell the others, given the one that is listened on.
    pub(crate) fn address(&self, listening: SocketAddr) -> anyhow::Result<String> {
        if let Some(address) = &self.advertise {
            if address.port_u16().is_none_or(|port| port == 0) || address.as_str().contains('@') {
                let why = format!("--advertise: {address} is not HOST:PORT");
                return Err(bad_configuration(why));
            }
            return Ok(address.to_string());
        }
        if !listening.ip().is_unspecified() {
            return Ok(listening.to_string());
        }
        // In a container, its name in the network.
        match std::fs::read_to_string("/proc/sys/kernel/hostname") {
            Ok(name) if name.trim().parse::<Authority>().is_ok() => {
                Ok(format!("{}:{}", name.trim(), listening.port()))
            }
            Ok(_) | Err(_) => Err(bad_configuration(
                "this host has no name to reach it by: --advertise is needed",
            )),
        }
    }
}

/// What seals webhooks' secrets.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SecretsKeys {
    /// The keys of webhooks' secrets, one a line, 32 bytes in base64: the first seals, every one opens. `serve
    /// notify` needs it, the same for every instance; no other role takes it. `up` makes one beside its data if it is
    /// unset (several `up` on one NATS need the same), and `init` makes the file if it isn't there
    #[arg(long, env = "SWITCHYARD_SECRETS_KEY_FILE", value_name = "FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
}

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockKind {
    /// As the system's clock says
    System,
    /// It stands until `ClockService` moves it; only with --dev
    Manual,
}

/// How many percent of one core checking the invariants may take, unless told otherwise.
pub(crate) const INVARIANTS_SHARE: u32 = 5;

/// What every server can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Where snapshots are kept, and by `up` without --log also the log
    #[arg(
        long,
        env = "SWITCHYARD_DATA_DIR",
        default_value = "switchyard-data",
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// After how many seconds at the latest a partition that has changed is saved, and tried again where it could not
    /// be
    #[arg(
        long,
        env = "SWITCHYARD_SNAPSHOT_SECONDS",
        default_value_t = runtime::SNAPSHOT_AFTER.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..),
        value_name = "SECONDS"
    )]
    pub(crate) snapshot_seconds: u64,
    /// Where records are that were trimmed away from the logs: what `switchyard log archive` has written. Only
    /// timelines, and starts without a usable snapshot, read it
    #[arg(long, env = "SWITCHYARD_ARCHIVE", value_name = "DIR")]
    pub(crate) archive: Option<PathBuf>,
    /// Allows what no production needs: --clock manual, --clock-offset-file
    #[arg(long, env = "SWITCHYARD_DEV", value_parser = FalseyValueParser::new())]
    pub(crate) dev: bool,
    /// How time passes
    #[arg(long, env = "SWITCHYARD_CLOCK", default_value = "system")]
    pub(crate) clock: ClockKind,
    /// Where a manual clock stands at first, in RFC 3339; unset: at the real time, and never before the last record
    #[arg(long, env = "SWITCHYARD_NOW", value_name = "INSTANT")]
    pub(crate) now: Option<jiff::Timestamp>,
    /// A file that holds by how many milliseconds the system's clock is read later than it is, negative: earlier. It is
    /// read anew at every reading of the clock, so that a test can step it; only with --dev
    #[arg(long, env = "SWITCHYARD_CLOCK_OFFSET_FILE", value_name = "FILE")]
    pub(crate) clock_offset_file: Option<PathBuf>,
    /// How many seconds running calls get at a stop
    #[arg(long, env = "SWITCHYARD_DRAIN_SECONDS", default_value_t = 10, value_name = "SECONDS")]
    pub(crate) drain_seconds: u64,
    /// Writes the address that it listens on to this file when ready
    #[arg(long, env = "SWITCHYARD_PORT_FILE", value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
    /// Lets webhooks go to this machine and to private addresses, over http too; --dev does as well
    #[arg(long, env = "SWITCHYARD_ALLOW_PRIVATE_ENDPOINTS", value_parser = FalseyValueParser::new())]
    pub(crate) allow_private_endpoints: bool,
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as `info,runtime=debug`; unset: info
    #[arg(long, env = "SWITCHYARD_LOG_LEVEL", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Where figures are served for Prometheus, at /metrics over plain HTTP; unset: nowhere
    #[arg(long, env = "SWITCHYARD_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// How many percent of one core checking the invariants of what is written may take; what doesn't fit is passed
    /// over and counted. 0: nothing is checked
    #[arg(long, env = "SWITCHYARD_INVARIANTS_SHARE", default_value_t = INVARIANTS_SHARE, value_name = "PERCENT")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) invariants_share: u32,
    /// What its edge may hold
    #[command(flatten)]
    pub(crate) edge: Edge,
    /// Stops when stdin ends: for a parent that must not leave children behind
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

/// Where logs are read from: one place, named on the command line, so that a variable meant for a server can't choose
/// another.
#[derive(Debug, Clone, Args)]
#[group(id = "source", multiple = false)]
pub(crate) struct LogSource {
    /// The directory of a stopped node
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A running server; several, separated by commas or given again; unset, and no other place named: 127.0.0.1:7400
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) address: Vec<String>,
    /// A NATS server: `nats://HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,
}

/// How a client reaches a server and prints what it says.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The server: `up`, or the one with the role
    #[arg(
        long,
        env = "SWITCHYARD_ADDRESS",
        default_value = "127.0.0.1:7400",
        value_name = "ADDRESS"
    )]
    pub(crate) address: String,
    /// The workspace
    #[arg(short, long, env = "SWITCHYARD_WORKSPACE", default_value = "default", value_name = "ID")]
    pub(crate) workspace: String,
    /// As a table, or as protobuf JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
    /// How many seconds a call may take
    #[arg(long, env = "SWITCHYARD_TIMEOUT", default_value_t = 15)]
    pub(crate) timeout: u64,
}

impl Target {
    /// Connects.
    pub(crate) async fn connect(&self) -> anyhow::Result<crate::client::Client> {
        crate::client::Client::connect(&self.address, Duration::from_secs(self.timeout)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(advertise: Option<&str>, listening: &str) -> Option<String> {
        let advertise = advertise.map(|text| text.parse().unwrap());
        Advertised { advertise }.address(listening.parse().unwrap()).ok()
    }

    #[test]
    fn others_are_told_an_address_that_they_can_use() {
        let told_is = |advertise, listening, address: &str| {
            assert_eq!(told(advertise, listening).as_deref(), Some(address));
        };
        told_is(None, "10.0.0.7:7401", "10.0.0.7:7401");
        told_is(None, "[::1]:7401", "[::1]:7401");
        told_is(Some("intake-1:7401"), "0.0.0.0:7401", "intake-1:7401");
        let by_name = told(None, "0.0.0.0:7401").unwrap();
        assert!(by_name.ends_with(":7401") && !by_name.starts_with("0.0.0.0"), "{by_name}");
        for bad in ["intake-1", "intake-1:0", "user@intake-1:7401"] {
            assert_eq!(told(Some(bad), "10.0.0.7:7401"), None, "{bad}");
        }
    }
}
