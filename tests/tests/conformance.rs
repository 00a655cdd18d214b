//! Every log passes the same suite: in memory, embedded, on one NATS server and on three.
//!
//! A test without the usual harness, so that what is not applicable, and why, is always printed.
//! Arguments select logs by a part of their name.

use event_log::conformance::{self, Harness};
use tests::logs::{Embedded, Memory};
use tests::nats_log::NatsLogs;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let mut failed = Vec::new();
    if runs("memory") {
        failed.extend(run(&Memory::default()).await);
    }
    if runs("embedded") {
        failed.extend(run(&Embedded::start()?).await);
    }
    if runs("nats R1") {
        failed.extend(run(&NatsLogs::single().await?).await);
    }
    if runs("nats R3") {
        failed.extend(run(&NatsLogs::cluster().await?).await);
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Runs the suite, prints its report and names what failed.
#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
async fn run(harness: &dyn Harness) -> Vec<String> {
    let report = conformance::run_all(harness).await;
    println!("{report}\n");
    report.failed().into_iter().map(|case| format!("{} · {case}", harness.name())).collect()
}
