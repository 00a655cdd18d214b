//! What can be measured.

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Name {
    /// `CreateTicket` with a body of 1 KiB, one call at a time: the median time of a call
    #[value(name = "create/1")]
    Create1,
    /// The same, 64 calls in flight: calls a second
    #[value(name = "create/64")]
    Create64,
    /// The same, 256 calls in flight: calls a second
    #[value(name = "create/256")]
    Create256,
    /// create/64 beside a bare gRPC echo that stores nothing
    #[value(name = "echo/64")]
    Echo64,
    /// Events a second through one partition
    #[value(name = "append")]
    Append,
    /// Events a second from the log into the state
    #[value(name = "replay")]
    Replay,
    /// From `CreateTicket` to the offer on the agent's stream: the median
    #[value(name = "e2e")]
    E2e,
    /// From the start of a process to readiness, with snapshots
    #[value(name = "restart/snapshot")]
    RestartSnapshot,
    /// From the start of a process to readiness, without
    #[value(name = "restart/cold")]
    RestartCold,
    /// What an open ticket takes in intake
    #[value(name = "memory/intake")]
    MemoryIntake,
    /// What an open ticket takes in routing
    #[value(name = "memory/routing")]
    MemoryRouting,
    /// What an open ticket takes in sla
    #[value(name = "memory/sla")]
    MemorySla,
}

impl Name {
    const ALL: [Self; 12] = [
        Self::Create1,
        Self::Create64,
        Self::Create256,
        Self::Echo64,
        Self::Append,
        Self::Replay,
        Self::E2e,
        Self::RestartSnapshot,
        Self::RestartCold,
        Self::MemoryIntake,
        Self::MemoryRouting,
        Self::MemorySla,
    ];

    /// The word on the command line and in the results.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create1 => "create/1",
            Self::Create64 => "create/64",
            Self::Create256 => "create/256",
            Self::Echo64 => "echo/64",
            Self::Append => "append",
            Self::Replay => "replay",
            Self::E2e => "e2e",
            Self::RestartSnapshot => "restart/snapshot",
            Self::RestartCold => "restart/cold",
            Self::MemoryIntake => "memory/intake",
            Self::MemoryRouting => "memory/routing",
            Self::MemorySla => "memory/sla",
        }
    }

    /// Whether it is measured over the log of many tickets that is made once.
    pub(super) const fn needs_corpus(self) -> bool {
        match self {
            Self::Create1
            | Self::Create64
            | Self::Create256
            | Self::Echo64
            | Self::Append
            | Self::E2e => false,
            Self::Replay
            | Self::RestartSnapshot
            | Self::RestartCold
            | Self::MemoryIntake
            | Self::MemoryRouting
            | Self::MemorySla => true,
        }
    }
}

/// Those asked for, each once and in their own order; all if none is named.
pub(super) fn wanted(asked: &[Name]) -> Vec<Name> {
    Name::ALL.into_iter().filter(|name| asked.is_empty() || asked.contains(name)).collect()
}
