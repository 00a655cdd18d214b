//! Among other instances: making sure that one still leads, and leaving it to another.

use std::time::Duration;

use super::{Ended, Leader, send_on};
use crate::health::Health;
use crate::membership::Role;
use crate::partition::Outlet;
use crate::partition::appending::leave;
use crate::partition::batch::Batch;
use crate::partition::stop::Stop;
use crate::service::Service;
use event_log::LogError;

const PAUSE: Duration = Duration::from_millis(200);

impl<S: Service> Leader<'_, S> {
    /// Before the state is shown without anything being written: that it is still the latest. Another may lead already
    /// if this process was stopped for a while, or its notice went missing.
    pub(super) async fn make_sure(&mut self) -> Result<(), Stop> {
        match &self.setting.seat {
            Some(seat) if !seat.vouches() => self.ask_the_log().await,
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the log still ends where this leader left it.
    pub(super) async fn ask_the_log(&mut self) -> Result<(), Stop> {
        let head = self.fold.reader.seq;
        let health = &self.core.health;
        loop {
            match self.core.log.tail().await {
                Ok(tail) if tail.last > head => return Err(Stop::SteppedDown),
                Ok(tail) if tail.last < head => {
                    let last = tail.last;
                    let reason =
                        format!("the log went backwards: it ended at {head}, now at {last}");
                    return Err(Stop::Halted(reason));
                }
                Ok(_) => {
                    let back =
                        |health: &mut Health| leave(health, &Health::LogUnavailable, Health::Ready);
                    health.send_if_modified(back);
                    return Ok(());
                }
                Err(LogError::Unavailable(error)) => {
                    tracing::debug!(%error, "the log can't say whether this instance still leads");
                    let gone =
                        |health: &mut Health| leave(health, &Health::Ready, Health::LogUnavailable);
                    health.send_if_modified(gone);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(Stop::Halted(error.to_string())),
            }
        }
    }

    /// Leaves the partition to another: everything taken on is in the log, and whoever waits still is sent on. The
    /// state stays, for it is what the log has.
    pub(super) async fn hand_over(mut self, work: &mut Outlet<S>) -> Ended<S> {
        if self.unwritten > 0 {
            let mut batch = Batch::default();
            batch.positions_due = true;
            if let Err(stop) = self.conclude(batch).await {
                return stop.into();
            }
        }
        if let Some(seat) = &self.setting.seat {
            seat.stand(Role::Warm, self.fold.meta.epoch);
        }
        self.core.health.send_replace(Health::Standby { leader: None });
        while let Some(waiting) = work.try_recv() {
            send_on(waiting);
        }
        let (partition, seq) = (self.core.partition, self.fold.reader.seq);
        tracing::info!(service = %S::ID, partition, seq, "leaves it to another");
        Ended { kept: Some(self.fold), ..Stop::HandedOver.into() }
    }
}
