//! Chaos on real processes: three servers of NATS that sync every write, two instances of each service, an open
//! workload whose client keeps book of every call, and one fault after the other. In the end a checker of our own holds
//! the book against the logs.
//!
//! The short run has every kind of fault once. `tests/chaos` runs as many as it is told to, and writes the report.

mod asking;
mod caller;
mod check;
mod disks;
mod faults;
mod history;
mod logs;
mod report;
mod rng;
mod run;
mod stage;
mod visit;
mod workload;

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

use crate::chaos::faults::Kind;
use crate::chaos::run::{Options, run};

/// The seed of the short run.
const SEED: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_fault_once() -> anyhow::Result<()> {
    let options = Options { calls: 2000, faults: Kind::ALL.len(), seed: SEED };
    judged(options, None).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "as long as one likes: tests/chaos runs it"]
async fn as_asked_for() -> anyhow::Result<()> {
    let options = Options {
        calls: asked("CALLS", 20_000)?,
        faults: asked("FAULTS", 40)?,
        seed: asked("SEED", 1)?,
    };
    let report = std::env::var_os("SWITCHYARD_CHAOS_REPORT");
    judged(options, report.as_deref().map(Path::new)).await
}

/// What `tests/chaos` was told.
fn asked<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
    unless: T,
) -> anyhow::Result<T> {
    let name = format!("SWITCHYARD_CHAOS_{name}");
    match std::env::var(&name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is {text}")),
        Err(_) => Ok(unless),
    }
}

#[expect(clippy::print_stdout, reason = "the report is what this is run for")]
async fn judged(options: Options, file: Option<&Path>) -> anyhow::Result<()> {
    let report = run(options).await?;
    let json = serde_json::to_string_pretty(&report.to_json())?;
    println!("{json}");
    if let Some(file) = file {
        std::fs::write(file, format!("{json}\n")).with_context(|| file.display().to_string())?;
    }
    let wrong = report.wrong();
    ensure!(
        wrong.is_empty(),
        "{} things are wrong: {:#?}",
        wrong.len(),
        wrong.iter().take(20).collect::<Vec<_>>()
    );
    ensure!(report.acknowledged() >= options.calls, "too few calls were acknowledged");
    Ok(())
}
