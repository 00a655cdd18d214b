//! `switchyard bench` at a tiny scale: it measures what it says and says it as promised. Goals are for a quiet machine,
//! not for a test.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::process;

/// Far more than it needs.
const WITHIN: Duration = Duration::from_secs(600);

const NAMES: [&str; 12] = [
    "create/1",
    "create/64",
    "create/256",
    "echo/64",
    "append",
    "replay",
    "e2e",
    "restart/snapshot",
    "restart/cold",
    "memory/intake",
    "memory/routing",
    "memory/sla",
];
/// Those that stand for themselves, without a floor.
const ABSOLUTE: [&str; 2] = ["restart/", "memory/"];

#[tokio::test]
async fn every_figure_is_measured_beside_its_floor() -> anyhow::Result<()> {
    let output =
        process::run_for(WITHIN, &["bench", "--json", "--scale", "0.005", "--runs", "1"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let names: Vec<_> = figures.iter().filter_map(|figure| figure["name"].as_str()).collect();
    assert_eq!(names, NAMES);
    for figure in &figures {
        let name = figure["name"].as_str().context("a name")?;
        let number =
            |field: &str| figure[field].as_f64().with_context(|| format!("{name} {field}"));
        let value = number("value")?;
        ensure!(value.is_finite() && value >= 0.0, "{figure}");
        ensure!(figure["unit"].is_string() && figure["goal"].is_string(), "{figure}");
        ensure!(number("runs")? >= 1.0 && number("scale")? < 1.0, "{figure}");
        ensure!(figure["met"].is_null(), "a goal is judged at a small scale: {figure}");
        if ABSOLUTE.iter().any(|family| name.starts_with(family)) {
            ensure!(figure["ratio"].is_null(), "{figure}");
            continue;
        }
        let (floor, ratio) = (number("floor_value")?, number("ratio")?);
        ensure!(value > 0.0 && floor > 0.0 && ratio.is_finite() && ratio > 0.0, "{figure}");
    }
    Ok(())
}

#[tokio::test]
async fn a_part_can_be_asked_for_and_what_it_is_not_is_refused() -> anyhow::Result<()> {
    let output =
        process::run_for(WITHIN, &["bench", "append", "--scale", "0.01", "--runs", "1"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout)?;
    ensure!(shown.contains("append") && !shown.contains("create/1"), "{shown}");
    ensure!(shown.contains("measured at scale 0.01"), "{shown}");
    for wrong in [["bench", "speed"], ["bench", "--scale=0"], ["bench", "--runs=0"]] {
        ensure!(!process::run(&wrong).await?.status.success(), "{wrong:?}");
    }
    Ok(())
}
