//! Webhooks' secrets are sealed wherever they are kept, and what is kept is its owner's alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use runtime::ServiceId;
use tests::api::{Api, new_id, reason_of, until};
use tests::call;
use tests::nats::Nats;
use tests::notices::{deliveries, open_ticket, put_endpoint, put_rule, put_workspace};
use tests::process::{Process, run, secrets_key};
use tests::receiver::{Receiver, SECRET};
use tests::stack::Stack;
use wire::admin::v1 as admin;
use wire::events::v1::{Commit, EndpointPut};
use wire::notify::v1 as notify;

const WORKSPACE: &str = "acme";
const KEYS: [&str; 2] = [
    "Zmlyc3Qga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM=",
    "c2Vjb25kIGtleSBvZiB0aGUgdGVzdHMgMzIgYnl0ZXM=",
];

/// Everything that a secret may be known by: its text, its part in base64, its bytes.
fn forms(secret: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let inner = secret.strip_prefix("whsec_").context("no secret")?;
    Ok(vec![inner.as_bytes().to_vec(), STANDARD.decode(inner)?])
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// All files and folders below a folder, itself included.
fn tree(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut all, mut ahead) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = ahead.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                ahead.push(entry?.path());
            }
        }
        all.push(path);
    }
    Ok(all)
}

/// Every file 0600, every folder 0700.
fn check_private(root: &Path) -> anyhow::Result<usize> {
    let all = tree(root)?;
    for path in &all {
        let metadata = fs::symlink_metadata(path)?;
        let (mode, wanted) =
            (metadata.permissions().mode() & 0o777, if metadata.is_dir() { 0o700 } else { 0o600 });
        ensure!(mode == wanted, "{} has {mode:o}", path.display());
    }
    Ok(all.len())
}

/// What stands in a file, and in every zstd frame in it.
fn contents(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let bytes = fs::read(path)?;
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == MAGIC);
    let frames: Vec<Vec<u8>> = starts
        .filter_map(|(start, _)| {
            let mut opened = Vec::new();
            let frame = zstd::stream::read::Decoder::new(bytes.get(start..)?).ok()?.single_frame();
            // One that breaks off is none, or goes on in another piece of the store.
            std::io::copy(&mut { frame }, &mut opened).ok();
            Some(opened)
        })
        .collect();
    Ok([vec![bytes], frames].concat())
}

/// No secret stands in any file below a folder. Returns how many bytes were looked at.
fn check_sealed(root: &Path, secrets: &[Vec<u8>]) -> anyhow::Result<usize> {
    let mut looked = 0;
    for path in tree(root)?.into_iter().filter(|path| path.is_file()) {
        for content in contents(&path)? {
            looked += content.len();
            let found = secrets.iter().any(|secret| holds(&content, secret));
            ensure!(!found, "a secret stands in {}", path.display());
        }
    }
    Ok(looked)
}

/// The records of all of notify's partitions.
async fn records(api: &Api) -> anyhow::Result<Vec<Bytes>> {
    let mut all = Vec::new();
    for partition in 0..4 {
        let mut from_seq = 1;
        loop {
            let read = admin::ReadRequest {
                service: ServiceId::Notify.to_wire().into(),
                partition,
                from_seq,
                decode: true,
                ..Default::default()
            };
            let read = api.log(ServiceId::Notify).read(read).await?.into_inner().records;
            if read.is_empty() {
                break;
            }
            from_seq += u64::try_from(read.len())?;
            for record in read {
                all.extend([record.data, record.json.into()]);
            }
        }
    }
    Ok(all)
}

async fn settle(api: &Api, receiver: &Receiver) -> anyhow::Result<String> {
    put_workspace(api, WORKSPACE).await?;
    put_endpoint(api, WORKSPACE, "hook", &receiver.url(), SECRET).await?;
    put_rule(api, WORKSPACE, "hook", Some("hook"), "").await?;
    let made = put_endpoint(api, WORKSPACE, "made", &receiver.url(), "").await?;
    ensure!(made.secret.starts_with("whsec_"), "a new secret is shown once");
    Ok(made.secret)
}

/// Opens a ticket and waits until its webhook has arrived with its signature.
async fn arrives(api: &Api, receiver: &Receiver) -> anyhow::Result<()> {
    let before = receiver.received().delivered;
    open_ticket(api, WORKSPACE).await?;
    until("a signed webhook", || async {
        ensure!(receiver.received().rejected == 0, "its signature is wrong");
        Ok((receiver.received().delivered > before).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_stands_in_clear_anywhere_and_no_file_is_for_others() -> anyhow::Result<()> {
    let mut stack = Stack::up(&[
        "--log-level",
        "trace",
        "--snapshot-seconds",
        "1",
        "--metrics-listen",
        "127.0.0.1:0",
    ])
    .await?;
    let api = stack.api()?;
    let receiver = Receiver::start().await?;
    let made = settle(&api, &receiver).await?;
    arrives(&api, &receiver).await?;
    let secrets = [forms(SECRET)?, forms(&made)?].concat();
    let clear = |bytes: &[u8]| secrets.iter().any(|secret| holds(bytes, secret));

    until("all of notify is saved", || async {
        let saved = api.status(ServiceId::Notify).await?;
        Ok(saved.iter().any(|it| it.snapshot_seq > 1).then_some(()))
    })
    .await?;
    let all = records(&api).await?.concat();
    ensure!(holds(&all, b"EndpointPut"), "it was read");
    ensure!(!clear(&all), "LogService shows a secret");
    let figures = stack.processes[0].figures().await?;
    ensure!(!clear(figures.as_bytes()), "the metrics show a secret");

    let directory = stack.directory().to_owned();
    let (data, aside) = (directory.join("up"), tempfile::tempdir()?);
    let (backup, archive) = (aside.path().join("backup"), aside.path().join("archive"));
    let address = stack.addresses().notify;
    for arguments in [
        vec!["backup", "--address", &address, "--to"],
        vec!["log", "archive", "--address", &address, "--to"],
    ] {
        let place = if arguments[0] == "backup" { &backup } else { &archive };
        let done = run(&[arguments, vec![&place.display().to_string()]].concat()).await?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let shown = run(&["log", "show", "notify", "--address", &address, "-o", "json"]).await?;
    ensure!(!clear(&shown.stdout), "log show shows a secret");
    stack.processes[0].stop().await?;
    ensure!(!clear(stack.processes[0].said().as_bytes()), "the process has printed a secret");

    for place in [&data, &backup, &archive] {
        let files = check_private(place)?;
        let bytes = check_sealed(place, &secrets)?;
        ensure!(files > 5 && bytes > 1_000, "{}: {files} files, {bytes} bytes", place.display());
    }
    ensure!(data.join("keys/webhook-secrets.keys").is_file(), "up has made a key");

    // What an earlier release, or a copy, has left open is closed at the start.
    for path in tree(&data)? {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    stack.processes[0].start_again().await?;
    arrives(&stack.api()?, &receiver).await?;
    stack.processes[0].stop().await?;
    check_private(&data)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_is_shown_the_secret_that_it_made_after_a_restart_too() -> anyhow::Result<()>
{
    let mut stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    put_workspace(&api, WORKSPACE).await?;
    let put = notify::PutEndpointRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        endpoint: Some(notify::Endpoint {
            endpoint_id: "hook".to_owned(),
            url: "http://127.0.0.1:9/".to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    let first = call!(api, notify.put_endpoint, put.clone()).await?;
    ensure!(first.secret.starts_with("whsec_"));
    stack.processes[0].kill().await?;
    stack.processes[0].start_again().await?;
    let api = stack.api()?;
    let again = call!(api, notify.put_endpoint, put).await?;
    ensure!(first == again, "{first:?} {again:?}");
    stack.stop().await
}

/// The ids of the keys that endpoints' secrets are sealed with now, by notify's logs.
async fn sealed_with(api: &Api) -> anyhow::Result<BTreeSet<String>> {
    let mut last = BTreeMap::new();
    for record in records(api).await? {
        // Every second one is JSON.
        let Ok(commit) = Commit::decode(record) else { continue };
        for event in commit.events.into_iter().filter(|event| event.r#type == "EndpointPut") {
            let put = EndpointPut::decode(event.data)?;
            let keys: Vec<String> = put.sealed_secrets.into_iter().map(|it| it.key_id).collect();
            last.insert((event.workspace, put.endpoint_id), keys);
        }
    }
    Ok(last.into_values().flatten().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_and_a_lost_one_fails_its_deliveries_alone() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let file = place.path().join("keys");
    let with = |keys: &[&str]| fs::write(&file, keys.join("\n"));
    with(&KEYS[..1])?;
    let mut stack = Stack::up(&["--secrets-key-file", &file.display().to_string()]).await?;
    let receiver = Receiver::start().await?;
    let api = stack.api()?;
    settle(&api, &receiver).await?;
    arrives(&api, &receiver).await?;
    let old = sealed_with(&api).await?;
    ensure!(old.len() == 1, "{old:?}");

    // The key is lost: what needs it fails by name, everything else goes on.
    stack.processes[0].stop().await?;
    with(&KEYS[1..])?;
    stack.processes[0].start_again().await?;
    let api = stack.api()?;
    let said = stack.processes[0].said();
    ensure!(
        said.contains("webhooks are not sent") && said.contains(old.first().context("id")?),
        "{said}"
    );
    let before = receiver.received();
    let ticket = open_ticket(&api, WORKSPACE).await?;
    until("the delivery says why", || async {
        let all = deliveries(&api, WORKSPACE).await?;
        let it = all.into_iter().find(|it| it.ticket_id == ticket);
        Ok(it.filter(|it| it.last_error == "secret_key_missing" && it.attempts > 0).map(|_| ()))
    })
    .await?;
    put_workspace(&api, "other").await?;
    put_endpoint(&api, "other", "hook", &receiver.url(), SECRET).await?;
    put_rule(&api, "other", "hook", Some("hook"), "").await?;
    open_ticket(&api, "other").await?;
    until("another endpoint's webhook", || async {
        Ok((receiver.received().delivered == before.delivered + 1).then_some(()))
    })
    .await?;

    // It is found again, behind the new one: every secret is put under the new one, and the old one can go.
    stack.processes[0].stop().await?;
    with(&[KEYS[1], KEYS[0]])?;
    stack.processes[0].start_again().await?;
    let api = stack.api()?;
    let now = until("every secret is under the new key", || async {
        let now = sealed_with(&api).await?;
        Ok(now.is_disjoint(&old).then_some(now))
    })
    .await?;
    ensure!(now.len() == 1, "{now:?}");
    stack.processes[0].stop().await?;
    with(&KEYS[1..])?;
    stack.processes[0].start_again().await?;
    arrives(&stack.api()?, &receiver).await?;
    ensure!(receiver.received().rejected == 0);
    stack.stop().await
}

async fn exit(arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let ended = run(arguments).await?;
    Ok((ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn notify_on_nats_needs_its_key_and_nobody_else_takes_it() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let (url, place) = (nats.url(), tempfile::tempdir()?);
    let data = place.path().join("data").display().to_string();
    let file = place.path().join("made/by-init.keys").display().to_string();
    let init = ["init", "--log", &url, "--partitions", "2", "--secrets-key-file", &file];
    for said in ["was made", "is there"] {
        let (code, text) = exit(&init).await?;
        ensure!(code == Some(0) && text.contains(said), "{text}");
    }
    check_private(&place.path().join("made"))?;
    let serve = |role, more: &[&str]| {
        let base = ["serve", role, "--log", &url, "--data-dir", &data, "--listen", "127.0.0.1:0"];
        [&base, more].concat().into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let (absent, bad) = (format!("{file}.absent"), place.path().join("bad").display().to_string());
    fs::write(&bad, "no key\n")?;
    for (arguments, expected) in [
        (serve("notify", &[]), "serve notify needs --secrets-key-file"),
        (serve("notify", &["--secrets-key-file", &absent]), absent.as_str()),
        (serve("notify", &["--secrets-key-file", &bad]), "line 1: a key is 32 bytes in base64"),
        (serve("routing", &["--secrets-key-file", &file]), "for serve notify alone"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, text) = exit(&arguments).await?;
        ensure!(code == Some(78) && text.contains(expected), "{arguments:?}: {code:?} {text}");
        ensure!(!text.contains("no key\n"), "what the file holds is not shown: {text}");
    }
    let shared = secrets_key(place.path())?;
    let arguments = ["serve", "notify", "--log", &url, "--secrets-key-file", &shared];
    let mut process = Process::start("notify", place.path(), &arguments, &[]).await?;
    ensure!(process.stop().await?.success(), "{}", process.said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_refused_by_reason_where_nothing_can_seal() -> anyhow::Result<()> {
    // A server of all roles but notify has no key; what it is asked goes nowhere.
    let stack = Stack::up(&["--roles", "intake,routing,sla"]).await?;
    let refused = put_endpoint(&stack.api()?, WORKSPACE, "hook", "http://127.0.0.1:9/", "").await;
    let refused = refused.err().context("taken")?;
    ensure!(reason_of(&refused) == "UNIMPLEMENTED", "{refused:?}");
    ensure!(!stack.directory().join("up/keys").exists(), "no key is made for nobody");
    Ok(()) // Not stopped as others are: notify's logs have nothing that could be verified.
}
