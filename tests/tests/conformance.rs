//! Every log passes the same suite: in memory, embedded, on one NATS server and on three.
//!
//! A program without the usual harness, so that what is not applicable, and why, is always printed. It speaks the part
//! of libtest's command line that test runners use: `--list`, names or parts of them, `--exact`.

use event_log::conformance::{self, Harness};
use tests::logs::{Embedded, Memory};
use tests::nats_log::NatsLogs;

/// The logs, as tests are named.
const LOGS: [&str; 4] = ["memory", "embedded", "nats-r1", "nats-r3"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let asked = Asked::of(std::env::args().skip(1));
    if asked.lists {
        list(&asked);
        return Ok(());
    }
    let mut failed = Vec::new();
    for log in LOGS.into_iter().filter(|log| asked.wants(log)) {
        failed.extend(match log {
            "memory" => run(&Memory::default()).await,
            "embedded" => run(&Embedded::start()?).await,
            "nats-r1" => run(&NatsLogs::single().await?).await,
            _ => run(&NatsLogs::cluster().await?).await,
        });
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// What the command line asks for.
#[derive(Debug, Default)]
struct Asked {
    lists: bool,
    exact: bool,
    /// Only tests that are left out otherwise: there are none.
    ignored: bool,
    names: Vec<String>,
}

impl Asked {
    fn of(arguments: impl Iterator<Item = String>) -> Self {
        let mut asked = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => asked.lists = true,
                "--exact" => asked.exact = true,
                "--ignored" => asked.ignored = true,
                // The one flag of theirs that has a value of its own.
                "--format" => drop(arguments.next()),
                flag if flag.starts_with('-') => {}
                name => asked.names.push(name.to_owned()),
            }
        }
        asked
    }

    fn wants(&self, log: &str) -> bool {
        let fits = |name: &String| if self.exact { log == name } else { log.contains(name) };
        !self.ignored && (self.names.is_empty() || self.names.iter().any(fits))
    }
}

#[expect(clippy::print_stdout, reason = "the list is the answer")]
fn list(asked: &Asked) {
    for log in LOGS.into_iter().filter(|log| asked.wants(log)) {
        println!("{log}: test");
    }
}

/// Runs the suite, prints its report and names what failed.
#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
async fn run(harness: &dyn Harness) -> Vec<String> {
    let report = conformance::run_all(harness).await;
    println!("{report}\n");
    report.failed().into_iter().map(|case| format!("{} · {case}", harness.name())).collect()
}
