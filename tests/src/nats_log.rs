//! The log on NATS, put under test behind a proxy that fails on demand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use async_trait::async_trait;
use event_log::conformance::{Act, Done, Harness};
use event_log::{EventLogProvider, LogName};
use event_log_nats::{NatsConfig, NatsProvider};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::nats::Nats;
use crate::proxy::{Mode, Proxy};

/// Cases that lose an answer wait this long for it.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);
const HEALTHY_TIMEOUT: Duration = Duration::from_secs(60);

/// One server or three, with a client behind proxies and a rival that connects directly.
#[derive(Debug)]
pub struct NatsLogs {
    name: &'static str,
    nats: Mutex<Nats>,
    proxies: Vec<Proxy>,
    provider: NatsProvider,
    rival: NatsProvider,
    admin: jetstream::Context,
}

impl NatsLogs {
    /// Starts one server, whose streams have one replica.
    pub async fn single() -> anyhow::Result<Self> {
        Self::new("nats R1", Nats::start().await?).await
    }

    /// Starts a cluster of three, whose streams have three replicas.
    pub async fn cluster() -> anyhow::Result<Self> {
        Self::new("nats R3", Nats::start_cluster().await?).await
    }

    async fn new(name: &'static str, nats: Nats) -> anyhow::Result<Self> {
        let mut proxies = Vec::new();
        for address in nats.addresses() {
            proxies.push(Proxy::start(address).await?);
        }
        let urls: Vec<String> =
            proxies.iter().map(|proxy| format!("nats://{}", proxy.address())).collect();
        let connect = async |url: &str| {
            let mut config = NatsConfig::new(url);
            config.replicas = nats.members();
            config.append_timeout = APPEND_TIMEOUT;
            config.request_timeout = APPEND_TIMEOUT;
            NatsProvider::connect(config).await
        };
        let provider = connect(&urls.join(",")).await?;
        let rival = connect(&nats.url()).await?;
        let admin = nats.jetstream().await?;
        Ok(Self { name, nats: Mutex::new(nats), proxies, provider, rival, admin })
    }

    fn set(&self, mode: Mode) {
        for proxy in &self.proxies {
            proxy.set(mode);
        }
    }

    /// Waits until both clients are connected and get an answer about the log.
    async fn healthy(&self, name: &LogName) -> anyhow::Result<()> {
        let deadline = Instant::now() + HEALTHY_TIMEOUT;
        loop {
            let mut trouble = None;
            for provider in [&self.provider, &self.rival] {
                match provider.open(name).await {
                    Ok(_) if provider.is_connected() => {}
                    Ok(_) => trouble = Some("not connected".to_owned()),
                    Err(error) => trouble = Some(format!("{error:?}")),
                }
            }
            let Some(trouble) = trouble else { return Ok(()) };
            anyhow::ensure!(Instant::now() < deadline, "not healthy: {trouble}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until every copy of the stream has all of it.
    async fn whole(&self, name: &LogName) -> anyhow::Result<()> {
        let others = self.proxies.len() - 1;
        let deadline = Instant::now() + HEALTHY_TIMEOUT;
        loop {
            let info = self.admin.get_stream(stream(name)).await.map(|it| it.cached_info().clone());
            let cluster = info.ok().and_then(|info| info.cluster);
            let current = cluster.map_or(0, |cluster| {
                let copies = cluster.replicas.iter();
                copies
                    .filter(|copy| copy.current && !copy.offline && copy.lag.unwrap_or(0) == 0)
                    .count()
            });
            if current == others {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{current} of {others} copies are current");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the first `members` servers, in order or not, does something to each, and starts them.
    async fn ended(
        &self,
        name: &LogName,
        members: usize,
        in_order: bool,
        harm: impl Fn(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Done> {
        self.whole(name).await?;
        let mut nats = self.nats.lock().await;
        for member in 0..members {
            if in_order {
                nats.stop(member).await?;
            } else {
                nats.kill(member)?;
            }
        }
        let mut harmed = Ok(());
        for member in 0..members {
            harmed = harmed.and(harm(&nats.stream_directory(member, &stream(name))?));
            nats.start_again(member)?;
        }
        harmed?;
        nats.ready().await?;
        drop(nats);
        self.healthy(name).await?;
        self.whole(name).await?;
        Ok(Done::Yes)
    }

    async fn limit(&self, name: &LogName, full: bool) -> anyhow::Result<Done> {
        let stream = self.admin.get_stream(stream(name)).await?;
        let info = stream.cached_info();
        let mut config = info.config.clone();
        config.max_bytes = if full { i64::try_from(info.state.bytes)? + 1_000 } else { -1 };
        self.admin.update_stream(config).await?;
        Ok(Done::Yes)
    }

    /// Makes the stream anew with its first records only, as restoring an old copy of it does.
    async fn drop_after(&self, name: &LogName, last: u64) -> anyhow::Result<Done> {
        let old = self.admin.get_stream(stream(name)).await?;
        let config = old.cached_info().config.clone();
        let mut kept = Vec::new();
        for seq in 1..=last {
            kept.push(old.get_raw_message(seq).await?.payload);
        }
        self.admin.delete_stream(&config.name).await?;
        let subject = config.subjects.first().context("no subject")?.clone();
        self.admin.create_stream(config).await?;
        for record in kept {
            while self.admin.publish(subject.clone(), record.clone()).await?.await.is_err() {
                // A new stream of three replicas has no leader yet.
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(Done::Yes)
    }
}

fn stream(name: &LogName) -> String {
    format!("SY_{}_{:02}", name.service.to_ascii_uppercase(), name.partition)
}

/// What the conformance suite stores as record `seq`.
fn numbered(seq: u64) -> Vec<u8> {
    format!("record {seq}").into_bytes()
}

/// Makes a member the stream's leader, if it can be.
pub async fn prefer(admin: &jetstream::Context, stream: &str, member: &str) {
    let wish = serde_json::json!({ "placement": { "preferred": member } });
    let asked: Result<serde_json::Value, _> =
        admin.request(format!("STREAM.LEADER.STEPDOWN.{stream}"), &wish).await;
    // It may lead already, or be about to: whoever asks looks for what comes of it.
    drop(asked);
}

/// Changes one bit of a record where it is stored.
pub fn flip(directory: &Path, record: &[u8]) -> anyhow::Result<()> {
    let wanted = record;
    let mut flipped = 0;
    for file in std::fs::read_dir(directory.join("msgs"))? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "blk") {
            continue;
        }
        let mut bytes = std::fs::read(&path)?;
        let found = bytes.windows(wanted.len()).position(|window| window == wanted);
        if let Some(byte) = found.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
            std::fs::write(&path, bytes)?;
            flipped += 1;
        }
    }
    anyhow::ensure!(flipped == 1, "found the record in {flipped} files");
    Ok(())
}

/// Cuts the last record short, and the index with it, as a crash of the machine may do.
fn tear(directory: &Path) -> anyhow::Result<()> {
    let mut blocks: Vec<_> = std::fs::read_dir(directory.join("msgs"))?
        .map(|file| Ok(file?.path()))
        .collect::<std::io::Result<_>>()?;
    blocks.retain(|path| path.extension().is_some_and(|extension| extension == "blk"));
    blocks.sort();
    let file = std::fs::OpenOptions::new().write(true).open(blocks.last().context("no block")?)?;
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(3))?;
    let index = directory.join("msgs/index.db");
    if index.exists() {
        std::fs::remove_file(index)?;
    }
    Ok(())
}

#[async_trait]
impl Harness for NatsLogs {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn provider(&self) -> Arc<dyn EventLogProvider> {
        Arc::new(self.provider.clone())
    }

    async fn rival(&self) -> Arc<dyn EventLogProvider> {
        Arc::new(self.rival.clone())
    }

    async fn act(&self, name: &LogName, act: Act) -> Result<Done, String> {
        let members = self.proxies.len();
        let done = match act {
            Act::Restart => self.ended(name, members, true, |_| Ok(())).await,
            Act::Crash => self.ended(name, members, false, |_| Ok(())).await,
            Act::Cut => {
                self.set(Mode::Cut);
                Ok(Done::Yes)
            }
            Act::LoseNextAck => {
                self.set(Mode::Swallow);
                Ok(Done::Yes)
            }
            Act::HoldNextAppend => {
                self.set(Mode::Hold);
                Ok(Done::Yes)
            }
            Act::Heal => {
                self.set(Mode::Pass);
                self.healthy(name).await.map(|()| Done::Yes)
            }
            Act::FillUp => self.limit(name, true).await,
            Act::MakeRoom => self.limit(name, false).await,
            Act::TearTail => self.ended(name, 1, false, tear).await,
            Act::PunchHoleInOneCopy(_) if members == 1 => {
                Ok(Done::NotApplicable("there is one copy"))
            }
            Act::PunchHoleInOneCopy(seq) => {
                self.ended(name, 1, true, |directory| flip(directory, &numbered(seq))).await
            }
            // The server takes a record whose checksum is wrong for one that isn't there.
            Act::PunchHole(seq) | Act::FlipBit(seq) => {
                self.ended(name, members, true, |directory| flip(directory, &numbered(seq))).await
            }
            Act::DropAfter(last) => self.drop_after(name, last).await,
        };
        done.map_err(|error| format!("{error:#}"))
    }
}
