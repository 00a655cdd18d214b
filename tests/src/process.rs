//! The real `switchyard` binary as a process: started, killed as by `kill -9`, started again, asked to stop.
//!
//! The binary is the one that `SWITCHYARD_BIN` names, or else the newest of the target directory.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a server may take until it listens, or until it has stopped.
const WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(20);

/// A server of ours. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    output: PathBuf,
    address: String,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Kept open: a server that can't print would fail.
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server and waits until it says where it listens. `directory` becomes its data directory; what it prints
    /// on stderr goes to a file beside it.
    pub async fn start(
        name: &str,
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut all: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let data = directory.join(name);
        all.extend(["--data-dir".to_owned(), data.display().to_string()]);
        if arguments.starts_with(&["serve", "notify"]) && !arguments.contains(&"--secrets-key-file")
        {
            all.extend(["--secrets-key-file".to_owned(), secrets_key(directory)?]);
        }
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let mut process = Self {
            name: name.to_owned(),
            arguments: all,
            environment: environment.iter().map(owned).collect(),
            output: directory.join(format!("{name}.log")),
            address: "127.0.0.1:0".to_owned(),
            running: None,
        };
        process.spawn().await?;
        Ok(process)
    }

    /// Where it listens: `127.0.0.1:PORT`, the same after a restart.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn id(&self) -> anyhow::Result<u32> {
        let running = self.running.as_ref().context("not running")?;
        running.child.id().context("it has ended by itself")
    }

    /// The most memory that it has had at once, in bytes.
    pub fn memory_peak(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
        Ok(kib.parse::<u64>()?.saturating_mul(1024))
    }

    /// What it has printed on stderr so far, over all its lives.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// The address at which it serves its figures, as it has said since its last start.
    pub fn metrics_address(&self) -> anyhow::Result<SocketAddr> {
        let said = self.said();
        let line = said.lines().rfind(|line| line.contains("metrics are served"));
        let digits = |text: &str| {
            let port = text.split("127.0.0.1:").nth(1)?;
            port.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
        };
        let port = line.and_then(digits).with_context(|| format!("no address: {said}"))?;
        Ok(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Its figures, if it serves them.
    pub async fn figures(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.metrics_address()?).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        ensure!(reply.starts_with("HTTP/1.0 200"), "{reply}");
        Ok(reply)
    }

    /// One of its figures, the sum over its partitions: `switchyard_fencing_rejected_total`.
    pub async fn figure(&self, name: &str) -> anyhow::Result<f64> {
        let figures = self.figures().await?;
        let of_name = figures.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values =
            of_name.map(|line| line.rsplit(' ').next().and_then(|it| it.parse::<f64>().ok()));
        let values = values.collect::<Option<Vec<_>>>().context("a figure without a value")?;
        ensure!(!values.is_empty(), "{name} is not among its figures");
        Ok(values.into_iter().sum())
    }

    /// What it holds in memory at the moment, in bytes: its resident set.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let running = self.running.as_ref().context("not running")?;
        let id = running.child.id().context("it has ended by itself")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kibibytes.context("no VmRSS")? * 1024)
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut running = self.running.take().context("not running")?;
        running.child.kill().await.context("killing")
    }

    /// Stops it as `kill -STOP` does: it is there, and does nothing.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        self.signal("-STOP").await
    }

    /// Lets it go on after a freeze.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        self.signal("-CONT").await
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let id = self.id()?.to_string();
        let sent = Command::new("kill").arg(signal).arg(id).status().await?;
        ensure!(sent.success(), "{} could not be sent {signal}", self.name);
        Ok(())
    }

    /// Starts it again after a kill or stop, with the same arguments and address.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "{} is running", self.name);
        let deadline = Instant::now() + WITHIN;
        // Somebody else's connection may hold the port for a moment, and a killed process its files.
        while let Err(error) = self.spawn().await {
            if Instant::now() > deadline {
                return Err(error);
            }
            sleep(LOOK_AGAIN_EVERY).await;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let mut running = self.running.take().context("not running")?;
        let id = running.child.id().context("it has ended by itself")?;
        let asked = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await?;
        ensure!(asked.success(), "{} could not be asked to stop", self.name);
        let stopped = timeout(WITHIN, running.child.wait()).await;
        stopped
            .with_context(|| format!("{} did not stop: {}", self.name, self.said()))?
            .context("waiting")
    }

    async fn spawn(&mut self) -> anyhow::Result<()> {
        let stderr = File::options().create(true).append(true).open(&self.output)?;
        let mut child = command()?
            .args(&self.arguments)
            .args(["--listen", &self.address])
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .context("starting switchyard")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        let read = timeout(WITHIN, stdout.read_line(&mut line)).await;
        read.with_context(|| format!("{} is not ready: {}", self.name, self.said()))??;
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(address) = said.get("listening").and_then(|address| address.as_str()) else {
            let ended = timeout(WITHIN, child.wait()).await??;
            bail!("{} ended with {ended}: {}", self.name, self.said());
        };
        address.clone_into(&mut self.address);
        self.running = Some(Running { child, _stdout: stdout });
        Ok(())
    }
}

/// The path of a file of keys for webhooks' secrets, which all instances of notify in this directory share.
pub fn secrets_key(directory: &Path) -> anyhow::Result<String> {
    let file = directory.join("webhook-secrets.keys");
    if !file.exists() {
        std::fs::write(&file, "dGVzdHMgc2VhbCBzZWNyZXRzIHdpdGggdGhpcyBrZXk=\n")?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file.display().to_string())
}

/// Runs a command of the binary to its end.
pub async fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    run_for(WITHIN, arguments).await
}

/// The same, for a command that may take `within`.
pub async fn run_for(within: Duration, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = command()?;
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    timeout(within, command.output()).await.context("it did not end")?.context("running switchyard")
}

/// The binary, without any setting of the caller's environment.
fn command() -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SWITCHYARD_") || text.starts_with("OTEL_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// The path of the binary.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("SWITCHYARD_BIN") {
        return Ok(path.into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let made = |path: &PathBuf| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
    let built = ["debug", "release"].map(|profile| target.join(profile).join("switchyard"));
    let newest = built.into_iter().filter(|path| made(path).is_some()).max_by_key(made);
    newest.context("there is no switchyard binary: run `cargo build -p switchyard`")
}
