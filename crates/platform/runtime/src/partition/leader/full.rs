//! While the log is full: nothing is decided, whoever calls hears so at once, and the state is shown as the log has it.

use std::time::Duration;

use tokio::time::Instant;

use super::Leader;
use crate::call::Failure;
use crate::fold::Fold;
use crate::health::Health;
use crate::membership::Role;
use crate::partition::batch::send;
use crate::partition::loading::{Claimed, claim_once};
use crate::partition::stop::Stop;
use crate::partition::{Core, Outlet, View, Work};
use crate::service::Service;

/// How soon a full log is tried again ...
const FIRST: Duration = Duration::from_secs(1);
/// ... at first; then after twice the time, up to this.
const DOUBLED_MAX: u32 = 5;

/// A log without room.
#[derive(Debug)]
pub(super) struct Full {
    /// When it is tried again.
    pub(super) next: Instant,
}

fn pause(refused: u32) -> Duration {
    FIRST.saturating_mul(1 << refused.min(DOUBLED_MAX))
}

/// Tells whoever wants something written that there is no room.
fn refuse<S: Service>(work: Work<S>) {
    match work {
        Work::Command(pending) => send(pending.reply, Err(Failure::LogFull)),
        Work::Release(pending) | Work::Reread(pending, _) => {
            send(pending.reply, Err(Failure::LogFull));
        }
        Work::Look(..) | Work::Glance(..) | Work::Heads { .. } | Work::Doubt(_) => {}
    }
}

/// An instance that is alone can't claim a full log, and needs no claim to show what it holds: nobody else writes.
/// Returns when it is time to try again.
pub(super) async fn wait<S: Service>(
    core: &Core<S>,
    fold: &Fold<S>,
    work: &mut Outlet<S>,
) -> Result<(), Stop> {
    core.reached(&fold.reader, &fold.meta);
    if core.health.send_replace(Health::LogFull) != Health::LogFull {
        tracing::error!(service = %S::ID, partition = core.partition, "the log is full: it can't be claimed, and nothing is written");
    }
    let end = Instant::now() + FIRST;
    loop {
        let work = tokio::select! {
            biased;
            () = tokio::time::sleep_until(end) => return Ok(()),
            work = work.recv() => work,
        };
        let view = View { state: &fold.state, head: fold.reader.seq, meta: &fold.meta };
        match work {
            Work::Look(_, mut look) | Work::Glance(_, mut look) => look(Ok(&view))(),
            Work::Doubt(reason) => return Err(Stop::Halted(reason)),
            refused @ (Work::Command(_)
            | Work::Release(_)
            | Work::Reread(..)
            | Work::Heads { .. }) => refuse(refused),
        }
    }
}

impl<S: Service> Leader<'_, S> {
    /// Begins without room: the state is what the log has, and stays so.
    pub(super) fn is_full(&mut self, refused: u32) {
        self.refused = refused.saturating_add(1);
        self.full = Some(Full { next: Instant::now() + pause(refused) });
    }

    /// What is taken on while the log is full: looks alone.
    pub(super) fn take_without_room(&mut self, work: Work<S>) -> Result<(), Stop> {
        match work {
            Work::Look(lane, look) => self.looks.add(lane, look, true),
            Work::Glance(lane, look) => self.looks.add(lane, look, false),
            // It would be waited for.
            Work::Heads { seen_at, heads } => self.timers.heads(self.core, seen_at, heads),
            Work::Doubt(reason) => return Err(Stop::Halted(reason)),
            refused @ (Work::Command(_) | Work::Release(_) | Work::Reread(..)) => refuse(refused),
        }
        Ok(())
    }

    /// Sees whether there is room again, by claiming the log once more.
    pub(super) async fn look_for_room(&mut self) -> Result<(), Stop> {
        let (core, setting) = (self.core, self.setting);
        let claimed = claim_once(core, &mut self.fold, setting.writer, setting.partitions).await?;
        match claimed {
            Claimed::Full | Claimed::CutOff => {
                self.full = Some(Full { next: Instant::now() + pause(self.refused) });
                Ok(())
            }
            Claimed::Rival => Err(Stop::SteppedDown),
            Claimed::Ours => {
                self.full = None;
                let epoch = self.fold.meta.epoch;
                core.epoch.store(epoch, std::sync::atomic::Ordering::Relaxed);
                core.reached(&self.fold.reader, &self.fold.meta);
                if let Some(seat) = &setting.seat {
                    seat.stand(Role::Leads, epoch);
                }
                self.bootstrap().await?;
                core.health.send_replace(Health::Ready);
                let partition = core.partition;
                tracing::info!(service = %S::ID, partition, "the log has room again");
                Ok(())
            }
        }
    }
}
