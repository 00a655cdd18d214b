//! The service's clock: the system's, one that stands still until it is moved, or one that keeps tokio's time, for simulations.
//! New ids come from it as well, since they hold the time.

mod doubt;
mod simulated;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kernel::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use doubt::Agreement;
use simulated::Simulated;

/// A clock. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System(Arc<Mutex<Agreement>>),
    Manual(Arc<watch::Sender<Timestamp>>),
    Simulated(Arc<Simulated>),
}

/// A manual clock was asked to do what it can't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The clock is the system's.
    #[error("the clock is not manual")]
    NotManual,
    /// Time does not go back.
    #[error("the clock stands at a later instant already")]
    Backwards {
        /// Where it stands.
        now: Timestamp,
    },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Kind::System(Arc::new(Mutex::new(Agreement::at(doubt::read())))))
    }

    /// A clock that stands at `now`.
    pub fn manual(now: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(watch::Sender::new(now))))
    }

    /// A clock that stands at `now` and goes on as tokio's time does, which a test may pause. Its ids follow from `seed` alone.
    pub fn simulated(now: Timestamp, seed: u64) -> Self {
        Self(Kind::Simulated(Arc::new(Simulated::new(now, seed))))
    }

    /// A new id: a UUIDv7. Never the same one twice.
    pub fn unique_id(&self) -> Uuid {
        match &self.0 {
            Kind::System(_) | Kind::Manual(_) => Uuid::now_v7(),
            Kind::Simulated(clock) => clock.unique_id(),
        }
    }

    /// Whether it stands still until moved.
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System(_) => system_now(),
            Kind::Manual(clock) => *clock.borrow(),
            Kind::Simulated(clock) => clock.now(),
        }
    }

    /// Whether the wall clock can't be believed now: it parted from the time since boot, and hasn't proven itself since. Timers
    /// hold meanwhile, so that nothing is done too early. Sounds an alarm when it begins, and says when it is over.
    pub fn is_doubtful(&self) -> bool {
        let Kind::System(agreement) = &self.0 else { return false };
        agreement.lock().unwrap_or_else(PoisonError::into_inner).is_doubtful(doubt::read())
    }

    /// Moves a manual clock on, never back.
    pub fn advance_to(&self, instant: Timestamp) -> Result<(), ClockError> {
        let Kind::Manual(clock) = &self.0 else { return Err(ClockError::NotManual) };
        let mut result = Ok(());
        clock.send_if_modified(|now| {
            if instant < *now {
                result = Err(ClockError::Backwards { now: *now });
            }
            let moves = instant > *now;
            if moves {
                *now = instant;
            }
            moves
        });
        result
    }

    /// Lets a manual clock stand no earlier than `instant`: a log that is older than the clock's setting wins. Nothing happens to
    /// the system's clock.
    pub(crate) fn not_before(&self, instant: Timestamp) {
        // A clock that is later already is as it should be.
        drop(self.advance_to(instant));
    }

    /// Returns once the time is `instant` or later. May return early when the system's clock was set: ask again.
    pub async fn reached(&self, instant: Timestamp) {
        match &self.0 {
            Kind::System(_) => {
                let wait = instant.millis_since(system_now());
                // A long sleep is cut, so that a clock that is set meanwhile is noticed.
                tokio::time::sleep(Duration::from_millis(wait.min(10_000))).await;
            }
            Kind::Simulated(clock) => {
                let wait = instant.millis_since(clock.now());
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Kind::Manual(clock) => {
                let mut clock = clock.subscribe();
                if clock.wait_for(|now| *now >= instant).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_forward_only() {
        let at = Timestamp::from_millis;
        let clock = Clock::manual(at(10));
        assert_eq!(clock.advance_to(at(20)), Ok(()));
        assert_eq!(clock.advance_to(at(20)), Ok(()));
        assert_eq!(clock.advance_to(at(19)), Err(ClockError::Backwards { now: at(20) }));
        assert_eq!(clock.now(), at(20));
        assert_eq!(Clock::system().advance_to(at(1)), Err(ClockError::NotManual));
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_who_waits() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reached(Timestamp::from_millis(5)).await }
        });
        clock.advance_to(Timestamp::from_millis(5)).unwrap();
        waiting.await.unwrap();
    }
}
