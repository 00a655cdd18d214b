//! A service in this process: all its partitions.

mod opening;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::{EventLogProvider, OpenError};
use futures::FutureExt;
use kernel::Timestamp;
use snapshots::SnapshotStore;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::call::{Call, Done, FailureOf};
use crate::commit::{Doubt, genesis};
use crate::health::Health;
use crate::membership::{Keeper, Role, Watched};
use crate::partition::{Core, Ended, Outlet, Setting, Stop, WaitError, lead, send_on};
use crate::service::{Service, State};
use crate::snapshotting;
use crate::{Clock, Membership, PartitionHandle, Position, Positions, ServiceId, partition_of};
pub use opening::{Identity, PARTITIONS_MAX, first_record, identify};
use opening::{Opened, open_all};

/// What a node runs with.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where the logs are.
    pub provider: Arc<dyn EventLogProvider>,
    /// Where snapshots go.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// When a partition that has changed is saved at the latest: [`SNAPSHOT_AFTER`](crate::SNAPSHOT_AFTER) unless there
    /// is a reason.
    pub snapshot_after: Duration,
    /// The time.
    pub clock: Clock,
    /// The other instances of the service; `None`: this is the only one, and leads all partitions.
    pub cluster: Option<Membership>,
}

/// Why a node can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The service's logs don't exist: they are to be made once, by `init`.
    #[error("the logs of {service} do not exist; run `switchyard init` once")]
    NotInitialised {
        /// The service.
        service: ServiceId,
    },
    /// A log can't be opened.
    #[error("a log can't be opened")]
    Open(#[from] OpenError),
    /// A log's first record can't be read.
    #[error("a log can't be read")]
    Read(#[from] event_log::LogError),
    /// A log isn't what its name says.
    #[error("a log is not what its name says")]
    Doubt(#[from] Doubt),
}

/// Makes the logs of `services`, or checks that those that exist have this number of partitions. May be run again at
/// any time.
pub async fn initialise(
    provider: &dyn EventLogProvider,
    services: &[ServiceId],
    partitions: u16,
) -> Result<(), StartError> {
    for service in services {
        for partition in 0..partitions {
            let log_id = *uuid::Uuid::new_v4().as_bytes();
            let first = genesis(*service, partition, partitions, log_id);
            let log = provider.create(&service.log(partition), first).await?;
            let found = identify(&*log, *service, partition).await?.partitions;
            if found != partitions {
                let reason = format!("it has {found} partitions, not {partitions}");
                return Err(Doubt::Genesis { reason }.into());
            }
        }
    }
    Ok(())
}

/// A service in this process. Cheap to clone.
pub struct Node<S: Service>(Arc<Inner<S>>);

struct Inner<S: Service> {
    partitions: Vec<PartitionHandle<S>>,
    clock: Clock,
    stop: watch::Sender<bool>,
    turns: watch::Sender<u64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    snapshots: Arc<dyn SnapshotStore>,
    keeper: Mutex<Option<Keeper>>,
}

impl<S: Service> Clone for Node<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} x {})", S::ID, self.0.partitions.len())
    }
}

/// Whether a node rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    /// Nothing is due, no input or call waits, no effect is in flight.
    pub idle: bool,
    /// The next instant at which something is due.
    pub next_due: Option<Timestamp>,
    /// Each partition's head, and how far its inputs were applied in memory.
    pub heads: Vec<(Position, Vec<Position>)>,
}

impl<S: Service> Node<S> {
    /// Opens the service's logs and begins to lead their partitions. Returns before they are ready: see
    /// [`Self::settled`]. A partition whose log can't be trusted has halted from the start; the others don't wait for
    /// it.
    pub async fn start(service: S, config: NodeConfig) -> Result<Self, StartError> {
        let service = Arc::new(service);
        let (stop, stopping) = watch::channel(false);
        let writer = *config.clock.unique_id().as_bytes();
        let turns = watch::Sender::new(0);
        let mut partitions = Vec::new();
        let mut tasks = Vec::new();
        let keeper = config.cluster.map(|membership| Keeper::start(S::ID, membership));
        for (partition, opened) in (0..).zip(open_all(&*config.provider, S::ID).await?) {
            let Opened { log, identity, trouble } = opened;
            let (clock, turns) = (config.clock.clone(), turns.clone());
            let service = Arc::clone(&service);
            let (core, work) = Core::new(partition, identity, service, clock, log, turns);
            let setting = Setting {
                provider: Arc::clone(&config.provider),
                snapshots: Arc::clone(&config.snapshots),
                partitions: identity.partitions,
                writer,
                seat: keeper.as_ref().map(|keeper| keeper.seat(partition, Watched::of(&core))),
            };
            partitions.push(PartitionHandle(Arc::clone(&core)));
            tasks.push(tokio::spawn(supervise(core, work, setting, stopping.clone(), trouble)));
        }
        if config.snapshots.keeps() {
            let cores = partitions.iter().map(|handle| Arc::clone(&handle.0)).collect();
            tasks.push(tokio::spawn(snapshotting::keep(
                cores,
                Arc::clone(&config.snapshots),
                config.snapshot_after,
                stopping,
            )));
        }
        let NodeConfig { clock, snapshots, .. } = config;
        let (tasks, keeper) = (Mutex::new(tasks), Mutex::new(keeper));
        Ok(Self(Arc::new(Inner { partitions, clock, stop, turns, tasks, snapshots, keeper })))
    }

    /// The partition that holds a workspace.
    pub fn partition_of(&self, workspace: &str) -> &PartitionHandle<S> {
        let number = u16::try_from(self.0.partitions.len()).unwrap_or(u16::MAX);
        let index = usize::from(partition_of(workspace, number));
        #[expect(clippy::indexing_slicing, reason = "a hash modulo the length is below it")]
        &self.0.partitions[index]
    }

    /// All partitions, in order.
    pub fn partitions(&self) -> &[PartitionHandle<S>] {
        &self.0.partitions
    }

    /// The service's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Runs a call in its workspace's partition. See [`PartitionHandle::execute`].
    pub fn execute(
        &self,
        call: Call<S>,
    ) -> impl Future<Output = Result<Done, FailureOf<S>>> + Send + '_ {
        self.partition_of(call.workspace.as_str()).execute(call)
    }

    /// Looks at the state of a workspace's partition. See [`PartitionHandle::read`].
    pub async fn read<R: Send + 'static>(
        &self,
        workspace: &str,
        mut look: impl FnMut(&State<S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.partition_of(workspace).view_of(workspace, move |view| look(view.state)).await
    }

    /// Waits until what lies at these positions is seen here. See [`PartitionHandle::wait_for`].
    pub async fn wait_for(&self, positions: &Positions) -> Result<(), WaitError> {
        for position in positions.iter() {
            let partition = self.0.partitions.get(usize::from(position.partition));
            let partition = partition.ok_or(WaitError::NoPartition(position))?;
            let mut one = Positions::default();
            one.merge(position);
            partition.wait_for(&one).await?;
        }
        Ok(())
    }

    /// Returns when every partition is led here or by another instance, or says why one never will be.
    pub async fn ready(&self) -> Result<(), Health> {
        for partition in self.partitions() {
            let health = settled(partition).await;
            if !health.is_serving() {
                return Err(health);
            }
        }
        Ok(())
    }

    /// Returns when of every partition it is known how it stands: led here or by another instance, or why not. One that
    /// has halted, or whose log is full, keeps nobody from turning to the others.
    pub async fn settled(&self) -> Vec<(u16, Health)> {
        let mut all = Vec::new();
        for partition in self.partitions() {
            all.push((partition.id(), settled(partition).await));
        }
        all
    }

    /// Changes after anything was done: when to look again whether it rests.
    pub fn turns(&self) -> watch::Receiver<u64> {
        self.0.turns.subscribe()
    }

    /// Whether it rests, and where it stands.
    pub fn resting(&self) -> Result<Resting, FailureOf<S>> {
        let mut all = Resting { idle: true, next_due: None, heads: Vec::new() };
        for partition in self.partitions() {
            let rest = partition.rest()?;
            let now = partition.now();
            all.idle &= rest.is_idle(now);
            let next_due = rest.next_due.filter(|due| *due > now);
            all.next_due = all.next_due.into_iter().chain(next_due).min();
            all.heads.push((partition.head(), partition.inputs()));
        }
        Ok(all)
    }

    /// Gives the partitions that are led here to other instances, as far as any could lead them at once, and takes over
    /// no more. Returns when all are led there, nobody else could, or `within` has passed. From then on this node sends
    /// calls on.
    pub async fn retire(&self, within: Duration) {
        let mut changes = {
            let keeper = self.keeper();
            let Some(keeper) = keeper.as_ref() else { return };
            keeper.drain();
            keeper.changes()
        };
        let given = async {
            for partition in self.partitions() {
                let mut health = partition.watch_health();
                while self.could_be_led_elsewhere(partition) {
                    tokio::select! {
                        biased;
                        changed = health.changed() => if changed.is_err() { return },
                        changed = changes.changed() => if changed.is_err() { return },
                    }
                }
            }
        };
        if tokio::time::timeout(within, given).await.is_err() {
            tracing::warn!(service = %S::ID, "not everything could be handed over in time");
        }
    }

    /// Whether another instance could lead the partition, and doesn't yet as far as is known here.
    fn could_be_led_elsewhere(&self, partition: &PartitionHandle<S>) -> bool {
        match partition.health() {
            Health::Ready | Health::LogUnavailable | Health::Standby { leader: None } => {
                self.keeper().as_ref().is_some_and(|keeper| keeper.has_heir(partition.id()))
            }
            Health::LogFull
            | Health::Standby { leader: Some(_) }
            | Health::Starting
            | Health::SteppedDown
            | Health::Halted(_)
            | Health::Draining => false,
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends at once, in whatever state everything is: what a crash of the process does. For tests.
    pub fn crash(&self) {
        if let Some(keeper) = self.keeper().take() {
            keeper.abandon();
        }
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(JoinHandle::abort);
    }

    /// Stops in order: what waits is answered, positions and state hashes are written, snapshots saved. What another
    /// instance could lead is handed over instead.
    pub async fn shutdown(&self) {
        self.keeper().iter().for_each(Keeper::drain);
        self.0.stop.send_replace(true);
        let tasks = {
            let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a partition's task broke");
            }
        }
        let keeper = self.keeper().take();
        if let Some(keeper) = keeper {
            keeper.leave().await;
        }
        if self.0.snapshots.keeps() {
            for partition in self.partitions().iter().filter(|one| one.health() == Health::Draining)
            {
                snapshotting::finish(&partition.0, &*self.0.snapshots).await;
            }
        }
    }
}

/// How a partition stands, once that is known.
async fn settled<S: Service>(partition: &PartitionHandle<S>) -> Health {
    let mut health = partition.watch_health();
    let is_settled = |health: &Health| match health {
        Health::Ready
        | Health::LogFull
        | Health::Standby { leader: Some(_) }
        | Health::SteppedDown
        | Health::Halted(_)
        | Health::Draining => true,
        Health::Starting | Health::Standby { leader: None } | Health::LogUnavailable => false,
    };
    // An error means that the partition is gone.
    health.wait_for(is_settled).await.map_or(Health::Draining, |health| health.clone())
}

/// Leads a partition for as long as it can be led, and keeps its condition known. `trouble`: why it can't even begin.
async fn supervise<S: Service>(
    core: Arc<Core<S>>,
    mut work: Outlet<S>,
    setting: Setting,
    mut shutdown: watch::Receiver<bool>,
    trouble: Option<String>,
) {
    let mut before = None;
    let mut trouble = trouble;
    loop {
        let ended = match trouble.take() {
            Some(reason) => Stop::Halted(reason).into(),
            None => one_term(&core, &mut work, &setting, &mut shutdown, before).await,
        };
        let health = match &ended.stop {
            Stop::Rebuild => Health::LogFull,
            Stop::SteppedDown | Stop::HandedOver if setting.seat.is_some() => {
                Health::Standby { leader: None }
            }
            Stop::SteppedDown | Stop::HandedOver => Health::SteppedDown,
            Stop::Shutdown => Health::Draining,
            Stop::Halted(reason) => {
                tracing::error!(service = %S::ID, partition = core.partition, %reason, "halted");
                Health::Halted(format!("{}/{}: {reason}", S::ID, core.partition))
            }
        };
        let again = matches!(health, Health::LogFull | Health::Standby { .. });
        if health == Health::LogFull && *core.health.borrow() != Health::LogFull {
            tracing::error!(service = %S::ID, partition = core.partition, "the log is full: nothing can be written");
        }
        core.health.send_replace(health);
        if let (Some(seat), false) = (&setting.seat, again) {
            seat.stand(Role::Out, core.epoch.load(Ordering::Relaxed));
        }
        // Whoever still waits is told, or hears it by the closing of the way back; those whom the next term answers
        // wait for it.
        while ended.stop != Stop::Rebuild
            && let Some(waiting) = work.try_recv()
        {
            if setting.seat.is_some() {
                send_on(waiting);
            }
        }
        if !again {
            break;
        }
        before = Some(ended);
    }
    tokio::select! {
        biased;
        _ = shutdown.wait_for(|stop| *stop) => {}
        () = async { loop { drop(work.recv().await) } } => {}
    }
    core.health.send_if_modified(|health| {
        let drains = !matches!(health, Health::Halted(_) | Health::Draining);
        if drains {
            *health = Health::Draining;
        }
        drains
    });
}

/// One term. A panic in it stops the partition and says so: one that had only vanished would be taken for one that
/// leads.
async fn one_term<S: Service>(
    core: &Arc<Core<S>>,
    work: &mut Outlet<S>,
    setting: &Setting,
    shutdown: &mut watch::Receiver<bool>,
    before: Option<Ended<S>>,
) -> Ended<S> {
    let term = AssertUnwindSafe(lead(core, work, setting, shutdown, before)).catch_unwind().await;
    term.unwrap_or_else(|_| {
        let reason = "its task broke: a fault of this release, with its place on stderr";
        Stop::Halted(reason.to_owned()).into()
    })
}
