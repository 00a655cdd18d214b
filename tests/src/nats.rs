//! Real nats-servers for tests: one, or a cluster of three, on loopback and in a temporary directory.
//!
//! The binary is the one that `SWITCHYARD_NATS_SERVER` names, or else what `tests/fetch-nats` prints.
//! Every server syncs each write to disk before it answers, and is killed when its handle is dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::nats_server::{LOOK_AGAIN_EVERY, READY_TIMEOUT, Server};

/// One server, or the members of one cluster.
#[derive(Debug)]
pub struct Nats {
    members: Vec<Member>,
    _directory: TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    directory: PathBuf,
    config: PathBuf,
    port: u16,
    monitor: u16,
    process: Option<Server>,
}

impl Nats {
    /// Starts one server.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_members(1, true).await
    }

    /// Starts one server that acknowledges before it syncs, as servers do by default.
    pub async fn start_unsynced() -> anyhow::Result<Self> {
        Self::start_members(1, false).await
    }

    /// Starts three servers that keep every stream on all of them, if it is made with 3 replicas.
    pub async fn start_cluster() -> anyhow::Result<Self> {
        Self::start_members(3, true).await
    }

    async fn start_members(count: usize, synced: bool) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let routes = free_ports(count)?;
        let mut members = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            let name = format!("n{at}");
            let home = directory.path().join(&name);
            std::fs::create_dir(&home)?;
            let config = home.join("nats.conf");
            let cluster = (count > 1).then(|| cluster(*route, &routes));
            // Port -1: the server picks one, and says which.
            std::fs::write(&config, server(&name, &home, [-1, -1], synced, cluster.as_deref()))?;
            let mut member =
                Member { name, directory: home, config, port: 0, monitor: 0, process: None };
            member.spawn()?;
            (member.port, member.monitor) = member.read_ports().await?;
            // The same port when it is started again.
            let ports = [member.port, member.monitor].map(i32::from);
            let fixed = server(&member.name, &member.directory, ports, synced, cluster.as_deref());
            std::fs::write(&member.config, fixed)?;
            members.push(member);
        }
        let nats = Self { members, _directory: directory };
        nats.ready().await?;
        Ok(nats)
    }

    /// How many servers there are, running or not.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Where each server listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| SocketAddr::from(([127, 0, 0, 1], member.port))).collect()
    }

    /// The servers' addresses as a client takes them, separated by commas.
    pub fn url(&self) -> String {
        let urls: Vec<String> =
            self.addresses().iter().map(|address| format!("nats://{address}")).collect();
        urls.join(",")
    }

    /// Where each server tells of itself.
    pub fn monitors(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("http://127.0.0.1:{}", member.monitor)).collect()
    }

    /// Where a member keeps the stream `name`.
    pub fn stream_directory(&self, member: usize, name: &str) -> anyhow::Result<PathBuf> {
        let member = self.members.get(member).context("no such member")?;
        Ok(member.directory.join("jetstream/$G/streams").join(name))
    }

    /// The member that leads a stream, once one does.
    pub async fn leader_of(&self, stream: &str) -> anyhow::Result<usize> {
        let jetstream = self.jetstream().await?;
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Ok(stream) = jetstream.get_stream(stream).await
                && let Some(found) = self.leader_in(stream.cached_info())
            {
                return Ok(found);
            }
            anyhow::ensure!(Instant::now() < deadline, "{stream} has no leader");
            sleep(LOOK_AGAIN_EVERY).await;
        }
    }

    /// The member that leads a stream once it is another than `gone`, as `witness` tells it.
    pub async fn leader_after(
        &self,
        gone: usize,
        witness: usize,
        stream: &str,
    ) -> anyhow::Result<usize> {
        let jetstream = self.ask(witness).await?;
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Ok(stream) = jetstream.get_stream(stream).await
                && let Some(leader) = self.leader_in(stream.cached_info())
                && leader != gone
            {
                return Ok(leader);
            }
            anyhow::ensure!(Instant::now() < deadline, "nobody else leads {stream}");
            sleep(LOOK_AGAIN_EVERY).await;
        }
    }

    /// Waits until every copy of these streams is there and has what its leader has.
    pub async fn whole(&self, streams: &[String]) -> anyhow::Result<()> {
        let jetstream = self.jetstream().await?;
        let deadline = Instant::now() + READY_TIMEOUT;
        for stream in streams {
            while !self.is_whole(&jetstream, stream).await {
                anyhow::ensure!(Instant::now() < deadline, "{stream} is not on all members");
                sleep(LOOK_AGAIN_EVERY).await;
            }
        }
        Ok(())
    }

    async fn is_whole(&self, jetstream: &jetstream::Context, stream: &str) -> bool {
        let Ok(stream) = jetstream.get_stream(stream).await else { return false };
        let Some(cluster) = &stream.cached_info().cluster else { return self.members.len() == 1 };
        let current = cluster.replicas.iter().filter(|copy| copy.current && !copy.offline).count();
        cluster.leader.is_some() && current + 1 == self.members.len()
    }

    fn leader_in(&self, info: &jetstream::stream::Info) -> Option<usize> {
        let leader = info.cluster.as_ref()?.leader.as_ref()?;
        self.members.iter().position(|member| member.name == *leader)
    }

    /// Asks one member alone.
    async fn ask(&self, member: usize) -> anyhow::Result<jetstream::Context> {
        let address = *self.addresses().get(member).context("no such member")?;
        let client = async_nats::connect(format!("nats://{address}")).await?;
        Ok(jetstream::ContextBuilder::new().timeout(Duration::from_secs(1)).build(client))
    }

    /// Stops a member as `kill -STOP` does: it is there, and does nothing.
    pub fn freeze(&self, member: usize) -> anyhow::Result<()> {
        self.signal(member, "-STOP")
    }

    /// Lets a frozen member go on.
    pub fn thaw(&self, member: usize) -> anyhow::Result<()> {
        self.signal(member, "-CONT")
    }

    fn signal(&self, member: usize, signal: &str) -> anyhow::Result<()> {
        let member = self.members.get(member).context("no such member")?;
        let process = member.process.as_ref().context("not running")?;
        let sent = Command::new("kill").arg(signal).arg(process.id().to_string()).status()?;
        anyhow::ensure!(sent.success(), "{} could not be sent {signal}", member.name);
        Ok(())
    }

    /// Ends a member as `kill -9` does.
    pub fn kill(&mut self, member: usize) -> anyhow::Result<()> {
        let member = self.members.get_mut(member).context("no such member")?;
        drop(member.process.take());
        Ok(())
    }

    /// Asks a member to end, and waits until it has.
    pub async fn stop(&mut self, member: usize) -> anyhow::Result<()> {
        let member = self.members.get_mut(member).context("no such member")?;
        let Some(mut process) = member.process.take() else { return Ok(()) };
        let asked = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status()?;
        anyhow::ensure!(asked.success(), "{} could not be asked to end", member.name);
        while !process.has_ended()? {
            sleep(LOOK_AGAIN_EVERY).await;
        }
        Ok(())
    }

    /// Starts a member that was ended, on the same port and store.
    pub fn start_again(&mut self, member: usize) -> anyhow::Result<()> {
        self.members.get_mut(member).context("no such member")?.spawn()
    }

    /// Waits until all that run answer JetStream requests, and a cluster has a leader and is whole.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        for address in self.addresses() {
            while let Err(error) = probe(address, self.members.len()).await {
                if Instant::now() > deadline {
                    bail!("{address} is not ready after {READY_TIMEOUT:?}: {error:#}");
                }
                sleep(LOOK_AGAIN_EVERY).await;
            }
        }
        Ok(())
    }

    /// Connects to JetStream, past all proxies.
    pub async fn jetstream(&self) -> anyhow::Result<jetstream::Context> {
        let url = self.url();
        let servers: Vec<&str> = url.split(',').collect();
        Ok(jetstream::new(async_nats::connect(servers).await?))
    }
}

impl Member {
    fn spawn(&mut self) -> anyhow::Result<()> {
        self.process = Some(Server::start(&self.directory, &self.config, |_| {})?);
        Ok(())
    }

    /// The ports that the server has picked, for clients and for its monitoring.
    async fn read_ports(&mut self) -> anyhow::Result<(u16, u16)> {
        let process = self.process.as_mut().context("not running")?;
        let [clients, monitor] =
            process.ports(["nats", "monitoring"]).await.context(self.name.clone())?;
        Ok((clients, monitor))
    }
}

/// Fails unless the server answers a request that takes a working JetStream with all its members.
async fn probe(address: SocketAddr, members: usize) -> anyhow::Result<()> {
    let client = async_nats::ConnectOptions::new()
        .request_timeout(Some(Duration::from_secs(1)))
        .connect(format!("nats://{address}"))
        .await?;
    let jetstream = jetstream::ContextBuilder::new().timeout(Duration::from_secs(1)).build(client);
    jetstream.query_account().await?;
    // A stream on all members can be made only when all of them have joined.
    let config = jetstream::stream::Config {
        name: "READY".to_owned(),
        subjects: vec!["ready".to_owned()],
        num_replicas: members,
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    jetstream.publish("ready", "".into()).await?.await?;
    Ok(())
}

fn server(
    name: &str,
    home: &Path,
    [port, monitor]: [i32; 2],
    synced: bool,
    cluster: Option<&str>,
) -> String {
    let home = home.display();
    let sync = if synced { "sync_interval: always, " } else { "" };
    let mut text = format!(
        "server_name: {name}\n\
         listen: \"127.0.0.1:{port}\"\n\
         http: \"127.0.0.1:{monitor}\"\n\
         max_payload: 1MB\n\
         jetstream {{ store_dir: \"{home}\", {sync}max_file_store: 4GB }}\n"
    );
    text.push_str(cluster.unwrap_or_default());
    text
}

/// Clients aren't told of the other members, so that one behind a proxy stays behind it.
fn cluster(port: u16, all: &[u16]) -> String {
    let routes: Vec<String> =
        all.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let routes = routes.join(", ");
    format!(
        "cluster {{ name: switchyard, listen: \"127.0.0.1:{port}\", no_advertise: true, \
         routes: [{routes}] }}\n"
    )
}

/// Members must know one another's ports before they start, so free ones are looked for.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
