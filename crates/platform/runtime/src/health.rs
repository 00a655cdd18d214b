//! Whether a partition answers, and if not, why.

/// A partition's condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It reads its log and claims it; soon ready.
    Starting,
    /// It leads and answers.
    Ready,
    /// It leads, but the log can't be reached or stalls: calls are refused until it can.
    LogUnavailable,
    /// Another writer has the log: this one has stepped down.
    SteppedDown,
    /// The log is in doubt, or holds what this build can't read. An operator must look.
    Halted(String),
    /// It is being shut down.
    Draining,
}

impl Health {
    /// Whether calls are answered.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// Why they aren't, in a sentence; empty if they are.
    pub fn reason(&self) -> String {
        match self {
            Self::Starting => "it is reading its log".into(),
            Self::Ready => String::new(),
            Self::LogUnavailable => "the log can't be reached".into(),
            Self::SteppedDown => "another instance has taken over".into(),
            Self::Halted(reason) => reason.clone(),
            Self::Draining => "it is shutting down".into(),
        }
    }
}
