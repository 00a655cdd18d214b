//! Whether the wall clock can be believed: it must keep step with the time since boot, which nobody sets.
//!
//! In doubt the time is the last one believed, and what the time since boot has counted since.

use kernel::Timestamp;

/// How far the two may part from one reading to the next, in milliseconds. A daemon that slews the clock stays below.
const TOLERANCE_MILLIS: u64 = 500;
/// How long a new time must hold, in milliseconds ...
const HOLDS_MILLIS: i64 = 60_000;
/// ... and how small the step must have been to be believed without anybody's word, in milliseconds. What differs by
/// less from the time that is believed here, be it a record of another service or the end of a log, is believed as
/// well.
pub(crate) const BELIEVED_MILLIS: u64 = 5 * 60 * 1000;
/// How often the kernel is asked whether the clock is synchronised, in milliseconds.
const ASKED_EVERY_MILLIS: i64 = 1_000;

/// Both clocks at one moment, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Since 1970.
    pub(super) wall: i64,
    /// Since boot; time asleep counts.
    pub(super) boot: i64,
}

impl Reading {
    const fn offset(self) -> i64 {
        self.wall.saturating_sub(self.boot)
    }
}

/// A step of the wall clock that isn't believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// By how much the wall clock is ahead of the time that is believed, in milliseconds; negative: behind it.
    pub by_ms: i64,
    /// When the doubt began, in time that is believed.
    pub since: Timestamp,
}

/// Another offset than the one that is believed.
#[derive(Debug)]
struct Claim {
    offset: i64,
    /// Since when it holds, and when the kernel was last asked about it, by the time since boot.
    holds_since: i64,
    asked: i64,
    /// When the doubt began: the first step may have been followed by others.
    doubt_since: i64,
}

/// What the two clocks were last known to agree on.
#[derive(Debug)]
pub(super) struct Agreement {
    /// The wall clock less the time since boot.
    offset: i64,
    claim: Option<Claim>,
}

impl Agreement {
    pub(super) const fn at(reading: Reading) -> Self {
        Self { offset: reading.offset(), claim: None }
    }

    /// The time that is believed.
    pub(super) const fn believed(&self, reading: Reading) -> Timestamp {
        Timestamp::from_millis(self.offset.saturating_add(reading.boot))
    }

    /// The step in doubt, if there is one.
    pub(super) fn doubt(&self) -> Option<ClockStep> {
        let claim = self.claim.as_ref()?;
        Some(ClockStep {
            by_ms: claim.offset.saturating_sub(self.offset),
            since: Timestamp::from_millis(self.offset.saturating_add(claim.doubt_since)),
        })
    }

    /// Takes a reading in. Slow drift is followed; a step is doubted until it is undone, or has held and was small or
    /// has the kernel's word. Says when a doubt begins and when it ends, once each.
    pub(super) fn take(&mut self, reading: Reading, synchronised: impl FnOnce() -> bool) {
        let offset = reading.offset();
        if offset.abs_diff(self.offset) <= TOLERANCE_MILLIS {
            self.offset = offset;
            if self.claim.take().is_some() {
                tracing::warn!(
                    "the wall clock agrees with the time since boot again: timers go on"
                );
            }
            return;
        }
        let Some(claim) = &mut self.claim else {
            return self.begin(reading);
        };
        if offset.abs_diff(claim.offset) > TOLERANCE_MILLIS {
            *claim = Claim { offset, holds_since: reading.boot, asked: reading.boot, ..*claim };
            return;
        }
        claim.offset = offset;
        if reading.boot - claim.holds_since < HOLDS_MILLIS {
            return;
        }
        if offset.abs_diff(self.offset) < BELIEVED_MILLIS {
            self.accept(reading, "it was small and has held");
        } else if reading.boot - claim.asked >= ASKED_EVERY_MILLIS {
            claim.asked = reading.boot;
            if synchronised() {
                self.accept(reading, "it has held and the kernel calls the clock synchronised");
            }
        }
    }

    fn begin(&mut self, reading: Reading) {
        let (offset, now) = (reading.offset(), reading.boot);
        let step_ms = offset.saturating_sub(self.offset);
        tracing::error!(
            step_ms,
            "the wall clock was set: timers hold, and decisions go by the time since boot"
        );
        self.claim = Some(Claim { offset, holds_since: now, asked: now, doubt_since: now });
    }

    /// Believes the wall clock from here on, if it is in doubt. Returns the step.
    pub(super) fn accept(&mut self, reading: Reading, why: &'static str) -> Option<ClockStep> {
        let step = self.doubt()?;
        let step_ms = step.by_ms;
        tracing::warn!(step_ms, why, "the wall clock's step is believed: timers go on");
        *self = Self::at(reading);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(boot: i64, step: i64) -> Reading {
        Reading { boot, wall: 1_000_000 + boot + step }
    }

    fn doubts(agreement: &mut Agreement, reading: Reading) -> bool {
        agreement.take(reading, || false);
        agreement.doubt().is_some()
    }

    #[test]
    fn a_small_step_is_believed_once_it_has_held() {
        let mut agreement = Agreement::at(at(0, 0));
        assert!(!doubts(&mut agreement, at(1_000, 400)), "drift is followed");
        assert!(doubts(&mut agreement, at(2_000, 60_000)));
        assert!(doubts(&mut agreement, at(61_999, 60_000)));
        assert!(!doubts(&mut agreement, at(62_000, 60_000)));
    }

    #[test]
    fn a_large_step_is_doubted_until_it_is_undone() {
        let mut agreement = Agreement::at(at(0, 0));
        assert!(doubts(&mut agreement, at(1_000, -HOUR)));
        assert!(doubts(&mut agreement, at(900_000, -HOUR)));
        assert!(!doubts(&mut agreement, at(900_001, 0)));
    }

    #[test]
    fn in_doubt_the_time_since_boot_is_counted_on() {
        let mut agreement = Agreement::at(at(0, 0));
        for (boot, step) in [(1_000, 20 * 365 * 24 * HOUR), (5_000, -HOUR), (70_000, -HOUR)] {
            let reading = at(boot, step);
            assert!(doubts(&mut agreement, reading));
            assert_eq!(agreement.believed(reading), Timestamp::from_millis(1_000_000 + boot));
            let doubt = ClockStep { by_ms: step, since: Timestamp::from_millis(1_001_000) };
            assert_eq!(agreement.doubt(), Some(doubt));
        }
    }

    #[test]
    fn a_large_step_that_has_held_takes_the_kernel_s_word_or_an_operator_s() {
        let mut agreement = Agreement::at(at(0, 0));
        assert!(doubts(&mut agreement, at(0, HOUR)));
        let unasked = || -> bool { unreachable!("it has not held yet") };
        agreement.take(at(59_999, HOUR), unasked);
        agreement.take(at(60_000, HOUR), || true);
        assert_eq!(agreement.doubt(), None);
        assert_eq!(agreement.believed(at(60_000, HOUR)), Timestamp::from_millis(1_060_000 + HOUR));
        assert!(doubts(&mut agreement, at(61_000, 0)));
        assert!(agreement.accept(at(61_000, 0), "").is_some_and(|step| step.by_ms == -HOUR));
        assert_eq!(agreement.accept(at(61_000, 0), ""), None, "there is nothing to accept");
        assert_eq!(agreement.believed(at(62_000, 0)), Timestamp::from_millis(1_062_000));
    }
}
