//! A service in this process: all its partitions.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::{EventLogProvider, LogError, OpenError};
use kernel::Timestamp;
use snapshots::SnapshotStore;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::call::{Call, Done, FailureOf};
use crate::commit::{Doubt, genesis, identity_of, read_first};
use crate::health::Health;
use crate::membership::{Keeper, Role};
use crate::partition::{Core, Outlet, Setting, Stop, WaitError, lead, send_on};
use crate::service::{Service, State};
use crate::snapshotting;
use crate::{
    Clock, LogId, Membership, PartitionHandle, Position, Positions, ServiceId, partition_of,
};

/// What a node runs with.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where the logs are.
    pub provider: Arc<dyn EventLogProvider>,
    /// Where snapshots go.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// When a partition that has changed is saved at the latest: [`SNAPSHOT_AFTER`](crate::SNAPSHOT_AFTER) unless there is a reason.
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

/// Makes the logs of `services`, or checks that those that exist have this number of partitions. May be run again at any time.
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

/// What a log says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who it is now: the identity of its last record.
    pub log_id: LogId,
    /// How many partitions its service has.
    pub partitions: u16,
}

/// What the first record that a log still has says: the log's identity there, and its number of partitions.
pub async fn first_record(
    log: &dyn event_log::EventLog,
    service: ServiceId,
    partition: u16,
) -> Result<(LogId, u16), StartError> {
    let tail = log.tail().await?;
    match log.read(tail.first, 1).await?.first() {
        Some(record) => Ok(read_first(record, service, partition)?),
        None => Err(Doubt::Genesis { reason: "the log is empty".into() }.into()),
    }
}

/// Reads what a log says of itself, from the first record that it has and the last.
pub async fn identify(
    log: &dyn event_log::EventLog,
    service: ServiceId,
    partition: u16,
) -> Result<Identity, StartError> {
    let (born, partitions) = first_record(log, service, partition).await?;
    let tail = log.tail().await?;
    // A last record that can't be read is met again by whoever folds the log, and stops that partition alone.
    let last = match log.read(tail.last, 1).await {
        Ok(records) => records.into_iter().next(),
        Err(error @ LogError::Unavailable(_)) => return Err(error.into()),
        Err(_) => None,
    };
    let log_id = last.as_ref().and_then(identity_of).unwrap_or(born);
    Ok(Identity { log_id, partitions })
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
    /// Opens the service's logs and begins to lead their partitions. Returns before they are ready: see [`Self::ready`].
    pub async fn start(service: S, config: NodeConfig) -> Result<Self, StartError> {
        let service = Arc::new(service);
        let (stop, stopping) = watch::channel(false);
        let writer = *config.clock.unique_id().as_bytes();
        let turns = watch::Sender::new(0);
        let mut partitions = Vec::new();
        let mut tasks = Vec::new();
        let keeper = config.cluster.map(|membership| Keeper::start(S::ID, membership));
        let mut number: u16 = 1;
        let mut partition: u16 = 0;
        while partition < number {
            let log = match config.provider.open(&S::ID.log(partition)).await {
                Ok(log) => log,
                Err(OpenError::Missing { .. }) => {
                    return Err(StartError::NotInitialised { service: S::ID });
                }
                Err(error) => return Err(error.into()),
            };
            let Identity { log_id, partitions: found } = identify(&*log, S::ID, partition).await?;
            number = found;
            let (core, work) = Core::new(
                partition,
                log_id,
                Arc::clone(&service),
                config.clock.clone(),
                log,
                turns.clone(),
            );
            let setting = Setting {
                provider: Arc::clone(&config.provider),
                snapshots: Arc::clone(&config.snapshots),
                partitions: found,
                writer,
                seat: keeper.as_ref().map(|keeper| {
                    let (health, applied) = (core.health.subscribe(), core.applied.subscribe());
                    keeper.seat(partition, health, applied, core.saved.subscribe())
                }),
            };
            partitions.push(PartitionHandle(Arc::clone(&core)));
            tasks.push(tokio::spawn(supervise(core, work, setting, stopping.clone())));
            partition += 1;
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
        look: impl FnOnce(&State<S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.partition_of(workspace).view_of(workspace, |view| look(view.state)).await
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
            let mut health = partition.watch_health();
            let settled = |health: &Health| match health {
                Health::Ready
                | Health::Standby { leader: Some(_) }
                | Health::SteppedDown
                | Health::Halted(_)
                | Health::Draining => true,
                Health::Starting | Health::Standby { leader: None } | Health::LogUnavailable => {
                    false
                }
            };
            let health = match health.wait_for(settled).await {
                Ok(health) => health.clone(),
                Err(_) => Health::Draining,
            };
            if !health.is_serving() {
                return Err(health);
            }
        }
        Ok(())
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

    /// Gives the partitions that are led here to other instances, as far as any could lead them at once, and takes over no more.
    /// Returns when all are led there, nobody else could, or `within` has passed. From then on this node sends calls on.
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
            Health::Standby { leader: Some(_) }
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

    /// Stops in order: what waits is answered, positions and state hashes are written, snapshots saved. What another instance could
    /// lead is handed over instead.
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

/// Leads a partition for as long as it can be led, and keeps its condition known.
async fn supervise<S: Service>(
    core: Arc<Core<S>>,
    mut work: Outlet<S>,
    setting: Setting,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut before = None;
    loop {
        let ended = lead(&core, &mut work, &setting, &mut shutdown, before).await;
        let health = match &ended.stop {
            Stop::Rebuild => Health::Starting,
            Stop::SteppedDown | Stop::HandedOver if setting.seat.is_some() => {
                Health::Standby { leader: None }
            }
            Stop::SteppedDown | Stop::HandedOver => Health::SteppedDown,
            Stop::Shutdown => Health::Draining,
            Stop::Halted(reason) => {
                tracing::error!(service = %S::ID, partition = core.partition, %reason, "halted");
                Health::Halted(reason.clone())
            }
        };
        let again = matches!(health, Health::Starting | Health::Standby { .. });
        core.health.send_replace(health);
        if let (Some(seat), false) = (&setting.seat, again) {
            seat.stand(Role::Out, core.epoch.load(Ordering::Relaxed));
        }
        // Whoever still waits is told, or hears it by the closing of the way back.
        while let Some(waiting) = work.try_recv() {
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
