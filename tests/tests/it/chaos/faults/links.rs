//! What becomes of connections.

use tests::api::until;
use tests::proxy::{LATE, Mode, Proxy};

use super::Bite;
use crate::chaos::stage::Stage;

/// How many calls go over a slow link.
const SLOW_CALLS: usize = 12;

/// Cuts what connects a leader with the log: for a moment, or for so long that another leads; or what connects it with
/// its callers.
pub(super) async fn cut(stage: &mut Stage) -> anyhow::Result<Bite> {
    match stage.rng.below(3) {
        0 => from_callers(stage).await,
        1 => from_the_log(stage, false).await,
        _ => from_the_log(stage, true).await,
    }
}

async fn from_callers(stage: &mut Stage) -> anyhow::Result<Bite> {
    let led = stage.some_leader().await?;
    let failed = stage.workload.caller().failed();
    let front = stage.front(led.leader)?;
    let severed = front.severed();
    front.set(Mode::Cut);
    until("the callers' connections are cut", || async {
        Ok((front.severed() > severed).then_some(()))
    })
    .await?;
    let severed = front.severed() - severed;
    let caller = stage.workload.caller();
    until("calls have failed", || async { Ok((caller.failed() > failed).then_some(())) }).await?;
    front.set(Mode::Pass);
    let failed = stage.workload.caller().failed() - failed;
    let seen =
        format!("{} lost {severed} connections with callers, {failed} attempts failed", led.leader);
    Ok(Bite::new(severed > 0 && failed > 0, seen))
}

async fn from_the_log(stage: &mut Stage, for_long: bool) -> anyhow::Result<Bite> {
    let led = stage.some_leader().await?;
    let before = severed(stage.links(led.leader));
    let connections = connections(stage.links(led.leader));
    stage.links(led.leader).iter().for_each(|proxy| proxy.set(Mode::Cut));
    let cut = until("the connections with the log are cut", || async {
        Ok((severed(stage.links(led.leader)) > before).then_some(()))
    })
    .await;
    let taken = if for_long { Some(stage.taken_over(led).await) } else { None };
    stage.pass(led.leader);
    cut?;
    let epoch = taken.transpose()?;
    until("it is connected again", || async {
        let now = self::connections(stage.links(led.leader));
        Ok((now > connections).then_some(()))
    })
    .await?;
    stage.more(1, |it| led.holds(it)).await?;
    let lost = severed(stage.links(led.leader)) - before;
    let seen = match epoch {
        Some(epoch) => format!(
            "{} lost {lost} connections with the log, epoch {} became {epoch}",
            led.leader, led.epoch
        ),
        None => format!("{} lost {lost} connections with the log for a moment", led.leader),
    };
    Ok(Bite::new(lost > 0 && epoch.is_none_or(|epoch| epoch > led.epoch), seen))
}

/// What a leader says to its log, and is told, is late for some calls.
pub(super) async fn slow(stage: &mut Stage) -> anyhow::Result<Bite> {
    let led = stage.some_leader().await?;
    let before = delayed(stage.links(led.leader));
    stage.links(led.leader).iter().for_each(|proxy| proxy.set(Mode::Slow));
    let since = stage.recorder().now();
    let waited = stage.more(SLOW_CALLS, |it| led.holds(it) && it.began.at >= since).await;
    stage.pass(led.leader);
    waited?;
    let late = delayed(stage.links(led.leader)) - before;
    let took = stage.recorder().latencies(since, |it| led.holds(it));
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let seen = format!("{late} pieces of {} came late, a call took {median:?}", led.leader);
    // There and back again.
    Ok(Bite::new(late > 0 && median >= LATE * 2, seen))
}

fn severed(links: &[Proxy]) -> usize {
    links.iter().map(Proxy::severed).sum()
}

fn delayed(links: &[Proxy]) -> usize {
    links.iter().map(Proxy::delayed).sum()
}

fn connections(links: &[Proxy]) -> usize {
    links.iter().map(Proxy::connections).sum()
}
