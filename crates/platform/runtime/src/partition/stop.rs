//! Why a leader stops, and what its partition does then.

/// Why a leader stopped leading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was asked to, and left its log in order.
    Shutdown,
    /// Something decided can't be written, for the log is full: the state is folded anew from the log.
    Rebuild,
    /// Another instance is to lead, and may; the log is in order.
    HandedOver,
    /// Another writer has claimed the log.
    SteppedDown,
    /// The log is in doubt.
    Halted(String),
}
