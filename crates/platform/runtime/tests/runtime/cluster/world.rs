//! Instances of one service in one process, each with its own way to the log and to the board, and a client that
//! repeats.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_log::memory::{MemoryBoard, MemoryProvider};
use event_log::{
    AppendError, EventLog, EventLogProvider, LogError, LogName, OpenError, Record, Seq, Tail,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kernel::Timestamp;
use runtime::{
    Clock, Failure, Fold, Health, Membership, Node, NodeConfig, ServiceId, initialise, partition_of,
};
use snapshots::MemorySnapshots;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::toy::{Source, add, with_id};

/// One instance's way to the log.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    cut: watch::Sender<bool>,
    held: watch::Sender<bool>,
}

impl Link {
    fn new() -> Self {
        Self { cut: watch::Sender::new(false), held: watch::Sender::new(false) }
    }

    /// Cuts the instance off from the log, or back in.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Lets its appends wait on their way, or go on: a process that was stopped in the middle of one.
    pub(crate) fn hold_appends(&self, held: bool) {
        self.held.send_replace(held);
    }

    fn reach(&self) -> Result<(), LogError> {
        if *self.cut.borrow() { Err(LogError::Unavailable("cut off".into())) } else { Ok(()) }
    }

    async fn linked(&self) {
        self.cut.subscribe().wait_for(|cut| !cut).await.unwrap();
    }
}

#[derive(Debug)]
struct LinkedProvider(Arc<MemoryProvider>, Link);

#[async_trait]
impl EventLogProvider for LinkedProvider {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        Ok(Arc::new(LinkedLog(self.0.open(name).await?, self.1.clone())))
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        self.0.create(name, genesis).await
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        self.0.list().await
    }
}

#[derive(Debug)]
struct LinkedLog(Arc<dyn EventLog>, Link);

#[async_trait]
impl EventLog for LinkedLog {
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        self.1.held.subscribe().wait_for(|held| !held).await.unwrap();
        if self.1.reach().is_err() {
            return Err(AppendError::Unavailable("cut off".into()));
        }
        self.0.append(fence, record).await
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        self.1.reach()?;
        self.0.read(from, max_bytes).await
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        self.1.reach()?;
        self.0.tail().await
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        let through = (self.0.follow(from), self.1.clone());
        stream::unfold(through, |(mut records, link)| async move {
            link.linked().await;
            let record = records.next().await?;
            link.linked().await;
            Some((record, (records, link)))
        })
        .boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        self.0.trim(upto).await
    }
}

/// One instance.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) node: Node<Source>,
    pub(crate) link: Link,
    pub(crate) board: MemoryBoard,
    pub(crate) address: String,
}

impl Instance {
    /// What the death of its process does.
    pub(crate) fn crash(&self) {
        self.node.crash();
        self.board.crash();
    }

    pub(crate) fn leads(&self, partition: usize) -> bool {
        self.node.partitions()[partition].health() == Health::Ready
    }

    /// Waits until it leads.
    pub(crate) async fn led(&self, partition: usize) {
        let mut health = self.node.partitions()[partition].watch_health();
        within("it leads", async { drop(health.wait_for(Health::is_ready).await.unwrap()) }).await;
    }

    /// Waits until it stands by, and names this leader.
    pub(crate) async fn follows(&self, partition: usize, leader: &Self) {
        let mut health = self.node.partitions()[partition].watch_health();
        let wanted = Health::Standby { leader: Some(leader.address.clone()) };
        let follows = async { drop(health.wait_for(|health| *health == wanted).await.unwrap()) };
        within("it follows", follows).await;
    }

    /// The sum of a workspace by this instance's word, if it gives one.
    pub(crate) async fn sum(&self, workspace: &str) -> Result<u64, Failure<crate::toy::Rejection>> {
        let of = workspace.to_owned();
        let look = move |state: &crate::toy::State| state.sums.get(of.as_str()).copied();
        Ok(self.node.read(workspace, look).await?.unwrap_or(0))
    }
}

/// All logs, and the board.
pub(crate) struct World {
    pub(crate) provider: Arc<MemoryProvider>,
    pub(crate) board: MemoryBoard,
    pub(crate) partitions: u16,
    pub(crate) clock: Clock,
}

impl World {
    pub(crate) async fn new(partitions: u16) -> Self {
        let provider = Arc::new(MemoryProvider::new());
        initialise(&*provider, &[ServiceId::Intake], partitions).await.unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_000));
        Self { provider, board: MemoryBoard::new(), partitions, clock }
    }

    /// Starts an instance.
    pub(crate) async fn join(&self, name: &str) -> Instance {
        let (link, board) = (Link::new(), self.board.join());
        let address = format!("{name}.test:7401");
        let membership = Membership {
            instance: name.to_owned(),
            address: address.clone(),
            board: Arc::new(board.clone()),
        };
        let config = NodeConfig {
            provider: Arc::new(LinkedProvider(Arc::clone(&self.provider), link.clone())),
            snapshots: Arc::new(MemorySnapshots::new()),
            snapshot_after: runtime::SNAPSHOT_AFTER,
            clock: self.clock.clone(),
            cluster: Some(membership),
        };
        let node = Node::start(Source, config).await.unwrap();
        Instance { node, link, board, address }
    }

    /// Starts an instance and waits until it leads or follows everywhere.
    pub(crate) async fn ready(&self, name: &str) -> Instance {
        let instance = self.join(name).await;
        within("it is ready", async { instance.node.ready().await.unwrap() }).await;
        instance
    }

    /// Two instances, of which the first leads the only partition.
    pub(crate) async fn pair() -> (Self, Instance, Instance) {
        let world = Self::new(1).await;
        // Which of two names is preferred is the hash's business.
        let (one, other) = (world.ready("i1").await, world.ready("i2").await);
        let settled = || one.leads(0) != other.leads(0);
        // Longer than it takes to hand over.
        sleep(Duration::from_secs(10)).await;
        within("one leads", until(settled)).await;
        let (leader, standby) = if one.leads(0) { (one, other) } else { (other, one) };
        standby.follows(0, &leader).await;
        (world, leader, standby)
    }

    /// Folds a partition's log from its first record: its sums, its events, and its epochs.
    pub(crate) async fn refold(&self, partition: u16) -> (Fold<Source>, Vec<u64>) {
        let log = self.provider.open(&ServiceId::Intake.log(partition)).await.unwrap();
        let records = log.read(1, usize::MAX).await.unwrap();
        let (log_id, _) = runtime::read_first(&records[0], ServiceId::Intake, partition).unwrap();
        let mut fold = Fold::at_start(log_id);
        let mut epochs = Vec::new();
        for record in &records {
            fold.take(&Source, record).unwrap();
            let commit = runtime::open_record(record).unwrap();
            for note in &commit.notes {
                if let Some(wire::events::v1::note::Kind::LeaderClaimed(claim)) = &note.kind {
                    epochs.push(claim.epoch);
                }
            }
        }
        (fold, epochs)
    }

    /// How many state hashes stand in a partition's log; all are right.
    pub(crate) async fn hashes(&self, partition: u16) -> usize {
        let log = self.provider.open(&ServiceId::Intake.log(partition)).await.unwrap();
        let records = log.read(1, usize::MAX).await.unwrap();
        let (log_id, _) = runtime::read_first(&records[0], ServiceId::Intake, partition).unwrap();
        let mut fold = Fold::at_start(log_id);
        let mut hashes = 0;
        for record in &records {
            if let Some(check) = fold.take_and_check(&Source, record).unwrap() {
                assert_eq!(check.written, check.folded, "at record {}", check.seq);
                hashes += 1;
            }
        }
        hashes
    }

    /// A workspace of this partition.
    pub(crate) fn workspace(&self, partition: u16) -> String {
        let of = |name: &String| partition_of(name, self.partitions) == partition;
        (0..1000).map(|n: u32| format!("w{n}")).find(of).unwrap()
    }
}

/// Adds one under a request id, at whichever instance takes it: repeated until it is acknowledged, as a client would.
pub(crate) async fn persist(instances: &[Instance], workspace: &str, id: &str) {
    for turn in 0..5_000 {
        let instance = &instances[turn % instances.len()];
        let call = with_id(add(workspace, 1), id, 1);
        match timeout(Duration::from_secs(2), instance.node.execute(call)).await {
            Ok(Ok(_)) => return,
            Ok(Err(Failure::Rejected(_) | Failure::RequestIdReused | Failure::TooLarge)) => {
                panic!("{id} was refused")
            }
            Ok(Err(Failure::Halted(reason))) => panic!("{id}: {reason}"),
            Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("{id} was never acknowledged");
}

/// Waits until something holds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Time is paused in these tests, so that this is no matter of how fast the machine is.
pub(crate) async fn within<T>(what: &str, doing: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let Ok(done) = timeout(Duration::from_secs(120), doing).await else {
        panic!("{what}: not within {:?}", began.elapsed());
    };
    done
}
