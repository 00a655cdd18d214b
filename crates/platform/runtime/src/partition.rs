//! One partition of one service: its leader, and the handle by which everybody else speaks to it.
//!
//! A partition is one task that owns the state. Work comes to it by channels: calls, looks at the state, records of
//! other services, timers. It takes what waits, decides it one after another, writes one commit, and answers when the
//! log has acknowledged it; meanwhile it decides what the next commit will say (group commit, without lingering).
//! **Invariant:** nobody sees state that the log hasn't.

mod appending;
mod batch;
mod core;
mod following;
mod inputs;
mod leader;
mod lineage;
mod loading;
mod missing;
mod queue;
mod standby;
mod stop;
mod time;
mod timers;
mod turns;
pub(crate) mod watchdog;
mod work;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use event_log::{EventLog, Seq};
use kernel::{Timestamp, WorkspaceId};
use tokio::sync::{oneshot, watch};

use crate::call::{Call, Done, Failure, FailureOf};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::service::{Service, State};
use crate::snapshotting::SnapshotStatus;
use crate::{Clock, Position, Positions, ServiceId, TraceContext};
use queue::{Lane, Refused};

pub use batch::{BYTES_MAX, EVENTS_MAX, REPETITIONS_MAX};
pub(crate) use core::Core;
pub use following::{CommittedRecord, CommittedRecords};
pub(crate) use leader::{Ended, Setting, lead};
pub use leader::{HASH_AT_LAST, HASH_EVERY};
pub use lineage::last_read_of;
pub(crate) use loading::{check, from_the_first, read, restore, snapshot_key};
pub(crate) use missing::MissingLog;
pub(crate) use queue::Outlet;
pub use queue::{WAITING_MAX, WAITING_OF_WORKSPACE_MAX};
pub(crate) use standby::send_on;
pub(crate) use stop::Stop;
pub use time::TimeDoubt;
pub use work::View;
pub(crate) use work::{Look, PendingCommand, Rest, Shown, Work};

/// How long a call waits for a log that stalls before its outcome is called unknown.
const STALL_MAX: Duration = Duration::from_secs(5);

/// How many bytes are read of a log at once.
const READ_BYTES: usize = 1024 * 1024;

/// One partition of one service, to speak to. Cheap to clone.
pub struct PartitionHandle<S: Service>(pub(crate) Arc<Core<S>>);

impl<S: Service> Clone for PartitionHandle<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service> fmt::Debug for PartitionHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", S::ID, self.0.partition)
    }
}

/// Why a position can't be waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// It belongs to a log of another identity: the log was restored, or it is another installation's.
    #[error("the position belongs to another generation of the log")]
    OtherLog(Position),
    /// This installation has no such partition.
    #[error("there is no such partition")]
    NoPartition(Position),
}

impl<S: Service> PartitionHandle<S> {
    /// The partition's number.
    pub fn id(&self) -> u16 {
        self.0.partition
    }

    /// The service.
    pub fn service(&self) -> &Arc<S> {
        &self.0.service
    }

    /// The service's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The partition's time: the clock's, or the log's own while that is in doubt about the clock.
    pub fn now(&self) -> Timestamp {
        self.0.time.now()
    }

    /// Why its time is in doubt; empty: it isn't.
    pub fn time_doubts(&self) -> Vec<TimeDoubt> {
        self.0.time.doubts()
    }

    /// Its log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.0.log
    }

    /// The last record applied.
    pub fn head(&self) -> Position {
        self.0.position(*self.0.applied.borrow())
    }

    /// The last record applied, to watch.
    pub fn watch_applied(&self) -> watch::Receiver<Seq> {
        self.0.applied.subscribe()
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The leader's epoch, as this process knows it.
    pub fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// The address of the instance that leads, if it is another and known.
    pub fn leader(&self) -> Option<String> {
        match &*self.0.health.borrow() {
            Health::Standby { leader } => leader.clone(),
            Health::Starting
            | Health::Ready
            | Health::LogUnavailable
            | Health::LogFull
            | Health::SteppedDown
            | Health::Halted(_)
            | Health::Draining => None,
        }
    }

    /// How many records a standby has yet to apply, by what the leader last said; a leader is never behind.
    pub fn behind(&self) -> u64 {
        match &*self.0.health.borrow() {
            Health::Starting | Health::Standby { .. } => {
                let known = self.0.known_head.load(Ordering::Relaxed);
                known.saturating_sub(*self.0.applied.borrow())
            }
            Health::Ready
            | Health::LogUnavailable
            | Health::LogFull
            | Health::SteppedDown
            | Health::Halted(_)
            | Health::Draining => 0,
        }
    }

    /// The last record of each input that was applied in memory.
    pub fn inputs(&self) -> Vec<Position> {
        self.0.inputs.borrow().values().copied().collect()
    }

    /// Its condition.
    pub fn health(&self) -> Health {
        self.0.health.borrow().clone()
    }

    /// Its condition, to watch.
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        self.0.health.subscribe()
    }

    /// How far it is saved, to watch.
    pub fn watch_snapshots(&self) -> watch::Receiver<SnapshotStatus> {
        self.0.saved.subscribe()
    }

    /// Whether something is due and has waited for 30 s because the inputs' heads can't be had.
    pub fn is_unconfirmed(&self) -> bool {
        self.0.unconfirmed.load(Ordering::Relaxed)
    }

    /// Runs a call. It returns once its facts are in the log, or why they aren't (see [`Failure`]).
    pub fn execute(
        &self,
        call: Call<S>,
    ) -> impl Future<Output = Result<Done, FailureOf<S>>> + Send + '_ {
        let trace = crate::trace::enabled().then(TraceContext::current).flatten();
        let (reply, answer) = oneshot::channel();
        let lane = Some(call.workspace.clone());
        // Boxed before anything waits: a call is large, and a future that holds it is copied with it.
        let work = Work::Command(Box::new(PendingCommand { call, trace, reply }));
        async move {
            self.admit_write()?;
            self.submit(lane, work, answer, Failure::OutcomeUnknown).await?
        }
    }

    /// Looks at the state between commits: what it sees is in the log. It looks again if what it saw could not be
    /// written. It takes turns with the workspaces' calls; what is about one workspace is better asked by
    /// [`view_of`](Self::view_of).
    pub async fn read<R: Send + 'static>(
        &self,
        mut look: impl FnMut(&State<S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.view(move |view| look(view.state)).await
    }

    /// Looks at the state and at what the runtime knows beside it. It looks again if what it saw could not be written.
    pub async fn view<R: Send + 'static>(
        &self,
        look: impl FnMut(&View<'_, S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.look(None, look).await
    }

    /// The same in the name of a workspace: it waits in line with that workspace's calls.
    pub async fn view_of<R: Send + 'static>(
        &self,
        workspace: &str,
        look: impl FnMut(&View<'_, S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.look(Some(WorkspaceId::trusted(workspace)), look).await
    }

    async fn look<R: Send + 'static>(
        &self,
        lane: Lane,
        look: impl FnMut(&View<'_, S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.admit()?;
        let (look, answer) = way_back(look);
        let work = Work::Look(lane.clone(), look);
        self.submit(lane, work, answer, Failure::LogUnavailable).await?
    }

    /// Looks at the state as this process has it, whether it leads or stands by: it may be older than what the leader
    /// has acknowledged. For operators.
    pub async fn glance<R: Send + 'static>(
        &self,
        look: impl FnMut(&View<'_, S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        match self.admit() {
            Ok(()) | Err(Failure::NotLeader { .. }) => {}
            Err(failure) => return Err(failure),
        }
        let (look, answer) = way_back(look);
        self.submit(None, Work::Glance(None, look), answer, Failure::LogUnavailable).await?
    }

    /// Looks at the state wherever this process has it. A standby first reads the log up to the end that it has now, so
    /// everything that was acknowledged before the call is seen. For lists over all partitions, which no instance needs
    /// to lead.
    pub async fn read_anywhere<R: Send + 'static>(
        &self,
        mut look: impl FnMut(&State<S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        if matches!(self.admit(), Err(Failure::NotLeader { .. })) {
            let tail = self.0.log.tail().await.map_err(|_| Failure::LogUnavailable)?;
            let mut applied = self.0.applied.subscribe();
            // An error means that the partition is gone: the look itself will say so.
            drop(applied.wait_for(|seq| *seq >= tail.last).await);
        }
        self.glance(move |view| look(view.state)).await
    }

    /// Whether the partition rests, as its leader last said, and by what the clock says now. A standby has nothing to
    /// do, nor has one that has halted.
    pub(crate) fn rest(&self) -> Result<Rest, FailureOf<S>> {
        match self.admit() {
            Ok(()) => Ok(self.0.rest.borrow().clone()),
            Err(Failure::NotLeader { .. } | Failure::Halted(_)) => Ok(Rest::default()),
            Err(failure) => Err(failure),
        }
    }

    /// Lets work wait for its lane's turn. `unanswered`: what it is called when the log stalls meanwhile, or when
    /// nothing else is known of why there is no answer.
    pub(crate) async fn submit<R>(
        &self,
        lane: Lane,
        work: Work<S>,
        answer: oneshot::Receiver<R>,
        unanswered: FailureOf<S>,
    ) -> Result<R, FailureOf<S>> {
        self.0.inbox.call(lane, work).map_err(|refused| match refused {
            Refused::Overloaded(overload) => Failure::Overloaded(overload),
            Refused::Closed => Failure::Draining,
        })?;
        tokio::select! {
            biased;
            answer = answer => answer.map_err(|_| self.lost(unanswered)),
            () = self.stalled() => Err(unanswered),
        }
    }

    /// Whether a call that may write is taken on.
    pub(crate) fn admit_write(&self) -> Result<(), FailureOf<S>> {
        if *self.0.health.borrow() == Health::LogFull {
            return Err(Failure::LogFull);
        }
        self.admit()
    }

    /// Whether a look is taken on.
    pub(crate) fn admit(&self) -> Result<(), FailureOf<S>> {
        match &*self.0.health.borrow() {
            Health::Ready | Health::LogFull => Ok(()),
            Health::LogUnavailable => Err(Failure::LogUnavailable),
            Health::Draining => Err(Failure::Draining),
            Health::Halted(reason) => Err(Failure::Halted(reason.clone())),
            Health::Standby { leader } => Err(Failure::NotLeader { leader: leader.clone() }),
            waiting @ (Health::Starting | Health::SteppedDown) => {
                Err(Failure::NotReady(waiting.reason()))
            }
        }
    }

    /// Why the leader dropped a call without an answer.
    fn lost(&self, unanswered: FailureOf<S>) -> FailureOf<S> {
        match self.admit() {
            Err(Failure::Halted(reason)) => Failure::Halted(reason),
            Err(Failure::Draining) => Failure::Draining,
            // A call is told so itself; this was a look.
            Err(Failure::NotLeader { leader }) => Failure::NotLeader { leader },
            Ok(()) | Err(_) => unanswered,
        }
    }

    /// Returns when the log has stalled for [`STALL_MAX`].
    async fn stalled(&self) {
        let mut health = self.0.health.subscribe();
        loop {
            if health.wait_for(|health| *health == Health::LogUnavailable).await.is_err() {
                std::future::pending::<()>().await;
            }
            let recovery = health.wait_for(|health| *health != Health::LogUnavailable);
            if tokio::time::timeout(STALL_MAX, recovery).await.is_err() {
                return;
            }
        }
    }

    /// Waits until what lies at these positions is seen here: one's own log applied, an input applied in memory. A log
    /// that this service doesn't follow needs no waiting; nor does anything where another instance leads, for the call
    /// goes on to it and waits there, or where the partition has halted, which the call itself is told.
    pub async fn wait_for(&self, positions: &Positions) -> Result<(), WaitError> {
        let mut health = self.0.health.subscribe();
        if health.borrow().is_halted() {
            return Ok(());
        }
        tokio::select! {
            biased;
            seen = self.seen(positions) => seen,
            _ = health.wait_for(|health| {
                matches!(health, Health::Standby { .. } | Health::Halted(_))
            }) => Ok(()),
        }
    }

    async fn seen(&self, positions: &Positions) -> Result<(), WaitError> {
        for position in positions.iter().filter(|position| position.partition == self.0.partition) {
            if position.service == S::ID {
                self.own(position)?;
                let mut applied = self.0.applied.subscribe();
                // An error means that the partition is gone: the call itself will say so.
                drop(applied.wait_for(|seq| *seq >= position.seq).await);
            } else if S::INPUTS.contains(&position.service) {
                self.input(position).await?;
            }
        }
        Ok(())
    }

    fn own(&self, position: Position) -> Result<(), WaitError> {
        if position.log_id == self.0.identity.log_id {
            Ok(())
        } else {
            Err(WaitError::OtherLog(position))
        }
    }

    /// A log that was restored is another one to whoever has a position from before, however far that is handled here.
    async fn input(&self, position: Position) -> Result<(), WaitError> {
        let service = position.service;
        let mut ids = self.0.input_ids.subscribe();
        let known = ids.wait_for(|ids| ids.contains_key(&service)).await;
        if known.is_ok_and(|ids| ids.get(&service) != Some(&position.log_id)) {
            return Err(WaitError::OtherLog(position));
        }
        let mut inputs = self.0.inputs.subscribe();
        let seen = |inputs: &BTreeMap<ServiceId, Position>| {
            inputs.get(&service).is_some_and(|have| have.seq >= position.seq)
        };
        // An error means that the partition is gone: the call itself will say so.
        drop(inputs.wait_for(seen).await);
        Ok(())
    }

    /// This handle for who must not keep the partition: what belongs to its own service.
    pub fn downgrade(&self) -> WeakPartition<S> {
        WeakPartition(Arc::downgrade(&self.0))
    }
}

/// A [`PartitionHandle`] that does not keep the partition.
pub struct WeakPartition<S: Service>(Weak<Core<S>>);

impl<S: Service> WeakPartition<S> {
    /// The partition, if it is still there.
    pub fn upgrade(&self) -> Option<PartitionHandle<S>> {
        self.0.upgrade().map(PartitionHandle)
    }
}

impl<S: Service> fmt::Debug for WeakPartition<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", S::ID)
    }
}

/// A look, and the way back for what it saw last, or for why it may not look.
fn way_back<S: Service, R: Send + 'static>(
    mut look: impl FnMut(&View<'_, S>) -> R + Send + 'static,
) -> (Look<S>, oneshot::Receiver<Result<R, FailureOf<S>>>) {
    let (reply, answer) = oneshot::channel();
    let reply = Arc::new(Mutex::new(Some(reply)));
    let look = Box::new(move |view: Result<&View<'_, S>, FailureOf<S>>| -> Shown {
        let (seen, reply) = (view.map(&mut look), Arc::clone(&reply));
        Box::new(move || {
            let reply = reply.lock().unwrap_or_else(PoisonError::into_inner).take();
            // The caller may have gone; then nobody needs it.
            drop(reply.map(|reply| reply.send(seen)));
        })
    });
    (look, answer)
}
