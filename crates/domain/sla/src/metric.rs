//! What is measured, and how a clock is named.

use kernel::{ClockId, TicketId};
use serde::{Deserialize, Serialize};

/// A promise's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// From the ticket's creation to the first public reply of a person.
    FirstReply,
    /// From the oldest unanswered message of the customer, after the first reply, to the next public reply of a person.
    NextReply,
    /// From creation to resolved, without the time in which we waited on the customer.
    RequesterWait,
    /// From creation to resolved.
    TotalResolution,
}

impl Metric {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 4] =
        [Self::FirstReply, Self::NextReply, Self::RequesterWait, Self::TotalResolution];

    /// The word: `first_reply`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstReply => "first_reply",
            Self::NextReply => "next_reply",
            Self::RequesterWait => "requester_wait",
            Self::TotalResolution => "total_resolution",
        }
    }

    /// Whether a reply ends it (else: the ticket's resolution does).
    pub const fn is_reply(self) -> bool {
        match self {
            Self::FirstReply | Self::NextReply => true,
            Self::RequesterWait | Self::TotalResolution => false,
        }
    }
}

/// Which of a ticket's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClockKey {
    /// What it measures.
    pub metric: Metric,
    /// 1; for `next_reply` 1..n.
    pub cycle: u32,
}

impl ClockKey {
    /// The only clock of a metric that has one cycle, or the first of one that has more.
    pub const fn first(metric: Metric) -> Self {
        Self { metric, cycle: 1 }
    }
}

/// A clock's id: `TICKET/METRIC/CYCLE`.
pub fn clock_id(ticket: &TicketId, key: ClockKey) -> ClockId {
    ClockId::trusted(&format!("{ticket}/{}/{}", key.metric.as_str(), key.cycle))
}

/// Reads what [`clock_id`] wrote.
pub fn parse_clock_id(text: &str) -> Option<(TicketId, ClockKey)> {
    let mut parts = text.split('/');
    let (ticket, metric, cycle) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let metric = Metric::ALL.into_iter().find(|known| known.as_str() == metric)?;
    let key = ClockKey { metric, cycle: cycle.parse().ok()? };
    Some((TicketId::parse(ticket).ok()?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_survives_its_id() {
        for metric in Metric::ALL {
            let (ticket, key) = (TicketId::trusted("T-1"), ClockKey { metric, cycle: 7 });
            assert_eq!(parse_clock_id(clock_id(&ticket, key).as_str()), Some((ticket, key)));
        }
        for wrong in ["", "t", "t/first_reply", "t/x/1", "t/first_reply/x", "t/first_reply/1/2"] {
            assert_eq!(parse_clock_id(wrong), None, "{wrong}");
        }
    }
}
