//! The service's clock: the system's, one that stands still until it is moved, or one that keeps tokio's time, for
//! simulations. New ids come from it as well, since they hold the time.

mod doubt;
mod simulated;
mod wall;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kernel::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use simulated::Simulated;
use wall::Wall;

pub(crate) use doubt::BELIEVED_MILLIS;
pub use doubt::ClockStep;
pub use wall::OffsetError;

/// How often a clock that is kept is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// A clock. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
    /// How often an operator has accepted the time.
    accepted: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Clone)]
enum Kind {
    System(Arc<Wall>),
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
    /// No log could record that time.
    #[error("must lie before the year 2500")]
    Beyond,
}

impl Clock {
    /// The last instant that a clock may be moved to: the end of the year 2499. Logs record nanoseconds since 1970 in
    /// 64 bits, which end in 2554; beyond, no record could be later than the one before it.
    pub const LAST: Timestamp = Timestamp::from_millis(16_725_225_599_999);

    fn of(kind: Kind) -> Self {
        Self { kind, accepted: Arc::new(watch::Sender::new(0)) }
    }

    /// The system's clock, as far as it can be believed: it is guarded by the time since boot. While the two disagree
    /// the time goes on from what was last believed.
    pub fn system() -> Self {
        Self::of(Kind::System(Arc::new(Wall::plain())))
    }

    /// The system's clock, set off by as many milliseconds as a file says, which is read at every reading of the wall
    /// clock: for tests that step it. The kernel's word on being synchronised is not asked then.
    pub fn with_offset_file(path: PathBuf) -> Result<Self, OffsetError> {
        Ok(Self::of(Kind::System(Arc::new(Wall::with_offset_file(path)?))))
    }

    /// A clock that stands at `now`.
    pub fn manual(now: Timestamp) -> Self {
        Self::of(Kind::Manual(Arc::new(watch::Sender::new(now))))
    }

    /// A clock that stands at `now` and goes on as tokio's time does, which a test may pause. Its ids follow from
    /// `seed` alone.
    pub fn simulated(now: Timestamp, seed: u64) -> Self {
        Self::of(Kind::Simulated(Arc::new(Simulated::new(now, seed))))
    }

    /// A new id: a UUIDv7. Never the same one twice.
    pub fn unique_id(&self) -> Uuid {
        match &self.kind {
            Kind::System(wall) => wall.unique_id(),
            Kind::Manual(_) => Uuid::now_v7(),
            Kind::Simulated(clock) => clock.unique_id(),
        }
    }

    /// Whether it stands still until moved.
    pub fn is_manual(&self) -> bool {
        matches!(self.kind, Kind::Manual(_))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.kind {
            Kind::System(wall) => wall.now(),
            Kind::Manual(clock) => *clock.borrow(),
            Kind::Simulated(clock) => clock.now(),
        }
    }

    /// Milliseconds on a clock that nobody sets and that counts time asleep; only differences mean anything. A manual
    /// clock's own time.
    pub(crate) fn steady_millis(&self) -> i64 {
        match &self.kind {
            Kind::System(_) => wall::since_boot(),
            Kind::Manual(_) | Kind::Simulated(_) => self.now().as_millis(),
        }
    }

    /// By how much the wall clock was set, if it can't be believed now: it parted from the time since boot and hasn't
    /// proven itself since. The time meanwhile is the last one believed and what the time since boot has counted since;
    /// timers hold, so that nothing is done too early. Every reading of the clock looks for doubt; one line of the
    /// process's log says when it begins, and one when it ends.
    pub fn doubt(&self) -> Option<ClockStep> {
        match &self.kind {
            Kind::System(wall) => wall.doubt(),
            Kind::Manual(_) | Kind::Simulated(_) => None,
        }
    }

    /// Takes an operator's word that the time is right: the wall clock is believed as it is now, and what partitions
    /// hold because a log is ahead of it goes on. Returns the step that was in doubt.
    pub fn accept(&self) -> Option<ClockStep> {
        let step = match &self.kind {
            Kind::System(wall) => wall.accept(),
            Kind::Manual(_) | Kind::Simulated(_) => None,
        };
        self.accepted.send_modify(|times| *times = times.wrapping_add(1));
        step
    }

    /// Changes whenever an operator accepts the time.
    pub(crate) fn accepted(&self) -> watch::Receiver<u64> {
        self.accepted.subscribe()
    }

    /// Whether the kernel calls the clock synchronised. One that a file sets off is not the one that the kernel speaks
    /// of.
    pub(crate) fn is_synchronised(&self) -> bool {
        match &self.kind {
            Kind::System(wall) => wall.is_synchronised(),
            Kind::Manual(_) | Kind::Simulated(_) => true,
        }
    }

    /// Takes the word of a log that was ahead of the clock, and has come to this time now.
    pub(crate) fn vouch(&self, time: Timestamp) {
        if let Kind::System(wall) = &self.kind {
            wall.vouch(time);
        }
    }

    /// Looks at the clock once a second for ever, so that a step is noticed, and a doubt ends, while nothing else asks
    /// for the time.
    pub async fn keep(&self) {
        loop {
            if let Some(step) = self.doubt() {
                tracing::trace!(?step, "the wall clock is in doubt");
            }
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    }

    /// Moves a manual clock on, never back.
    pub fn advance_to(&self, instant: Timestamp) -> Result<(), ClockError> {
        let Kind::Manual(clock) = &self.kind else { return Err(ClockError::NotManual) };
        if instant > Self::LAST {
            return Err(ClockError::Beyond);
        }
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

    /// Lets a manual clock stand no earlier than `instant`: a log that is older than the clock's setting wins. Nothing
    /// happens to the system's clock.
    pub(crate) fn not_before(&self, instant: Timestamp) {
        // A clock that is later already is as it should be.
        drop(self.advance_to(instant));
    }

    /// Returns once the time is `instant` or later. May return early when the system's clock was set: ask again.
    pub async fn reached(&self, instant: Timestamp) {
        match &self.kind {
            Kind::System(wall) => {
                let wait = instant.millis_since(wall.now());
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
        assert_eq!(clock.advance_to(Clock::LAST.plus_millis(1)), Err(ClockError::Beyond));
        assert_eq!(clock.now(), at(20));
        assert_eq!(clock.advance_to(Clock::LAST), Ok(()));
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
