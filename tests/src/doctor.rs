//! `switchyard doctor`, asked by tests.

use anyhow::Context as _;
use serde_json::Value;

use crate::process::run;

/// Runs the doctor: whether all is well, and its lines.
pub async fn doctor(arguments: &[&str]) -> anyhow::Result<(bool, Vec<Value>)> {
    let all = [&["doctor", "-o", "json"], arguments].concat();
    let ended = run(&all).await?;
    let lines = serde_json::from_slice(&ended.stdout)
        .with_context(|| String::from_utf8_lossy(&ended.stderr).into_owned())?;
    Ok((ended.status.success(), lines))
}

/// A text of a line.
pub fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The lines that say that something is wrong.
pub fn wrong(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| text(line, "verdict") == "wrong").collect()
}
