//! An instance that doesn't lead: it follows its own log, so that to take over it needs no more than to claim.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_log::{EventLog, LogError, Record, Seq};
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel::planted::{self, Bug};
use tokio::sync::watch;
use tokio::time::Instant;

use super::leader::Setting;
use super::lineage::{Known, Standing, lost};
use super::loading::{Claimed, claim_once, load, load_first, pass_over};
use super::stop::Stop;
use super::watchdog::{Reader, Sight, Watchdog};
use super::{Core, Outlet, View, Work};
use crate::call::Failure;
use crate::commit::{Chain, open_record};
use crate::fold::Fold;
use crate::health::Health;
use crate::membership::{Role, Seat, Vacancy, Verdict};
use crate::service::Service;

/// After a claim that took longer the board is looked at again: what it showed when the claim began may no longer be
/// so.
const CLAIM_WITHIN: Duration = Duration::from_secs(2);
/// A claim that takes longer still is given up, so that another may try.
const CLAIM_MAX: Duration = Duration::from_secs(10);
/// How soon a log that couldn't be reached is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Who is behind the leader for so long is no longer called warm.
const BEHIND_MAX: Duration = Duration::from_secs(3);

type Records = BoxStream<'static, Result<Record, LogError>>;

struct Standby<'a, S: Service> {
    core: &'a Arc<Core<S>>,
    setting: &'a Setting,
    seat: &'a Seat,
    work: &'a mut Outlet<S>,
    shutdown: &'a mut watch::Receiver<bool>,
    vacancy: Vacancy,
    warm: bool,
    /// The log couldn't be reached when it was last asked for, and is asked for again then.
    cut_off: Option<Instant>,
    /// The log had no room for a claim when it was last tried.
    full: bool,
    /// Since when the leader's head has been ahead.
    behind_since: Option<Instant>,
}

/// Stands by until the log is claimed for this instance. `kept`: the state as the log has it, if it is there already.
pub(crate) async fn stand_by<S: Service>(
    core: &Arc<Core<S>>,
    setting: &Setting,
    seat: &Seat,
    work: &mut Outlet<S>,
    shutdown: &mut watch::Receiver<bool>,
    kept: Option<Fold<S>>,
) -> Result<Fold<S>, Stop> {
    core.service.on_follow(&super::PartitionHandle(Arc::clone(core)));
    let mut standby = Standby {
        core,
        setting,
        seat,
        work,
        shutdown,
        vacancy: Vacancy::default(),
        warm: kept.is_some(),
        cut_off: None,
        full: false,
        behind_since: None,
    };
    seat.stand(
        if standby.warm { Role::Warm } else { Role::Cold },
        core.epoch.load(Ordering::Relaxed),
    );
    standby.show();
    let mut fold = if let Some(mut fold) = kept {
        if planted::is(Bug::RecordsLostBetweenRoles) {
            standby.meanwhile(pass_over(core, &mut fold)).await??;
        }
        fold
    } else {
        let first = *core.health.borrow() == Health::Starting;
        if first {
            // Who leads is watched for from here on: what nobody leads may then be claimed as soon as its state is
            // there.
            let epoch = standby.meanwhile(last_epoch(&*core.log)).await?;
            standby.vacancy = Vacancy::of(epoch.unwrap_or(0));
        }
        let (provider, snapshots) = (&*setting.provider, &*setting.snapshots);
        if first {
            standby.meanwhile(load_first(core, provider, snapshots)).await??
        } else {
            standby.meanwhile(load(core, snapshots)).await??
        }
    };
    standby.warm = true;
    standby.publish(&fold);
    standby.run(&mut fold).await?;
    Ok(fold)
}

impl<S: Service> Standby<'_, S> {
    /// Follows the log until it is claimed.
    async fn run(&mut self, fold: &mut Fold<S>) -> Result<(), Stop> {
        let mut changes = self.seat.changes();
        let mut records = self.core.log.follow(fold.reader.seq + 1);
        let mut watchdog = Watchdog::new(Reader::Standby);
        loop {
            self.stand(fold);
            let able = self.is_able();
            let until = match self.seat.verdict(&mut self.vacancy, fold.meta.epoch, able) {
                Verdict::Claim => {
                    if self.claim(fold).await? {
                        return Ok(());
                    }
                    records = self.core.log.follow(fold.reader.seq + 1);
                    continue;
                }
                Verdict::NotBefore(instant) => Some(instant),
                Verdict::Stay => None,
            };
            let until = until.into_iter().chain(self.cut_off).min();
            let time = async {
                match until {
                    Some(instant) => tokio::time::sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stopped(self.shutdown) => return Err(Stop::Shutdown),
                work = self.work.recv() => self.answer(work, fold).await,
                Ok(()) = changes.changed() => self.show(),
                record = records.next() => {
                    if let Some(anew) = self.take(record, fold).await? {
                        records = anew;
                    }
                }
                () = watchdog.time() => {
                    if self.is_stalled(&mut watchdog, fold).await? {
                        records = self.core.log.follow(fold.reader.seq + 1);
                        watchdog = Watchdog::new(Reader::Standby);
                    }
                }
                () = time => self.probe().await?,
            }
        }
    }

    /// Looks after the log, and says whether its reader is to be made anew.
    async fn is_stalled(&mut self, watchdog: &mut Watchdog, fold: &Fold<S>) -> Result<bool, Stop> {
        let core = Arc::clone(self.core);
        let look = watchdog.look(&*core.log, &fold.reader, &core.metrics);
        match self.meanwhile(look).await? {
            Sight::Well | Sight::Unreached => Ok(false),
            Sight::Stalled => {
                core.metrics.reader_restarts.inc();
                Ok(true)
            }
            Sight::Replaced => Err(Stop::Halted(LogError::Replaced.to_string())),
            Sight::Doubt(reason) => Err(Stop::Halted(reason)),
        }
    }

    /// Takes the next record. Returns a new stream if the old one has ended.
    async fn take(
        &mut self,
        record: Option<Result<Record, LogError>>,
        fold: &mut Fold<S>,
    ) -> Result<Option<Records>, Stop> {
        match record {
            // It was given already.
            Some(Ok(record)) if record.seq <= fold.reader.seq => {
                self.core.metrics.redelivered.inc();
                return Ok(None);
            }
            Some(Ok(record)) => {
                let taken = fold.take(&self.core.service, &record);
                let commit = taken.and_then(|()| open_record(&record)).map_err(|doubt| {
                    self.core.metrics.doubt(&doubt);
                    Stop::Halted(doubt.to_string())
                })?;
                self.core.remember(Arc::new(commit), record.bytes.len());
                self.publish(fold);
                return Ok(None);
            }
            Some(Err(LogError::Trimmed { .. })) => {
                *fold = self.meanwhile(load(self.core, &*self.setting.snapshots)).await??;
                self.publish(fold);
            }
            Some(Err(LogError::Unavailable(_))) | None => {
                self.meanwhile(tokio::time::sleep(PAUSE)).await?;
            }
            Some(Err(error)) => {
                self.core.metrics.log_error(&error);
                return Err(Stop::Halted(error.to_string()));
            }
        }
        Ok(Some(self.core.log.follow(fold.reader.seq + 1)))
    }

    /// Claims the log, unless it can't be reached or another is quicker. Says whether this instance leads now.
    async fn claim(&mut self, fold: &mut Fold<S>) -> Result<bool, Stop> {
        let (core, writer) = (self.core, self.setting.writer);
        let (partitions, seat) = (self.setting.partitions, self.seat);
        let (began, known) = (Instant::now(), fold.meta.epoch);
        let attempt = async {
            match core.log.tail().await {
                Ok(tail) => {
                    ask_others(core, seat, fold.meta.epoch, tail.last).await?;
                    claim_once(core, fold, writer, partitions).await
                }
                Err(LogError::Unavailable(_)) => Ok(Claimed::CutOff),
                Err(error) => Err(Stop::Halted(error.to_string())),
            }
        };
        let attempt = tokio::time::timeout(CLAIM_MAX, attempt);
        let claimed = self.meanwhile(attempt).await?.unwrap_or(Ok(Claimed::CutOff))?;
        self.is_full(claimed == Claimed::Full);
        self.publish(fold);
        match claimed {
            Claimed::Ours if began.elapsed() < CLAIM_WITHIN || self.seat.is_vacant(known) => {
                self.seat.stand(Role::Leads, fold.meta.epoch);
                return Ok(true);
            }
            Claimed::Ours | Claimed::Rival => {}
            Claimed::CutOff | Claimed::Full => {
                let now = Instant::now();
                self.cut_off = Some(now + PAUSE);
                self.vacancy.again(now);
            }
        }
        Ok(false)
    }

    /// Notes whether the log has room for a claim.
    fn is_full(&mut self, full: bool) {
        if full && !self.full {
            let partition = self.core.partition;
            tracing::error!(service = %S::ID, partition, "the log is full: nobody can claim it, and nothing is written");
        }
        self.full = full;
    }

    /// Asks whether the log can be reached again, if it is time to.
    async fn probe(&mut self) -> Result<(), Stop> {
        if self.cut_off.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        let tail = tokio::time::timeout(CLAIM_WITHIN, self.core.log.tail());
        let reached = matches!(self.meanwhile(tail).await?, Ok(Ok(_)));
        let now = Instant::now();
        self.cut_off = (!reached).then(|| now + PAUSE);
        self.vacancy.again(now);
        Ok(())
    }

    /// Does something that takes a while; whoever comes in the meantime is sent on.
    async fn meanwhile<T>(&mut self, doing: impl Future<Output = T>) -> Result<T, Stop> {
        let mut doing = pin!(doing);
        let mut changes = self.seat.changes();
        self.seat.notice(&mut self.vacancy);
        loop {
            tokio::select! {
                biased;
                () = stopped(self.shutdown) => return Err(Stop::Shutdown),
                work = self.work.recv() => send_on(work),
                Ok(()) = changes.changed() => {
                    self.show();
                    self.seat.notice(&mut self.vacancy);
                }
                done = &mut doing => return Ok(done),
            }
        }
    }

    async fn answer(&self, work: Work<S>, fold: &Fold<S>) {
        let view = View { state: &fold.state, head: fold.reader.seq, meta: &fold.meta };
        match work {
            Work::Glance(_, mut look) => look(Ok(&view))(),
            // Nobody leads while there is no room for a claim: what the log ends with is the latest there is.
            Work::Look(_, mut look) if self.full => {
                if self.is_latest(fold).await {
                    look(Ok(&view))();
                }
            }
            work @ (Work::Command(_)
            | Work::Look(..)
            | Work::Heads { .. }
            | Work::Doubt(_)
            | Work::Release(_)
            | Work::Reread(..)) => {
                send_on(work);
            }
        }
    }

    /// Whether the log ends with what is folded.
    async fn is_latest(&self, fold: &Fold<S>) -> bool {
        self.core.log.tail().await.is_ok_and(|tail| tail.last == fold.reader.seq)
    }

    /// Whether it could lead at once.
    fn is_able(&self) -> bool {
        let behind = self.behind_since.is_some_and(|since| since.elapsed() >= BEHIND_MAX);
        self.warm && self.cut_off.is_none() && !behind
    }

    /// Lets the others know how far it is.
    fn stand(&mut self, fold: &Fold<S>) {
        let known = self.core.known_head.load(Ordering::Relaxed);
        if fold.reader.seq >= known {
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert_with(Instant::now);
        }
        let role = if self.is_able() { Role::Warm } else { Role::Cold };
        self.seat.stand(role, fold.meta.epoch);
    }

    /// Lets everybody in this process see how far it is.
    fn publish(&self, fold: &Fold<S>) {
        let core = self.core;
        core.epoch.store(fold.meta.epoch, Ordering::Relaxed);
        core.reached(&fold.reader, &fold.meta);
        core.publish_consumed(&fold.meta);
        self.show();
        core.turns.send_modify(|turns| *turns = turns.wrapping_add(1));
    }

    /// Says who leads. A process that has only begun isn't called a standby before it could take over.
    fn show(&self) {
        let epoch = self.core.epoch.load(Ordering::Relaxed);
        let leader = self.seat.leader(epoch);
        if let Some(leader) = &leader {
            self.core.known_head.store(leader.head, Ordering::Relaxed);
        }
        let standby = match leader {
            None if self.full => Health::LogFull,
            leader => Health::Standby { leader: leader.map(|leader| leader.address) },
        };
        self.core.health.send_if_modified(|health| {
            let news = *health != standby && (*health != Health::Starting || self.warm);
            if news {
                *health = standby;
            }
            news
        });
    }
}

/// Makes sure that no other instance knows more of this log than it holds, or another one in whose place this one was
/// made and that nobody has led yet. `epoch`: the last in which it was led.
async fn ask_others<S: Service>(
    core: &Core<S>,
    seat: &Seat,
    epoch: u64,
    last: Seq,
) -> Result<(), Stop> {
    let own = core.identity.log_id;
    for (address, log_id, seq) in seat.knows_more(own, last) {
        let known = Known { log_id, seq, chain: Chain::default() };
        let standing = if log_id == own {
            known.standing(core).await?
        } else {
            // One that was led is what its service goes by; whoever knows another is mistaken by itself.
            if epoch > 0 || core.identity.supersedes {
                continue;
            }
            Standing::OtherLog
        };
        if matches!(standing, Standing::OtherLog | Standing::Longer { .. }) {
            let reason = lost(&format!("the instance at {address}"), &known, &own, &standing);
            return Err(Stop::Halted(reason));
        }
    }
    Ok(())
}

/// The epoch in which the log's last record was written, if that can be told now.
async fn last_epoch(log: &dyn EventLog) -> Option<u64> {
    let last = log.tail().await.ok()?.last;
    let record = log.read(last, 1).await.ok()?.into_iter().next()?;
    Some(open_record(&record).ok()?.epoch)
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // A node that is gone means stop, too.
    drop(shutdown.wait_for(|stop| *stop).await);
}

/// Tells whoever asks that another leads. A look is told by the closing of its way back.
pub(crate) fn send_on<S: Service>(work: Work<S>) {
    match work {
        Work::Command(pending) => {
            super::batch::send(pending.reply, Err(Failure::NotLeader { leader: None }));
        }
        Work::Release(pending) | Work::Reread(pending, _) => {
            super::batch::send(pending.reply, Err(Failure::NotLeader { leader: None }));
        }
        Work::Look(..) | Work::Glance(..) | Work::Heads { .. } | Work::Doubt(_) => {}
    }
}
