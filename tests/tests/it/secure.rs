//! NATS that lets in only whom it knows.
//!
//! As `deploy/nats-secure.conf` has it, each service proves who it is by a certificate, writes its own log and no
//! other, and the whole story is told. With an operator and accounts, whoever comes proves it by a credentials file,
//! and no command prints what is secret there.

use std::path::Path;

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use futures::StreamExt as _;
use runtime::ServiceId;
use tests::api::{Addresses, Api, until};
use tests::files::path;
use tests::nats_creds::{CredsNats, write_secret};
use tests::nats_secure::SecureNats;
use tests::process::{Process, binary, run};
use tests::receiver::Receiver;
use tests::story::tell;

/// Runs a command of the binary as one of the server's users.
async fn run_as(
    nats: &SecureNats,
    user: &str,
    arguments: &[&str],
) -> anyhow::Result<std::process::Output> {
    let flags = nats.flags(user);
    run(&[arguments, &texts(&flags)[..]].concat()).await
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

fn said(ended: &std::process::Output) -> String {
    [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// A server that the operator has made the streams on.
async fn initialised() -> anyhow::Result<SecureNats> {
    let nats = SecureNats::start().await?;
    let made = run_as(&nats, "ops", &["init", "--partitions", "2"]).await?;
    ensure!(made.status.success(), "init: {}: {}", said(&made), nats.said());
    Ok(nats)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_by_services_that_may_do_no_more_than_they_must() -> anyhow::Result<()> {
    let nats = initialised().await?;
    let directory = tempfile::tempdir()?;
    let mut processes = Vec::new();
    for service in ServiceId::ALL {
        let flags = nats.flags(service.name());
        let serve = ["serve", service.name(), "--allow-private-endpoints"];
        let all = [&serve[..], &texts(&flags)[..]].concat();
        processes.push(Process::start(service.name(), directory.path(), &all, &[]).await?);
    }
    let [intake, routing, sla, notify] = [0, 1, 2, 3].map(|at| processes[at].address().to_owned());
    let api = Api::new(&Addresses { intake, routing, sla, notify })?;
    let receiver = Receiver::start().await?;
    let told = tell(&api, "secured", &receiver).await;
    let everything = || processes.iter().map(Process::said).collect::<Vec<_>>().join("\n");
    told.with_context(everything)?;
    for process in &mut processes {
        let ended = process.stop().await?;
        ensure!(ended.success(), "{}", process.said());
        // None of them asked for what it may not do.
        let said = process.said().to_lowercase();
        ensure!(!said.contains("permissions violation"), "{said}");
    }
    let verified = run_as(&nats, "ops", &["verify"]).await?;
    ensure!(verified.status.success(), "verify: {}", said(&verified));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_comes_as_another_is_refused_and_says_so() -> anyhow::Result<()> {
    let nats = initialised().await?;
    let before = records(&nats, "SY_INTAKE_00").await?;
    let directory = tempfile::tempdir()?;
    let output = std::fs::File::create(directory.path().join("output"))?;
    let mut intake = tokio::process::Command::new(binary()?)
        .args(["serve", "intake", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path().join("intake"))
        .args(nats.flags("sla"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(output)
        .kill_on_drop(true)
        .spawn()?;
    let said = || std::fs::read_to_string(directory.path().join("output")).unwrap_or_default();
    until("it says what it may not", || async {
        let refused = said().to_lowercase().contains("permissions violation for publish to");
        Ok((refused && said().contains("sy.v1.intake.")).then_some(()))
    })
    .await
    .with_context(said)?;
    intake.kill().await?;
    ensure!(records(&nats, "SY_INTAKE_00").await? == before, "it wrote to another's log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_let_in() -> anyhow::Result<()> {
    let nats = initialised().await?;
    // Signed by the right authority, but nobody's.
    let ended = run_as(&nats, "stranger", &["verify"]).await?;
    ensure!(ended.status.code() == Some(78), "{}", said(&ended));
    ensure!(said(&ended).contains("access to the log is denied"), "{}", said(&ended));
    // Without a certificate, and without trust in the server's.
    let ca = nats.flags("ops")[3].clone();
    let ended = run(&["verify", "--log", &nats.url(), "--nats-ca", &ca]).await?;
    ensure!(!ended.status.success(), "no certificate was asked for");
    let ended = run(&["verify", "--log", &nats.url()]).await?;
    ensure!(!ended.status.success(), "a server that nobody vouches for was trusted");
    // With an authority, a certificate or a key that isn't there.
    for at in [3, 5, 7] {
        let mut flags = nats.flags("ops");
        flags[at].push_str(".missing");
        let ended = run(&[&["verify"], &texts(&flags)[..]].concat()).await?;
        ensure!(ended.status.code() == Some(78), "{}", said(&ended));
        ensure!(said(&ended).contains(&flags[at]), "{}", said(&ended));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_service_can_touch_a_stream_or_another_s_records() -> anyhow::Result<()> {
    let nats = initialised().await?;
    let flags = nats.flags("sla");
    let [_, url, _, ca, _, cert, _, key, _, prefix] = &texts(&flags)[..] else {
        anyhow::bail!("{flags:?}")
    };
    let (told, mut violations) = tokio::sync::mpsc::unbounded_channel();
    let client = async_nats::ConnectOptions::new()
        .add_root_certificates(Path::new(ca).to_owned())
        .add_client_certificate(Path::new(cert).to_owned(), Path::new(key).to_owned())
        .custom_inbox_prefix(*prefix)
        .event_callback(move |event| {
            told.send(event.to_string()).unwrap_or(());
            async {}
        })
        .connect(*url)
        .await?;
    let forbidden = [
        "sy.v1.intake.00",
        "sy.v1.routing.01",
        "$JS.API.STREAM.PURGE.SY_SLA_00",
        "$JS.API.STREAM.DELETE.SY_SLA_00",
        "$JS.API.STREAM.UPDATE.SY_SLA_00",
        "$JS.API.STREAM.CREATE.SY_SLA_07",
        "$JS.API.STREAM.MSG.DELETE.SY_INTAKE_00",
        "_INBOX_intake.x",
    ];
    for subject in forbidden {
        client.publish(subject, "{}".into()).await?;
        client.flush().await?;
        let heard = async {
            while let Some(event) = violations.recv().await {
                if event.contains(&format!("Publish to \"{subject}\"")) {
                    return true;
                }
            }
            false
        };
        let heard = tokio::time::timeout(tests::api::WITHIN, heard).await;
        ensure!(heard == Ok(true), "{subject} was not refused");
    }
    // What others are told is none of its business either.
    let mut heard = client.subscribe("_INBOX_intake.>").await?;
    client.flush().await?;
    let refused = async {
        while let Some(event) = violations.recv().await {
            if event.contains("Subscription to \"_INBOX_intake.>\"") {
                return true;
            }
        }
        false
    };
    let refused = tokio::time::timeout(tests::api::WITHIN, refused).await;
    ensure!(refused == Ok(true), "it may listen to others");
    drop(heard.unsubscribe().await);
    drop(heard.next());
    for stream in ["SY_INTAKE_00", "SY_ROUTING_01", "SY_SLA_00"] {
        ensure!(records(&nats, stream).await? == 1, "{stream} has changed");
    }
    Ok(())
}

/// Runs a command of the binary with a credentials file, or none. Nothing secret may be in what it prints.
async fn run_with(
    nats: &CredsNats,
    credentials: Option<&Path>,
    arguments: &[&str],
) -> anyhow::Result<std::process::Output> {
    let url = nats.url();
    let mut all = [arguments, &["--log", &url]].concat();
    let file = credentials.map(path);
    all.extend(file.iter().flat_map(|file| ["--nats-creds", file]));
    let ended = run(&all).await?;
    keeps_secrets(nats, &said(&ended))?;
    Ok(ended)
}

/// A server on which one with good credentials has made the streams.
async fn initialised_with_credentials() -> anyhow::Result<CredsNats> {
    let nats = CredsNats::start().await?;
    let file = nats.credentials("switchyard");
    let made = run_with(&nats, Some(&file), &["init", "--partitions", "2"]).await?;
    ensure!(made.status.success(), "init: {}: {}", said(&made), nats.said());
    Ok(nats)
}

/// Fails if any seed is in a text, and doesn't print it either.
fn keeps_secrets(nats: &CredsNats, text: &str) -> anyhow::Result<()> {
    ensure!(!nats.seeds().is_empty(), "there is nothing to keep");
    let told = nats.seeds().iter().any(|seed| text.contains(seed.as_str()));
    ensure!(!told, "a seed was printed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_by_who_comes_with_a_credentials_file() -> anyhow::Result<()> {
    let nats = initialised_with_credentials().await?;
    let file = nats.credentials("switchyard");
    let directory = tempfile::tempdir()?;
    let url = nats.url();
    // The NATS client is as talkative as it can be.
    let up = ["up", "--allow-private-endpoints", "--log", &url];
    let arguments = [&up[..], &["--log-level", "info,async_nats=trace"]].concat();
    let file_named = path(&file);
    let environment = [("SWITCHYARD_NATS_CREDS", file_named.as_str())];
    let mut process = Process::start("up", directory.path(), &arguments, &environment).await?;
    let [intake, routing, sla, notify] = [(); 4].map(|()| process.address().to_owned());
    let api = Api::new(&Addresses { intake, routing, sla, notify })?;
    let receiver = Receiver::start().await?;
    let told = tell(&api, "vouched-for", &receiver).await;
    told.with_context(|| process.said())?;
    let ended = process.stop().await?;
    ensure!(ended.success(), "{}", process.said());
    ensure!(process.said().contains("async_nats"), "the client has said nothing");
    keeps_secrets(&nats, &process.said())?;
    // As some stores of secrets keep it.
    let trimmed = directory.path().join("trimmed.creds");
    write_secret(&trimmed, std::fs::read_to_string(&file)?.trim_end())?;
    let verified = run_with(&nats, Some(&trimmed), &["verify"]).await?;
    ensure!(verified.status.success(), "verify: {}", said(&verified));
    keeps_secrets(&nats, &nats.said())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_without_good_credentials_is_refused_for_good() -> anyhow::Result<()> {
    let nats = initialised_with_credentials().await?;
    let [stranger, impostor] = ["stranger", "impostor"].map(|user| nats.credentials(user));
    for credentials in [Some(stranger.as_path()), Some(impostor.as_path()), None] {
        is_refused(&nats, credentials, "authorization violation").await?;
    }
    keeps_secrets(&nats, &nats.said())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_that_is_none_is_named() -> anyhow::Result<()> {
    let nats = CredsNats::start().await?;
    let good = std::fs::read_to_string(nats.credentials("switchyard"))?;
    let [seed, ..] = nats.seeds() else { anyhow::bail!("no seeds") };
    let shorter = seed.split_at(seed.len() - 1).0;
    let directory = tempfile::tempdir()?;
    let bad = [
        ("empty", String::new(), "cannot parse user JWT"),
        ("torn", good.split("-----BEGIN USER").take(1).collect(), "cannot parse nkey"),
        ("cut-off", good.replace(seed, shorter), "Bad seed length"),
    ];
    for (name, text, reason) in bad {
        let file = directory.path().join(name);
        write_secret(&file, &text)?;
        let ended = is_refused(&nats, Some(&file), reason).await?;
        ensure!(ended.contains(&path(&file)), "{ended}");
        ensure!(!ended.contains(shorter), "most of a seed was printed");
    }
    let missing = directory.path().join("missing");
    let ended = is_refused(&nats, Some(&missing), "No such file").await?;
    ensure!(ended.contains(&path(&missing)), "{ended}");
    Ok(())
}

/// A command and a service both end at once, with what is wrong. Returns what they have printed.
async fn is_refused(
    nats: &CredsNats,
    credentials: Option<&Path>,
    reason: &str,
) -> anyhow::Result<String> {
    let directory = tempfile::tempdir()?;
    let data = path(directory.path());
    let serve = ["serve", "intake", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let mut printed = String::new();
    for arguments in [&["verify"][..], &serve] {
        let ended = run_with(nats, credentials, arguments).await?;
        let said = said(&ended);
        ensure!(ended.status.code() == Some(78), "{}: {said}", ended.status);
        ensure!(said.contains("access to the log is denied"), "{said}");
        ensure!(said.contains(reason), "{said}");
        printed.push_str(&said);
    }
    Ok(printed)
}

/// How many records a stream has.
async fn records(nats: &SecureNats, stream: &str) -> anyhow::Result<u64> {
    let flags = nats.flags("ops");
    let [_, url, _, ca, _, cert, _, key, _, prefix] = &texts(&flags)[..] else {
        anyhow::bail!("{flags:?}")
    };
    let client = async_nats::ConnectOptions::new()
        .add_root_certificates(Path::new(ca).to_owned())
        .add_client_certificate(Path::new(cert).to_owned(), Path::new(key).to_owned())
        .custom_inbox_prefix(*prefix)
        .connect(*url)
        .await?;
    let stream = jetstream::new(client).get_stream(stream).await?;
    Ok(stream.cached_info().state.messages)
}
