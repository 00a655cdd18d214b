//! Routing's own words, and how the log and people write them.

use kernel::{AgentId, Channel};
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Reads the word; nothing for any other text.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }
    };
}

words! {
    /// How available an agent is.
    Presence {
        /// Takes work.
        Available = "available",
        /// There, and takes no new work.
        Busy = "busy",
        /// Away for a while.
        Away = "away",
        /// Not there.
        Offline = "offline",
    }
}

impl Presence {
    /// Whether the agent is not there: away or offline.
    pub const fn is_absent(self) -> bool {
        match self {
            Self::Available | Self::Busy => false,
            Self::Away | Self::Offline => true,
        }
    }
}

words! {
    /// How a queue gives out work.
    OfferMode {
        /// Voice and chat are accepted by hand, async work by itself.
        ByClass = "by_class",
        /// The agent accepts or declines before a deadline.
        Manual = "manual",
        /// The offer is accepted the moment it is made.
        AutoAccept = "auto_accept",
    }
}

words! {
    /// The class of a channel's work.
    WorkClass {
        /// 100 units.
        Voice = "voice",
        /// 25 units.
        Chat = "chat",
        /// 20 units.
        Async = "async",
    }
}

impl WorkClass {
    /// The class of a channel.
    pub const fn of(channel: Channel) -> Self {
        match channel {
            Channel::Voice => Self::Voice,
            Channel::Chat | Channel::Messenger => Self::Chat,
            Channel::Sms | Channel::Social | Channel::Email | Channel::WebForm | Channel::Api => {
                Self::Async
            }
        }
    }

    /// What it costs of an agent's units.
    pub const fn cost_units(self) -> u32 {
        match self {
            Self::Voice => 100,
            Self::Chat => 25,
            Self::Async => 20,
        }
    }

    /// How long an offer stands where the queue doesn't say, in milliseconds.
    pub const fn accept_within_ms(self) -> u64 {
        match self {
            Self::Voice => 15_000,
            Self::Chat | Self::Async => 30_000,
        }
    }
}

words! {
    /// Why a ticket is in its queue.
    QueueReason {
        /// The caller asked for it.
        Asked = "asked",
        /// It is the first whose filter is true.
        Filter = "filter",
        /// No filter was true.
        Default = "default",
        /// The caller asked for one that doesn't exist.
        UnknownQueue = "unknown_queue",
        /// Somebody handed it over.
        Transferred = "transferred",
    }
}

words! {
    /// Whether work goes on.
    WorkState {
        /// It holds its full cost.
        Active = "active",
        /// Waiting on the customer: it holds nothing.
        Pending = "pending",
        /// Waiting on others: it holds a quarter, rounded up.
        OnHold = "on_hold",
    }
}

impl WorkState {
    /// What work of this cost holds in this state.
    pub const fn held_units(self, cost_units: u32) -> u32 {
        match self {
            Self::Active => cost_units,
            Self::Pending => 0,
            Self::OnHold => cost_units.div_ceil(4),
        }
    }
}

words! {
    /// What comes after a piece of work.
    WorkOutcome {
        /// Solved.
        Resolved = "resolved",
        /// Waiting on the customer.
        Pending = "pending",
        /// Waiting on others.
        OnHold = "on_hold",
        /// Someone else must go on.
        Requeue = "requeue",
    }
}

words! {
    /// Why an offer was taken back.
    RescindReason {
        /// The agent went away.
        AgentAbsent = "agent_absent",
        /// The ticket was resolved or closed.
        TicketEnded = "ticket_ended",
        /// The ticket was handed over.
        Transferred = "transferred",
        /// The ticket was given to someone by hand.
        Assigned = "assigned",
        /// The ticket waits on the customer or on others.
        TicketWaits = "ticket_waits",
    }
}

words! {
    /// How a ticket came to an agent without an offer.
    AssignedHow {
        /// A supervisor gave it.
        Manual = "manual",
        /// The customer answered, or it was reopened.
        Returned = "returned",
        /// An agent handed it over.
        Transferred = "transferred",
    }
}

words! {
    /// Why a ticket waits again.
    RequeueReason {
        /// The customer answered or it was reopened, and its owner is absent for longer than the grace.
        OwnerAbsent = "owner_absent",
        /// Its owner gave it back.
        Requeued = "requeued",
        /// It was handed over.
        Transferred = "transferred",
        /// It was reopened, and nobody owned it.
        Reopened = "reopened",
    }
}

words! {
    /// What keeps an agent from a ticket, in the order in which it is looked at.
    Rule {
        /// The agent doesn't work for the queue.
        Queue = "queue",
        /// The agent is not available.
        Presence = "presence",
        /// The agent lacks a skill, or masters it too little.
        Skill = "skill",
        /// The agent has no room.
        Capacity = "capacity",
        /// The agent declined or missed this ticket a short time ago.
        Cooldown = "cooldown",
    }
}

words! {
    /// How an offer ended.
    OfferEnd {
        /// The agent took the ticket.
        Accepted = "accepted",
        /// The agent refused it.
        Declined = "declined",
        /// The deadline passed.
        Expired = "expired",
        /// It was taken back.
        Rescinded = "rescinded",
    }
}

/// One agent as a decision saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The agent.
    pub agent: AgentId,
    /// How long it had held nothing, in milliseconds; 0 while it holds something.
    pub idle_ms: u64,
    /// Units in use before the offer.
    pub used_units: u32,
    /// Units in all.
    pub capacity_units: u32,
    /// The sum of its levels in the required skills.
    pub match_levels: u32,
}

/// Why this agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The winner.
    pub agent: AgentId,
    /// The best, the winner first, eight at most.
    pub candidates: Vec<Candidate>,
    /// How many agents failed, each counted at its first rule; only rules at which one did.
    pub failures: Vec<(Rule, u32)>,
    /// The record of routing's log that it stands in: the decision saw what was decided before it in that record, and
    /// all records before.
    pub log_seq: u64,
    /// The strategy and its version.
    pub policy_version: String,
    /// How many other tickets waited in the queue.
    pub waiting: u32,
}
