//! The whole product as processes: `up` on the embedded log, or four services on a real NATS server.

use std::path::Path;
use std::process::Output;

use anyhow::ensure;
use runtime::ServiceId;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Addresses, Api};
use crate::nats::Nats;
use crate::process::{Process, run};

/// Running servers, and the directory in which they keep what is theirs.
#[derive(Debug)]
pub struct Stack {
    /// One process for `up`; else intake, routing, sla, notify.
    pub processes: Vec<Process>,
    /// The log's server, if there is one.
    pub nats: Option<Nats>,
    directory: TempDir,
}

impl Stack {
    /// `switchyard up` on the embedded log.
    pub async fn up(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::up_in(tempfile::tempdir()?, arguments).await
    }

    /// The same in a directory, whose folder `up` may have data already.
    pub async fn up_in(directory: TempDir, arguments: &[&str]) -> anyhow::Result<Self> {
        let all = [&["up", "--allow-private-endpoints"], arguments].concat();
        let process = Process::start("up", directory.path(), &all, &[]).await?;
        Ok(Self { processes: vec![process], nats: None, directory })
    }

    /// `switchyard init` and four times `switchyard serve`, on a NATS server of their own.
    pub async fn four(environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let nats = Nats::start().await?;
        let url = nats.url();
        let made = run(&["init", "--log", &url, "--partitions", "4"]).await?;
        ensure!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
        Self::four_on(nats, environment).await
    }

    /// Four times `switchyard serve` on a NATS server that has the streams.
    pub async fn four_on(nats: Nats, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let url = nats.url();
        let directory = tempfile::tempdir()?;
        let mut processes = Vec::new();
        for service in ServiceId::ALL {
            let name = service.name();
            let arguments = ["serve", name, "--log", &url, "--allow-private-endpoints"];
            let started = Process::start(name, directory.path(), &arguments, environment).await?;
            processes.push(started);
        }
        Ok(Self { processes, nats: Some(nats), directory })
    }

    /// Where the processes keep their data, each in a folder of its name.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where each service answers.
    pub fn addresses(&self) -> Addresses {
        let at = |index: usize| {
            let process = self.processes.get(index).or_else(|| self.processes.first());
            process.map(|process| process.address().to_owned()).unwrap_or_default()
        };
        Addresses { intake: at(0), routing: at(1), sla: at(2), notify: at(3) }
    }

    /// A client of all four services.
    pub fn api(&self) -> anyhow::Result<Api> {
        Api::new(&self.addresses())
    }

    /// Stops all processes, each of which must end well; then every partition's log, folded again, must come to the
    /// state that its leader had.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            let ended = process.stop().await?;
            ensure!(
                ended.success(),
                "{} ended with {ended}: {}",
                process.address(),
                process.said()
            );
        }
        let data = self.directory.path().join("up").display().to_string();
        let url = self.nats.as_ref().map(Nats::url);
        let verified = match &url {
            Some(url) => run(&["verify", "-o", "json", "--log", url]).await?,
            None => run(&["verify", "-o", "json", "--data-dir", &data]).await?,
        };
        every_state_compared(&verified)
    }

    /// All that the processes have printed.
    pub fn said_all(&self) -> String {
        self.processes.iter().map(Process::said).collect::<Vec<_>>().join("\n")
    }

    /// What the processes have printed, for a test that fails.
    pub fn said(&self) -> String {
        self.processes.iter().map(|process| tail(&process.said())).collect::<Vec<_>>().join("\n")
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(30);
    lines.into_iter().skip(from).collect::<Vec<_>>().join("\n")
}

/// `verify -o json` found nothing wrong, and in every partition a state that a leader had written down.
pub fn every_state_compared(verified: &Output) -> anyhow::Result<()> {
    let said = [&verified.stdout, &verified.stderr].map(|text| String::from_utf8_lossy(text));
    ensure!(verified.status.success(), "verify: {}", said.concat());
    let findings: Vec<Value> = serde_json::from_slice(&verified.stdout)?;
    let compared = findings.iter().all(|finding| finding["compared"].as_u64() > Some(0));
    ensure!(compared && !findings.is_empty(), "verify: {}", said.concat());
    Ok(())
}
