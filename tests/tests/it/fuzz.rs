//! Every method of every service, called with what a seed makes up: good requests, bad fields, bytes that are no
//! message, frames and headers that are none. Whatever is sent, the server goes on, says what was wrong by the
//! contract's words, writes nothing of what it refuses, and serves the neighbours as before.
//!
//! `SWITCHYARD_FUZZ_CALLS` and `SWITCHYARD_FUZZ_SEED` say how much and what. A failure names both, and shows the call.

mod book;
mod draw;
mod judge;
mod known;
mod methods;
mod neighbour;
mod plan;
mod run;
mod shape;
mod show;
mod wire;
mod words;

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use prost_types::Timestamp;
use tests::stack::Stack;

use run::Run;

/// How many calls are made, unless told otherwise.
const CALLS: usize = 2_000;
/// Where the clock stands at first: so long ago, so that it can be moved without passing the real time.
const BEHIND: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The last second that a clock may be moved to.
const END_OF_TIME: i64 = 16_725_225_599;

fn setting(name: &str) -> anyhow::Result<Option<u64>> {
    let value = std::env::var(name).ok();
    value
        .map(|text| text.parse().with_context(|| format!("{name} is no number: {text}")))
        .transpose()
}

fn seconds(time: SystemTime) -> anyhow::Result<i64> {
    Ok(i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_the_server_goes_on() -> anyhow::Result<()> {
    let calls = setting("SWITCHYARD_FUZZ_CALLS")?.map_or(Ok(CALLS), usize::try_from)?;
    let seed = setting("SWITCHYARD_FUZZ_SEED")?.unwrap_or(1);
    let begin = seconds(SystemTime::now() - BEHIND)?;
    let now = Timestamp { seconds: begin, nanos: 0 }.to_string();
    let stack = Stack::up(&["--dev", "--clock", "manual", "--now", &now]).await?;
    let ended = fuzz(&stack, calls, seed).await;
    ended.with_context(|| format!("SWITCHYARD_FUZZ_SEED={seed} SWITCHYARD_FUZZ_CALLS={calls}"))?;
    // Every log, folded again, gives the state that its leader had.
    stack.stop().await
}

async fn fuzz(stack: &Stack, calls: usize, seed: u64) -> anyhow::Result<()> {
    let api = stack.api()?;
    let neighbour = neighbour::move_in(&api).await?;
    let mut run = Run::begin(stack, &neighbour, seed).await?;
    run.calls(calls).await?;
    run.cover().await?;
    run.check().await.context("after the calls")?;
    neighbour.is_undisturbed(&api, seconds(SystemTime::now())?).await?;
    // And once more where time ends.
    run.advance(END_OF_TIME).await?;
    run.calls(calls / 10).await.context("at the end of time")?;
    run.check().await.context("at the end of time")?;
    report(&run);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was tried is half of what this is run for")]
fn report(run: &Run<'_>) {
    println!("{}", run.summary());
}
