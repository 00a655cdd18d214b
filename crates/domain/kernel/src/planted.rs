//! Planted bugs: mistakes that the simulation must find, each at the place where it would be made.
//!
//! They show what the simulation's silence is worth. Without the feature `planted-bugs` the question [`is`] is a
//! constant `false`, so that nothing of them is in a product; with it one bug is chosen, once, when the process starts.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// An append of unknown outcome counts as failed: the caller hears a no.
    UnknownIsFailure,
    /// An append of unknown outcome counts as written.
    UnknownIsSuccess,
    /// A refused append goes on behind whatever the log's last record is.
    FenceNotCarried,
    /// Answered requests are not looked up.
    RequestsNotChecked,
    /// Answered requests are not written.
    RequestsNotPersisted,
    /// The same request id with another content gets the first one's answer.
    RequestHashIgnored,
    /// An input counts as handled up to the record after it.
    PositionAdvancedEarly,
    /// The position of an input is not written with what it caused.
    PositionNotWritten,
    /// An agent may hold one unit more than its capacity.
    CapacityOffByOne,
    /// A missed offer leaves its ticket nowhere.
    ExpiredOfferForgotten,
    /// A requeued ticket loses its age.
    RequeueLosesAge,
    /// A breach is decided before its instant.
    BreachEarly,
    /// A breached clock breaches again when it stops.
    BreachTwice,
    /// A breach is decided without asking how far the inputs are.
    HeadsNotAwaited,
    /// A message leaves before its attempt is in the log.
    EffectBeforeIntent,
    /// A retry has a key of its own.
    RetryWithNewKey,
    /// What was in flight when a leader ended is forgotten.
    InFlightForgotten,
    /// A snapshot counts without a look at the log.
    SnapshotUnchecked,
    /// A snapshot says that it holds one record more than it does.
    SnapshotOffByOne,
    /// A new leader keeps the epoch of the one before.
    EpochNotRaised,
    /// A new leader begins one record before where the last one was.
    InputHandledTwice,
    /// A watch that has nothing to say of a commit's first event leaves the commit out.
    WatchSkips,
    /// A leader whose notice has lapsed shows its state without asking the log.
    LapsedNoticeVouches,
    /// An instance takes its notice to stand for three times as long as it does.
    NoticeTrustedTooLong,
    /// An instance goes by what the board showed long ago, as long as its own notices can be put.
    StaleViewTrusted,
    /// A standby claims the log's end without the records before it.
    ClaimNotCaughtUp,
    /// A claim counts as one's own whoever made it.
    ClaimIgnoresWriter,
    /// A leader hands over while a commit is on its way.
    HandOverInFlight,
    /// What another wrote while a leader became a standby is passed over.
    RecordsLostBetweenRoles,
    /// An instance counts itself under another name than others do when it is asked who is next to lead.
    HeirsDisagree,
    /// A call that was passed on is passed on again.
    PassedOnTwice,
    /// A call is passed on again after the connection to a leader broke.
    PassedOnAfterBreak,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 32] = [
        Self::UnknownIsFailure,
        Self::UnknownIsSuccess,
        Self::FenceNotCarried,
        Self::RequestsNotChecked,
        Self::RequestsNotPersisted,
        Self::RequestHashIgnored,
        Self::PositionAdvancedEarly,
        Self::PositionNotWritten,
        Self::CapacityOffByOne,
        Self::ExpiredOfferForgotten,
        Self::RequeueLosesAge,
        Self::BreachEarly,
        Self::BreachTwice,
        Self::HeadsNotAwaited,
        Self::EffectBeforeIntent,
        Self::RetryWithNewKey,
        Self::InFlightForgotten,
        Self::SnapshotUnchecked,
        Self::SnapshotOffByOne,
        Self::EpochNotRaised,
        Self::InputHandledTwice,
        Self::WatchSkips,
        Self::LapsedNoticeVouches,
        Self::NoticeTrustedTooLong,
        Self::StaleViewTrusted,
        Self::ClaimNotCaughtUp,
        Self::ClaimIgnoresWriter,
        Self::HandOverInFlight,
        Self::RecordsLostBetweenRoles,
        Self::HeirsDisagree,
        Self::PassedOnTwice,
        Self::PassedOnAfterBreak,
    ];
}

/// Whether this bug was planted.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn is(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
static PLANTED: std::sync::OnceLock<Bug> = std::sync::OnceLock::new();

/// Whether this bug was planted.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

/// Plants a bug for the rest of the process. Returns whether it is the first.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Bug) -> bool {
    PLANTED.set(bug).is_ok()
}
