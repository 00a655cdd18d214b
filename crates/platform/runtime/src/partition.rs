//! One partition of one service: its leader, and the handle by which everybody else speaks to it.
//!
//! A partition is one task that owns the state. Work comes to it by channels: calls, looks at the state, records of other services,
//! timers. It takes what waits, decides it one after another, writes one commit, and answers when the log has acknowledged it;
//! meanwhile the next work gathers (group commit, without lingering). **Invariant:** nobody sees state that the log hasn't.

mod batch;
mod appending;
mod inputs;
mod leader;
mod loading;
mod standby;
mod stop;
mod timers;
pub(crate) mod watchdog;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_log::{EventLog, LogError, Seq};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use wire::events::v1::Commit;

use crate::call::{Call, Done, Failure, FailureOf};
use crate::commit::{ChainReader, open_record};
use crate::fold::Fold;
use crate::health::Health;
use crate::meta::{Handled, Meta};
use crate::metrics::Metrics;
use crate::service::{Service, State};
use crate::snapshotting::SnapshotStatus;
use crate::{Clock, LogId, Position, Positions, ServiceId, TraceContext};

pub use batch::{BYTES_MAX, EVENTS_MAX};
pub use leader::HASH_EVERY;
pub(crate) use leader::{Setting, lead};
pub(crate) use loading::{from_the_first, read, restore, snapshot_key};
pub(crate) use standby::send_on;
pub(crate) use stop::Stop;
pub use work::View;
pub(crate) use work::{Look, PendingCommand, Rest, Work};

/// How many calls may wait for a partition's leader.
pub const WAITING_MAX: usize = 4096;

/// How many recent commits a partition keeps for those who follow it.
const RECENT_MAX: usize = 1024;

/// How long a call waits for a log that stalls before its outcome is called unknown.
const STALL_MAX: Duration = Duration::from_secs(5);

/// How many bytes a follower reads at once.
const READ_BYTES: usize = 1024 * 1024;

/// A committed record, decoded.
pub type CommittedRecord = (Position, Arc<Commit>);

/// What the leader and its callers share.
pub(crate) struct Core<S: Service> {
    pub(crate) partition: u16,
    pub(crate) log_id: LogId,
    pub(crate) service: Arc<S>,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) inbox: mpsc::Sender<Work<S>>,
    pub(crate) health: watch::Sender<Health>,
    /// The last record applied.
    pub(crate) applied: watch::Sender<Seq>,
    /// The last record of each input applied in memory.
    pub(crate) inputs: watch::Sender<BTreeMap<ServiceId, Position>>,
    /// Who each input's log is at its end: what positions in it are named by.
    pub(crate) input_ids: watch::Sender<BTreeMap<ServiceId, LogId>>,
    pub(crate) epoch: AtomicU64,
    /// Events and bytes up to the last record applied.
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// How far the partition is saved.
    pub(crate) saved: watch::Sender<SnapshotStatus>,
    /// The head of another instance that leads, as it last said.
    pub(crate) known_head: AtomicU64,
    /// True: something is due, and the inputs' heads couldn't be had for 30 s.
    pub(crate) unconfirmed: AtomicBool,
    /// What the leader still has to do.
    pub(crate) rest: watch::Sender<Rest>,
    /// Counts the leaders' turns of all partitions of the node: changes after anything was done.
    pub(crate) turns: watch::Sender<u64>,
    pub(crate) metrics: Metrics,
    recent: Mutex<VecDeque<(Seq, Arc<Commit>)>>,
    /// The leader's place in its log; none before it leads.
    place: Mutex<Option<ChainReader>>,
}

impl<S: Service> Core<S> {
    pub(crate) fn new(
        partition: u16,
        log_id: LogId,
        service: Arc<S>,
        clock: Clock,
        log: Arc<dyn EventLog>,
        turns: watch::Sender<u64>,
    ) -> (Arc<Self>, mpsc::Receiver<Work<S>>) {
        let (inbox, work) = mpsc::channel(WAITING_MAX);
        let core = Self {
            partition,
            log_id,
            service,
            clock,
            log,
            inbox,
            health: watch::Sender::new(Health::Starting),
            applied: watch::Sender::new(0),
            inputs: watch::Sender::new(BTreeMap::new()),
            input_ids: watch::Sender::new(BTreeMap::new()),
            epoch: AtomicU64::new(0),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            saved: watch::Sender::new(SnapshotStatus::default()),
            known_head: AtomicU64::new(0),
            unconfirmed: AtomicBool::new(false),
            rest: watch::Sender::new(Rest::default()),
            turns,
            metrics: Metrics::default(),
            recent: Mutex::new(VecDeque::new()),
            place: Mutex::new(None),
        };
        (Arc::new(core), work)
    }

    pub(crate) fn position(&self, seq: Seq) -> Position {
        Position { service: S::ID, partition: self.partition, log_id: self.log_id, seq }
    }

    /// Says how far the log is applied.
    pub(crate) fn reached(&self, fold: &Fold<S>) {
        self.events.store(fold.meta.events, Ordering::Relaxed);
        self.bytes.store(fold.meta.bytes, Ordering::Relaxed);
        self.metrics.remembers(&fold.meta);
        self.set_place(&fold.reader);
        self.applied.send_replace(fold.reader.seq);
    }

    /// The leader's place in its log: what its watchdog compares the log with.
    pub(crate) fn place(&self) -> Option<ChainReader> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_place(&self, reader: &ChainReader) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader.clone());
    }

    /// Keeps a commit for those who follow. What is kept is without a gap: a commit that doesn't follow the last one begins anew.
    pub(crate) fn remember(&self, commit: Arc<Commit>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.back().is_some_and(|(last, _)| last + 1 != commit.seq) {
            recent.clear();
        }
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back((commit.seq, commit));
    }

    /// Says how far the inputs are handled, by what the log has.
    pub(crate) fn publish_consumed(&self, meta: &Meta) {
        self.inputs.send_if_modified(|inputs| {
            let mut changed = false;
            for service in S::INPUTS {
                let Some(handled) = meta.consumed(*service) else { continue };
                let Handled { log_id, seq, .. } = handled;
                let position =
                    Position { service: *service, partition: self.partition, log_id, seq };
                let known = inputs.get(service);
                // One who led has seen more in memory than it wrote; what was seen is not unseen.
                if known.is_none_or(|known| known.log_id != log_id || known.seq < seq) {
                    inputs.insert(*service, position);
                    changed = true;
                }
            }
            changed
        });
    }

    /// Recent commits from `from` on; empty if the ring doesn't reach back so far.
    fn recent(&self, from: Seq) -> Vec<Arc<Commit>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match recent.front() {
            Some((first, _)) if *first <= from => recent
                .iter()
                .skip_while(|(seq, _)| *seq < from)
                .map(|(_, commit)| Arc::clone(commit))
                .collect(),
            Some(_) | None => Vec::new(),
        }
    }
}

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

    /// Its log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.0.log
    }

    /// The last record applied.
    pub fn head(&self) -> Position {
        self.0.position(*self.0.applied.borrow())
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
    pub async fn execute(&self, call: Call<S>) -> Result<Done, FailureOf<S>> {
        let trace = crate::trace::enabled().then(TraceContext::current).flatten();
        let (reply, answer) = oneshot::channel();
        let work = Work::Command(Box::new(PendingCommand { call, trace, reply }));
        self.admit()?;
        self.submit(work, answer, Failure::OutcomeUnknown).await?
    }

    /// Looks at the state between commits: what it sees is in the log.
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State<S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.view(|view| look(view.state)).await
    }

    /// Looks at the state and at what the runtime knows beside it.
    pub async fn view<R: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_, S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        self.admit()?;
        let (look, answer) = way_back(look);
        self.submit(Work::Look(look), answer, Failure::LogUnavailable).await
    }

    /// Looks at the state as this process has it, whether it leads or stands by: it may be older than what the leader has
    /// acknowledged. For operators.
    pub async fn glance<R: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_, S>) -> R + Send + 'static,
    ) -> Result<R, FailureOf<S>> {
        match self.admit() {
            Ok(()) | Err(Failure::NotLeader { .. }) => {}
            Err(failure) => return Err(failure),
        }
        let (look, answer) = way_back(look);
        self.submit(Work::Glance(look), answer, Failure::LogUnavailable).await
    }

    /// Whether the partition rests, as its leader last said, and by what the clock says now. A standby has nothing to do.
    pub(crate) fn rest(&self) -> Result<Rest, FailureOf<S>> {
        match self.admit() {
            Ok(()) => Ok(self.0.rest.borrow().clone()),
            Err(Failure::NotLeader { .. }) => Ok(Rest::default()),
            Err(failure) => Err(failure),
        }
    }

    /// `stalled`: what it is called when the log stalls meanwhile.
    pub(crate) async fn submit<R>(
        &self,
        work: Work<S>,
        answer: oneshot::Receiver<R>,
        stalled: FailureOf<S>,
    ) -> Result<R, FailureOf<S>> {
        self.0.inbox.try_send(work).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Failure::Draining,
        })?;
        tokio::select! {
            biased;
            answer = answer => answer.map_err(|_| self.lost()),
            () = self.stalled() => Err(stalled),
        }
    }

    pub(crate) fn admit(&self) -> Result<(), FailureOf<S>> {
        match &*self.0.health.borrow() {
            Health::Ready => Ok(()),
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
    fn lost(&self) -> FailureOf<S> {
        match self.admit() {
            Err(Failure::Halted(reason)) => Failure::Halted(reason),
            Err(Failure::Draining) => Failure::Draining,
            // A call is told so itself; this was a look.
            Err(Failure::NotLeader { leader }) => Failure::NotLeader { leader },
            Ok(()) | Err(_) => Failure::OutcomeUnknown,
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

    /// Waits until what lies at these positions is seen here: one's own log applied, an input applied in memory. A log that this
    /// service doesn't follow needs no waiting; nor does anything where another instance leads, for the call goes on to it and waits
    /// there.
    pub async fn wait_for(&self, positions: &Positions) -> Result<(), WaitError> {
        let mut health = self.0.health.subscribe();
        tokio::select! {
            biased;
            seen = self.seen(positions) => seen,
            _ = health.wait_for(|health| matches!(health, Health::Standby { .. })) => Ok(()),
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
        if position.log_id == self.0.log_id { Ok(()) } else { Err(WaitError::OtherLog(position)) }
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

    /// Every commit from `from` on, those to come included; ends with an error or when the partition is gone.
    pub fn follow(&self, from: Seq) -> BoxStream<'static, Result<CommittedRecord, LogError>> {
        let core = Arc::clone(&self.0);
        let applied = core.applied.subscribe();
        let cursor = (core, applied, from.max(1), VecDeque::new());
        stream::unfold(Some(cursor), |cursor| async move {
            let (core, mut applied, mut next, mut ready) = cursor?;
            if ready.is_empty() {
                if applied.wait_for(|seq| *seq >= next).await.is_err() {
                    return None;
                }
                match fetch(&core, next).await {
                    Ok(commits) => ready.extend(commits),
                    Err(error) => return Some((Err(error), None)),
                }
            }
            let commit: Arc<Commit> = ready.pop_front()?;
            next = commit.seq + 1;
            let item = (core.position(commit.seq), commit);
            Some((Ok(item), Some((core, applied, next, ready))))
        })
        .boxed()
    }
}

/// A look, and the way back for what it saw.
fn way_back<S: Service, R: Send + 'static>(
    look: impl FnOnce(&View<'_, S>) -> R + Send + 'static,
) -> (Look<S>, oneshot::Receiver<R>) {
    let (reply, answer) = oneshot::channel();
    let look = Box::new(move |view: &View<'_, S>| {
        // The caller may have gone; then nobody needs it.
        drop(reply.send(look(view)));
    });
    (look, answer)
}

async fn fetch<S: Service>(core: &Core<S>, from: Seq) -> Result<Vec<Arc<Commit>>, LogError> {
    let recent = core.recent(from);
    if !recent.is_empty() {
        return Ok(recent);
    }
    let records = core.log.read(from, READ_BYTES).await?;
    records
        .iter()
        .map(|record| match open_record(record) {
            Ok(commit) => Ok(Arc::new(commit)),
            Err(doubt) => Err(LogError::Corrupt { seq: record.seq, reason: doubt.to_string() }),
        })
        .collect()
}
