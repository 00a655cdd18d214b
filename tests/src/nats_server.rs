//! One nats-server process: started with what it prints in a file, asked for its ports, killed when dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long a server may take until it works.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(20);

/// A server and the directory in which it says how it is. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    directory: PathBuf,
}

impl Server {
    /// Starts one. What it prints goes to `output` in the directory, and the ports that it picks into a file beside it.
    pub(crate) fn start(
        directory: &Path,
        config: &Path,
        more: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let output = std::fs::File::create(directory.join("output"))?;
        let mut command = Command::new(server_binary()?);
        command.arg("--config").arg(config).arg("--ports_file_dir").arg(directory);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        more(&mut command);
        let process = command.spawn().context("starting nats-server")?;
        Ok(Self { process, directory: directory.to_owned() })
    }

    /// The ports that it has picked, each named as its file does: `nats` for clients, `monitoring`. Waits until it says
    /// them.
    pub(crate) async fn ports<const N: usize>(
        &mut self,
        named: [&str; N],
    ) -> anyhow::Result<[u16; N]> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let file = self.directory.join(format!("nats-server_{}.ports", self.process.id()));
        loop {
            let text = std::fs::read(&file).unwrap_or_default();
            let all = serde_json::from_slice(&text).unwrap_or(Value::Null);
            let ports = named.map(|name| port_in(&all, name));
            if ports.iter().all(Option::is_some) {
                return Ok(ports.map(Option::unwrap_or_default));
            }
            if self.has_ended()? || Instant::now() > deadline {
                bail!("it did not start: {}", self.said());
            }
            sleep(LOOK_AGAIN_EVERY).await;
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it runs no more.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// What it has printed.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.directory.join("output")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().unwrap_or(());
        drop(self.process.wait());
    }
}

fn port_in(all: &Value, name: &str) -> Option<u16> {
    all.get(name)?.get(0)?.as_str()?.rsplit(':').next()?.parse().ok()
}

/// The path of nats-server.
fn server_binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("SWITCHYARD_NATS_SERVER") {
        return Ok(path.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch-nats");
    let output = Command::new(script).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "fetch-nats failed");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}
