//! A full disk: every write says so, reads go on, health is honest, and so is a start on it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use tests::api::{Api, reason_of, until};
use tests::call;
use tests::process::Process;
use tests::stack::Stack;
use tonic_types::StatusExt as _;
use wire::intake::v1 as intake;

use crate::halted::ticket;

const SIZE: &str = "size=24m";
const CALLS: usize = 300;

/// A small disk. Unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one, or says why this machine can't.
    fn mount(place: &Path) -> anyhow::Result<Result<Self, String>> {
        std::fs::create_dir(place)?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "switchyard-test"])
            .arg(place)
            .output()
            .context("mount")?;
        if !mount.status.success() {
            return Ok(Err(String::from_utf8_lossy(&mount.stderr).trim().to_owned()));
        }
        Ok(Ok(Self(place.to_owned())))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves no byte free.
    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let mut piece = vec![0; 1 << 16];
        while !piece.is_empty() {
            match ballast.write(&piece) {
                Ok(1..) => {}
                Ok(0) | Err(_) => piece.truncate(piece.len() / 2),
            }
        }
        Ok(())
    }

    fn clear(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open keeps nobody waiting.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

fn read(ticket_id: &str) -> intake::GetTicketRequest {
    intake::GetTicketRequest {
        workspace_id: "default".to_owned(),
        by: Some(intake::get_ticket_request::By::TicketId(ticket_id.to_owned())),
    }
}

/// Writes until the log is full, then writes and reads side by side. How many writes were refused, and how many of
/// these said why.
async fn write_and_read(api: &Api, known: &str) -> anyhow::Result<()> {
    let mut client = api.intake.clone();
    for _ in 0..2_000 {
        let mut large = ticket("default");
        large.body = "x".repeat(30_000);
        if client.create_ticket(api.request(large)).await.is_err() {
            break;
        }
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        let (mut writer, mut reader) = (api.intake.clone(), api.intake.clone());
        let mut large = ticket("default");
        large.body = "x".repeat(30_000);
        let (write, read) = (api.request(large), api.request(read(known)));
        calls.spawn(async move {
            let written = writer.create_ticket(write).await;
            (written.err(), reader.get_ticket(read).await.err())
        });
    }
    let mut refused = 0;
    while let Some(done) = calls.join_next().await {
        let (written, read) = done?;
        ensure!(read.is_none(), "a read failed: {read:?}");
        let Some(status) = written else { continue };
        refused += 1;
        ensure!(reason_of(&status) == "LOG_FULL", "{status:?}");
        ensure!(status.code() == tonic::Code::ResourceExhausted, "{status:?}");
        ensure!(status.get_details_retry_info().is_some(), "{status:?}");
    }
    println!("{refused} of {CALLS} writes were refused as LOG_FULL, no read failed");
    ensure!(refused > CALLS / 2, "only {refused} of {CALLS} were refused");
    Ok(())
}

/// The partition of the default workspace says that it is full.
async fn until_full(api: &Api, process: &Process) -> anyhow::Result<()> {
    until("it says that it is full", || async {
        let Ok(all) = api.status(ServiceId::Intake).await else { return Ok(None) };
        Ok(all.iter().any(|one| one.reason.contains("the log is full")).then_some(()))
    })
    .await?;
    let figures = process.figures().await?;
    let full = |line: &str| line.contains("state=\"log_full\"") && line.ends_with(" 1");
    ensure!(figures.lines().any(full), "{figures}");
    let address = process.address();
    let ended = tests::process::run(&["healthcheck", "--address", address]).await?;
    ensure!(!ended.status.success(), "it says that all is well");
    Ok(())
}

async fn until_ready(api: &Api) -> anyhow::Result<()> {
    until("there is room again", || async {
        let Ok(all) = api.status(ServiceId::Intake).await else { return Ok(None) };
        Ok((!all.is_empty() && all.iter().all(|one| one.ready)).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_a_directory_is_said_each_time() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let disk = match Disk::mount(&directory.path().join("up"))? {
        Ok(disk) => disk,
        Err(why) => {
            println!("not run: this machine mounts no small disk: {why}");
            return Ok(());
        }
    };
    let mut stack = Stack::up_in(directory, &["--metrics-listen", "127.0.0.1:0"]).await?;
    let api = stack.api()?;
    let known = call!(api, intake.create_ticket, ticket("default")).await?.ticket_id;
    api.rest().await?;
    disk.fill()?;
    write_and_read(&api, &known).await?;
    until_full(&api, &stack.processes[0]).await?;

    // A start on it says why it can't write, and shows what there is.
    stack.processes[0].kill().await?;
    stack.processes[0].start_again().await?;
    until_full(&api, &stack.processes[0]).await?;
    ensure!(!stack.said().contains("another instance has taken over"), "{}", stack.said());
    let api = api.fresh();
    let mut client = api.intake.clone();
    client.get_ticket(api.request(read(&known))).await.context("a read after the restart")?;
    let status = client.create_ticket(api.request(ticket("default"))).await.err();
    let status = status.context("a full disk took a ticket")?;
    ensure!(reason_of(&status) == "LOG_FULL", "{status:?}");

    disk.clear()?;
    until_ready(&api).await?;
    call!(api, intake.create_ticket, ticket("default")).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_said_each_time() -> anyhow::Result<()> {
    let mut stack = Stack::four(&[("SWITCHYARD_METRICS_LISTEN", "127.0.0.1:0")]).await?;
    let api = stack.api()?;
    let known = call!(api, intake.create_ticket, ticket("default")).await?.ticket_id;
    api.rest().await?;
    let admin = stack.nats.as_ref().context("no nats")?.jetstream().await?;
    let partition = runtime::partition_of("default", 4);
    let limit = async |full: bool| {
        let stream = admin.get_stream(format!("SY_INTAKE_{partition:02}")).await?;
        let info = stream.cached_info();
        let mut config = info.config.clone();
        config.max_bytes = if full { i64::try_from(info.state.bytes)? + 100_000 } else { -1 };
        admin.update_stream(config).await?;
        anyhow::Ok(())
    };
    limit(true).await?;
    write_and_read(&api, &known).await?;
    until_full(&api, &stack.processes[0]).await?;
    // So full that not even a claim has room.
    let stream = admin.get_stream(format!("SY_INTAKE_{partition:02}")).await?;
    let mut config = stream.cached_info().config.clone();
    config.max_bytes = i64::try_from(stream.cached_info().state.bytes)? + 10;
    admin.update_stream(config).await?;
    stack.processes[0].kill().await?;
    stack.processes[0].start_again().await?;
    until_full(&api, &stack.processes[0]).await?;
    let api = api.fresh();
    let mut client = api.intake.clone();
    client.get_ticket(api.request(read(&known))).await.context("a read after the restart")?;
    let status = client.create_ticket(api.request(ticket("default"))).await.err();
    ensure!(status.is_some_and(|status| reason_of(&status) == "LOG_FULL"), "not full");
    limit(false).await?;
    until_ready(&api).await?;
    call!(api, intake.create_ticket, ticket("default")).await?;
    stack.stop().await
}
