//! A log that was lost is not an empty one: whoever knows more of it stops its partition, until an operator gives it
//! up.

use std::path::Path;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use tests::api::{Api, reason_of, until};
use tests::call;
use tests::doctor::{doctor, text, wrong};
use tests::process::{Process, run};
use tests::stack::Stack;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

use crate::halted::{all_serve_but, put_workspaces, ticket, until_halted, workspaces};

const ALL: [u16; 4] = [0, 1, 2, 3];

async fn stop_all(stack: &mut Stack) -> anyhow::Result<()> {
    for process in &mut stack.processes {
        ensure!(process.stop().await?.success(), "{}", process.said());
    }
    Ok(())
}

async fn start_all(stack: &mut Stack) -> anyhow::Result<()> {
    for process in &mut stack.processes {
        process.start_again().await?;
    }
    Ok(())
}

async fn init(url: &str, more: &[&str]) -> anyhow::Result<String> {
    let all = [&["init", "--log", url, "--partitions", "4"], more].concat();
    let ended = run(&all).await?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.success(), "{said}");
    Ok(said)
}

/// Takes everything away that a NATS server has.
async fn empty(stack: &mut Stack) -> anyhow::Result<String> {
    let nats = stack.nats.as_mut().context("no nats")?;
    nats.stop(0).await?;
    let streams = nats.stream_directory(0, "SY_INTAKE_00")?;
    let store = streams.ancestors().nth(3).context("no store")?;
    ensure!(store.ends_with("jetstream"), "{}", store.display());
    std::fs::remove_dir_all(store)?;
    nats.start_again(0)?;
    nats.ready().await?;
    Ok(nats.url())
}

async fn running_with_tickets() -> anyhow::Result<(Stack, Api)> {
    let stack = Stack::four(&[]).await?;
    let api = stack.api()?;
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    Ok((stack, api))
}

async fn all_ready(api: &Api) -> anyhow::Result<()> {
    until("every partition is led", || async {
        for service in ServiceId::ALL {
            let Ok(all) = api.status(service).await else { return Ok(None) };
            if all.len() != ALL.len() || !all.iter().all(|one| one.ready) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

/// The store is emptied, as when a volume is lost, and made anew: nobody takes it for a system that never had a ticket.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_store_is_noticed_by_snapshots_and_goes_on_once_it_is_given_up()
-> anyhow::Result<()> {
    let (mut stack, api) = running_with_tickets().await?;
    stop_all(&mut stack).await?;
    let url = empty(&mut stack).await?;
    init(&url, &[]).await?;
    start_all(&mut stack).await?;
    for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
        for reason in until_halted(&api, service, &ALL).await? {
            let says = reason.contains("a snapshot knows record")
                && reason.contains("--accept-loss")
                && reason.contains("it is log");
            ensure!(says, "{reason}");
        }
    }
    let mut client = api.intake.clone();
    let refused = client.create_ticket(api.fresh().request(ticket("w0"))).await;
    let status = refused.err().context("a lost log took a ticket")?;
    ensure!(reason_of(&status) == "PARTITION_HALTED", "{status:?}");
    let targets = stack.addresses().intake;
    let (well, lines) = doctor(&["--log", &url, "--target", &targets]).await?;
    let advised = wrong(&lines).iter().any(|line| text(line, "advice").contains("A log was lost"));
    ensure!(!well && advised, "{:#?}", wrong(&lines));

    let word = ["--accept-loss", "all", "--by", "olga", "--reason", "the volume is gone"];
    let said = init(&url, &word).await?;
    ensure!(said.contains("intake/0 begins anew"), "{said}");
    // Said again, it changes nothing.
    let before = stack.nats.as_ref().context("no nats")?.jetstream().await?;
    let first = before.get_stream("SY_INTAKE_00").await?.get_raw_message(1).await?.payload;
    let said = init(&url, &word).await?;
    ensure!(said.contains("intake/0 has begun anew before"), "{said}");
    let again = before.get_stream("SY_INTAKE_00").await?.get_raw_message(1).await?.payload;
    ensure!(first == again, "it was made once more");
    stop_all(&mut stack).await?;
    start_all(&mut stack).await?;
    all_ready(&api).await?;
    let api = api.fresh();
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    stop_all(&mut stack).await?;
    // What the new logs hold is what the states are.
    start_all(&mut stack).await?;
    all_ready(&api).await?;
    stack.stop().await
}

async fn waiting(api: &Api, workspace: &str) -> anyhow::Result<u32> {
    let request = routing::GetQueueStatsRequest {
        workspace_id: workspace.to_owned(),
        queue_id: "default".to_owned(),
    };
    Ok(call!(api, routing.get_queue_stats, request).await?.waiting)
}

/// Intake's streams are lost, and its snapshots with them; the other services' logs are whole and know what they have
/// read.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_noticed_by_those_who_have_read_it_and_they_keep_their_state()
-> anyhow::Result<()> {
    let (mut stack, api) = running_with_tickets().await?;
    let workspace = workspaces().into_iter().nth(2).context("no workspace")?;
    ensure!(waiting(&api, &workspace).await? == 1, "it doesn't wait");
    stop_all(&mut stack).await?;
    let nats = stack.nats.as_ref().context("no nats")?;
    let (admin, url) = (nats.jetstream().await?, nats.url());
    for partition in ALL {
        admin.delete_stream(format!("SY_INTAKE_{partition:02}")).await?;
        if partition == 0 {
            named_as_missing(&url, stack.directory()).await?;
        }
    }
    std::fs::remove_dir_all(stack.directory().join("intake"))?;
    init(&url, &[]).await?;
    start_all(&mut stack).await?;
    for (partition, reason) in until_halted(&api, ServiceId::Intake, &ALL).await?.iter().enumerate()
    {
        let who = [ServiceId::Routing, ServiceId::Sla, ServiceId::Notify];
        let says = who.iter().any(|reader| {
            reason.contains(&format!("the log of {reader}/{partition} knows record"))
        });
        ensure!(says && reason.contains("--accept-loss"), "{reason}");
    }
    for service in [ServiceId::Routing, ServiceId::Sla] {
        for reason in until_halted(&api, service, &ALL).await? {
            ensure!(reason.contains("the log of intake/"), "{reason}");
        }
    }
    // A partition is given up by itself, the rest together.
    let word = ["--by", "olga", "--reason", "the streams were deleted"];
    init(&url, &[&["--accept-loss", "intake/2"], &word[..]].concat()).await?;
    let whole = ["init", "--log", &url, "--partitions", "4", "--accept-loss", "routing/2"];
    let refused = run(&[&whole[..], &word[..]].concat()).await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(6) && said.contains("routing/2 is whole"), "{said}");
    stop_all(&mut stack).await?;
    start_all(&mut stack).await?;
    until_halted(&api, ServiceId::Intake, &[0, 1, 3]).await?;
    until_halted(&api, ServiceId::Routing, &[0, 1, 3]).await?;
    init(&url, &[&["--accept-loss", "intake"], &word[..]].concat()).await?;
    stop_all(&mut stack).await?;
    start_all(&mut stack).await?;
    all_ready(&api).await?;
    let api = api.fresh();
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    ensure!(waiting(&api, &workspace).await? == 2, "routing has not kept what it had");
    stop_all(&mut stack).await?;

    let (well, lines) = doctor(&["--log", &url, "--deep"]).await?;
    for service in [ServiceId::Routing, ServiceId::Sla] {
        for (partition, workspace) in workspaces().into_iter().enumerate() {
            let subject = format!("{service}/{partition}");
            let named = wrong(&lines).into_iter().any(|line| {
                let found = text(line, "found");
                text(line, "subject") == subject
                    && found.contains("1 tickets that intake doesn't know")
                    && found.contains(&format!("{workspace}/"))
            });
            ensure!(!well && named, "{subject}: {:#?}", wrong(&lines));
        }
    }
    let unexpected: Vec<_> =
        wrong(&lines).into_iter().filter(|line| text(line, "check") != "tickets").collect();
    ensure!(unexpected.is_empty(), "{unexpected:#?}");
    let verified = run(&["verify", "--log", &url]).await?;
    ensure!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    Ok(())
}

/// An instance that has no snapshot leads nothing that another one knows to be lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_noticed_by_what_another_instance_says() -> anyhow::Result<()> {
    let (mut stack, api) = running_with_tickets().await?;
    stop_all(&mut stack).await?;
    let url = empty(&mut stack).await?;
    init(&url, &[]).await?;
    stack.processes[0].start_again().await?;
    until_halted(&api, ServiceId::Intake, &ALL).await?;
    let directory = tempfile::tempdir()?;
    let other = newcomer(directory.path(), &url).await?;
    let at = other.address().to_owned();
    let other_api = Api::new(&tests::api::Addresses {
        intake: at.clone(),
        routing: at.clone(),
        sla: at.clone(),
        notify: at,
    })?;
    for reason in until_halted(&other_api, ServiceId::Intake, &ALL).await? {
        let says = reason.contains("the instance at") && reason.contains("--accept-loss");
        ensure!(says, "{reason}");
    }
    Ok(())
}

async fn newcomer(directory: &Path, url: &str) -> anyhow::Result<Process> {
    let arguments = ["serve", "intake", "--log", url];
    Process::start("newcomer", directory, &arguments, &[]).await
}

/// Whoever reads all logs says which one isn't there.
async fn named_as_missing(url: &str, directory: &Path) -> anyhow::Result<()> {
    let ended = run(&["verify", "--log", url, "-o", "json"]).await?;
    let said = String::from_utf8_lossy(&ended.stdout);
    ensure!(ended.status.code() == Some(1) && said.contains("there is no such log"), "{said}");
    let archive = directory.join("archive").display().to_string();
    let ended = run(&["log", "archive", "--log", url, "--to", &archive]).await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(1) && said.contains("not there: intake/00"), "{said}");
    Ok(())
}

/// The same without NATS: the directory's log is gone, its snapshots are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_its_log_is_noticed_by_its_snapshots() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    stop_all(&mut stack).await?;
    let data = stack.directory().join("up");
    std::fs::remove_dir_all(data.join("log"))?;
    start_all(&mut stack).await?;
    for reason in until_halted(&api, ServiceId::Intake, &ALL).await? {
        ensure!(reason.contains("a snapshot knows record"), "{reason}");
    }
    stop_all(&mut stack).await?;
    let shown = data.display().to_string();
    let (well, lines) = doctor(&["--data-dir", &shown]).await?;
    let found = wrong(&lines);
    let named = |partition| {
        let subject = format!("intake/{partition}");
        found
            .iter()
            .any(|line| text(line, "subject") == subject && text(line, "check") == "snapshot")
    };
    ensure!(!well && ALL.into_iter().all(named), "{lines:#?}");
    let word = ["--by", "olga", "--reason", "the disk is gone"];
    let given_up = ["init", "--data-dir", &shown, "--accept-loss", "all"];
    let ended = run(&[&given_up[..], &word[..]].concat()).await?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    start_all(&mut stack).await?;
    all_ready(&api).await?;
    let api = api.fresh();
    put_workspaces(&api).await?;
    all_serve_but(&api, &[]).await?;
    api.rest().await?;
    let list = intake::ListTicketsRequest {
        workspace_id: workspaces().into_iter().next().unwrap_or_default(),
        ..Default::default()
    };
    ensure!(call!(api, intake.list_tickets, list).await?.tickets.len() == 1, "not a new log");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_named_with_a_name_and_a_reason() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    let word = ["--by", "olga", "--reason", "x"];
    let long = "x".repeat(501);
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--accept-loss", "all"], 2, "--by"),
        (&["--accept-loss", "nobody/1", "--by", "o", "--reason", "x"], 2, "a service"),
        (&["--accept-loss", "intake/x", "--by", "o", "--reason", "x"], 2, "a service"),
        (&["--accept-loss", "intake/9", "--by", "o", "--reason", "x"], 78, "no partition 9"),
        (&["--accept-loss", "all", "--by", "o", "--reason", &long], 78, "--reason 1 to 500"),
        (&word, 2, "--accept-loss"),
    ];
    for (arguments, code, says) in cases {
        let all = [&["init", "--data-dir", &data], arguments].concat();
        let ended = run(&all).await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(ended.status.code() == Some(code), "{arguments:?}: {:?} {said}", ended.status);
        ensure!(said.contains(says), "{arguments:?}: {said}");
    }
    Ok(())
}
