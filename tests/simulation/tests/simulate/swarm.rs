//! Which faults a seed has, and how often: a swarm, since a fault that always happens hides what others would show.

use crate::rng::Rng;

/// The faults of one seed; rates are of 10,000.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// An instance crashes at a named point.
    pub(crate) crash_point: u64,
    /// A call's answer is lost.
    pub(crate) lost_reply: u64,
    /// A call arrives twice.
    pub(crate) duplicate_call: u64,
    /// A notice never reaches the board.
    pub(crate) lost_notice: u64,
    /// A notice reaches the board after its sender gave it up.
    pub(crate) late_notice: u64,
    /// What the board shows reaches an instance late.
    pub(crate) slow_view: u64,
    /// A webhook fails.
    pub(crate) webhook: u64,
    /// Of 10,000 snapshots: torn, or another history's.
    pub(crate) bad_snapshot: u64,
    /// How far an instance's clock may be off, in milliseconds.
    pub(crate) skew_ms: u64,
    /// What the nemesis does, each every so often.
    pub(crate) deeds: Vec<Deed>,
}

/// What the nemesis does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A log can't be reached for about 5 s.
    Outage,
    /// No log can be reached for a few seconds.
    Blackout,
    /// A log answers no append for a while.
    StallAppends,
    /// A log delivers nothing for a while.
    StallDelivery,
    /// An instance dies.
    Crash,
    /// Both instances of a service die at once.
    CrashAll,
    /// An instance is restarted in order.
    Restart,
    /// An instance is stopped and goes on later, as if nothing had been.
    Stop,
    /// An instance can't reach the logs.
    CutLog,
    /// An instance can't reach the board.
    CutBoard,
    /// An instance can't reach the other one.
    CutPeers,
    /// An instance can reach nothing.
    Isolate,
    /// An instance's notices take up to 2 s.
    SlowBoard,
    /// An instance sees the board as it was, while its own notices come through.
    StaleView,
    /// Nobody can reach the board.
    BoardOutage,
    /// The board forgets all notices.
    BoardLoss,
}

impl Deed {
    const ALL: [Self; 16] = [
        Self::Outage,
        Self::Blackout,
        Self::StallAppends,
        Self::StallDelivery,
        Self::Crash,
        Self::CrashAll,
        Self::Restart,
        Self::Stop,
        Self::CutLog,
        Self::CutBoard,
        Self::CutPeers,
        Self::Isolate,
        Self::SlowBoard,
        Self::StaleView,
        Self::BoardOutage,
        Self::BoardLoss,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage of a log",
            Self::Blackout => "outage of all logs",
            Self::StallAppends => "stalled appends",
            Self::StallDelivery => "stalled delivery",
            Self::Crash => "crash",
            Self::CrashAll => "crash of both instances",
            Self::Restart => "restart",
            Self::Stop => "stopped instance",
            Self::CutLog => "instance cut off from the logs",
            Self::CutBoard => "instance cut off from the board",
            Self::CutPeers => "instance cut off from its peer",
            Self::Isolate => "instance cut off from everything",
            Self::SlowBoard => "slow notices",
            Self::StaleView => "stale view of the board",
            Self::BoardOutage => "outage of the board",
            Self::BoardLoss => "board that lost its memory",
        }
    }
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
            slow_delivery: rate(200),
            cut_delivery: rate(100),
            crash_point: rate(25),
            lost_reply: rate(600),
            duplicate_call: rate(600),
            lost_notice: rate(300),
            late_notice: rate(200),
            slow_view: rate(200),
            webhook: rate(3_000),
            bad_snapshot: rate(8_000),
            skew_ms: rate(800),
            deeds: Vec::new(),
        };
        swarm.deeds = Deed::ALL.into_iter().filter(|_| rng.chance(6_700)).collect();
        swarm
    }

    /// Whether this seed has no fault at all.
    pub(crate) fn is_calm(&self) -> bool {
        *self == Self::default()
    }
}
