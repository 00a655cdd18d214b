//! What one workspace does takes turns with the others of its partition: a flood of calls, and a policy that changes
//! for all its tickets. Shown by the order in the log; the rates and times are told beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use runtime::{EVENTS_MAX, ServiceId, WAITING_OF_WORKSPACE_MAX, partition_of};
use serde_json::json;
use tests::api::{Api, LOOK_AGAIN_EVERY, new_id, reason_of, until};
use tests::call;
use tests::proof::read_partition;
use tests::stack::Stack;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use wire::common::v1::{Channel, Priority};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::sla::v1 as sla;

/// How many partitions `up` makes of each service.
const PARTITIONS: u16 = 4;
/// The workspace that has much to do.
const BUSY: &str = "busy";

/// A workspace in the busy one's partition.
fn neighbour() -> anyhow::Result<String> {
    let there = partition_of(BUSY, PARTITIONS);
    let names = (0..).map(|number| format!("calm-{number}")).take(1_000);
    let found = names.into_iter().find(|name| partition_of(name, PARTITIONS) == there);
    found.context("no name leads there")
}

async fn put_workspace(api: &Api, workspace: &str) -> anyhow::Result<()> {
    let put = intake::PutWorkspaceRequest {
        workspace: Some(intake::Workspace {
            workspace_id: workspace.to_owned(),
            display_name: workspace.to_owned(),
            default_priority: Priority::P3.into(),
            revision: 0,
        }),
        request_id: new_id(),
        expected_revision: 0,
    };
    call!(api, intake.put_workspace, put).await?;
    Ok(())
}

fn ticket(workspace: &str) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        requester: Some(events::Requester {
            requester_id: "r".to_owned(),
            ..events::Requester::default()
        }),
        subject: "It is slow".to_owned(),
        body: "As slow as can be".to_owned(),
        ..intake::CreateTicketRequest::default()
    }
}

/// The time that is longer than all but one in a hundred.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Callers who open tickets as fast as they are let.
struct Flood {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    callers: JoinSet<anyhow::Result<usize>>,
}

impl Flood {
    /// More calls in flight than a workspace may have waiting, on as many connections as they need.
    const CONNECTIONS: usize = 15;
    const OF_A_CONNECTION: usize = 200;

    fn start(stack: &Stack) -> anyhow::Result<Self> {
        let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut callers = JoinSet::new();
        for _ in 0..Self::CONNECTIONS {
            let api = stack.api()?;
            for _ in 0..Self::OF_A_CONNECTION {
                callers.spawn(caller(api.clone(), Arc::clone(&stop), Arc::clone(&refused)));
            }
        }
        Ok(Self { stop, refused, callers })
    }

    /// Ends it; returns how many tickets it opened.
    async fn end(mut self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::SeqCst);
        let mut opened = 0;
        while let Some(caller) = self.callers.join_next().await {
            opened += caller??;
        }
        Ok(opened)
    }
}

async fn caller(
    mut api: Api,
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
) -> anyhow::Result<usize> {
    let mut opened = 0;
    while !stop.load(Ordering::SeqCst) {
        match api.intake.create_ticket(ticket(BUSY)).await {
            Ok(_) => opened += 1,
            Err(status) => {
                let pause = share_is_taken(&status)?;
                refused.fetch_add(1, Ordering::SeqCst);
                sleep(pause).await;
            }
        }
    }
    Ok(opened)
}

/// That the refusal says whose share was taken, and how long to wait.
fn share_is_taken(status: &Status) -> anyhow::Result<Duration> {
    let info = status.get_details_error_info().context("no ErrorInfo")?;
    let limit = info.metadata.get("limit").cloned().unwrap_or_default();
    ensure!(status.code() == Code::ResourceExhausted && info.reason == "OVERLOADED", "{status:?}");
    ensure!(info.metadata.get("scope").is_some_and(|scope| scope == "workspace"), "{info:?}");
    ensure!(limit == WAITING_OF_WORKSPACE_MAX.to_string(), "{info:?}");
    let retry = status.get_details_retry_info().context("no RetryInfo")?;
    retry.retry_delay.context("no delay")
}

/// Opens tickets one after another; returns the time that each took.
async fn one_by_one(api: &Api, workspace: &str, calls: usize) -> anyhow::Result<Vec<Duration>> {
    let mut client = api.intake.clone();
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        client.create_ticket(ticket(workspace)).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Calls a second of several callers at once.
async fn rate(api: &Api, workspace: &str) -> anyhow::Result<f64> {
    const CALLERS: usize = 8;
    const CALLS: usize = 25;
    let began = Instant::now();
    let callers = (0..CALLERS).map(|_| one_by_one(api, workspace, CALLS));
    futures::future::try_join_all(callers).await?;
    let calls = u32::try_from(CALLERS * CALLS)?;
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_workspace_takes_turns_with_its_neighbour() -> anyhow::Result<()> {
    const CALLS: usize = 60;
    let stack = Stack::up(&[]).await?;
    let (api, calm) = (stack.api()?, neighbour()?);
    put_workspace(&api, BUSY).await?;
    put_workspace(&api, &calm).await?;
    let quiet_rate = rate(&api, &calm).await?;
    let mut quiet = one_by_one(&api, &calm, CALLS).await?;

    let flood = Flood::start(&stack)?;
    let refused = Arc::clone(&flood.refused);
    // From here on as many calls wait as may.
    until("a caller that is refused", || async {
        Ok((refused.load(Ordering::SeqCst) > 0).then_some(()))
    })
    .await?;
    let mut beside = one_by_one(&api, &calm, CALLS).await?;
    let beside_rate = rate(&api, &calm).await?;
    let refused = flood.refused.load(Ordering::SeqCst);
    let opened = flood.end().await?;

    let commits =
        read_partition(&api, ServiceId::Intake, partition_of(BUSY, PARTITIONS).into()).await?;
    let opened_in = commits
        .iter()
        .flat_map(|commit| &commit.events)
        .filter(|event| event.r#type == "TicketOpened")
        .map(|event| event.workspace.as_str());
    let mut between = overtaken(opened_in, &calm);
    let counted = u64::try_from(between.iter().filter(|count| **count > 0).count())?;
    between.sort_unstable();
    let typical = between.iter().rev().nth(CALLS / 2).copied().context("too few calls")?;
    let figures = json!({
        "quiet_calls_per_s": quiet_rate, "beside_a_flood_calls_per_s": beside_rate,
        "quiet_p99_ms": millis(p99(&mut quiet)), "beside_a_flood_p99_ms": millis(p99(&mut beside)),
        "flood_opened": opened, "flood_refused": refused,
        "of_the_flood_between_two_calls": typical, "calls_beside_it": counted,
    });
    println!("{figures}");
    // A commit on its way and the next one may be full when a call comes. In one line behind the flood it would wait
    // for all of it.
    ensure!(typical <= 2 * EVENTS_MAX, "{figures}");
    ensure!(typical < WAITING_OF_WORKSPACE_MAX / 2, "{figures}");
    stack.stop().await
}

/// How many of others stand between each two of `workspace`'s that follow one another.
fn overtaken<'a>(order: impl Iterator<Item = &'a str>, workspace: &str) -> Vec<usize> {
    let (mut between, mut others) = (Vec::new(), 0);
    for one in order {
        if one == workspace {
            between.push(std::mem::take(&mut others));
        } else {
            others += 1;
        }
    }
    between
}

/// A policy for priority P3; `number` makes each another one.
fn policy(workspace: &str, id: &str, filter: &str, number: i64) -> sla::PutPolicyRequest {
    let target = |metric: events::ClockMetric| sla::PolicyTarget {
        metric: metric.into(),
        priority: Priority::P3.into(),
        within: Some(prost_types::Duration { seconds: 3_600 + number, nanos: 0 }),
    };
    sla::PutPolicyRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        policy: Some(sla::Policy {
            policy_id: id.to_owned(),
            display_name: id.to_owned(),
            order: 1,
            filter: filter.to_owned(),
            targets: vec![
                target(events::ClockMetric::FirstReply),
                target(events::ClockMetric::TotalResolution),
            ],
            warn_at_permille: vec![500],
            revision: 0,
        }),
        expected_revision: 0,
    }
}

/// Puts as many policies with costly filters as are accepted; none ever holds. Returns how many.
async fn costly_policies(api: &Api, workspace: &str) -> anyhow::Result<usize> {
    // It holds for no element, so every one is looked at.
    let list = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let filter = format!("[{list}].exists(i, ticket.subject.contains('nowhere to be found'))");
    for number in 0..40 {
        let mut put = policy(workspace, &format!("costly-{number}"), &filter, 0);
        if let Some(policy) = &mut put.policy {
            policy.order = -1;
        }
        let Err(refused) = call!(api, sla.put_policy, put).await else { continue };
        ensure!(number > 0, "{refused:?}");
        ensure!(!reason_of(&refused).is_empty(), "{refused:?}");
        return Ok(number);
    }
    Ok(40)
}

/// Puts a policy of the neighbour again and again, until `enough`; returns the time that each took.
async fn put_again(
    api: &Api,
    workspace: &str,
    mut number: i64,
    mut enough: impl AsyncFnMut(usize) -> anyhow::Result<bool>,
) -> anyhow::Result<Vec<Duration>> {
    let mut client = api.sla.clone();
    let mut times = Vec::new();
    while !enough(times.len()).await? {
        number += 1;
        let began = Instant::now();
        client.put_policy(policy(workspace, "p", "", number)).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// What the first reply to a ticket of the busy workspace is promised within, in seconds.
async fn promised(api: &Api, ticket: &str) -> anyhow::Result<Option<i64>> {
    let of = sla::GetClocksRequest { workspace_id: BUSY.to_owned(), ticket_id: ticket.to_owned() };
    let clocks = api.sla.clone().get_clocks(of).await?.into_inner().clocks;
    let first = clocks.iter().find(|it| it.metric() == events::ClockMetric::FirstReply);
    Ok(first.and_then(|clock| clock.target.as_ref()).map(|target| target.seconds))
}

/// Opens the busy workspace's tickets from one number to another; a sweep takes them in this order.
async fn open_numbered(api: &Api, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    for number in numbers {
        let asked = intake::CreateTicketRequest { ticket_id: numbered(number), ..ticket(BUSY) };
        call!(api, intake.create_ticket, asked).await?;
    }
    Ok(())
}

fn numbered(ticket: usize) -> String {
    format!("t-{ticket:05}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_for_3000_tickets_lets_the_neighbour_in() -> anyhow::Result<()> {
    const TICKETS: usize = 3_000;
    const QUIET: usize = 150;
    let stack = Stack::up(&[]).await?;
    let (api, calm) = (stack.api()?, neighbour()?);
    put_workspace(&api, BUSY).await?;
    put_workspace(&api, &calm).await?;
    let share = TICKETS / 20;
    let lanes = (0..20).map(|lane| open_numbered(&api, lane * share..(lane + 1) * share));
    futures::future::try_join_all(lanes).await?;
    let costly = costly_policies(&api, BUSY).await?;
    api.rest().await?;
    let mut quiet = put_again(&api, &calm, 0, async |calls| Ok(calls >= QUIET)).await?;

    let began = Instant::now();
    api.sla.clone().put_policy(policy(BUSY, "p", "", 7)).await?;
    let answered = began.elapsed();
    let swept = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn({
        let (api, swept) = (api.clone(), Arc::clone(&swept));
        async move {
            while promised(&api, &numbered(TICKETS - 1)).await? != Some(3_607) {
                sleep(LOOK_AGAIN_EVERY).await;
            }
            swept.store(true, Ordering::SeqCst);
            anyhow::Ok(began.elapsed())
        }
    });
    let number = i64::try_from(QUIET)?;
    let mut beside =
        put_again(&api, &calm, number, async |_| Ok(swept.load(Ordering::SeqCst))).await?;
    let lasted = watching.await??;

    let commits =
        read_partition(&api, ServiceId::Sla, partition_of(BUSY, PARTITIONS).into()).await?;
    let written: Vec<_> = commits.iter().flat_map(|commit| &commit.events).collect();
    let put =
        written.iter().rposition(|event| event.workspace == BUSY && event.r#type == "PolicyPut");
    let sweep = written.get(put.context("no policy was put")?..).context("no sweep")?;
    let mut retargeted: BTreeMap<&str, usize> = BTreeMap::new();
    for event in sweep.iter().filter(|event| event.r#type == "ClockRetargeted") {
        *retargeted.entry(&event.entity).or_default() += 1;
    }
    let steps =
        |event: &&&events::Event| event.r#type == "PoliciesApplied" && event.workspace == BUSY;
    let count = sweep.iter().filter(steps).count();
    let last = sweep.iter().rposition(|event| steps(&event)).context("no step")?;
    let order = sweep
        .iter()
        .take(last)
        .filter(|event| steps(event) || event.workspace == calm && event.r#type == "PolicyPut");
    let mut between = overtaken(order.map(|event| event.workspace.as_str()), &calm);
    let calls_meanwhile = between.len();
    between.sort_unstable();
    let typical = between.get(calls_meanwhile / 2).copied();
    let (quiet_p99, beside_p99) = (p99(&mut quiet), p99(&mut beside));
    let figures = json!({
        "costly_policies": costly, "put_answered_ms": millis(answered),
        "sweep_ms": millis(lasted), "steps": count, "calls_meanwhile": calls_meanwhile,
        "steps_between_two_calls": typical,
        "quiet_p99_ms": millis(quiet_p99), "beside_a_sweep_p99_ms": millis(beside_p99),
    });
    println!("{figures}");
    ensure!(retargeted.len() == TICKETS, "{} tickets: {figures}", retargeted.len());
    ensure!(retargeted.values().all(|clocks| *clocks == 3), "each clock once: {figures}");
    ensure!(count >= TICKETS / 50 && calls_meanwhile >= 10, "{figures}");
    // Of the sweep one step, at most a few, goes before a call that comes.
    ensure!(typical.is_some_and(|steps| steps <= 8), "{figures}");
    stack.stop().await
}
