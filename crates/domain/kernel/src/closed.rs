//! Closed tickets, on their way out of memory.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, in_order};

/// How long a state keeps a closed ticket whole, in milliseconds: 30 days. A ticket may be reopened for 7 days and a
/// caller be late by 7 more; the rest is for services that read of a reopening late. Not a setting: a log would give
/// another state under another one.
pub const CLOSED_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// How many tickets one fact sends away: more than the one that it may close, and so few that no fact waits for many.
pub const SENT_AWAY_AT_ONCE: usize = 4;

/// Closed tickets by the instant of closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Closed<T: Ord>(
    #[serde(deserialize_with = "in_order::set", bound(deserialize = "T: Deserialize<'de>"))]
    BTreeSet<(Timestamp, T)>,
);

impl<T: Ord> Default for Closed<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord> FromIterator<(Timestamp, T)> for Closed<T> {
    fn from_iter<I: IntoIterator<Item = (Timestamp, T)>>(tickets: I) -> Self {
        Self(tickets.into_iter().collect())
    }
}

impl<T: Ord + Clone> Closed<T> {
    /// When the ticket was closed has changed; none: it is not closed.
    pub fn follow(&mut self, ticket: &T, before: Option<Timestamp>, after: Option<Timestamp>) {
        if before == after {
            return;
        }
        before.map(|at| self.0.remove(&(at, ticket.clone())));
        after.map(|at| self.0.insert((at, ticket.clone())));
    }

    /// Takes out those that were closed more than [`CLOSED_KEPT_MS`] before `now`, the oldest first,
    /// [`SENT_AWAY_AT_ONCE`] at most. `now` must be a fact's time, so that a reader who is late sends no ticket away
    /// whose reopening it has yet to read.
    pub fn send_away(&mut self, now: Timestamp) -> Vec<T> {
        let kept_from = now.minus_millis(CLOSED_KEPT_MS);
        let next = |_| {
            let is_old = self.0.first().is_some_and(|(at, _)| *at < kept_from);
            if is_old { self.0.pop_first() } else { None }
        };
        (0..SENT_AWAY_AT_ONCE).map_while(next).map(|(_, ticket)| ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_a_few_at_a_time_and_what_is_reopened_stays() {
        let closing = |n: u32| Some(Timestamp::from_millis(i64::from(n)));
        let mut closed = Closed::default();
        for ticket in (0..8).rev() {
            closed.follow(&ticket, None, closing(ticket));
        }
        closed.follow(&1, closing(1), None);
        let after = |n: u32| closing(n).unwrap().plus_millis(CLOSED_KEPT_MS);
        assert!(closed.send_away(after(0)).is_empty(), "kept for just so long");
        assert_eq!(closed.send_away(after(1)), [0]);
        assert_eq!(closed.send_away(after(100)), [2, 3, 4, 5]);
        assert_eq!(closed.send_away(after(100)), [6, 7]);
        assert!(closed.send_away(after(100)).is_empty());
    }
}
