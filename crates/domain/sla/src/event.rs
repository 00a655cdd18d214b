//! What can happen.

use std::sync::Arc;

use kernel::{
    AgentId, PolicyId, Priority, QueueId, TicketId, TicketStatus, Timestamp, WorkspaceId,
};

use crate::{ClockKey, PolicySpec, Traits};

/// A fact of sla's log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A workspace became known.
    WorkspaceNoted(WorkspaceId),
    /// A policy was made or changed.
    PolicyPut(Box<PolicySpec>),
    /// A step of a sweep: more open tickets follow the policies as they are.
    PoliciesApplied {
        /// The last ticket that was looked at, by id; none: the last of all was, and those before which the sweep began
        /// are next.
        through: Option<TicketId>,
        /// Whether the sweep is over.
        done: bool,
    },
    /// What is known of a ticket changed.
    TicketNoted(Box<TicketNote>),
    /// One of a ticket's clocks changed.
    Clock {
        /// The ticket.
        ticket: TicketId,
        /// Which of its clocks.
        key: ClockKey,
        /// How.
        change: Change,
    },
}

impl Event {
    /// The ticket that it is about.
    pub(crate) fn ticket(&self) -> Option<&TicketId> {
        match self {
            Self::TicketNoted(note) => Some(&note.ticket),
            Self::Clock { ticket, .. } => Some(ticket),
            Self::WorkspaceNoted(_) | Self::PolicyPut(_) | Self::PoliciesApplied { .. } => None,
        }
    }

    /// Whether a ticket gets a clock by it.
    pub(crate) fn starts_clock(&self) -> bool {
        matches!(self, Self::Clock { change, .. } if change.is_start())
    }
}

/// What is known of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketNote {
    /// The ticket.
    pub ticket: TicketId,
    /// Its number, for people.
    pub number: u64,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Its status.
    pub status: TicketStatus,
    /// The policy that its clocks follow.
    pub policy: Option<PolicyId>,
    /// Its owner.
    pub agent: Option<AgentId>,
    /// Its queue, once known.
    pub queue: Option<QueueId>,
    /// What policies' filters see of it; none: as before.
    pub traits: Option<Arc<Traits>>,
}

/// A clock's change. Instants are those at which it took effect; times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It began to run.
    Started {
        /// Since when.
        at: Timestamp,
        /// The promise; none: it only measures.
        target_ms: Option<u64>,
        /// When it must be kept.
        due_at: Option<Timestamp>,
        /// Whose promise.
        policy: Option<PolicyId>,
    },
    /// It stands still.
    Paused {
        /// Since when.
        at: Timestamp,
        /// What had passed.
        elapsed_ms: u64,
    },
    /// It goes on.
    Resumed {
        /// Since when.
        at: Timestamp,
        /// When the promise must be kept now.
        due_at: Option<Timestamp>,
    },
    /// It got another target, or a policy that warns at other times; what has passed carries over.
    Retargeted {
        /// When.
        at: Timestamp,
        /// The promise; none: it only measures.
        target_ms: Option<u64>,
        /// When it must be kept now; none also while it stands still.
        due_at: Option<Timestamp>,
        /// Whose promise.
        policy: Option<PolicyId>,
    },
    /// A part of the target has passed.
    Warned {
        /// Which part, in thousandths.
        permille: u16,
        /// When the promise must be kept.
        due_at: Timestamp,
    },
    /// It stopped in time, or had no target.
    Met {
        /// When.
        at: Timestamp,
        /// What had passed.
        elapsed_ms: u64,
    },
    /// The promise was broken.
    Breached {
        /// The due instant, or that of the change that put it in the past.
        at: Timestamp,
        /// How that was found.
        cause: BreachCause,
    },
    /// A breached clock stopped at last.
    StoppedAfterBreach {
        /// When.
        at: Timestamp,
        /// What had passed.
        elapsed_ms: u64,
    },
    /// A stop that lies at or before the breach was learnt after it: the promise was kept.
    BreachRetracted {
        /// When it stopped.
        at: Timestamp,
        /// What had passed.
        elapsed_ms: u64,
    },
    /// It ended without a verdict.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Why.
        reason: CancelReason,
    },
    /// The ticket was reopened and the clock runs on; the time in between doesn't count.
    Reopened {
        /// When.
        at: Timestamp,
        /// When the promise must be kept now.
        due_at: Option<Timestamp>,
    },
}

impl Change {
    /// Whether it makes a clock.
    pub(crate) fn is_start(&self) -> bool {
        matches!(self, Self::Started { .. })
    }

    /// The policy that it gives a clock.
    pub(crate) fn policy(&self) -> Option<&PolicyId> {
        match self {
            Self::Started { policy, .. } | Self::Retargeted { policy, .. } => policy.as_ref(),
            Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::Warned { .. }
            | Self::Met { .. }
            | Self::Breached { .. }
            | Self::StoppedAfterBreach { .. }
            | Self::BreachRetracted { .. }
            | Self::Cancelled { .. }
            | Self::Reopened { .. } => None,
        }
    }
}

/// How a breach was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreachCause {
    /// The due instant passed.
    Due,
    /// It stopped after its due instant, before that had been noticed.
    LateStop,
    /// A change of the target put the due instant into the past.
    Retarget,
}

impl BreachCause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Due, Self::LateStop, Self::Retarget];

    /// The word: `due`, `late_stop`, `retarget`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::LateStop => "late_stop",
            Self::Retarget => "retarget",
        }
    }
}

/// Why a clock ended without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The ticket was resolved without a reply.
    NoReply,
    /// The ticket was closed unresolved.
    Closed,
}

impl CancelReason {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::NoReply, Self::Closed];

    /// The word: `no_reply`, `closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoReply => "no_reply",
            Self::Closed => "closed",
        }
    }
}
