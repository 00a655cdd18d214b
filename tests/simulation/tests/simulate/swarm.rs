//! Which faults a seed has, and how often: a swarm, since a fault that always happens hides what others would show.

use crate::rng::Rng;

/// The faults of one seed; rates are of 10,000.
#[derive(Debug, Clone, Default)]
pub(crate) struct Swarm {
    /// An append is written and its answer lost.
    pub(crate) lost_ack: u64,
    /// An append is said to be unknown and written later.
    pub(crate) late_write: u64,
    /// An append is lost on its way.
    pub(crate) lost_append: u64,
    /// An append reaches the log twice.
    pub(crate) duplicate_append: u64,
    /// A record reaches a follower late.
    pub(crate) slow_delivery: u64,
    /// A follower is cut off and must begin again.
    pub(crate) cut_delivery: u64,
    /// A node crashes at a named point.
    pub(crate) crash_point: u64,
    /// A call's answer is lost.
    pub(crate) lost_reply: u64,
    /// A call arrives twice.
    pub(crate) duplicate_call: u64,
    /// A webhook fails.
    pub(crate) webhook: u64,
    /// Of 10,000 snapshots: torn, or another history's.
    pub(crate) bad_snapshot: u64,
    /// How far a node's clock may be off, in milliseconds.
    pub(crate) skew_ms: u64,
    /// What the nemesis does, each every so often.
    pub(crate) deeds: Vec<Deed>,
}

/// What the nemesis does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A log can't be reached for about 5 s.
    Outage,
    /// No log can be reached for about 5 s.
    Blackout,
    /// A log answers no append for a while.
    StallAppends,
    /// A log delivers nothing for a while.
    StallDelivery,
    /// A node dies.
    Crash,
    /// A node is restarted in order.
    Restart,
    /// A second node claims what another leads.
    Race,
}

impl Deed {
    const ALL: [Self; 7] = [
        Self::Outage,
        Self::Blackout,
        Self::StallAppends,
        Self::StallDelivery,
        Self::Crash,
        Self::Restart,
        Self::Race,
    ];
}

impl Swarm {
    /// Each kind is on in two seeds of three. One seed of sixteen has no fault at all.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        if rng.chance(625) {
            return Self::default();
        }
        let mut rate = |most: u64| if rng.chance(6_700) { rng.range(1..most) } else { 0 };
        let mut swarm = Self {
            lost_ack: rate(400),
            late_write: rate(300),
            lost_append: rate(300),
            duplicate_append: rate(500),
            slow_delivery: rate(300),
            cut_delivery: rate(100),
            crash_point: rate(40),
            lost_reply: rate(600),
            duplicate_call: rate(600),
            webhook: rate(3_000),
            bad_snapshot: rate(8_000),
            skew_ms: rate(800),
            deeds: Vec::new(),
        };
        swarm.deeds = Deed::ALL.into_iter().filter(|_| rng.chance(6_700)).collect();
        swarm
    }
}
