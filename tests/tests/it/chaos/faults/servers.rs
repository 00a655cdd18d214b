//! What becomes of the log's servers.

use anyhow::Context as _;

use super::Bite;
use crate::chaos::stage::{Stage, streams};

/// How many attempts must have failed before the log comes back.
const FAILED: usize = 30;

/// A log's stream, the member that leads it, and another member.
async fn some_stream(stage: &mut Stage) -> anyhow::Result<(String, usize, usize)> {
    let mut all = streams();
    all.push("SY_BOARD".to_owned());
    let stream = all.swap_remove(stage.rng.below(all.len()));
    let leader = stage.cluster.nats.leader_of(&stream).await?;
    let witness = (leader + 1) % stage.cluster.nats.members();
    Ok((stream, leader, witness))
}

/// The server that leads a stream is killed, replaced, and started again.
pub(super) async fn killed(stage: &mut Stage) -> anyhow::Result<Bite> {
    let (stream, leader, witness) = some_stream(stage).await?;
    stage.cluster.nats.kill(leader)?;
    let next = stage.cluster.nats.leader_after(leader, witness, &stream).await?;
    // Two of three go on without it.
    stage.more(20, |_| true).await?;
    stage.cluster.nats.start_again(leader)?;
    stage.cluster.nats.ready().await?;
    Ok(Bite::new(next != leader, format!("{stream}: n{next} leads in place of n{leader}")))
}

/// The same server stands still instead.
pub(super) async fn frozen(stage: &mut Stage) -> anyhow::Result<Bite> {
    let (stream, leader, witness) = some_stream(stage).await?;
    stage.cluster.nats.freeze(leader)?;
    let next = stage.cluster.nats.leader_after(leader, witness, &stream).await;
    let went_on = stage.more(20, |_| true).await;
    stage.cluster.nats.thaw(leader)?;
    let next = next?;
    went_on?;
    stage.cluster.nats.ready().await?;
    Ok(Bite::new(next != leader, format!("{stream}: n{next} leads in place of n{leader}, frozen")))
}

/// All are killed at once, and started again when callers have felt it.
pub(super) async fn down(stage: &mut Stage) -> anyhow::Result<Bite> {
    let members = stage.cluster.nats.members();
    for member in 0..members {
        stage.cluster.nats.kill(member)?;
    }
    let since = stage.recorder().now();
    let failed = stage.workload.caller().failed();
    while stage.workload.caller().failed() < failed + FAILED {
        stage.workload.check()?;
        tokio::time::sleep(tests::api::LOOK_AGAIN_EVERY).await;
    }
    // Nothing can be acknowledged that was asked for meanwhile.
    let done = stage.recorder().count(|it| it.began.at >= since);
    for member in 0..members {
        stage.cluster.nats.start_again(member)?;
    }
    stage.cluster.nats.ready().await.context("NATS doesn't come back")?;
    let seen = format!("{FAILED} attempts failed, {done} of the calls begun meanwhile were done");
    if done > 0 {
        stage.recorder().violation(format!("{done} calls were acknowledged without a log"));
    }
    Ok(Bite::new(done == 0, seen))
}
