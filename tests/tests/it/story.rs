//! The end-to-end story: in one process on the embedded log, and over four processes and NATS; told in Rust and in
//! Python.

use std::path::Path;

use anyhow::{Context as _, ensure};
use tests::receiver::{Receiver, SECRET};
use tests::stack::Stack;
use tests::story::{tell, ticket};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_the_embedded_log() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    stories(&stack).await.with_context(|| stack.said())?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_on_nats() -> anyhow::Result<()> {
    let stack = Stack::four(&[]).await?;
    stories(&stack).await.with_context(|| stack.said())?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_survives_a_stop_and_verifies() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let receiver = Receiver::start().await?;
    let told = tell(&stack.api()?, "kept", &receiver).await?;
    let before = ticket(&stack.api()?, &told.workspace, &told.ticket_id).await?;
    let webhooks = receiver.received().delivered;
    let process = &mut stack.processes[0];
    ensure!(process.stop().await?.success(), "{}", process.said());
    let data = stack.directory().join("up").display().to_string();
    let verified = tests::process::run(&["verify", "--data-dir", &data]).await?;
    ensure!(verified.status.success(), "verify: {verified:?}");
    // Without its snapshots, the state comes from the log alone.
    std::fs::remove_dir_all(stack.directory().join("up/snapshots"))?;
    stack.processes[0].start_again().await?;
    let after = ticket(&stack.api()?, &told.workspace, &told.ticket_id).await?;
    ensure!(before == after, "before: {before:?}, after: {after:?}");
    stack.api()?.rest().await?;
    ensure!(receiver.received().delivered == webhooks, "a replay has sent something");
    stack.stop().await
}

async fn stories(stack: &Stack) -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    tell(&stack.api()?, "rust", &receiver).await.context("the story in Rust")?;
    in_python(stack, &receiver, &[]).await?;
    // And again, with what is there already.
    in_python(stack, &receiver, &["--expect-previous"]).await
}

async fn in_python(stack: &Stack, receiver: &Receiver, more: &[&str]) -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = if let Ok(python) = std::env::var("SWITCHYARD_PYTHON") {
        python
    } else {
        let made = Command::new(here.join("python-env")).output().await?;
        ensure!(made.status.success(), "python-env: {}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout)?.trim().to_owned()
    };
    let addresses = stack.addresses();
    let told = Command::new(python)
        .arg("-B")
        .arg(here.join("python/story.py"))
        .args(["--intake", &addresses.intake, "--routing", &addresses.routing])
        .args(["--sla", &addresses.sla, "--notify", &addresses.notify])
        .args(["--webhook-url", &receiver.url(), "--webhook-secret", SECRET])
        .args(["--receiver", receiver.address(), "--workspace", "python"])
        .args(more)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [told.stdout, told.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    ensure!(told.status.success(), "the story in Python: {}", said.concat());
    Ok(())
}
