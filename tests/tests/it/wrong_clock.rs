//! A wall clock that is wrong, for a moment, over a restart, or on another instance: no log's time follows it, nothing
//! that was acknowledged is lost, timers hold meanwhile, and an operator sees it and can end it.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use serde_json::Value;
use tempfile::TempDir;
use tests::api::{Api, new_id, until};
use tests::call;
use tests::nats::Nats;
use tests::process::{Process, run};
use tests::proof::History;
use tests::stack::Stack;
use wire::admin::v1::{ClockDoubtKind, GetTimeRequest};
use wire::common::v1::{Channel, Priority};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

const WORKSPACE: &str = "default";
const HOUR_MS: i64 = 3_600_000;
const YEARS_MS: i64 = 20 * 365 * 24 * HOUR_MS;
/// By how much the times of two tickets of one test may differ: more than it takes, far less than any step.
const NEAR_S: i64 = 1_200;

/// A file that sets a server's clock off.
struct Offset(PathBuf);

impl Offset {
    fn new(directory: &TempDir, offset_ms: i64) -> anyhow::Result<Self> {
        let offset = Self(directory.path().join("clock-offset"));
        offset.set(offset_ms)?;
        Ok(offset)
    }

    fn set(&self, offset_ms: i64) -> anyhow::Result<()> {
        Ok(std::fs::write(&self.0, format!("{offset_ms}\n"))?)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

/// `up` whose clock a file sets off.
async fn up(offset_ms: i64) -> anyhow::Result<(Stack, Offset)> {
    let directory = tempfile::tempdir()?;
    let offset = Offset::new(&directory, offset_ms)?;
    let path = offset.path();
    let arguments = ["--dev", "--clock-offset-file", &path, "--metrics-listen", "127.0.0.1:0"];
    Ok((Stack::up_in(directory, &arguments).await?, offset))
}

/// Promises a first reply within an hour.
async fn promise(api: &Api) -> anyhow::Result<()> {
    let put = sla::PutPolicyRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        policy: Some(sla::Policy {
            policy_id: "hour".to_owned(),
            targets: vec![sla::PolicyTarget {
                metric: events::ClockMetric::FirstReply.into(),
                priority: Priority::P2.into(),
                within: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
            }],
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, sla.put_policy, put).await.context("policy")?;
    Ok(())
}

fn ticket(subject: &str) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        subject: subject.to_owned(),
        body: "Please help.".to_owned(),
        priority: Priority::P2.into(),
        requester: Some(events::Requester { name: "Grace".to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

/// Opens a ticket, and returns when it was opened and when its first reply is due, in seconds since 1970.
async fn open(api: &Api, subject: &str) -> anyhow::Result<(i64, i64)> {
    let ticket_id = call!(api, intake.create_ticket, ticket(subject)).await?.ticket_id;
    let get = || intake::GetTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        by: Some(intake::get_ticket_request::By::TicketId(ticket_id.clone())),
    };
    let opened = call!(api, intake.get_ticket, get()).await?.ticket.context("no ticket")?;
    let opened = opened.opened_at.context("no time")?.seconds;
    let get = || sla::GetClocksRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: ticket_id.clone(),
    };
    let due = until("the first reply is promised", || async {
        // Sla may not have heard of the ticket yet.
        let Ok(reply) = call!(api, sla.get_clocks, get()).await else { return Ok(None) };
        Ok(reply.clocks.iter().find_map(|clock| clock.due_at.map(|due| due.seconds)))
    })
    .await?;
    Ok((opened, due))
}

/// What speaks against a server's time.
async fn doubts(api: &Api) -> anyhow::Result<Vec<ClockDoubtKind>> {
    let reply = api.clock(ServiceId::Intake).get_time(GetTimeRequest::default()).await?;
    Ok(reply.into_inner().doubts.iter().map(wire::admin::v1::ClockDoubt::kind).collect())
}

/// The server's time, in milliseconds since 1970.
async fn now_ms(api: &Api) -> anyhow::Result<i64> {
    let reply = api.clock(ServiceId::Intake).get_time(GetTimeRequest::default()).await?;
    let now = reply.into_inner().now.context("no time")?;
    Ok(now.seconds * 1000 + i64::from(now.nanos / 1_000_000))
}

/// Sets an agent's presence for so many seconds.
async fn appear(api: &Api, seconds: i64) -> anyhow::Result<()> {
    let set = routing::SetPresenceRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        agent_id: "ada".to_owned(),
        presence: events::Presence::Available.into(),
        lease: Some(prost_types::Duration { seconds, nanos: 0 }),
    };
    call!(api, routing.set_presence, set).await.context("presence")?;
    Ok(())
}

async fn is_there(api: &Api) -> anyhow::Result<bool> {
    let get =
        routing::GetAgentRequest { workspace_id: WORKSPACE.to_owned(), agent_id: "ada".to_owned() };
    let agent = call!(api, routing.get_agent, get).await?.agent.context("no agent")?;
    Ok(agent.presence() == events::Presence::Available)
}

async fn put_ada(api: &Api) -> anyhow::Result<()> {
    let put = routing::PutAgentRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        agent: Some(routing::Agent { agent_id: "ada".to_owned(), ..Default::default() }),
        expected_revision: 0,
    };
    call!(api, routing.put_agent, put).await.context("agent")?;
    Ok(())
}

fn near(one: (i64, i64), other: (i64, i64)) -> anyhow::Result<()> {
    let apart = (one.0.abs_diff(other.0), one.1.abs_diff(other.1));
    let most = NEAR_S.unsigned_abs();
    ensure!(apart.0 < most && apart.1 < most, "opened and due {apart:?} s apart");
    Ok(())
}

async fn until_doubted(api: &Api, wanted: &[ClockDoubtKind]) -> anyhow::Result<()> {
    until("the doubt is as it should be", || async {
        let now: std::collections::BTreeSet<i32> =
            doubts(api).await?.into_iter().map(i32::from).collect();
        let wanted: std::collections::BTreeSet<i32> =
            wanted.iter().map(|kind| i32::from(*kind)).collect();
        Ok((now == wanted).then_some(()))
    })
    .await
}

/// The server's clock steps and comes back; a ticket is opened before, meanwhile and after.
async fn step_and_back(stack: &Stack, offset: &Offset, step_ms: i64) -> anyhow::Result<()> {
    let api = stack.api()?;
    let server = stack.processes.first().context("no server")?;
    let before = open(&api, "before").await?;
    appear(&api, 2).await?;
    let lease_over = now_ms(&api).await? + 2_000;
    offset.set(step_ms)?;
    let during = open(&api, "while the clock is wrong").await?;
    near(before, during)?;
    ensure!(doubts(&api).await? == [ClockDoubtKind::Step], "{:?}", doubts(&api).await?);
    let status = api.status(ServiceId::Sla).await?;
    let held = status.iter().all(|one| one.ready && one.time_doubt.starts_with("timers hold"));
    ensure!(held, "{status:?}");
    ensure!(server.figure("switchyard_clock_doubtful").await? > 0.5, "no figure says so");
    ensure!(server.figure("switchyard_timers_held").await? >= 16.0, "some timers don't hold");
    // The lease is over by the time that is believed, and nobody says so.
    until("the time goes on", || async { Ok((now_ms(&api).await? > lease_over).then_some(())) })
        .await?;
    ensure!(is_there(&api).await?, "a timer went off while the clock was in doubt");
    offset.set(0)?;
    until_doubted(&api, &[]).await?;
    until("the lease is over", || async { Ok((!is_there(&api).await?).then_some(())) }).await?;
    near(before, open(&api, "after").await?)?;
    ensure!(server.figure("switchyard_clock_doubtful").await? < 0.5, "a figure still says so");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_under_a_wrong_clock_moves_no_time_and_loses_nothing() -> anyhow::Result<()> {
    let (mut stack, offset) = up(0).await?;
    let api = stack.api()?;
    promise(&api).await?;
    put_ada(&api).await?;
    for step in [YEARS_MS, -HOUR_MS] {
        step_and_back(&stack, &offset, step).await.with_context(|| stack.said())?;
    }
    // One line when a doubt begins, and one when it ends.
    let said = stack.said_all();
    for line in ["the wall clock was set", "the wall clock agrees with the time since boot again"] {
        ensure!(said.matches(line).count() == 2, "{line:?}: {said}");
    }
    let before = open(&api, "before the restart").await?;
    for process in &mut stack.processes {
        process.stop().await?;
        process.start_again().await?;
    }
    near(before, open(&api, "after the restart").await?)?;
    ensure!(doubts(&api).await?.is_empty(), "{:?}", doubts(&api).await?);
    let list = intake::ListTicketsRequest {
        workspace_id: WORKSPACE.to_owned(),
        page_size: 100,
        ..Default::default()
    };
    let tickets = call!(api, intake.list_tickets, list).await?.tickets;
    ensure!(tickets.len() == 8, "{} tickets of 8", tickets.len());
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_behind_the_log_at_the_start_is_doubted_until_it_is_right() -> anyhow::Result<()> {
    let (mut stack, offset) = up(0).await?;
    let api = stack.api()?;
    promise(&api).await?;
    let before = open(&api, "before").await?;
    let server = stack.processes.first_mut().context("no server")?;
    server.stop().await?;
    offset.set(-HOUR_MS)?;
    server.start_again().await?;
    let during = open(&api, "while the clock is behind").await?;
    near(before, during)?;
    until_doubted(&api, &[ClockDoubtKind::LogAhead]).await?;
    offset.set(0)?;
    until_doubted(&api, &[]).await?;
    near(before, open(&api, "after").await?)?;
    // And an operator can say that the clock is right although it was set.
    offset.set(-HOUR_MS)?;
    until_doubted(&api, &[ClockDoubtKind::Step]).await?;
    let address = stack.processes.first().context("no server")?.address().to_owned();
    let (shown, _) = clock(&["status", "--address", &address]).await?;
    ensure!(shown.pointer("/doubts/0/kind") == Some(&"CLOCK_DOUBT_KIND_STEP".into()), "{shown}");
    let accept =
        ["accept", "--address", &address, "--by", "olga", "--reason", "it was an hour ahead"];
    let (accepted, _) = clock(&accept).await?;
    ensure!(accepted["accepted"].as_array().is_some_and(|all| all.len() == 1), "{accepted}");
    until_doubted(&api, &[]).await?;
    let (accepted, _) = clock(&accept).await?;
    ensure!(accepted.get("accepted").is_none_or(|all| *all == serde_json::json!([])), "{accepted}");
    // The log's time doesn't go back with it.
    near(before, open(&api, "after the acceptance").await?)?;
    stack.stop().await
}

/// Runs `switchyard clock` and returns what it says.
async fn clock(arguments: &[&str]) -> anyhow::Result<(Value, String)> {
    let ended = run(&[&["clock"], arguments, &["-o", "json"]].concat()).await?;
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.success(), "{stderr}");
    Ok((serde_json::from_slice(&ended.stdout)?, stderr))
}

/// The latest time of any record of a service, in seconds since 1970.
async fn log_time(api: &Api, service: ServiceId) -> anyhow::Result<u64> {
    let history = History::read(api).await?;
    history.last_time_ns(service).map(|ns| ns / 1_000_000_000).context("no record")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_s_wrong_clock_moves_no_other_log() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let url = nats.url();
    let made = run(&["init", "--log", &url, "--partitions", "2"]).await?;
    ensure!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
    let directory = tempfile::tempdir()?;
    let offset = Offset::new(&directory, YEARS_MS)?;
    let path = offset.path();
    let mut processes = Vec::new();
    for service in ServiceId::ALL {
        let wrong = [("SWITCHYARD_DEV", "1"), ("SWITCHYARD_CLOCK_OFFSET_FILE", path.as_str())];
        let environment = if service == ServiceId::Intake { &wrong[..] } else { &[] };
        let arguments = ["serve", service.name(), "--log", &url];
        let name = service.name();
        processes.push(Process::start(name, directory.path(), &arguments, environment).await?);
    }
    let at = |index: usize| -> String {
        processes.get(index).map(|process| process.address().to_owned()).unwrap_or_default()
    };
    let addresses =
        tests::api::Addresses { intake: at(0), routing: at(1), sla: at(2), notify: at(3) };
    let api = Api::new(&addresses)?;
    let real_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    // Intake's clock was wrong from its start: nothing tells it so, and it takes the ticket.
    let created = call!(api.fresh(), intake.create_ticket, ticket("in 20 years")).await?;
    let waits = |service| {
        let api = &api;
        async move {
            let mut clock = api.clock(service);
            let doubts = clock.get_time(GetTimeRequest::default()).await?.into_inner().doubts;
            let waits = doubts.iter().any(|doubt| doubt.kind() == ClockDoubtKind::InputAhead);
            anyhow::Ok(waits.then_some(()))
        }
    };
    for service in [ServiceId::Routing, ServiceId::Sla, ServiceId::Notify] {
        until("its records wait", || waits(service)).await?;
    }
    for service in [ServiceId::Routing, ServiceId::Sla, ServiceId::Notify] {
        let time = log_time(&api, service).await?;
        ensure!(time < real_s + NEAR_S.unsigned_abs(), "{service} is in {time}, it is {real_s}");
    }
    // The operator says that it is to go on so.
    for address in [&addresses.routing, &addresses.sla, &addresses.notify] {
        clock(&["accept", "--address", address, "--by", "olga", "--reason", "a test"]).await?;
    }
    let get = || routing::ExplainRoutingRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: created.ticket_id.clone(),
    };
    let fresh = api.fresh();
    until("routing has the ticket", || async {
        Ok(call!(fresh, routing.explain_routing, get()).await.ok().map(drop))
    })
    .await?;
    // Five minutes ahead at most, which `NEAR_S` allows for.
    let time = log_time(&api, ServiceId::Routing).await?;
    ensure!(time < real_s + NEAR_S.unsigned_abs(), "routing is in {time}, it is {real_s}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_offset_file_is_for_development_alone() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let offset = Offset::new(&directory, 0)?;
    let (file, data) = (offset.path(), directory.path().join("data").display().to_string());
    let up = ["up", "--listen", "127.0.0.1:0", "--data-dir", &data, "--clock-offset-file"];
    let refused = async |more: &[&str]| -> anyhow::Result<String> {
        let ended = run(&[&up[..], more].concat()).await?;
        ensure!(ended.status.code() == Some(78), "{:?}", ended.status);
        Ok(String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    ensure!(refused(&[&file]).await?.contains("it needs --dev"), "without --dev");
    let manual = refused(&[&file, "--dev", "--clock", "manual"]).await?;
    ensure!(manual.contains("is for --clock system"), "{manual}");
    ensure!(refused(&["/nowhere/at/all", "--dev"]).await?.contains("/nowhere/at/all"), "no path");
    std::fs::write(&file, "tomorrow")?;
    ensure!(refused(&[&file, "--dev"]).await?.contains("whole number"), "not a number");
    Ok(())
}
