//! Logs that can't be had: NATS away, a directory in use or of another version, streams that nobody made.

use anyhow::ensure;
use prost::Message as _;
use runtime::ServiceId;
use tests::api::{new_id, reason_of};
use tests::call;
use tests::nats::Nats;
use tests::process::run;
use tests::proof::History;
use tests::stack::Stack;
use tonic::Code;
use tonic_types::StatusExt as _;
use wire::common::v1::Channel;
use wire::events::v1::TicketOpened;
use wire::intake::v1 as intake;

const CALLS: usize = 8;

fn create(number: usize) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: "default".to_owned(),
        request_id: new_id(),
        external_id: format!("x-{number}"),
        channel: Channel::Email.into(),
        subject: "While NATS is away".to_owned(),
        body: "Is anybody there?".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_away() -> anyhow::Result<()> {
    let mut stack = Stack::four(&[]).await?;
    let api = stack.api()?;
    let before = call!(api, intake.create_ticket, create(0)).await?;
    api.rest().await?;
    stack.nats.as_mut().unwrap().kill(0)?;
    let requests: Vec<_> = (1..=CALLS).map(create).collect();
    let calls = requests.iter().map(|request| {
        let mut client = api.intake.clone();
        let request = api.fresh().request(request.clone());
        async move { client.create_ticket(request).await }
    });
    for answered in futures::future::join_all(calls).await {
        let Err(status) = answered else { anyhow::bail!("served without a log: {answered:?}") };
        ensure!(status.code() == Code::Unavailable, "{status:?}");
        let known = ["LOG_UNAVAILABLE", "OUTCOME_UNKNOWN", "NOT_READY"];
        ensure!(known.contains(&reason_of(&status).as_str()), "{status:?}");
        let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        ensure!(retry.is_some_and(|delay| !delay.is_zero()), "when to retry: {status:?}");
    }
    stack.nats.as_mut().unwrap().start_again(0)?;
    stack.nats.as_ref().unwrap().ready().await?;
    // The very same requests again: each is served, and was run at most once.
    let mut numbers = Vec::new();
    for request in requests {
        numbers.push(call!(api, intake.create_ticket, request).await?.number);
    }
    numbers.sort_unstable();
    let expected: Vec<u64> = (before.number + 1..).take(CALLS).collect();
    ensure!(numbers == expected, "{numbers:?}");
    api.rest().await?;
    let history = History::read(&api).await?;
    let opened = history.events(ServiceId::Intake).filter(|event| event.r#type == "TicketOpened");
    let mut ids = Vec::new();
    for event in opened {
        ids.push(TicketOpened::decode(event.data.as_ref())?.external_id);
    }
    ids.sort_unstable();
    let expected: Vec<_> = (0..=CALLS).map(|number| format!("x-{number}")).collect();
    ensure!(ids == expected, "half-done: {ids:?}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_or_of_another_version() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let data = stack.directory().join("up");
    let path = data.display().to_string();
    let second = ["up", "--data-dir", &path, "--listen", "127.0.0.1:0"];
    refused_start(&second, "use").await?;
    // Nothing happened to the first.
    let api = stack.api()?;
    call!(api, intake.create_ticket, create(0)).await?;
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.processes[0].said());

    let mark = data.join("log/FORMAT");
    let kept = std::fs::read(&mark)?;
    std::fs::write(&mark, "switchyard-log 99\n")?;
    refused_start(&second, "99").await?;
    ensure!(std::fs::read(&mark)? == b"switchyard-log 99\n", "the mark was changed");
    std::fs::write(&mark, kept)?;
    stack.processes[0].start_again().await?;
    let api = stack.api()?;
    call!(api, intake.create_ticket, create(1)).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_nobody_made() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let data = tempfile::tempdir()?;
    let path = data.path().display().to_string();
    let url = nats.url();
    refused_start(
        &["serve", "intake", "--log", &url, "--data-dir", &path, "--listen", "127.0.0.1:0"],
        "init",
    )
    .await
}

/// What lies beside the log is one process's as well: a second one is refused, and takes nothing from the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_s_directory_in_use() -> anyhow::Result<()> {
    let stack = Stack::four(&[]).await?;
    let url = stack.nats.as_ref().unwrap().url();
    let directory = stack.directory().join("routing");
    let shown = directory.display().to_string();
    let second =
        ["serve", "routing", "--log", &url, "--data-dir", &shown, "--listen", "127.0.0.1:0"];
    refused_start(&second, "in use by another process").await?;
    let beside: Vec<_> = std::fs::read_dir(directory.join("snapshots"))?.flatten().collect();
    let aside = |name: std::ffi::OsString| name.to_string_lossy().starts_with("quarantine");
    ensure!(!beside.iter().any(|entry| aside(entry.file_name())), "{beside:?}");
    stack.stop().await
}

/// What no later try mends is no passing trouble, and is named.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_can_be_none() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let file = place.path().join("file");
    std::fs::write(&file, "no directory")?;
    let shown = file.display().to_string();
    refused_start(&["up", "--data-dir", &shown, "--listen", "127.0.0.1:0"], &shown).await?;
    refused_start(&["verify", "--data-dir", &shown], &shown).await?;
    for url in ["http://127.0.0.1:4222", "nats://", "127.0.0.1:4222,ftp://x"] {
        refused_start(&["verify", "--log", url], "--log takes nats://").await?;
    }
    Ok(())
}

/// The command must end as bad configuration, and say why.
async fn refused_start(arguments: &[&str], says: &str) -> anyhow::Result<()> {
    let ended = run(arguments).await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(78), "{}: {said}", ended.status);
    ensure!(said.contains(says), "it doesn't say {says:?}: {said}");
    Ok(())
}
