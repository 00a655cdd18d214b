//! Services in processes of their own, from their start to readiness and rest.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use crate::cli::Role;
use crate::demo::memory;
use crate::server;

use super::place::Place;

/// How long a child may take to be ready, and to end.
const WITHIN: Duration = Duration::from_secs(300);
/// How often its memory is looked at, and for how many looks in a row it must not change: for longer than a snapshot
/// waits before it begins, and than what it took is kept.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS_ALIKE: u32 = 20;

/// A process that runs services. Killed when dropped.
#[derive(Debug)]
pub(super) struct Services {
    process: Child,
    stdin: ChildStdin,
    /// From the start of the process to readiness of all its services.
    pub(super) ready_after: Duration,
}

impl Services {
    /// Starts services on the logs of a place, their clocks at `now`.
    pub(super) async fn start(place: &Place, roles: &[Role], now: jiff::Timestamp) -> Result<Self> {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let mut command = Command::new(std::env::current_exe().context("this program's path")?);
        command
            .args(["up", "--listen", "127.0.0.1:0", "--roles", &names.join(",")])
            .args(["--dev", "--clock", "manual", "--now", &now.to_string()])
            .args(["--log-level", "error", "--stop-with-stdin"])
            .args(place.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let began = Instant::now();
        let mut process = command.spawn().context("starting services")?;
        let stdin = process.stdin.take().context("the child's stdin")?;
        let stdout = process.stdout.take().context("the child's stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let line =
            timeout(WITHIN, lines.next_line()).await.context("it is not ready in time")??;
        let ready_after = began.elapsed();
        if line.as_deref().and_then(server::address_of).is_none() {
            bail!("{} ended before it was ready", names.join(","));
        }
        Ok(Self { process, stdin, ready_after })
    }

    /// The memory that it takes once that no longer changes, in bytes.
    pub(super) async fn resident_bytes(&self) -> Result<u64> {
        let id = self.process.id().context("the child has ended")?;
        let until = Instant::now() + WITHIN;
        let (mut last, mut alike) = (memory::resident_bytes(id)?, 0);
        while alike < LOOKS_ALIKE && Instant::now() < until {
            sleep(LOOK_EVERY).await;
            let now = memory::resident_bytes(id)?;
            alike = if now.abs_diff(last) <= last / 500 { alike + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }

    /// Asks it to stop, and waits until it has: its snapshots are saved.
    pub(super) async fn stop(self) -> Result<()> {
        let Self { mut process, stdin, .. } = self;
        drop(stdin);
        let status = timeout(WITHIN, process.wait()).await.context("it does not end")??;
        if !status.success() {
            bail!("the services ended with {status}");
        }
        Ok(())
    }
}

/// Takes a place's snapshots away: the next start folds its logs from their first records on.
pub(super) fn forget_snapshots(place: &Place) -> Result<()> {
    let snapshots = place.data_dir().join("snapshots");
    if snapshots.exists() {
        std::fs::remove_dir_all(&snapshots).context("removing snapshots")?;
    }
    Ok(())
}
