//! What stands on a board, and when a silence means that a notice is gone.
//!
//! Time here is this process's own monotonic clock alone: no two clocks are ever compared. A notice goes when it wasn't
//! renewed for [`NOTICE_STANDS`], counted only while pulses of our own come back: they travel behind every notice that
//! was put up before them, so when one comes back that was sent so long after the last renewal, there was none in
//! between. After every break the count begins anew, for those who were cut off together with us must first get their
//! chance to renew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_log::{NOTICE_STANDS, Notices};
use tokio::time::Instant;

/// A longer pause between pulses that come back is a break.
pub(super) const BREAK_AFTER: Duration = Duration::from_millis(1_500);
/// Pulses whose return is waited for.
const PULSES_MAX: usize = 64;

/// The notices that stand.
#[derive(Debug, Default)]
pub(super) struct Standing {
    seen: BTreeMap<String, Seen>,
    /// Pulses on their way: their numbers, and when they were sent.
    sent: VecDeque<(u64, Instant)>,
    next_pulse: u64,
    reachable: Option<Reachable>,
}

#[derive(Debug)]
struct Seen {
    notice: Bytes,
    renewed: Instant,
    /// The server's time of it, to know it again when it is delivered again; compared with nothing else.
    stored: i128,
}

/// Since when pulses come back without a break, and when the last one did.
#[derive(Debug, Clone, Copy)]
struct Reachable {
    since: Instant,
    last: Instant,
}

impl Standing {
    /// Takes a notice that was delivered. Returns whether anything changed.
    pub(super) fn renewed(&mut self, key: &str, notice: Bytes, stored: i128, now: Instant) -> bool {
        if let Some(seen) = self.seen.get_mut(key) {
            if seen.stored == stored {
                // The same one, delivered again by a new consumer: no sign of life.
                return false;
            }
            let changed = seen.notice != notice;
            *seen = Seen { notice, renewed: now, stored };
            return changed;
        }
        self.seen.insert(key.to_owned(), Seen { notice, renewed: now, stored });
        true
    }

    /// Takes note that a notice was taken down. Returns whether it stood.
    pub(super) fn taken_down(&mut self, key: &str) -> bool {
        self.seen.remove(key).is_some()
    }

    /// The number of the next pulse, which is sent now.
    pub(super) fn pulse(&mut self, now: Instant) -> u64 {
        if self.sent.len() == PULSES_MAX {
            self.sent.pop_front();
        }
        self.next_pulse = self.next_pulse.wrapping_add(1);
        self.sent.push_back((self.next_pulse, now));
        self.next_pulse
    }

    /// A pulse came back: what has been silent for too long goes. Returns whether anything went.
    pub(super) fn came_back(&mut self, pulse: u64, now: Instant) -> bool {
        let Some(place) = self.sent.iter().position(|(number, _)| *number == pulse) else {
            return false;
        };
        let Some((_, sent)) = self.sent.drain(..=place).next_back() else { return false };
        let since = match self.reachable {
            Some(reachable) if now.duration_since(reachable.last) <= BREAK_AFTER => reachable.since,
            Some(_) | None => now,
        };
        self.reachable = Some(Reachable { since, last: now });
        let before = self.seen.len();
        self.seen.retain(|_, seen| sent < seen.renewed.max(since) + NOTICE_STANDS);
        self.seen.len() != before
    }

    /// What stands.
    pub(super) fn notices(&self) -> Notices {
        let notices = self.seen.iter().map(|(key, seen)| (key.clone(), seen.notice.clone()));
        Arc::new(notices.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board, and a clock that only the test moves.
    struct Desk {
        standing: Standing,
        now: Instant,
        stored: i128,
    }

    impl Desk {
        fn new() -> Self {
            Self { standing: Standing::default(), now: Instant::now(), stored: 0 }
        }

        fn pass(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
        }

        fn renew(&mut self, key: &str) {
            self.stored += 1;
            self.standing.renewed(key, Bytes::from_static(b"x"), self.stored, self.now);
        }

        /// Pulses come back every half second for so long.
        fn pulses(&mut self, millis: u64) {
            for _ in 0..millis / 500 {
                let number = self.standing.pulse(self.now);
                self.standing.came_back(number, self.now);
                self.pass(500);
            }
        }

        fn stands(&self, key: &str) -> bool {
            self.standing.notices().contains_key(key)
        }
    }

    #[test]
    fn a_silent_notice_goes_after_its_time_and_a_renewed_one_stands() {
        let mut desk = Desk::new();
        desk.pulses(500);
        desk.renew("quick");
        desk.renew("dead");
        for _ in 0..2 {
            desk.pulses(1_000);
            desk.renew("quick");
        }
        assert!(desk.stands("quick") && desk.stands("dead"));
        desk.pulses(1_500);
        assert!(desk.stands("quick"));
        assert!(!desk.stands("dead"));
    }

    #[test]
    fn nothing_goes_while_no_pulse_comes_back_nor_right_after() {
        let mut desk = Desk::new();
        desk.pulses(500);
        desk.renew("other");
        let lost = desk.standing.pulse(desk.now);
        desk.pass(60_000);
        assert!(desk.stands("other"));
        // One that was on its way all the while is no news of that time.
        desk.standing.came_back(lost, desk.now);
        desk.pulses(2_500);
        assert!(desk.stands("other"));
        desk.pulses(1_500);
        assert!(!desk.stands("other"));
    }

    #[test]
    fn one_pulse_that_is_late_is_no_break() {
        let mut desk = Desk::new();
        desk.renew("dead");
        desk.pulses(500);
        desk.pass(900);
        desk.pulses(2_500);
        assert!(!desk.stands("dead"));
    }

    #[test]
    fn a_second_delivery_is_no_renewal() {
        let mut desk = Desk::new();
        desk.renew("dead");
        desk.pulses(2_000);
        assert!(!desk.standing.renewed("dead", Bytes::from_static(b"x"), desk.stored, desk.now));
        desk.pulses(1_500);
        assert!(!desk.stands("dead"));
    }

    #[test]
    fn what_is_taken_down_is_gone_at_once() {
        let mut desk = Desk::new();
        desk.renew("a");
        assert!(desk.standing.taken_down("a"));
        assert!(!desk.standing.taken_down("a"));
        assert!(!desk.stands("a"));
    }

    #[test]
    fn a_pulse_of_nobody_s_means_nothing() {
        let mut desk = Desk::new();
        desk.renew("a");
        desk.pass(10_000);
        assert!(!desk.standing.came_back(7, desk.now));
        assert!(desk.stands("a"));
    }
}
