//! Claiming a log.

use std::time::Duration;

use super::{Setting, full};
use crate::fold::Fold;
use crate::health::Health;
use crate::membership::Role;
use crate::partition::loading::{Claimed, claim_once};
use crate::partition::stop::Stop;
use crate::partition::{Core, Outlet};
use crate::service::Service;

/// How many other writers may claim a log before one that counts on being alone leaves it to them.
const RIVALS_MAX: u32 = 10;
const CLAIM_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Without others to ask, or to begin anew: claims the log, and waits for room while it is full. One who must only
/// build its state anew still has its claim, if nobody wrote since.
pub(super) async fn claim<S: Service>(
    core: &Core<S>,
    setting: &Setting,
    work: &mut Outlet<S>,
    mut fold: Fold<S>,
    rebuild: bool,
) -> Result<Fold<S>, Stop> {
    let leads = rebuild && fold.writer == setting.writer;
    if !leads && setting.seat.is_some() {
        return Err(Stop::SteppedDown);
    }
    if !leads {
        claim_for_long(core, setting, work, &mut fold).await?;
    }
    if let Some(seat) = &setting.seat {
        seat.stand(Role::Leads, fold.meta.epoch);
    }
    Ok(fold)
}

/// Claims the log as often as it takes; some rivals in a row have it.
async fn claim_for_long<S: Service>(
    core: &Core<S>,
    setting: &Setting,
    work: &mut Outlet<S>,
    fold: &mut Fold<S>,
) -> Result<(), Stop> {
    let mut rivals = 0;
    loop {
        match claim_once(core, fold, setting.writer, setting.partitions).await? {
            Claimed::Ours => return Ok(()),
            Claimed::Rival if rivals == RIVALS_MAX => return Err(Stop::SteppedDown),
            Claimed::Rival => rivals += 1,
            Claimed::CutOff => drop(core.health.send_replace(Health::LogUnavailable)),
            Claimed::Full => full::wait(core, fold, work).await?,
        }
        tokio::time::sleep(CLAIM_AGAIN_AFTER).await;
    }
}
