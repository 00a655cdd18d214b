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
    /// The log has no room: calls that would write are refused, and the state is shown as it is. It goes on by itself
    /// once there is room.
    LogFull,
    /// Another instance leads; this one keeps the state warm and takes over when it must.
    Standby {
        /// The leader's address; `None`: nobody is known to lead now.
        leader: Option<String>,
    },
    /// Another writer has the log, and there are no instances to tell each other who leads: this one has stepped down.
    SteppedDown,
    /// The log is in doubt, or holds what this build can't read. An operator must look.
    Halted(String),
    /// It is being shut down.
    Draining,
}

impl Health {
    /// Whether calls are answered here.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// Whether callers may turn to this process: it answers, or knows of its place beside whoever does.
    pub fn is_serving(&self) -> bool {
        match self {
            Self::Ready | Self::Standby { .. } => true,
            Self::Starting
            | Self::LogUnavailable
            | Self::LogFull
            | Self::SteppedDown
            | Self::Halted(_)
            | Self::Draining => false,
        }
    }

    /// Whether it has halted: it answers nobody until an operator has looked and it is started again.
    pub const fn is_halted(&self) -> bool {
        matches!(self, Self::Halted(_))
    }

    /// Why calls aren't answered here, in a sentence; empty if they are.
    pub fn reason(&self) -> String {
        match self {
            Self::Starting => "it is reading its log".into(),
            Self::Ready => String::new(),
            Self::Standby { leader: Some(leader) } => format!("the instance at {leader} leads"),
            Self::Standby { leader: None } => "no instance is known to lead now".into(),
            Self::LogUnavailable => "the log can't be reached".into(),
            Self::LogFull => "the log is full: nothing can be written until there is room".into(),
            Self::SteppedDown => "another instance has taken over".into(),
            Self::Halted(reason) => reason.clone(),
            Self::Draining => "it is shutting down".into(),
        }
    }
}
