//! Whether the wall clock can be believed: it must keep step with the time since boot, which nobody sets.

use rustix::time::{ClockId, clock_gettime};

/// How far the two may part within a look.
const TOLERANCE_MILLIS: u64 = 500;
/// How long a new time must hold ...
const HOLDS_MILLIS: i64 = 60_000;
/// ... and how small the step must have been, to be believed without an operator.
const STEP_MAX_MILLIS: u64 = 5 * 60 * 1000;

/// Both clocks at one moment, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    wall: i64,
    boot: i64,
}

/// Reads both clocks. Time asleep counts in both.
pub(super) fn read() -> Reading {
    let millis = |id| {
        let time = clock_gettime(id);
        time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
    };
    Reading { boot: millis(ClockId::Boottime), wall: millis(ClockId::Realtime) }
}

/// What the two clocks were last known to agree on.
#[derive(Debug)]
pub(super) struct Agreement {
    /// The wall clock less the time since boot.
    offset: i64,
    /// Another offset, and since when (by the time since boot) it holds.
    claimed: Option<(i64, i64)>,
}

impl Agreement {
    pub(super) fn at(reading: Reading) -> Self {
        Self { offset: reading.wall - reading.boot, claimed: None }
    }

    /// Takes a reading in. Slow drift is followed; a step is doubted until it is undone, or has held and was small.
    pub(super) fn is_doubtful(&mut self, reading: Reading) -> bool {
        let offset = reading.wall - reading.boot;
        if offset.abs_diff(self.offset) <= TOLERANCE_MILLIS {
            self.offset = offset;
            if self.claimed.take().is_some() {
                tracing::warn!("the wall clock agrees with the time since boot again");
            }
            return false;
        }
        match self.claimed {
            Some((claimed, since)) if offset.abs_diff(claimed) <= TOLERANCE_MILLIS => {
                let held = reading.boot - since >= HOLDS_MILLIS;
                if held && offset.abs_diff(self.offset) < STEP_MAX_MILLIS {
                    tracing::warn!("the wall clock's step has held and is accepted");
                    *self = Self::at(reading);
                    return false;
                }
            }
            Some(_) | None => {
                let step_ms = offset - self.offset;
                tracing::error!(step_ms, "the wall clock was set: timers hold");
                self.claimed = Some((offset, reading.boot));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: i64, step: i64) -> Reading {
        Reading { boot, wall: 1_000_000 + boot + step }
    }

    #[test]
    fn a_small_step_is_believed_once_it_has_held() {
        let mut agreement = Agreement::at(at(0, 0));
        assert!(!agreement.is_doubtful(at(1_000, 400)), "drift is followed");
        assert!(agreement.is_doubtful(at(2_000, 60_000)));
        assert!(agreement.is_doubtful(at(61_999, 60_000)));
        assert!(!agreement.is_doubtful(at(62_000, 60_000)));
    }

    #[test]
    fn a_large_step_is_doubted_until_it_is_undone() {
        let mut agreement = Agreement::at(at(0, 0));
        assert!(agreement.is_doubtful(at(1_000, -3_600_000)));
        assert!(agreement.is_doubtful(at(900_000, -3_600_000)));
        assert!(!agreement.is_doubtful(at(900_001, 0)));
    }
}
