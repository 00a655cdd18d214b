//! A partition whose log is in doubt stops alone: the others serve, at once and after a restart, and everybody says
//! which one it is.

#![expect(clippy::indexing_slicing, reason = "a test fails by it")]

use anyhow::{Context as _, ensure};
use runtime::{ServiceId, partition_of};
use tests::api::{Api, reason_of, until};
use tests::call;
use tests::doctor::{doctor, text, wrong};
use tests::nats::Nats;
use tests::process::run;
use tests::stack::Stack;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use wire::intake::v1 as intake;

const PARTITIONS: u16 = 4;

/// A workspace of each partition.
pub(crate) fn workspaces() -> Vec<String> {
    let of = |partition: u16| {
        let names = (0..1_000).map(|number| format!("w{number}"));
        names.filter(move |name| partition_of(name, PARTITIONS) == partition).take(1)
    };
    (0..PARTITIONS).flat_map(of).collect()
}

pub(crate) async fn put_workspaces(api: &Api) -> anyhow::Result<()> {
    for workspace_id in workspaces() {
        let request = intake::PutWorkspaceRequest {
            workspace: Some(intake::Workspace { workspace_id, ..Default::default() }),
            ..Default::default()
        };
        call!(api, intake.put_workspace, request).await?;
    }
    Ok(())
}

pub(crate) fn ticket(workspace: &str) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        channel: wire::common::v1::Channel::Email.into(),
        subject: "Is all well?".to_owned(),
        body: "I wonder.".to_owned(),
        ..Default::default()
    }
}

/// Each partition takes a ticket but those that have halted, which say so at once.
pub(crate) async fn all_serve_but(api: &Api, halted: &[u16]) -> anyhow::Result<()> {
    for (partition, workspace) in (0..).zip(workspaces()) {
        if !halted.contains(&partition) {
            call!(api, intake.create_ticket, ticket(&workspace)).await?;
            continue;
        }
        let mut client = api.intake.clone();
        let refused = client.create_ticket(api.request(ticket(&workspace))).await;
        let status = refused.err().context("a halted partition took a ticket")?;
        ensure!(reason_of(&status) == "PARTITION_HALTED", "{status:?}");
        ensure!(status.code() == tonic::Code::Unavailable, "{status:?}");
        ensure!(status.get_details_retry_info().is_some(), "{status:?}");
        let names_it = status.message().contains(&format!("intake/{partition}: "));
        ensure!(names_it, "it doesn't say which: {status:?}");
    }
    Ok(())
}

/// Waits until the partitions of a service that have halted are these, and returns their reasons.
pub(crate) async fn until_halted(
    api: &Api,
    service: ServiceId,
    halted: &[u16],
) -> anyhow::Result<Vec<String>> {
    until("the partitions halt", || async {
        let Ok(all) = api.status(service).await else { return Ok(None) };
        let settled = all.len() == usize::from(PARTITIONS)
            && all.iter().all(|one| one.ready || one.reason.contains('/'));
        let mut stopped = Vec::new();
        for one in all.iter().filter(|one| !one.ready) {
            let partition = one.position.as_ref().context("no position")?.partition;
            stopped.push((u16::try_from(partition)?, one.reason.clone()));
        }
        let as_wanted = stopped.iter().map(|(partition, _)| *partition).eq(halted.iter().copied());
        let reasons = stopped.into_iter().map(|(_, reason)| reason).collect();
        Ok((settled && as_wanted).then_some(reasons))
    })
    .await
}

async fn health(address: &str, name: &str) -> anyhow::Result<ServingStatus> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    let request = HealthCheckRequest { service: name.to_owned() };
    Ok(HealthClient::new(endpoint.connect_lazy()).check(request).await?.into_inner().status())
}

/// Whatever an operator looks at names the one partition, and no other.
async fn everybody_says_so(stack: &Stack, halted: u16) -> anyhow::Result<()> {
    let intake = stack.addresses().intake;
    for partition in 0..PARTITIONS {
        let wanted =
            if partition == halted { ServingStatus::NotServing } else { ServingStatus::Serving };
        let name = format!("intake/{partition}");
        until("health is so", async || Ok((health(&intake, &name).await? == wanted).then_some(())))
            .await?;
    }
    for name in ["", "switchyard.intake.v1.IntakeService"] {
        ensure!(health(&intake, name).await? == ServingStatus::Serving, "{name} is not serving");
    }
    let figures = stack.processes[0].figures().await?;
    for partition in 0..PARTITIONS {
        let is = u8::from(partition == halted);
        let line = format!(
            "switchyard_partition_state{{service=\"intake\",partition=\"{partition}\",state=\"halted\"}} {is}"
        );
        ensure!(figures.contains(&line), "no {line} in {figures}");
    }
    let mut arguments = vec!["--target", intake.as_str()];
    let url = stack.nats.as_ref().map(Nats::url);
    arguments.extend(url.iter().flat_map(|url| ["--log", url.as_str()]));
    let (well, lines) = doctor(&arguments).await?;
    let about = |subject: &str| subject.starts_with(&format!("intake/{halted}"));
    let found = wrong(&lines);
    ensure!(!well && found.iter().any(|line| about(text(line, "subject"))), "{found:#?}");
    let others = found.iter().filter(|line| text(line, "subject").starts_with("intake/"));
    ensure!(others.clone().all(|line| about(text(line, "subject"))), "{found:#?}");
    Ok(())
}

const METRICS: [(&str, &str); 1] = [("SWITCHYARD_METRICS_LISTEN", "127.0.0.1:0")];

/// Does something to one partition's stream, and sees what comes of it: at once, and after a restart.
async fn harmed(
    halted: u16,
    harm: impl AsyncFn(&async_nats::jetstream::Context) -> anyhow::Result<()>,
    said: &str,
) -> anyhow::Result<()> {
    let mut stack = Stack::four(&METRICS).await?;
    let api = stack.api()?;
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    let nats = stack.nats.as_ref().context("no nats")?;
    harm(&nats.jetstream().await?).await?;
    let reasons = until_halted(&api, ServiceId::Intake, &[halted]).await?;
    ensure!(reasons.iter().all(|reason| reason.contains(said)), "{reasons:?}");
    all_serve_but(&api, &[halted]).await?;
    everybody_says_so(&stack, halted).await?;
    // Whoever follows the log goes on with its other partitions.
    until_halted(&api, ServiceId::Routing, &[halted]).await?;

    stack.processes[0].kill().await?;
    stack.processes[0].start_again().await?;
    until_halted(&api, ServiceId::Intake, &[halted]).await?;
    all_serve_but(&api, &[halted]).await?;
    everybody_says_so(&stack, halted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_stops_its_partition_alone() -> anyhow::Result<()> {
    let harm = async |admin: &async_nats::jetstream::Context| {
        admin.publish("sy.v1.intake.02", "not a commit".into()).await?.await?;
        anyhow::Ok(())
    };
    harmed(2, harm, "somebody else has written").await
}

/// Another service's damaged log takes its own steps from a ticket's story, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_story_goes_on_beside_a_damaged_log() -> anyhow::Result<()> {
    let stack = Stack::four(&[]).await?;
    let api = stack.api()?;
    put_workspaces(&api).await?;
    let workspace_id = workspaces().into_iter().nth(2).context("no workspace")?;
    let opened = call!(api, intake.create_ticket, ticket(&workspace_id)).await?;
    api.rest().await?;
    let admin = stack.nats.as_ref().context("no NATS")?.jetstream().await?;
    admin.publish("sy.v1.notify.02", "not a commit".into()).await?.await?;
    until_halted(&api, ServiceId::Notify, &[2]).await?;
    let asked = intake::GetTimelineRequest {
        workspace_id,
        ticket_id: opened.ticket_id,
        ..Default::default()
    };
    let story = call!(api, intake.get_timeline, asked).await?;
    let of = |service: ServiceId| service.to_wire();
    ensure!(story.entries.iter().any(|step| step.service() == of(ServiceId::Intake)), "{story:?}");
    let parts: Vec<_> = story.unreadable.iter().map(intake::UnreadablePart::service).collect();
    ensure!(parts == [of(ServiceId::Notify)], "{story:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_noticed_while_it_serves_and_named_by_the_next_start() -> anyhow::Result<()> {
    let harm = async |admin: &async_nats::jetstream::Context| {
        admin.get_stream("SY_INTAKE_01").await?.purge().await?;
        anyhow::Ok(())
    };
    harmed(1, harm, "purged").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_a_part_is_noticed_as_well() -> anyhow::Result<()> {
    let harm = async |admin: &async_nats::jetstream::Context| {
        let stream = admin.get_stream("SY_INTAKE_00").await?;
        stream.purge().keep(1).await?;
        anyhow::Ok(())
    };
    harmed(0, harm, "purged").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_stops_its_partition_alone() -> anyhow::Result<()> {
    let harm = async |admin: &async_nats::jetstream::Context| {
        admin.delete_stream("SY_INTAKE_03").await?;
        anyhow::Ok(())
    };
    harmed(3, harm, "exist").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_anew_stops_its_partition_alone() -> anyhow::Result<()> {
    let harm = async |admin: &async_nats::jetstream::Context| {
        let mut stream = admin.get_stream("SY_INTAKE_03").await?;
        let config = stream.info().await?.config.clone();
        let first = stream.get_raw_message(1).await?;
        admin.delete_stream("SY_INTAKE_03").await?;
        admin.create_stream(config).await?;
        admin.publish("sy.v1.intake.03", first.payload).await?.await?;
        anyhow::Ok(())
    };
    harmed(3, harm, "in its place").await
}

/// The directory's file is one for all logs: what of it is damaged stops the log that it belongs to.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_directory_stops_its_partition_alone() -> anyhow::Result<()> {
    let mut stack = Stack::up(&["--metrics-listen", "127.0.0.1:0"]).await?;
    let api = stack.api()?;
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
    let data = stack.directory().join("up");
    let log = ServiceId::Intake.log(1);
    tests::damage::flip_bit(&data.join("log"), &log, 2)?;
    // A snapshot would spare the reading of it.
    std::fs::remove_dir_all(data.join("snapshots"))?;
    for _ in 0..2 {
        stack.processes[0].start_again().await?;
        let reasons = until_halted(&api, ServiceId::Intake, &[1]).await?;
        ensure!(reasons.iter().all(|reason| reason.contains("record 2 is corrupt")), "{reasons:?}");
        all_serve_but(&api, &[1]).await?;
        everybody_says_so(&stack, 1).await?;
        ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
    }
    let shown = data.display().to_string();
    let (well, lines) = doctor(&["--data-dir", &shown, "--deep"]).await?;
    let found = wrong(&lines);
    ensure!(!well && found.iter().all(|line| text(line, "subject") == "intake/1"), "{found:#?}");
    Ok(())
}

/// A file that can't be opened at all serves nothing, and that is what is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_file_is_no_log_says_so() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("up");
    let mut stack = Stack::up_in(directory, &[]).await?;
    stack.processes[0].stop().await?;
    let file = data.join("log/log.redb");
    let mut bytes = std::fs::read(&file)?;
    bytes.iter_mut().take(4096).for_each(|byte| *byte ^= 0xff);
    std::fs::write(&file, bytes)?;
    let ended =
        run(&["up", "--listen", "127.0.0.1:0", "--data-dir", &data.display().to_string()]).await?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(!ended.status.success() && said.contains("log.redb is damaged"), "{said}");
    Ok(())
}

/// One copy of a record on a NATS server's disk has another bit.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_stream_stops_its_partition_alone() -> anyhow::Result<()> {
    let mut stack = Stack::four(&METRICS).await?;
    let api = stack.api()?;
    put_workspaces(&api).await?;
    for _ in 0..3 {
        all_serve_but(&api, &[]).await?;
    }
    api.rest().await?;
    for process in &mut stack.processes {
        process.kill().await?;
    }
    let nats = stack.nats.as_mut().context("no nats")?;
    let stream = nats.jetstream().await?.get_stream("SY_INTAKE_01").await?;
    let damaged = stream.get_raw_message(3).await?.payload;
    nats.stop(0).await?;
    tests::nats_log::flip(&nats.stream_directory(0, "SY_INTAKE_01")?, &damaged)?;
    nats.start_again(0)?;
    nats.ready().await?;
    for process in &mut stack.processes {
        process.start_again().await?;
    }
    until_halted(&api, ServiceId::Intake, &[1]).await?;
    all_serve_but(&api, &[1]).await?;
    everybody_says_so(&stack, 1).await?;
    Ok(())
}
