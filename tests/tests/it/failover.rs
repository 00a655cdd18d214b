//! Two instances of every service under load, and each way in which one of them, or a server of the log, may go: no
//! call is lost or done twice. `tests/failover` runs it. Prints for each how long a service acknowledged nothing, as
//! JSON lines; none of these times is asserted.

#![expect(clippy::indexing_slicing, reason = "a test fails by it")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use serde_json::json;
use tests::api::until;
use tests::cluster::{At, Cluster, INSTANCES};
use tests::load::{Figures, Load};
use tests::nats::Nats;
use tokio::time::{Instant, timeout};

/// How many calls are acknowledged in quiet before and between.
const QUIET: usize = 60;
/// Counts the appends that the log refused since another wrote to it.
const FENCED: &str = "switchyard_fencing_rejected_total";
const WITHIN: Duration = Duration::from_secs(420);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on a quiet machine: tests/failover runs it"]
async fn instances_die_stop_freeze_and_are_exchanged() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let url = nats.url();
    let mut cluster = Cluster::start(nats, &url).await?;
    let ran = timeout(WITHIN, come_and_go(&mut cluster)).await.context("it took too long");
    let figures = ran.and_then(|ran| ran).with_context(|| cluster.said())?;
    report("all", None, &figures_json(figures));
    cluster.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on a quiet machine: tests/failover runs it"]
async fn a_stream_s_leader_is_killed() -> anyhow::Result<()> {
    let nats = Nats::start_cluster().await?;
    let url = nats.url();
    let mut cluster = Cluster::start(nats, &url).await?;
    let ran = timeout(WITHIN, lose_a_server(&mut cluster)).await.context("it took too long");
    let figures = ran.and_then(|ran| ran).with_context(|| cluster.said())?;
    report("all", None, &figures_json(figures));
    cluster.stop().await
}

async fn come_and_go(cluster: &mut Cluster) -> anyhow::Result<Figures> {
    let sides = cluster.sides()?;
    let mut load = Load::start(cluster.client()?, &sides[0]).await?;
    for service in ServiceId::ALL {
        killed(cluster, &mut load, service).await.with_context(|| format!("killing {service}"))?;
    }
    drained(cluster, &mut load).await.context("draining")?;
    frozen(cluster, &mut load).await.context("freezing")?;
    exchanged(cluster, &mut load).await.context("exchanging all")?;
    load.finish(&sides).await
}

/// The leader of a service's first partition dies as by `kill -9`, and comes back later.
async fn killed(cluster: &mut Cluster, load: &mut Load, service: ServiceId) -> anyhow::Result<()> {
    cluster.whole().await?;
    load.more(QUIET).await?;
    let leader = cluster.leaders(service).await?[0];
    let since = Instant::now();
    cluster.process(leader)?.kill().await?;
    others_lead(cluster, leader).await?;
    load.all_answered(service, Instant::now()).await?;
    report("service leader killed", Some(service), &json!({ "gap": gap(load, service, since) }));
    cluster.process(leader)?.start_again().await
}

/// The leader is asked to stop.
async fn drained(cluster: &mut Cluster, load: &mut Load) -> anyhow::Result<()> {
    let service = ServiceId::Intake;
    cluster.whole().await?;
    load.more(QUIET).await?;
    let leader = cluster.leaders(service).await?[0];
    let since = Instant::now();
    let ended = cluster.process(leader)?.stop().await?;
    ensure!(ended.success(), "it ended with {ended}");
    others_lead(cluster, leader).await?;
    load.all_answered(service, Instant::now()).await?;
    report("planned drain", Some(service), &json!({ "gap": gap(load, service, since) }));
    cluster.process(leader)?.start_again().await
}

/// The leader stands still for longer than its notice stands, and then goes on as if nothing had been.
async fn frozen(cluster: &mut Cluster, load: &mut Load) -> anyhow::Result<()> {
    let service = ServiceId::Routing;
    cluster.whole().await?;
    load.more(QUIET).await?;
    let leader = cluster.leaders(service).await?[0];
    let fenced = cluster.process(leader)?.figure(FENCED).await?;
    let since = Instant::now();
    cluster.process(leader)?.freeze().await?;
    others_lead(cluster, leader).await?;
    load.all_answered(service, Instant::now()).await?;
    let gap = gap(load, service, since);
    cluster.process(leader)?.thaw().await?;
    // It has stepped down: every partition has one leader and one standby again.
    cluster.whole().await?;
    // What it still took on was refused by the log, unless it heard of the other first.
    let refused = cluster.process(leader)?.figure(FENCED).await? - fenced;
    let figures = json!({ "gap": gap, "refused_appends": refused });
    report("leader frozen past its lease", Some(service), &figures);
    Ok(())
}

/// Every instance is stopped and started again, one after the other.
async fn exchanged(cluster: &mut Cluster, load: &mut Load) -> anyhow::Result<()> {
    for service in ServiceId::ALL {
        let since = Instant::now();
        for instance in 0..INSTANCES {
            cluster.whole().await?;
            let at = At { service, instance };
            let ended = cluster.process(at)?.stop().await?;
            ensure!(ended.success(), "{at:?} ended with {ended}");
            cluster.process(at)?.start_again().await?;
        }
        cluster.whole().await?;
        load.all_answered(service, Instant::now()).await?;
        let gap = gap(load, service, since);
        report("rolling restart", Some(service), &json!({ "gap": gap }));
    }
    Ok(())
}

async fn lose_a_server(cluster: &mut Cluster) -> anyhow::Result<Figures> {
    let sides = cluster.sides()?;
    let mut load = Load::start(cluster.client()?, &sides[0]).await?;
    for stream in ["SY_INTAKE_00", "SY_BOARD"] {
        cluster.whole().await?;
        load.more(QUIET).await?;
        let member = cluster.nats.leader_of(stream).await?;
        let since = Instant::now();
        cluster.nats.kill(member)?;
        for service in ServiceId::ALL {
            load.all_answered(service, Instant::now()).await?;
        }
        let gaps = ServiceId::ALL.map(|service| (service.name(), gap(&load, service, since)));
        let gaps: serde_json::Map<_, _> =
            gaps.into_iter().map(|(name, gap)| (name.to_owned(), gap.into())).collect();
        report("NATS stream leader killed", None, &json!({ "stream": stream, "gaps": gaps }));
        cluster.nats.start_again(member)?;
        cluster.nats.ready().await?;
    }
    load.finish(&sides).await
}

/// Waits until all that an instance led is led by others.
async fn others_lead(cluster: &Cluster, gone: At) -> anyhow::Result<()> {
    until("others lead", || async {
        let leaders = cluster.leaders(gone.service).await?;
        Ok((!leaders.contains(&gone)).then_some(()))
    })
    .await
}

/// Seconds without success.
fn gap(load: &Load, service: ServiceId, since: Instant) -> f64 {
    load.longest_gap(service, since).as_secs_f64()
}

fn figures_json(figures: Figures) -> serde_json::Value {
    let Figures { calls, repeated, records, tickets, epochs } = figures;
    json!({ "calls": calls, "repeated": repeated, "records": records, "tickets": tickets, "epochs": epochs })
}

#[expect(clippy::print_stdout, reason = "the figures are what this is run for")]
fn report(what: &str, service: Option<ServiceId>, figures: &serde_json::Value) {
    let service = service.map(ServiceId::name);
    println!("{}", json!({ "fault": what, "service": service, "figures": figures }));
}
