//! The binary: the four services, and the operator's commands.
//!
//! **Invariant:** this is the only crate that picks a log. Results go to stdout, messages to stderr.

mod cli;
mod config;
mod exit;
mod out;
mod parked;
mod signals;
mod client;
mod telemetry;
mod logs;
mod metrics;
mod private;
mod secrets;
mod server;
mod up;
mod serve;
mod init;
mod source;
mod verify;
mod copying;
mod backup;
mod restore;
mod trim;
mod healthcheck;
mod clock;
mod doctor;
mod log;
mod ticket;
mod agent;
mod queue;
mod sla;
mod webhooks;
mod demo;
mod bench;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use cli::{Cli, Command};

/// Gives back what is no longer needed, by threads of its own: a snapshot takes for a moment what the state takes, and
/// the system's allocator would keep that for ever. How soon is set where it is built (`.cargo/config.toml`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Whatever a library makes without saying who may read it is the owner's alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match config::parse(&arguments) {
        Ok(Ok(cli)) => cli,
        Ok(Err(usage)) => return print_usage(&usage),
        Err(error) => return fail(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Up(settings) => up::run(settings).await,
        Command::Serve(settings) => serve::run(settings).await,
        Command::Init(settings) => init::run(settings).await,
        Command::Verify(settings) => verify::run(settings).await,
        Command::Healthcheck(settings) => healthcheck::run(settings).await,
        Command::Doctor(settings) => doctor::run(settings).await,
        Command::Log(command) => log::run(command).await,
        Command::Backup(settings) => backup::run(settings).await,
        Command::Restore(settings) => restore::run(settings).await,
        Command::Clock(command) => clock::run(command).await,
        Command::Ticket(command) => ticket::run(command).await,
        Command::Agent(command) => agent::run(command).await,
        Command::Queue(command) => queue::run(command).await,
        Command::Sla(command) => sla::run(command).await,
        Command::ReceiveWebhooks(settings) => webhooks::run(settings).await,
        Command::Demo(settings) => demo::run(settings).await,
        Command::Bench(settings) => bench::run(settings).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    out::note(&format!("switchyard: {}", exit::describe(error)));
    exit::code_of(error)
}

/// `--help` and `--version` succeed, everything else of clap's is wrong usage.
fn print_usage(usage: &clap::Error) -> ExitCode {
    // Where help can't be printed, nothing else can.
    drop(usage.print());
    u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
