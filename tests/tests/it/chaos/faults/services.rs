//! What becomes of a service's leader.

use runtime::ServiceId;
use tests::api::until;
use tests::load::WORKSPACES;

use super::Bite;
use crate::chaos::asking;
use crate::chaos::stage::Stage;
use crate::chaos::workload::send_to;

const FENCED: &str = "switchyard_fencing_rejected_total";
/// How many calls wait for a frozen leader when it goes on.
const WAITING: usize = 40;

/// Killed, replaced, and started again.
pub(super) async fn killed(stage: &mut Stage) -> anyhow::Result<Bite> {
    let led = stage.some_leader().await?;
    let failed = stage.workload.caller().failed();
    stage.process(led.leader)?.kill().await?;
    let epoch = stage.taken_over(led).await?;
    stage.more(1, |it| led.holds(it)).await?;
    let failed = stage.workload.caller().failed() - failed;
    stage.process(led.leader)?.start_again().await?;
    let seen =
        format!("{}: epoch {} became {epoch}, {failed} attempts failed", led.leader, led.epoch);
    Ok(Bite::new(epoch > led.epoch, seen))
}

/// Frozen until another leads, and let go with calls that still wait for it: whatever it takes on, its log is no longer
/// its own.
pub(super) async fn frozen(stage: &mut Stage) -> anyhow::Result<Bite> {
    // Intake: calls can be sent to it that any leader would take on.
    let led = stage.some_leader_of(ServiceId::Intake).await?;
    let fenced = stage.process(led.leader)?.figure(FENCED).await?;
    stage.process(led.leader)?.freeze().await?;
    let epoch = stage.taken_over(led).await?;
    stage.more(1, |it| led.holds(it)).await?;
    let now = stage.recorder().now().as_millis();
    let tickets = (0..WAITING).flat_map(|number| {
        WORKSPACES
            .map(|workspace| asking::ticket(workspace, &format!("{workspace}-late-{now}-{number}")))
    });
    let mut sent = send_to(stage.workload.caller(), led.leader.instance, tickets.collect());
    // What was sent lies in its sockets when it wakes.
    tokio::task::yield_now().await;
    stage.process(led.leader)?.thaw().await?;
    while let Some(ended) = sent.join_next().await {
        ended?;
    }
    stage.cluster.whole().await?;
    let refused = stage.process(led.leader)?.figure(FENCED).await? - fenced;
    // The same process, which has not led since in the epoch that it had. It is a standby as soon as it has stepped
    // down, and loads then.
    let (asked, of) = (&*stage, led.leader);
    let of_partition = |at: &wire::common::v1::Position| at.partition == led.partition;
    let follows = until("the one that was frozen follows the next epoch", || async move {
        let status = asked.status(of).await?;
        let its = status.iter().find(|it| it.position.as_ref().is_some_and(of_partition));
        Ok(its.filter(|it| it.epoch >= epoch).map(|_| ()))
    });
    let has_followed = follows.await.is_ok();
    let seen = format!(
        "{}: epoch {} became {epoch} meanwhile, {refused} of its appends were refused",
        led.leader, led.epoch
    );
    let bite = Bite::new(epoch > led.epoch && has_followed, seen);
    Ok(Bite { refused_appends: super::whole_number(refused), ..bite })
}
