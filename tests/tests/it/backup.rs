//! A backup taken under load, restored elsewhere, verified: the same states at its positions, and nothing trusts old
//! positions.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use runtime::{Position, Positions, ServiceId};
use serde_json::Value;
use tests::api::{Api, new_id, reason_of, until};
use tests::call;
use tests::files::{copy_all, path};
use tests::nats::Nats;
use tests::process::run;
use tests::proof::History;
use tests::proxy::{Mode, Proxy};
use tests::stack::Stack;
use tests::story::put_agent;
use tonic::Code;
use wire::common::v1::{Channel, WatchStart, watch_start::From};
use wire::intake::v1 as intake;

/// Each in a partition of its own, most likely.
const WORKSPACES: [&str; 3] = ["one", "two", "three"];
/// How many tickets there are at least before the backup begins.
const BEFORE: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_running_process_and_its_directory() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let copies = tempfile::tempdir()?;
    let backup = path(&copies.path().join("backup"));
    let address = stack.addresses().intake;
    let before = under_load(&stack, &["--address", &address], &backup).await?;
    let original = path(&stack.directory().join("up"));
    let mut stack = stack;
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
    // The original still has the backup's states at the backup's positions.
    verified(&["--data-dir", &original, "--backup", &backup]).await?;
    goes_on_beyond(&["--data-dir", &original], &backup).await?;

    let elsewhere = tempfile::tempdir()?;
    let data = path(&elsewhere.path().join("up"));
    restored(&backup, &["--data-dir", &data]).await?;
    refused(&["restore", "--from", &backup, "--data-dir", &data], "has a log").await?;
    verified(&["--data-dir", &data, "--backup", &backup]).await?;
    // Even the snapshots of before change nothing: they are of another log.
    copy_all(&stack.directory().join("up/snapshots"), &elsewhere.path().join("up/snapshots"))?;
    let stack = Stack::up_in(elsewhere, &[]).await?;
    before.check(&stack).await.with_context(|| stack.said())?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_processes_on_nats() -> anyhow::Result<()> {
    let stack = Stack::four(&[]).await?;
    let copies = tempfile::tempdir()?;
    let backup = path(&copies.path().join("backup"));
    let url = stack.nats.as_ref().context("no NATS")?.url();
    let before = under_load(&stack, &["--log", &url], &backup).await?;
    verified(&["--log", &url, "--backup", &backup]).await.err().map_or(Ok(()), |error| {
        // While they run there may be no state hash in a log, but nothing may differ.
        ensure!(!format!("{error:#}").contains("the leader had"), "{error:#}");
        Ok(())
    })?;
    refused(&["restore", "--from", &backup, "--log", &url], "there are logs already").await?;
    stack.stop().await?;

    let nats = Nats::start().await?;
    let url = nats.url();
    restored(&backup, &["--log", &url]).await?;
    verified(&["--log", &url, "--backup", &backup]).await?;
    let stack = Stack::four_on(nats, &[]).await?;
    before.check(&stack).await.with_context(|| stack.said())?;
    // A backup of what was restored is of its generation.
    let again = path(&copies.path().join("again"));
    let made = json(&["backup", "--log", &url, "--to", &again, "-o", "json"]).await?;
    let generations = made["logs"].as_array().context("no logs")?.iter();
    ensure!(generations.clone().count() == 16, "{made}");
    ensure!(generations.clone().all(|log| log["generation"] == 2), "{made}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_half_made_backup_is_refused() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    for _ in 0..3 {
        call!(api, intake.create_ticket, ticket("default")).await?;
    }
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
    let data = path(&stack.directory().join("up"));
    let copies = tempfile::tempdir()?;
    let backup = copies.path().join("backup");
    let made = run(&["backup", "--data-dir", &data, "--to", &path(&backup)]).await?;
    ensure!(made.status.success(), "{made:?}");
    refused(&["backup", "--data-dir", &data, "--to", &path(&backup)], "is not empty").await?;
    let to = path(&copies.path().join("restored"));
    let restore = ["restore", "--from", &path(&backup), "--data-dir", &to];

    let segment = backup.join("routing/02/00000000000000000001.segment");
    let whole = std::fs::read(&segment)?;
    let mut bad = whole.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&segment, bad)?;
    failed(&restore, "hash does not match").await?;
    std::fs::remove_file(&segment)?;
    failed(&restore, "routing/02 ends elsewhere").await?;
    std::fs::write(&segment, whole)?;

    let manifest = backup.join("manifest.json");
    let text = std::fs::read_to_string(&manifest)?;
    std::fs::write(&manifest, text.replacen("\"generation\": 1", "\"generation\": 7", 1))?;
    failed(&restore, "hash does not match").await?;
    std::fs::remove_file(&manifest)?;
    failed(&restore, "manifest.json").await?;
    std::fs::write(&manifest, text)?;
    ensure!(!Path::new(&to).join("log").exists(), "something was made of a bad backup");
    let made = run(&restore).await?;
    ensure!(made.status.success(), "{made:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_to_nats_after_it_was_broken_off() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    for workspace in ["default", "default", "default"] {
        call!(api, intake.create_ticket, ticket(workspace)).await?;
    }
    api.rest().await?;
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
    let data = path(&stack.directory().join("up"));
    let copies = tempfile::tempdir()?;
    let backup = path(&copies.path().join("backup"));
    let made = json(&["backup", "--data-dir", &data, "--to", &backup, "-o", "json"]).await?;
    let all: u64 = made["logs"]
        .as_array()
        .context("no logs")?
        .iter()
        .filter_map(|log| log["last"].as_u64())
        .sum();

    // Over a slow link, so that it is certainly not done when it is killed.
    let nats = Nats::start().await?;
    let proxy = Proxy::start(nats.addresses()[0]).await?;
    proxy.set(Mode::Slow);
    let behind = format!("nats://{}", proxy.address());
    let mut restoring = tokio::process::Command::new(tests::process::binary()?)
        .args(["restore", "--from", &backup, "--log", &behind])
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let jetstream = nats.jetstream().await?;
    until("some records are written", || async {
        Ok((written(&jetstream).await? > 10).then_some(()))
    })
    .await?;
    restoring.kill().await?;
    drop(proxy);
    let left = written(&jetstream).await?;
    ensure!(left < all, "it was done before it was killed");

    // It goes on where it ended, but only with this very backup.
    let url = nats.url();
    let other = path(&copies.path().join("other"));
    json(&["backup", "--data-dir", &data, "--to", &other, "-o", "json"]).await?;
    restored(&backup, &["--log", &url]).await?;
    verified(&["--log", &url, "--backup", &backup]).await?;
    ensure!(written(&jetstream).await? == all + 16, "records were lost, or written twice");
    refused(&["restore", "--from", &other, "--log", &url], "there are logs already").await?;
    // Done is done: once more changes nothing.
    restored(&backup, &["--log", &url]).await?;
    ensure!(written(&jetstream).await? == all + 16, "something was written");
    let stack = Stack::four_on(nats, &[]).await?;
    let api = stack.api()?;
    call!(api, intake.create_ticket, ticket("default")).await?;
    let url = stack.nats.as_ref().context("no NATS")?.url();
    refused(&["restore", "--from", &backup, "--log", &url], "there are logs already").await?;
    stack.stop().await
}

/// How many records there are in all streams of logs.
async fn written(jetstream: &async_nats::jetstream::Context) -> anyhow::Result<u64> {
    let streams: Vec<_> = futures::TryStreamExt::try_collect(jetstream.streams()).await?;
    let of_logs = streams
        .iter()
        .filter(|info| info.config.name.starts_with("SY_") && info.config.name != "SY_BOARD");
    Ok(of_logs.map(|info| info.state.messages).sum())
}

/// What a client had before the backup.
struct Before {
    /// Tickets that were acknowledged before the backup began.
    tickets: Vec<(String, String)>,
    /// A position, and a place in a watch.
    position: String,
    resume_token: String,
}

impl Before {
    /// All tickets are there, the old position and token are refused, and everything goes on under new ones.
    async fn check(&self, stack: &Stack) -> anyhow::Result<()> {
        let api = stack.api()?;
        for (workspace, ticket_id) in &self.tickets {
            let asked = intake::GetTicketRequest {
                workspace_id: workspace.clone(),
                by: Some(intake::get_ticket_request::By::TicketId(ticket_id.clone())),
            };
            call!(api, intake.get_ticket, asked).await?;
        }
        api.rest().await?;
        for service in ServiceId::ALL {
            self.refuses_position(stack, service).await?;
        }
        let watch = intake::WatchTicketsRequest {
            workspace_id: WORKSPACES[0].to_owned(),
            start: Some(WatchStart { from: Some(From::ResumeToken(self.resume_token.clone())) }),
            ..Default::default()
        };
        let watched = api.fresh().intake.watch_tickets(watch).await;
        let status = watched.err().context("an old resume token was taken")?;
        ensure!(generation_changed(&status), "{status:?}");

        // A new ticket, and its new position waited for by another service.
        let created = call!(api, intake.create_ticket, ticket(WORKSPACES[0])).await?;
        let asked = wire::routing::v1::ExplainRoutingRequest {
            workspace_id: WORKSPACES[0].to_owned(),
            ticket_id: created.ticket_id,
        };
        call!(api, routing.explain_routing, asked).await?;
        api.rest().await?;
        let history = History::read(&api).await?;
        ensure!(history.parked() == 0, "something was set aside");
        Ok(())
    }

    /// Intake's position is intake's and its followers' business.
    async fn refuses_position(&self, stack: &Stack, service: ServiceId) -> anyhow::Result<()> {
        let api = stack.api()?;
        api.saw(&self.position);
        let workspace_id = WORKSPACES[0].to_owned();
        let status = match service {
            ServiceId::Intake => {
                let asked = intake::GetWorkspaceRequest { workspace_id };
                let request = api.request(asked);
                api.clone().intake.get_workspace(request).await.err()
            }
            ServiceId::Routing => {
                let asked =
                    wire::routing::v1::ListQueuesRequest { workspace_id, ..Default::default() };
                let request = api.request(asked);
                api.clone().routing.list_queues(request).await.err()
            }
            ServiceId::Sla => {
                let asked =
                    wire::sla::v1::ListPoliciesRequest { workspace_id, ..Default::default() };
                let request = api.request(asked);
                api.clone().sla.list_policies(request).await.err()
            }
            ServiceId::Notify => {
                let asked =
                    wire::notify::v1::ListDeliveriesRequest { workspace_id, ..Default::default() };
                let request = api.request(asked);
                api.clone().notify.list_deliveries(request).await.err()
            }
        };
        let status = status.with_context(|| format!("{service} took an old position"))?;
        ensure!(generation_changed(&status), "{service}: {status:?}");
        Ok(())
    }
}

fn generation_changed(status: &tonic::Status) -> bool {
    (status.code(), reason_of(status).as_str())
        == (Code::FailedPrecondition, "LOG_GENERATION_CHANGED")
}

fn ticket(workspace: &str) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        channel: Channel::Chat.into(),
        subject: "Under load".to_owned(),
        body: "Copy me".to_owned(),
        ..Default::default()
    }
}

/// Backs up while clients go on creating tickets, which agents are offered.
async fn under_load(stack: &Stack, source: &[&str], backup: &str) -> anyhow::Result<Before> {
    let api = stack.api()?;
    for workspace in WORKSPACES {
        let put = intake::PutWorkspaceRequest {
            workspace: Some(intake::Workspace {
                workspace_id: workspace.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        call!(api, intake.put_workspace, put).await?;
        for agent in ["ada", "bob"] {
            put_agent(&api, workspace, agent, &["all"], 100).await?;
        }
    }
    let resume_token = first_token(&api).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let made: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let mut clients = Vec::new();
    for workspace in WORKSPACES.iter().cycle().take(9) {
        let (api, stop, made) = (stack.api()?, Arc::clone(&stop), Arc::clone(&made));
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let created = call!(api, intake.create_ticket, ticket(workspace)).await?;
                let ticket = ((*workspace).to_owned(), created.ticket_id);
                made.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
            }
            anyhow::Ok(())
        }));
    }
    let count = || made.lock().unwrap_or_else(PoisonError::into_inner).len();
    until("tickets", || async { Ok((count() >= BEFORE).then_some(())) }).await?;
    let tickets = made.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let position = position_of(&api).await?;
    let arguments = [&["backup", "--to", backup, "-o", "json"], source].concat();
    let copied = json(&arguments).await;
    let during = count() - tickets.len();
    // Some more, that are certainly not in it.
    let after = count();
    until("more tickets", || async { Ok((count() > after + 20).then_some(())) }).await?;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }
    let copied = copied.with_context(|| stack.said())?;
    ensure!(during > 0, "the backup was not taken under load");
    let logs = copied.get("logs").and_then(Value::as_array);
    ensure!(logs.is_some_and(|logs| logs.len() == 16), "{copied}");
    api.rest().await?;
    Ok(Before { tickets, position, resume_token })
}

/// The first token of a watch on the first workspace.
async fn first_token(api: &Api) -> anyhow::Result<String> {
    let watch = intake::WatchTicketsRequest {
        workspace_id: WORKSPACES[0].to_owned(),
        include_snapshot: true,
        ..Default::default()
    };
    let mut watched = api.clone().intake.watch_tickets(watch).await?.into_inner();
    let message = watched.message().await?.context("the watch has ended")?;
    Ok(message.resume_token)
}

/// Where intake's partition of the first workspace stands.
async fn position_of(api: &Api) -> anyhow::Result<String> {
    let created = call!(api, intake.create_ticket, ticket(WORKSPACES[0])).await?;
    let positions: Positions = created.position.parse()?;
    let position: Position = positions.iter().next().context("no position")?;
    ensure!(position.service == ServiceId::Intake, "{position}");
    Ok(created.position)
}

/// The original has records that the backup doesn't have.
async fn goes_on_beyond(source: &[&str], backup: &str) -> anyhow::Result<()> {
    let findings = json(&[&["verify", "-o", "json", "--backup", backup], source].concat()).await?;
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(Path::new(backup).join("manifest.json"))?)?;
    let total = |logs: &Value, field: &str| -> u64 {
        logs.as_array().into_iter().flatten().filter_map(|log| log.get(field)?.as_u64()).sum()
    };
    let (all, copied) = (
        total(&findings, "records"),
        total(manifest.pointer("/manifest/logs").context("no logs")?, "last"),
    );
    ensure!(all > copied && copied > 0, "{all} records, {copied} of them in the backup");
    Ok(())
}

async fn restored(backup: &str, target: &[&str]) -> anyhow::Result<()> {
    let logs = json(&[&["restore", "--from", backup, "-o", "json"], target].concat()).await?;
    let logs = logs.as_array().context("no list")?;
    ensure!(logs.len() == 16, "{logs:?}");
    for log in logs {
        ensure!(log["generation"] == 2 && log["log_id"] != log["old_log_id"], "{log}");
    }
    Ok(())
}

async fn verified(arguments: &[&str]) -> anyhow::Result<()> {
    let ended = run(&[&["verify"], arguments].concat()).await?;
    let said = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
    ensure!(ended.status.success(), "verify: {}", said.concat());
    Ok(())
}

async fn json(arguments: &[&str]) -> anyhow::Result<Value> {
    let ended = run(arguments).await?;
    ensure!(ended.status.success(), "{arguments:?}: {ended:?}");
    Ok(serde_json::from_slice(&ended.stdout)?)
}

/// Bad configuration, with this reason.
async fn refused(arguments: &[&str], says: &str) -> anyhow::Result<()> {
    ends(arguments, 78, says).await
}

/// A failure, with this reason.
async fn failed(arguments: &[&str], says: &str) -> anyhow::Result<()> {
    ends(arguments, 1, says).await
}

async fn ends(arguments: &[&str], code: i32, says: &str) -> anyhow::Result<()> {
    let ended = run(arguments).await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(code), "{arguments:?} ended with {}: {said}", ended.status);
    ensure!(said.contains(says), "{arguments:?} doesn't say {says:?}: {said}");
    Ok(())
}
