//! Two toy services on real NATS, with a proxy in between, and what the tests ask of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use event_log::{EventLog, EventLogProvider, Record};
use event_log_nats::{NatsConfig, NatsProvider};
use runtime::{
    Clock, Failure, FailureOf, Health, Node, NodeConfig, Service, ServiceId, initialise,
};
use snapshots::{NoSnapshots, SnapshotStore};
use tests::nats::Nats;
use tests::proxy::{Mode, Proxy};

use crate::failure_modes::toy::{Command, State, Toy, call, with_id};

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(90);
/// How long an append waits for its answer here.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Rig {
    pub(crate) nats: Nats,
    proxies: Vec<Proxy>,
    /// Through the proxies.
    pub(crate) provider: NatsProvider,
    /// Past them.
    pub(crate) direct: NatsProvider,
    pub(crate) admin: jetstream::Context,
    pub(crate) clock: Clock,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
}

impl Rig {
    /// One server, and the logs of both services.
    pub(crate) async fn start() -> Self {
        Self::over(Nats::start().await.unwrap()).await
    }

    /// Three servers that all keep every log.
    pub(crate) async fn cluster() -> Self {
        Self::over(Nats::start_cluster().await.unwrap()).await
    }

    async fn over(nats: Nats) -> Self {
        let mut proxies = Vec::new();
        for address in nats.addresses() {
            proxies.push(Proxy::start(address).await.unwrap());
        }
        let urls: Vec<String> =
            proxies.iter().map(|proxy| format!("nats://{}", proxy.address())).collect();
        let connect = async |url: &str| {
            let mut config = NatsConfig::new(url);
            config.replicas = nats.members();
            config.append_timeout = PATIENCE;
            config.request_timeout = PATIENCE;
            NatsProvider::connect(config).await.unwrap()
        };
        let provider = connect(&urls.join(",")).await;
        let direct = connect(&nats.url()).await;
        initialise(&direct, &[ServiceId::Intake, ServiceId::Sla], 1).await.unwrap();
        let admin = nats.jetstream().await.unwrap();
        let (clock, snapshots) = (Clock::system(), Arc::new(NoSnapshots));
        Self { nats, proxies, provider, direct, admin, clock, snapshots }
    }

    /// What happens to bytes between [`Rig::node`]s and the servers.
    pub(crate) fn set(&self, mode: Mode) {
        self.proxies.iter().for_each(|proxy| proxy.set(mode));
    }

    /// A service behind the proxies that leads.
    pub(crate) async fn node<S: Service>(&self, service: S) -> Node<S> {
        let node = self.start_node(service, &self.provider).await;
        node.ready().await.unwrap();
        node
    }

    /// The same past the proxies.
    pub(crate) async fn rival<S: Service>(&self, service: S) -> Node<S> {
        let node = self.start_node(service, &self.direct).await;
        node.ready().await.unwrap();
        node
    }

    /// A service that may not become ready, over any provider.
    pub(crate) async fn start_node<S: Service, P: EventLogProvider + Clone + 'static>(
        &self,
        service: S,
        provider: &P,
    ) -> Node<S> {
        let config = NodeConfig {
            provider: Arc::new(provider.clone()),
            snapshots: Arc::clone(&self.snapshots),
            snapshot_after: runtime::SNAPSHOT_AFTER,
            clock: self.clock.clone(),
            cluster: None,
        };
        Node::start(service, config).await.unwrap()
    }

    pub(crate) async fn log(&self, service: ServiceId) -> Arc<dyn EventLog> {
        self.direct.open(&service.log(0)).await.unwrap()
    }

    pub(crate) async fn records(&self, service: ServiceId) -> Vec<Record> {
        let log = self.log(service).await;
        let mut all: Vec<Record> = Vec::new();
        loop {
            let next = all.last().map_or(1, |record| record.seq + 1);
            let more = log.read(next, 1_000_000).await.unwrap();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// How often this much was added, as the log has it.
    pub(crate) async fn times_added(&self, by: u64) -> usize {
        let records = self.records(ServiceId::Intake).await;
        let commits = records.iter().map(|record| runtime::open_record(record).unwrap());
        let events = commits.flat_map(|commit| commit.events);
        let added = events.filter(|event| event.r#type == "Added");
        added
            .filter(|event| <u64 as prost::Message>::decode(event.data.clone()).unwrap() == by)
            .count()
    }
}

/// The name of a service's stream.
pub(crate) fn stream(service: ServiceId) -> String {
    format!("SY_{}_00", service.name().to_uppercase())
}

pub(crate) async fn sum<S: Service<Decider = Toy>>(node: &Node<S>) -> u64 {
    let look = |state: &State| state.sums.get("w").copied().unwrap_or(0);
    node.read("w", look).await.unwrap()
}

/// Waits until the copier has come to a sum.
pub(crate) async fn until_sum<S: Service<Decider = Toy>>(node: &Node<S>, wanted: u64) {
    let reached = async {
        while sum(node).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(WITHIN, reached).await.is_ok(), "it is {}", sum(node).await);
}

/// Waits until the partition has stopped, and says why.
pub(crate) async fn halted<S: Service>(node: &Node<S>) -> String {
    let mut health = node.partitions()[0].watch_health();
    let stopped = health.wait_for(|health| matches!(health, Health::Halted(_)));
    match tokio::time::timeout(WITHIN, stopped).await {
        Ok(Ok(health)) => health.reason(),
        Ok(Err(_)) | Err(_) => panic!("it is {:?}", node.partitions()[0].health()),
    }
}

/// Waits until the partition answers.
pub(crate) async fn until_ready<S: Service>(node: &Node<S>) {
    until(node, Health::is_ready).await;
}

pub(crate) async fn until<S: Service>(node: &Node<S>, is: impl FnMut(&Health) -> bool) {
    let mut health = node.partitions()[0].watch_health();
    let came = matches!(tokio::time::timeout(WITHIN, health.wait_for(is)).await, Ok(Ok(_)));
    assert!(came, "it is {:?}", node.partitions()[0].health());
}

/// Adds under a request id until an answer comes: what a client does.
pub(crate) async fn surely_add<S: Service<Decider = Toy>>(node: &Node<S>, by: u64, id: &str) {
    let trying = async {
        loop {
            let call = with_id(call("w", Command::Add { by }), id, by);
            match node.execute(call).await {
                Ok(_) => return,
                Err(Failure::LogUnavailable | Failure::OutcomeUnknown | Failure::NotReady(_)) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(WITHIN, trying).await.unwrap();
}

/// Whether nothing was written by a call that failed so.
pub(crate) fn is_not_led<R>(failure: &Failure<R>) -> bool {
    matches!(failure, Failure::NotReady(_) | Failure::NotLeader { .. } | Failure::OutcomeUnknown)
}

pub(crate) type Answer<S> = Result<runtime::Done, FailureOf<S>>;

/// Copies a directory and all in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
