//! The demo: all its tickets are accounted for, each once, and its logs fold to the states that its services had.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::process::{run, run_for};
use tests::stack::every_state_compared;

/// Far more than it needs.
const WITHIN: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn every_ticket_of_the_file_is_accounted_for() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let data = data.to_str().context("a path that is no text")?;
    let ended = run_for(WITHIN, &["demo", "--json", "--data-dir", data]).await?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let figures: Value = serde_json::from_slice(&ended.stdout)?;
    let of = |name: &str| figures.get(name).and_then(Value::as_u64).context(name.to_owned());

    ensure!(of("tickets_opened")? == 890, "{figures}");
    let ended_up = of("tickets_resolved")? + of("tickets_open")? + of("tickets_unroutable")?;
    ensure!(ended_up == 890 && of("tickets_assigned")? >= 880, "{figures}");
    for name in ["offers_accepted", "offers_declined", "offers_expired", "notifications_delivered"]
    {
        ensure!(of(name)? > 0, "{name}: {figures}");
    }
    let clocks =
        of("sla_met")? + of("sla_breached")? + of("sla_cancelled")? + of("clocks_running")?;
    ensure!(clocks == of("clocks_started")?, "{figures}");

    every_state_compared(&run(&["verify", "-o", "json", "--data-dir", data]).await?)
}
