//! Logs that are archived and trimmed: what goes is what nobody needs, nothing is passed over in silence, and archive
//! and log give the same states as before.

#![expect(clippy::indexing_slicing, reason = "a test fails by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use runtime::{ServiceId, partition_of};
use serde_json::Value;
use tests::api::{Addresses, Api, new_id, reason_of, until};
use tests::call;
use tests::files::{copy_all, path};
use tests::process::{Process, run};
use tests::stack::Stack;
use tests::story::put_agent;
use tonic::Code;
use wire::admin::v1::PartitionStatus;
use wire::common::v1::{Channel, WatchStart, watch_start::From};
use wire::intake::v1 as intake;

const WORKSPACE: &str = "default";
const PARTITIONS: u16 = 4;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn of_a_stopped_node_and_its_archive() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let directory = tempfile::tempdir()?;
    let archive = path(&directory.path().join("archive"));
    let data = path(&stack.directory().join("up"));
    let from = ["--data-dir", data.as_str()];
    let api = stack.api()?;
    put_agent(&api, WORKSPACE, "ada", &["all"], 100).await?;
    let resume_token = first_token(&api).await?;
    let first = tickets(&api, 20).await?.remove(0);
    let whole = story(&api, &first).await?;
    ensure!(whole.trimmed.is_empty() && whole.entries.len() > 2, "{whole:?}");
    stop(&mut stack.processes).await?;
    json(&[&["log", "archive", "--to", &archive, "-o", "json"], &from[..]].concat()).await?;
    // One snapshot is none to fall back to.
    let rows = trim(&from, &archive, &["--dry-run"]).await?;
    ensure!(rows.iter().all(|row| row.records() == 0), "{rows:?}");
    ensure!(row(&rows, ServiceId::Intake)?.why().contains("fewer than two snapshots"), "{rows:?}");

    start_again(&mut stack.processes).await?;
    tickets(&stack.api()?, 20).await?;
    stop(&mut stack.processes).await?;
    // Nothing goes that the archive lacks, that is too new, or beyond what was asked for.
    let rows = trim(&from, &archive, &["--dry-run", "--keep-days", "1"]).await?;
    // A log's birth has no time.
    ensure!(rows.iter().all(|row| row.records() <= 1), "{rows:?}");
    ensure!(row(&rows, ServiceId::Routing)?.why().contains("of the last 1 days"), "{rows:?}");
    let archived = row(&rows, ServiceId::Intake)?.last();
    json(&[&["log", "archive", "--to", &archive, "-o", "json"], &from[..]].concat()).await?;
    let partition = partition_of(WORKSPACE, PARTITIONS).to_string();
    let upto = archived.to_string();
    let too_far = [
        &["log", "trim", "--archive", &archive, "--service", "intake", "--upto", &upto][..],
        &["--partition", partition.as_str()],
        &from[..],
    ];
    ends(&too_far.concat(), 6, "the older snapshot of").await?;
    let before = trim(&from, &archive, &["--dry-run"]).await?;
    let rows = trim(&from, &archive, &[]).await?;
    ensure!(before == rows, "{before:?} was planned, and {rows:?} was done");
    for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
        ensure!(row(&rows, service)?.records() > 5, "{rows:?}");
    }
    ensure!(trim(&from, &archive, &[]).await?.iter().all(|row| row.records() == 0), "twice");
    let arguments = [&["verify"], &from[..]].concat();
    let ended = run(&arguments).await?;
    ensure!(said(&ended).contains("verify needs its --archive"), "{}", said(&ended));
    verified(&from, &archive).await?;

    // From its snapshot it starts without the archive, and says what it can't show.
    start_again(&mut stack.processes).await?;
    let api = stack.api()?;
    let second = tickets(&api, 1).await?.remove(0);
    let rest = story(&api, &first).await?;
    let upto = row(&rows, ServiceId::Intake)?.upto();
    let of_intake = |part: &&intake::TrimmedPart| part.service() == ServiceId::Intake.to_wire();
    let part = rest.trimmed.iter().find(of_intake).context("intake's part is not named")?;
    ensure!(part.upto_seq == upto && rest.entries.len() < whole.entries.len(), "{rest:?}");
    let new = story(&api, &second).await?;
    ensure!(new.trimmed.is_empty() && new.entries.len() > 2, "{new:?}");
    expired(&api, &resume_token).await?;
    log_begins_at(&api, upto + 1).await?;
    stop(&mut stack.processes).await?;
    verified(&from, &archive).await?;

    // With the archive the story is whole, and no snapshot is needed.
    let elsewhere = tempfile::tempdir()?;
    copy_all(&stack.directory().join("up/log"), &elsewhere.path().join("up/log"))?;
    let arguments = ["up", "--archive", &archive];
    let mut process = Process::start("up", elsewhere.path(), &arguments, &[]).await?;
    let [intake, routing, sla, notify] = [(); 4].map(|()| process.address().to_owned());
    let api = Api::new(&Addresses { intake, routing, sla, notify })?;
    let again = story(&api, &first).await?;
    ensure!(again.entries.starts_with(&whole.entries) && again.trimmed.is_empty(), "{again:?}");
    tickets(&api, 3).await?;
    stop(std::slice::from_mut(&mut process)).await?;
    let copied = path(&elsewhere.path().join("up"));
    verified(&["--data-dir", &copied], &archive).await?;

    // Without either the partition that was trimmed stops, and says why.
    std::fs::remove_dir_all(elsewhere.path().join("up/snapshots"))?;
    let process = Process::start("up", elsewhere.path(), &["up"], &[]).await?;
    let [intake, routing, sla, notify] = [(); 4].map(|()| process.address().to_owned());
    let api = Api::new(&Addresses { intake, routing, sla, notify })?;
    for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
        until("the partition says what it needs", || async {
            let Ok(all) = api.status(service).await else { return Ok(None) };
            let trimmed = u32::from(partition_of(WORKSPACE, PARTITIONS));
            let is = |one: &&PartitionStatus| {
                one.position.as_ref().is_some_and(|position| position.partition == trimmed)
            };
            let found = all.iter().find(is).filter(|one| !one.ready);
            Ok(found.is_some_and(|one| one.reason.contains("start with --archive")).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_processes_on_nats_under_load() -> anyhow::Result<()> {
    let mut stack = Stack::four(&[]).await?;
    let url = stack.nats.as_ref().context("no NATS")?.url();
    let from = ["--log", url.as_str()];
    let directory = tempfile::tempdir()?;
    let archive = path(&directory.path().join("archive"));
    let api = stack.api()?;
    put_agent(&api, WORKSPACE, "ada", &["all"], 100).await?;
    tickets(&api, 20).await?;
    for _ in 0..2 {
        stop(&mut stack.processes).await?;
        start_again(&mut stack.processes).await?;
        tickets(&stack.api()?, 20).await?;
    }
    two_snapshots(&stack.api()?).await?;

    let (api, over) = (stack.api()?, Arc::new(AtomicBool::new(false)));
    let made = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4).map(|_| client(&api, &over, &made)).collect();
    let count = || made.load(Ordering::Relaxed);
    until("tickets", || async { Ok((count() > 50).then_some(())) }).await?;
    json(&[&["log", "archive", "--to", &archive, "-o", "json"], &from[..]].concat()).await?;
    let before = count();
    let rows = trim(&from, &archive, &[]).await.with_context(|| stack.said())?;
    ensure!(count() > before, "nothing was written while it was trimmed");
    let after = count();
    until("more tickets", || async { Ok((count() > after + 50).then_some(())) }).await?;
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }
    for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
        ensure!(row(&rows, service)?.records() > 5, "{rows:?}");
    }
    api.rest().await?;
    log_begins_at(&api, row(&rows, ServiceId::Intake)?.upto() + 1).await?;
    stop(&mut stack.processes).await?;
    verified(&from, &archive).await?;
    // All come back from their snapshots, and go on.
    start_again(&mut stack.processes).await?;
    tickets(&stack.api()?, 5).await?;
    stop(&mut stack.processes).await?;
    verified(&from, &archive).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_needs_or_no_sound_archive_has_stays() -> anyhow::Result<()> {
    let mut stack = Stack::four(&[]).await?;
    let url = stack.nats.as_ref().context("no NATS")?.url();
    let from = ["--log", url.as_str()];
    let directory = tempfile::tempdir()?;
    let archive = directory.path().join("archive");
    let archived = path(&archive);
    let copy = [&["log", "archive", "--to", &archived, "-o", "json"], &from[..]].concat();
    tickets(&stack.api()?, 10).await?;
    stop(&mut stack.processes).await?;
    json(&copy).await?;
    // Notify is left behind.
    for _ in 0..2 {
        start_again(&mut stack.processes[..3]).await?;
        let api = stack.api()?;
        for _ in 0..10 {
            call!(api, intake.create_ticket, ticket()).await?;
        }
        stop(&mut stack.processes[..3]).await?;
        json(&copy).await?;
    }
    let none = trim(&from, &archived, &["--dry-run"]).await?;
    let why = row(&none, ServiceId::Intake)?.why();
    ensure!(why.contains("no instance of intake is known"), "{why}");
    let folders =
        ["intake", "routing", "sla", "notify"].map(|name| path(&stack.directory().join(name)));
    let stopped: Vec<&str> =
        folders.iter().flat_map(|folder| ["--stopped", folder.as_str()]).collect();
    let rows = trim(&from, &archived, &[&["--dry-run"], &stopped[..]].concat()).await?;
    let why = row(&rows, ServiceId::Intake)?.why();
    ensure!(why.contains("notify has read it to record"), "{rows:?}");
    let why = row(&rows, ServiceId::Notify)?.why();
    ensure!(why.contains("fewer than two snapshots"), "{rows:?}");

    let partition = partition_of(WORKSPACE, PARTITIONS);
    let folder = archive.join(format!("intake/{partition:02}"));
    let mut segments: Vec<_> = std::fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    segments.sort();
    ensure!(segments.len() == 3, "{segments:?}");
    let command = ["log", "trim", "--archive", &archived];
    let command = [&command[..], &from[..], &stopped[..]].concat();
    let middle = std::fs::read(&segments[1])?;
    let mut damaged = middle.clone();
    let at = damaged.len() - 40;
    damaged[at] ^= 1;
    std::fs::write(&segments[1], damaged)?;
    ends(&command, 1, "hash does not match").await?;
    std::fs::remove_file(&segments[1])?;
    ends(&command, 1, "does not join what comes before").await?;
    std::fs::write(&segments[1], middle)?;
    // Another installation's archive.
    let mut other = Stack::up(&[]).await?;
    tickets(&other.api()?, 40).await?;
    stop(&mut other.processes).await?;
    let foreign = path(&directory.path().join("foreign"));
    let data = path(&other.directory().join("up"));
    json(&["log", "archive", "--data-dir", &data, "--to", &foreign, "-o", "json"]).await?;
    let foreign = ["log", "trim", "--archive", &foreign];
    ends(&[&foreign[..], &from[..], &stopped[..]].concat(), 78, "not set up as it must be").await?;
    let tails = trim(&from, &archived, &[&["--dry-run"], &stopped[..]].concat()).await?;
    ensure!(tails.iter().all(|row| row.first() == 1), "something went: {tails:?}");
    Ok(())
}

/// A row of what the command says.
#[derive(Debug, Clone, PartialEq)]
struct Row(Value);

impl Row {
    fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_default()
    }

    fn first(&self) -> u64 {
        self.number("first")
    }

    fn last(&self) -> u64 {
        self.number("last")
    }

    fn upto(&self) -> u64 {
        self.number("upto")
    }

    fn records(&self) -> u64 {
        self.number("records")
    }

    fn why(&self) -> String {
        self.0["in_the_way"].as_str().unwrap_or_default().to_owned()
    }
}

/// Trims, or says what would go.
async fn trim(from: &[&str], archive: &str, more: &[&str]) -> anyhow::Result<Vec<Row>> {
    let command = ["log", "trim", "--archive", archive, "-o", "json"];
    let rows = json(&[&command[..], from, more].concat()).await?;
    Ok(rows.as_array().context("no list")?.iter().cloned().map(Row).collect())
}

/// The row of a service's log of the workspace's partition.
fn row(rows: &[Row], service: ServiceId) -> anyhow::Result<&Row> {
    let partition = u64::from(partition_of(WORKSPACE, PARTITIONS));
    let is_it =
        |row: &&Row| row.0["service"] == service.name() && row.number("partition") == partition;
    rows.iter().find(is_it).with_context(|| format!("no {service}: {rows:?}"))
}

fn ticket() -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        channel: Channel::Chat.into(),
        subject: "To be kept".to_owned(),
        body: "For ever".to_owned(),
        ..Default::default()
    }
}

/// Opens tickets and waits until all is done about them.
async fn tickets(api: &Api, count: usize) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(call!(api, intake.create_ticket, ticket()).await?.ticket_id);
    }
    api.rest().await?;
    Ok(ids)
}

/// Opens tickets until it is over.
fn client(
    api: &Api,
    over: &Arc<AtomicBool>,
    made: &Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    let (api, over, made) = (api.clone(), Arc::clone(over), Arc::clone(made));
    tokio::spawn(async move {
        while !over.load(Ordering::Relaxed) {
            call!(api, intake.create_ticket, ticket()).await?;
            made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })
}

async fn story(api: &Api, ticket_id: &str) -> anyhow::Result<intake::GetTimelineResponse> {
    let asked = intake::GetTimelineRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: ticket_id.to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    Ok(call!(api, intake.get_timeline, asked).await?)
}

/// The first token of a watch.
async fn first_token(api: &Api) -> anyhow::Result<String> {
    let watch = intake::WatchTicketsRequest {
        workspace_id: WORKSPACE.to_owned(),
        include_snapshot: true,
        ..Default::default()
    };
    let mut watched = api.clone().intake.watch_tickets(watch).await?.into_inner();
    Ok(watched.message().await?.context("the watch has ended")?.resume_token)
}

/// A token from before what was trimmed is refused, and says from where one may begin.
async fn expired(api: &Api, resume_token: &str) -> anyhow::Result<()> {
    let watch = |token: String| intake::WatchTicketsRequest {
        workspace_id: WORKSPACE.to_owned(),
        start: Some(WatchStart { from: Some(From::ResumeToken(token)) }),
        ..Default::default()
    };
    let watched = api.fresh().intake.watch_tickets(watch(resume_token.to_owned())).await;
    let status = watched.err().context("an old token was taken")?;
    let reason = reason_of(&status);
    ensure!((status.code(), &*reason) == (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"), "{status:?}");
    let info = tonic_types::StatusExt::get_details_error_info(&status).context("no details")?;
    let earliest = info.metadata.get("earliest_resume_token").context("no token")?;
    let mut watched = api.fresh().intake.watch_tickets(watch(earliest.clone())).await?.into_inner();
    watched.message().await?.context("the watch from the earliest token has ended")?;
    Ok(())
}

/// Records that are gone are said to be.
async fn log_begins_at(api: &Api, first: u64) -> anyhow::Result<()> {
    let asked = |from_seq| wire::admin::v1::ReadRequest {
        service: ServiceId::Intake.to_wire().into(),
        partition: partition_of(WORKSPACE, PARTITIONS).into(),
        from_seq,
        max_records: 1,
        decode: false,
    };
    let status = api.log(ServiceId::Intake).read(asked(first - 1)).await.err().context("read")?;
    ensure!(reason_of(&status) == "RESUME_TOKEN_EXPIRED", "{status:?}");
    let followed = wire::admin::v1::FollowRequest {
        service: ServiceId::Intake.to_wire().into(),
        partition: partition_of(WORKSPACE, PARTITIONS).into(),
        from_seq: 1,
        decode: false,
    };
    let mut records = api.log(ServiceId::Intake).follow(followed).await?.into_inner();
    let status = records.message().await.err().context("followed")?;
    ensure!(reason_of(&status) == "RESUME_TOKEN_EXPIRED", "{status:?}");
    let there = api.log(ServiceId::Intake).read(asked(first)).await?.into_inner();
    ensure!(there.records.len() == 1, "{there:?}");
    Ok(())
}

/// Until every service knows both of its snapshots of the workspace's partition.
async fn two_snapshots(api: &Api) -> anyhow::Result<()> {
    let partition = u32::from(partition_of(WORKSPACE, PARTITIONS));
    for service in ServiceId::ALL {
        until("two snapshots", || async {
            let all = api.status(service).await?;
            let is_it = |status: &&wire::admin::v1::PartitionStatus| {
                status.position.as_ref().is_some_and(|position| position.partition == partition)
            };
            let status = all.iter().find(is_it).context("no such partition")?;
            let both =
                status.older_snapshot_seq > 0 && status.older_snapshot_seq < status.snapshot_seq;
            // Nobody is notified of anything here, so notify has nothing to save twice.
            Ok((both || service == ServiceId::Notify).then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn stop(processes: &mut [Process]) -> anyhow::Result<()> {
    for process in processes {
        let ended = process.stop().await?;
        ensure!(ended.success(), "it ended with {ended}: {}", process.said());
    }
    Ok(())
}

async fn start_again(processes: &mut [Process]) -> anyhow::Result<()> {
    for process in processes {
        process.start_again().await?;
    }
    Ok(())
}

async fn verified(from: &[&str], archive: &str) -> anyhow::Result<()> {
    let ended = run(&[&["verify", "--archive", archive], from].concat()).await?;
    ensure!(ended.status.success(), "verify: {}", said(&ended));
    Ok(())
}

async fn json(arguments: &[&str]) -> anyhow::Result<Value> {
    let ended = run(arguments).await?;
    ensure!(ended.status.success(), "{arguments:?}: {}", said(&ended));
    Ok(serde_json::from_slice(&ended.stdout)?)
}

async fn ends(arguments: &[&str], code: i32, says: &str) -> anyhow::Result<()> {
    let ended = run(arguments).await?;
    let said = said(&ended);
    ensure!(ended.status.code() == Some(code) && said.contains(says), "{}: {said}", ended.status);
    Ok(())
}

fn said(ended: &std::process::Output) -> String {
    [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}
