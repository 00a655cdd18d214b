//! The command line: every command, every setting, where each comes from.
//!
//! A setting is taken from its flag, else from its environment variable, else from `--config`'s file, else its default.

mod edge;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::exit::EXIT_CODES;
use crate::init::Lost;
use crate::out::Output;
use crate::{agent, bench, clock, parked, queue, sla, ticket};

pub(crate) use edge::Edge;
pub(crate) use settings::{
    Advertised, ClockKind, INVARIANTS_SHARE, LogSource, Nats, Role, SecretsKeys, Server, Target,
};

/// A self-hosted router for customer-support tickets, over an event log.
///
/// Settings come from flags, else from the environment (SWITCHYARD_…, named with each), else from the TOML file of
/// --config, whose keys are the flags' names without the dashes: `data-dir = "/var/lib/switchyard"`.
#[derive(Debug, Parser)]
#[command(name = "switchyard", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// A TOML file with settings, one `flag-name = value` a line
    #[arg(long, global = true, env = "SWITCHYARD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs all four services in this process
    ///
    /// The log is a directory unless --log names a NATS server. Prints {"listening": "ADDRESS"} when ready.
    ///
    /// Example: `switchyard up --data-dir /tmp/sy`
    Up(Up),
    /// Runs one service; its log is on NATS
    ///
    /// Prints {"listening": "ADDRESS"} when ready. The streams must be there: `switchyard init` makes them. Run it
    /// on several hosts: the instances share the partitions, any of them answers, and when one goes others take over.
    ///
    /// Example: `switchyard serve intake --log nats://127.0.0.1:4222`
    Serve(Serve),
    /// Makes the streams on NATS; run again, it changes nothing
    ///
    /// With --accept-loss it also begins logs anew in the place of those that were lost. A partition whose log was lost
    /// stops as soon as anything knows more of it than is there: a snapshot, the log of a service that has read it,
    /// another instance. It goes on once an operator has given the lost log up: the services that followed it keep
    /// their own state and read the new log from its first record. What is left of the lost log is deleted, so back it
    /// up first; then restart the services.
    ///
    /// Example: `switchyard init --log nats://127.0.0.1:4222 --partitions 16 --replicas 3`
    ///
    /// Example: `switchyard init --log nats://127.0.0.1:4222 --accept-loss intake/3,sla --by olga --reason 'disk lost'`
    Init(Init),
    /// Asks a server whether it is healthy: exit code 0 if it is
    ///
    /// Example: `switchyard healthcheck --address 127.0.0.1:7401`
    Healthcheck(Healthcheck),
    /// Looks whether an installation is well, and says what to do where it isn't
    ///
    /// Names what is wrong with servers, streams and their histories, partitions and snapshots. Exit code 1 if any is.
    ///
    /// Example: `switchyard doctor --log nats://127.0.0.1:4222 --target 127.0.0.1:7401,127.0.0.1:7402`
    Doctor(Doctor),
    /// Folds logs from their first record on and compares the states' hashes with those in the log
    ///
    /// Reads a stopped node's directory, or asks running servers. Also checks that no record is missing, changed or out
    /// of its chain. Exit code 1 if anything differs, or if there is nothing to compare with.
    ///
    /// Example: `switchyard verify --data-dir /tmp/sy`
    Verify(Verify),
    /// Shows, archives and trims logs
    #[command(subcommand)]
    Log(LogCommand),
    /// Copies all logs of an installation, running or not, to a new directory
    ///
    /// What is copied of the logs of a partition fits together: none has read more of another than is there. Everything
    /// is read back, and the states that come of it are recorded.
    ///
    /// Example: `switchyard backup --log nats://127.0.0.1:4222 --to /backups/today`
    Backup(Backup),
    /// Makes the logs of a backup anew, in a data directory or on NATS, where there must be none
    ///
    /// The logs get a new identity: positions and tokens from before are refused with `LOG_GENERATION_CHANGED`. Start
    /// no service before it is done.
    ///
    /// Example: `switchyard restore --from /backups/today --data-dir /tmp/restored`
    Restore(Restore),
    /// Shows a server's time and what speaks against it, and accepts it
    #[command(subcommand)]
    Clock(clock::ClockCommand),
    /// Opens, shows and answers tickets
    #[command(subcommand)]
    Ticket(ticket::TicketCommand),
    /// Makes and shows agents
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Makes and shows queues
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Shows the promises made to customers
    #[command(subcommand)]
    Sla(sla::SlaCommand),
    /// Receives webhooks: verifies each and prints a JSON line for it
    ///
    /// GET /deliveries returns {"delivered", "keys", "rejected", "conflicting"}; a key is conflicting when it came with
    /// two bodies.
    ReceiveWebhooks(ReceiveWebhooks),
    /// Measures how fast it is and how much memory it takes, each figure beside a floor of the same run
    ///
    /// Makes logs of its own, in a temporary directory or under a prefix of its own on NATS, and removes them. Exit
    /// code 1 if a goal is missed. Needs an optimised build and a quiet machine.
    ///
    /// Example: `switchyard bench create/64 replay --log nats://127.0.0.1:4222`
    Bench(Bench),
    /// Sends 890 real incidents through all four services on a stepped clock
    ///
    /// Example: `switchyard demo --json`
    Demo(Demo),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// The address to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "SWITCHYARD_LISTEN",
        default_value = "127.0.0.1:7400",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    /// A NATS server for the log: `nats://HOST:PORT`; unset: a directory
    #[arg(long, env = "SWITCHYARD_LOG", value_name = "URL")]
    pub(crate) log: Option<String>,
    #[command(flatten)]
    pub(crate) advertised: Advertised,
    #[command(flatten)]
    pub(crate) nats: Nats,
    #[command(flatten)]
    pub(crate) keys: SecretsKeys,
    #[command(flatten)]
    pub(crate) server: Server,
    /// Runs these alone: what measures one service needs it by itself
    #[arg(long, hide = true, value_delimiter = ',', default_values_t = Role::ALL)]
    pub(crate) roles: Vec<Role>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// Which service
    pub(crate) role: Role,
    /// The address to listen on; port 0 takes a free one; unset: port 7401, 7402, 7403 or 7404 of 127.0.0.1, by the
    /// role
    #[arg(long, env = "SWITCHYARD_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// The NATS server of the log: `nats://HOST:PORT`
    #[arg(long, env = "SWITCHYARD_LOG", value_name = "URL")]
    pub(crate) log: String,
    #[command(flatten)]
    pub(crate) advertised: Advertised,
    #[command(flatten)]
    pub(crate) nats: Nats,
    #[command(flatten)]
    pub(crate) keys: SecretsKeys,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// The NATS server: `nats://HOST:PORT`
    #[arg(long, env = "SWITCHYARD_LOG", value_name = "URL", required_unless_present = "data_dir")]
    pub(crate) log: Option<String>,
    /// The directory of a stopped `up`, of which lost logs are given up
    #[arg(long, value_name = "DIR", requires = "accept_loss", conflicts_with = "log")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Lost logs that are given up, separated by commas: `intake/3`, `intake` for all of a service's, `all`
    #[arg(long, value_name = "LOGS", value_delimiter = ',', requires = "by", requires = "reason")]
    pub(crate) accept_loss: Vec<Lost>,
    /// Who says so: it stands in the new logs
    #[arg(long, value_name = "NAME", requires = "accept_loss")]
    pub(crate) by: Option<String>,
    /// Why: it stands in the new logs
    #[arg(long, value_name = "TEXT", requires = "accept_loss")]
    pub(crate) reason: Option<String>,
    /// How many partitions each service's log has, for ever
    #[arg(long, env = "SWITCHYARD_PARTITIONS", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) partitions: u16,
    /// How many servers keep each stream: 1, 3 or 5
    #[arg(long, env = "SWITCHYARD_REPLICAS", default_value_t = 1)]
    pub(crate) replicas: usize,
    #[command(flatten)]
    pub(crate) keys: SecretsKeys,
    #[command(flatten)]
    pub(crate) nats: Nats,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Healthcheck {
    /// The server; unset: what `SWITCHYARD_LISTEN` says, else 127.0.0.1:7400
    #[arg(long, env = "SWITCHYARD_ADDRESS", value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    /// The address that the server on this host listens on
    #[arg(long, env = "SWITCHYARD_LISTEN", hide = true)]
    pub(crate) listen: Option<SocketAddr>,
    /// How many seconds it may take
    #[arg(long, env = "SWITCHYARD_TIMEOUT", default_value_t = 2)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Doctor {
    /// The logs on a NATS server: `nats://HOST:PORT`
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub(crate) log: Option<String>,
    /// The directory of a stopped node
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A running server; several, separated by commas or given again
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) target: Vec<String>,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// Reads every record, not only the last 1,000 of each log
    #[arg(long)]
    pub(crate) deep: bool,
    /// As a table, or as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) source: LogSource,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// Where records are that were trimmed away: what `switchyard log archive` has written
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: Option<PathBuf>,
    /// A backup: the states at its positions must be those that it has recorded
    #[arg(long, value_name = "DIR")]
    pub(crate) backup: Option<PathBuf>,
    /// As a table, or as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) source: LogSource,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// A directory that is new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Where records are that were trimmed away: what `switchyard log archive` has written
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: Option<PathBuf>,
    /// As a table, or as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) target: RestoreTarget,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// How many servers keep each stream on NATS: 1, 3 or 5
    #[arg(long, env = "SWITCHYARD_REPLICAS", default_value_t = 1)]
    pub(crate) replicas: usize,
    /// As a table, or as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

/// Where logs are restored to: one place, named on the command line.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RestoreTarget {
    /// A data directory without a log
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A NATS server without streams of the prefix: `nats://HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Prints the records that are there, and ends
    ///
    /// Example: `switchyard log show intake --address 127.0.0.1:7400 --partition 3 --from 10`
    Show(LogShow),
    /// Prints records as they are written
    ///
    /// Example: `switchyard log follow routing --log nats://127.0.0.1:4222 --partition 3`
    Follow(LogFollow),
    /// Copies records that are not archived yet to an archive, which is verified and never takes another history in
    ///
    /// Example: `switchyard log archive --log nats://127.0.0.1:4222 --to /archive`
    Archive(LogArchive),
    /// Forgets records for good that nobody needs any more and that the archive has
    ///
    /// Of every log goes what is in the archive, whose every segment is read and checked, and what lies before all of
    /// this: what the services that follow the log have read, by their own logs; the older of the two snapshots of
    /// every instance; what is set aside. The rest stays, and the command says what is in the way. Before anything
    /// goes, all records of archive and log are folded and the states compared with the hashes in the log. On NATS,
    /// instances that run are asked; name the directories of those that don't with --stopped.
    ///
    /// Example: `switchyard log trim --log nats://127.0.0.1:4222 --archive /archive --keep-days 90`
    Trim(LogTrim),
    /// Shows, retries or drops the inputs that could not be applied and were set aside
    #[command(subcommand)]
    Parked(parked::ParkedCommand),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogArchive {
    #[command(flatten)]
    pub(crate) source: LogSource,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// The archive's directory; it is made if it isn't there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// As a table, or as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogTrim {
    #[command(flatten)]
    pub(crate) place: LogPlace,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// What `switchyard log archive` has written
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: PathBuf,
    /// The data directory of an instance that doesn't run now and has its log on NATS; several, given again
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    pub(crate) stopped: Vec<PathBuf>,
    /// Only this service's logs
    #[arg(long)]
    pub(crate) service: Option<Role>,
    /// Only this partition's logs
    #[arg(long)]
    pub(crate) partition: Option<u16>,
    /// Goes no further than this record, and fails if it can't go so far
    #[arg(long, value_name = "SEQ", requires = "service", requires = "partition")]
    pub(crate) upto: Option<u64>,
    /// Keeps what was written in the last so many days
    #[arg(long, value_name = "DAYS", conflicts_with = "upto")]
    pub(crate) keep_days: Option<u32>,
    /// Says what would go, and changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As a table, or as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

/// Where logs are stored: one place, named on the command line.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct LogPlace {
    /// The directory of a stopped node
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A NATS server: `nats://HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,
}

/// Which log.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogChoice {
    /// Whose log
    pub(crate) service: Role,
    /// Which partition
    #[arg(long, default_value_t = 0)]
    pub(crate) partition: u16,
    #[command(flatten)]
    pub(crate) source: LogSource,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// A line for each event, or the whole record as JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogShow {
    #[command(flatten)]
    pub(crate) choice: LogChoice,
    /// The first record
    #[arg(long, default_value_t = 1)]
    pub(crate) from: u64,
    /// At most this many records
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogFollow {
    #[command(flatten)]
    pub(crate) choice: LogChoice,
    /// The first record; 0: the next one
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReceiveWebhooks {
    /// The address to listen on
    #[arg(
        long,
        env = "SWITCHYARD_LISTEN",
        default_value = "127.0.0.1:7480",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    /// The endpoint's secret, `whsec_` and base64
    #[arg(long, env = "SWITCHYARD_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(crate) secret: String,
    /// Takes what was signed at any time, as a server with a manual clock does
    #[arg(long, env = "SWITCHYARD_ANY_TIME", value_parser = FalseyValueParser::new())]
    pub(crate) any_time: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    /// Prints the figures as JSON and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    /// An empty or new directory for the log, kept for `verify`; unset: a new one among the temporary files
    #[arg(long, env = "SWITCHYARD_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A NATS server: the four services then run as processes, on streams that the demo makes and removes
    #[arg(long, env = "SWITCHYARD_LOG", value_name = "URL")]
    pub(crate) log: Option<String>,
    /// How many partitions the streams on NATS have
    #[arg(long, env = "SWITCHYARD_PARTITIONS", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) partitions: u16,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// What the agents' answers are drawn from
    #[arg(long, env = "SWITCHYARD_SEED", default_value_t = 7)]
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Bench {
    /// What to measure; all if none is named
    pub(crate) names: Vec<bench::Name>,
    /// A NATS server; unset: a temporary directory
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,
    /// How many servers keep each stream on NATS: 1, 3 or 5
    #[arg(long, default_value_t = 1)]
    pub(crate) replicas: usize,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// Prints the figures as one JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// How many undisturbed runs each figure is the median of
    #[arg(long, default_value_t = 5, value_parser = runs)]
    pub(crate) runs: usize,
    /// A part of the full size, above 0 and at most 1: quicker, and the goals are not judged
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
}

fn runs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(runs @ 1..=100) => Ok(runs),
        Ok(_) | Err(_) => Err("must be 1 to 100".to_owned()),
    }
}
