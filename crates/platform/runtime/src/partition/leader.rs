//! The leader: the one task that decides for a partition.
//!
//! It has one commit in the making and at most one on its way into the log. The state is always that after all that was
//! decided; who asked is answered, and who looked is shown what they saw, once the log has what it rests on. If the log
//! refuses a commit, what was decided after it was decided in vain: everybody hears so, and the state is dropped.

mod claiming;
mod deciding;
mod flight;
mod full;
mod leading;
mod looking;
mod parking;
mod reacting;
mod rota;
mod saving;
mod writing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_log::{EventLogProvider, Seq};
use kernel::planted::{self, Bug};
use kernel::{Timestamp, WorkspaceId};
use snapshots::SnapshotStore;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::appending::Appended;
use super::batch::Batch;
use super::inputs::{self, Input};
use super::loading::{load, load_first};
use super::standby::{send_on, stand_by};
use super::stop::Stop;
use super::timers::{HELD_PAUSE, Next, Timers, UNCONFIRMED_AFTER};
use super::{Core, Outlet, PartitionHandle, Work, watchdog};
use crate::ServiceId;
use crate::fold::Fold;
use crate::health::Health;
use crate::membership::{Seat, Watcher};
use crate::meta::Handled;
use crate::service::Service;
use claiming::claim;
use flight::Flight;
use full::Full;
use looking::{Looks, Waiting};
use rota::Source;

/// A leader writes its state's hash every so many commits as soon as it has nothing else to write, and when it stops.
pub const HASH_EVERY: Seq = 10_000;
/// A leader that always has something else writes it after so many.
pub const HASH_AT_LAST: Seq = 10 * HASH_EVERY;
/// Positions of inputs are written alone only after so many inputs ...
const POSITIONS_EVERY: u64 = 1000;
/// ... or so long.
const POSITIONS_AFTER: Duration = Duration::from_secs(10);
/// What one decision may write, in bytes: with what waits beside it, it fits into a record.
const DECISION_BYTES_MAX: usize = 448 * 1024;
/// Once so many facts have come of one decision, what else follows is left for a turn of its own.
const FACTS_AT_ONCE: usize = 64;

/// What a leader needs to begin.
pub(crate) struct Setting {
    pub(crate) provider: Arc<dyn EventLogProvider>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    pub(crate) partitions: u16,
    pub(crate) writer: [u8; 16],
    /// The place among the other instances; `None`: there are none.
    pub(crate) seat: Option<Seat>,
}

/// How a term ended: why, and the state if it is what the log has.
pub(crate) struct Ended<S: Service> {
    pub(crate) stop: Stop,
    pub(crate) kept: Option<Fold<S>>,
    /// Those who wanted to look and were not told what they saw, since it can't be written: the next term lets them
    /// look again.
    looks: Vec<Waiting<S>>,
    /// How often in a row the log was full.
    refused: u32,
}

impl<S: Service> From<Stop> for Ended<S> {
    fn from(stop: Stop) -> Self {
        Self { stop, kept: None, looks: Vec::new(), refused: 0 }
    }
}

/// Leads a partition, as soon as it is this instance's turn, until it is told to stop, or must. `before`: how the last
/// term ended.
pub(crate) async fn lead<S: Service>(
    core: &Arc<Core<S>>,
    work: &mut Outlet<S>,
    setting: &Setting,
    shutdown: &mut watch::Receiver<bool>,
    before: Option<Ended<S>>,
) -> Ended<S> {
    let first = before.is_none();
    let before = before.unwrap_or_else(|| Stop::Shutdown.into());
    let Ended { kept, looks, refused, .. } = before;
    let rebuild = before.stop == Stop::Rebuild;
    let loaded = match &setting.seat {
        Some(seat) if !rebuild => stand_by(core, setting, seat, work, shutdown, kept).await,
        Some(_) | None => {
            let load = async {
                let fold = if first {
                    load_first(core, &*setting.provider, &*setting.snapshots).await?
                } else {
                    load(core, &*setting.snapshots).await?
                };
                claim(core, setting, work, fold, rebuild).await
            };
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => Err(Stop::Shutdown),
                loaded = load => loaded,
            }
        }
    };
    match loaded {
        Ok(fold) => {
            let mut leader = Leader::new(core, setting, fold);
            leader.again = looks;
            if rebuild {
                leader.is_full(refused);
            }
            leader.run(work, shutdown).await
        }
        Err(stop) => stop.into(),
    }
}

/// What woke a leader.
enum Wake<S: Service> {
    /// It is known what became of the commit on its way.
    Landed(Appended),
    Work(Work<S>),
    Input(Input),
    Timer,
    /// Something was left when it looked up.
    More,
    Positions,
    /// It is time to see whether a full log has room again.
    Room,
    /// Another instance says that it leads.
    Doubted,
    /// Another instance is to lead.
    HandOver,
    Shutdown,
}

/// What a leader does last.
#[derive(Clone, Copy)]
enum Last {
    /// Another instance may go on.
    HandOver,
    /// Nobody does.
    Shutdown,
}

struct Leader<'a, S: Service> {
    core: &'a Arc<Core<S>>,
    setting: &'a Setting,
    /// What was decided, written or not.
    fold: Fold<S>,
    /// The commit on its way into the log.
    flight: Option<Flight<S>>,
    /// Set: it ends once everything decided is written, and takes on nothing more.
    last: Option<Last>,
    /// Another instance says that it leads; the log is asked, or answers by taking the commit on its way.
    doubted: bool,
    inputs: mpsc::Receiver<Input>,
    /// Inputs taken and not yet handled to their end.
    pending: VecDeque<Input>,
    /// Inputs that came before what they were made from, see [`reacting`].
    held: BTreeMap<ServiceId, VecDeque<Input>>,
    /// Whose turn is next of what waits.
    next: Source,
    /// When it last looked up, there was more to do.
    hurries: bool,
    /// The workspace with which the last turn of what is due was cut short.
    cut_after: Option<WorkspaceId>,
    /// Who waits to look at the state.
    looks: Looks<S>,
    applied: Vec<(ServiceId, Handled)>,
    /// Inputs handled since positions were last written, and when the first of them was.
    unwritten: u64,
    unwritten_since: Option<Instant>,
    timers: Timers,
    /// The last decision's time.
    decided_at: Timestamp,
    hashed_at: Seq,
    watcher: Option<Watcher>,
    /// Set: the log has no room, and nothing is decided until it has.
    full: Option<Full>,
    /// How often in a row the log was full.
    refused: u32,
    /// Those who look again, since what they saw couldn't be written.
    again: Vec<Waiting<S>>,
    /// The input followers; they end with the leader.
    _followers: JoinSet<()>,
}

impl<'a, S: Service> Leader<'a, S> {
    fn new(core: &'a Arc<Core<S>>, setting: &'a Setting, fold: Fold<S>) -> Self {
        let (sender, inputs) = mpsc::channel(inputs::WAITING_MAX);
        let mut followers = JoinSet::new();
        let mut applied = Vec::new();
        for service in S::INPUTS {
            let mut handled = fold.meta.consumed(*service);
            if planted::is(Bug::InputHandledTwice) {
                handled = handled.map(|it| Handled { seq: it.seq.saturating_sub(1), ..it });
            }
            applied.extend(handled.map(|handled| (*service, handled)));
            let source = inputs::Source {
                provider: Arc::clone(&setting.provider),
                service: *service,
                partitions: setting.partitions,
            };
            followers.spawn(inputs::follow(Arc::clone(core), source, handled, sender.clone()));
        }
        followers.spawn(watchdog::own(Arc::clone(core)));
        let (decided_at, hashed_at) = (fold.meta.time(), fold.meta.hashed_at);
        Self {
            core,
            setting,
            fold,
            flight: None,
            last: None,
            doubted: false,
            inputs,
            pending: VecDeque::new(),
            held: BTreeMap::new(),
            next: Source::default(),
            hurries: false,
            cut_after: None,
            looks: Looks::default(),
            applied,
            unwritten: 0,
            unwritten_since: None,
            timers: Timers::default(),
            decided_at,
            hashed_at,
            watcher: setting.seat.as_ref().map(Seat::watcher),
            full: None,
            refused: 0,
            again: Vec::new(),
            _followers: followers,
        }
    }

    async fn run(mut self, work: &mut Outlet<S>, shutdown: &mut watch::Receiver<bool>) -> Ended<S> {
        match self.term(work, shutdown).await {
            Ok(Last::HandOver) => self.hand_over(work).await,
            Ok(Last::Shutdown) => self.end().await.into(),
            Err(stop) => {
                let (looks, refused) = (std::mem::take(&mut self.again), self.refused);
                Ended { stop, kept: None, looks, refused }
            }
        }
    }

    /// Works until there is a reason to stop.
    async fn term(
        &mut self,
        work: &mut Outlet<S>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<Last, Stop> {
        self.begin().await?;
        // The next commit.
        let mut making = Batch::default();
        for (lane, look, counts) in std::mem::take(&mut self.again) {
            self.looks.add(lane, look, counts);
        }
        loop {
            let wake = self.wake(self.takes(&making), work, shutdown).await;
            if let Err(stop) = self.attend(wake, &mut making, work).await {
                // Whoever waits for what is on its way is to hear what became of it.
                if let Some(flight) = self.flight.take() {
                    self.land(flight, &mut making).await?;
                }
                return Err(stop);
            }
            if self.flight.is_none() {
                if std::mem::take(&mut self.doubted) {
                    self.ask_the_log().await?;
                }
                let next = making.successor();
                let batch = std::mem::replace(&mut making, next);
                if batch.is_record() {
                    self.flight = Some(self.launch(batch)?);
                    // Nothing more is decided yet, so the state is that of the record on its way.
                    if self.fold.reader.seq >= self.hashed_at + HASH_AT_LAST {
                        making.notes.extend(self.state_hash()?);
                    }
                } else {
                    self.show(batch).await?;
                }
            }
            let landed = self.flight.is_none() || planted::is(Bug::HandOverInFlight);
            if let (Some(last), true, true) = (self.last, landed, self.looks.is_empty()) {
                return Ok(last);
            }
        }
    }

    /// Does what it was woken for, and takes what waits into the commit in the making.
    async fn attend(
        &mut self,
        wake: Wake<S>,
        making: &mut Batch<S>,
        work: &mut Outlet<S>,
    ) -> Result<(), Stop> {
        let takes = self.takes(making);
        match wake {
            Wake::Landed(appended) => {
                if let Some(flight) = self.flight.take() {
                    self.settle(flight, appended, making).await?;
                }
            }
            Wake::Work(work) => self.take(work, making)?,
            Wake::Input(input) => self.receive(input),
            Wake::Positions => {
                making.positions_due = true;
                self.unwritten_since = None;
            }
            Wake::Timer | Wake::More => {}
            Wake::Room => self.look_for_room().await?,
            Wake::Doubted => self.doubted = true,
            Wake::HandOver => self.last = Some(Last::HandOver),
            Wake::Shutdown => {
                let has_heir = self.setting.seat.as_ref().is_some_and(Seat::has_heir);
                self.last = Some(if has_heir { Last::HandOver } else { Last::Shutdown });
            }
        }
        if !takes {
            return Ok(());
        }
        if self.flight.is_some() || self.hurries {
            // There is time, or much to do: whoever is about to ask does so first, so that many are taken at once, and
            // none waits for a leader that never rests.
            tokio::task::yield_now().await;
        }
        self.gather(making, work)
    }

    /// Whether it takes on more.
    fn takes(&self, making: &Batch<S>) -> bool {
        self.last.is_none() && !making.is_full() && !self.looks.is_full()
    }

    /// The first deeds of a leader: what must be there, and what was broken off.
    async fn begin(&mut self) -> Result<(), Stop> {
        self.core.clock.not_before(self.fold.meta.time());
        self.core.time.begin(self.fold.meta.time());
        self.core.epoch.store(self.fold.meta.epoch, Ordering::Relaxed);
        self.core.reached(&self.fold.reader, &self.fold.meta);
        self.publish_inputs(&self.applied);
        self.bootstrap().await?;
        let now = self.core.time.now();
        let handle = PartitionHandle(Arc::clone(self.core));
        self.core.service.on_lead(&self.fold.state, now, &handle);
        self.publish_rest(false);
        let health = if self.full.is_some() { Health::LogFull } else { Health::Ready };
        self.core.health.send_replace(health);
        tracing::info!(
            service = %S::ID,
            partition = self.core.partition,
            epoch = self.fold.meta.epoch,
            seq = self.fold.reader.seq,
            "leads"
        );
        Ok(())
    }

    /// Makes what must be there from the start; without room for it later.
    async fn bootstrap(&mut self) -> Result<(), Stop> {
        if self.full.is_some() {
            return Ok(());
        }
        let mut batch = Batch::default();
        let wanted = self.core.service.bootstrap(
            &self.fold.state,
            self.core.partition,
            self.setting.partitions,
        );
        for (workspace, command) in wanted {
            self.decide_own(workspace, command, &mut batch);
        }
        self.conclude(batch).await
    }

    async fn wake(
        &mut self,
        takes: bool,
        work: &mut Outlet<S>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Wake<S> {
        let ends = self.last.is_some();
        let decides = takes && self.full.is_none();
        let shows = self.flight.is_none() && !self.looks.is_empty();
        let more = shows || decides && !self.pending.is_empty();
        let room = self.full.as_ref().map(|full| full.next);
        let room = async {
            match room {
                Some(instant) => tokio::time::sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        let next = if decides { self.timers.next(self.core, &self.fold) } else { Next::Nothing };
        if next == Next::Unconfirmed {
            self.timers.confirm(self.core, &self.setting.provider);
        }
        let timer = async {
            match next {
                Next::Due(_) => {}
                Next::At(due) => self.core.clock.reached(due).await,
                Next::Held => tokio::time::sleep(HELD_PAUSE).await,
                // Only to see whether it takes too long.
                Next::Unconfirmed => tokio::time::sleep(UNCONFIRMED_AFTER).await,
                Next::Nothing => std::future::pending().await,
            }
        };
        let positions = self.unwritten_since.filter(|_| decides);
        let positions = async {
            match positions {
                Some(since) => tokio::time::sleep_until(since + POSITIONS_AFTER).await,
                None => std::future::pending().await,
            }
        };
        let (watcher, epoch) = (&mut self.watcher, self.fold.meta.epoch);
        let summons = async {
            match watcher {
                Some(watcher) => watcher.summons(epoch).await,
                None => std::future::pending().await,
            }
        };
        let flight = &mut self.flight;
        let landed = async {
            match flight {
                Some(flight) => (&mut flight.landing).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop), if !ends => Wake::Shutdown,
            hand_over = summons, if !ends && !self.doubted => {
                if hand_over { Wake::HandOver } else { Wake::Doubted }
            }
            appended = landed => Wake::Landed(appended),
            () = std::future::ready(()), if more => Wake::More,
            work = work.recv(), if takes => Wake::Work(work),
            Some(input) = self.inputs.recv(), if decides => Wake::Input(input),
            () = timer => Wake::Timer,
            () = positions => Wake::Positions,
            () = room => Wake::Room,
        }
    }
}
