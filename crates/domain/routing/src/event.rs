//! What can happen.

use kernel::{
    AgentId, OfferId, Priority, QueueId, SkillId, SkillLevel, SkillRequirement, TicketId,
    TicketStatus, Timestamp, WorkspaceId,
};
use rules::Rule;
use serde::{Deserialize, Serialize};

use crate::words::{
    AssignedHow, Decision, OfferMode, Presence, QueueReason, RequeueReason, RescindReason,
    WorkClass, WorkOutcome, WorkState,
};

/// An agent's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSettings {
    /// The name for people.
    pub display_name: String,
    /// What it can do, and how well; sorted by skill, each once.
    pub skills: Vec<(SkillId, SkillLevel)>,
    /// The queues it works for, sorted; empty: all.
    pub queues: Vec<QueueId>,
    /// Units of work at once.
    pub capacity_units: u32,
}

/// A queue's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    /// The name for people.
    pub display_name: String,
    /// Its place when a ticket looks for its queue: lower first, ties by id.
    pub order: i32,
    /// A ticket of which it is true belongs here. None: only by name.
    pub filter: Option<Rule>,
    /// What any agent must be able to do to work in it; sorted by skill, each once.
    pub required_skills: Vec<SkillRequirement>,
    /// How it gives out work.
    pub offer_mode: OfferMode,
    /// How long an offer stands, in milliseconds; 0: by class.
    pub accept_within_ms: u64,
}

/// What routing must know of a ticket to place it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "`queued_at` is the instant's name everywhere")]
pub struct Queued {
    /// The ticket.
    pub ticket: TicketId,
    /// Its number, for people.
    pub number: u64,
    /// The queue.
    pub queue: QueueId,
    /// Why this queue.
    pub reason: QueueReason,
    /// Its class.
    pub class: WorkClass,
    /// Its cost in units.
    pub cost_units: u32,
    /// Its priority; none queues as P3.
    pub priority: Option<Priority>,
    /// What its agent must be able to do, the queue's requirements included. For readers: routing itself joins
    /// `own_skills` with what the queue requires at the time of matching.
    pub required_skills: Vec<SkillRequirement>,
    /// What the ticket itself asks for; sorted by skill, each once.
    pub own_skills: Vec<SkillRequirement>,
    /// Since when it waits.
    pub queued_at: Timestamp,
}

/// An offer, as made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The offer.
    pub offer: OfferId,
    /// The ticket.
    pub ticket: TicketId,
    /// The agent.
    pub agent: AgentId,
    /// The queue.
    pub queue: QueueId,
    /// The last instant at which it can be accepted.
    pub accept_by: Timestamp,
    /// Why.
    pub decision: Decision,
}

/// A ticket's way back into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeued {
    /// The ticket.
    pub ticket: TicketId,
    /// The agent who had it.
    pub from: Option<AgentId>,
    /// The queue.
    pub queue: QueueId,
    /// Why.
    pub reason: RequeueReason,
    /// Since when it waits: as before.
    pub queued_at: Timestamp,
    /// What its agent must be able to do, the queue's requirements included; for readers, as in [`Queued`].
    pub required_skills: Vec<SkillRequirement>,
    /// What the ticket itself asks for from now on.
    pub own_skills: Vec<SkillRequirement>,
}

/// One fact of routing. Every fact about an offer or a ticket belongs to the ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Routing learnt of the workspace.
    WorkspaceSeen {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// An agent was made or changed.
    AgentPut {
        /// The agent.
        agent: AgentId,
        /// All its settings.
        settings: AgentSettings,
    },
    /// A queue was made or changed.
    QueuePut {
        /// The queue.
        queue: QueueId,
        /// All its settings.
        settings: QueueSettings,
    },
    /// An agent's presence was set.
    PresenceSet {
        /// The agent.
        agent: AgentId,
        /// How available it is.
        presence: Presence,
        /// How long that holds without a heartbeat, in milliseconds; 0: until changed.
        lease_ms: u64,
    },
    /// An agent's lease ran out: it is offline.
    PresenceExpired {
        /// The agent.
        agent: AgentId,
    },
    /// A new ticket took its place in a queue.
    TicketQueued(Box<Queued>),
    /// A ticket got another priority.
    WorkReprioritised {
        /// The ticket.
        ticket: TicketId,
        /// The priority.
        priority: Option<Priority>,
    },
    /// A ticket was offered; the agent's units are held from here.
    OfferMade(Box<Made>),
    /// An offer was accepted; the agent owns the ticket.
    OfferAccepted {
        /// The offer.
        offer: OfferId,
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
        /// By the queue's or class's rule, not by hand.
        automatic: bool,
    },
    /// An offer was declined; the ticket waits again with its age.
    OfferDeclined {
        /// The offer.
        offer: OfferId,
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
        /// In the agent's words.
        reason: String,
    },
    /// An offer's deadline passed; the ticket waits again with its age.
    OfferExpired {
        /// The offer.
        offer: OfferId,
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
    },
    /// An offer was taken back.
    OfferRescinded {
        /// The offer.
        offer: OfferId,
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
        /// Why.
        reason: RescindReason,
    },
    /// An agent may be offered a ticket again that it had declined, missed or given back.
    CooldownEnded {
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
    },
    /// A ticket was given to an agent without an offer.
    TicketAssigned {
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
        /// How.
        how: AssignedHow,
        /// In the supervisor's words.
        reason: String,
        /// The agent holds more than its capacity by this.
        over_capacity: bool,
    },
    /// Work was paused or went on.
    WorkStateChanged {
        /// The ticket.
        ticket: TicketId,
        /// The owner; none: it waited in a queue.
        agent: Option<AgentId>,
        /// The state.
        state: WorkState,
    },
    /// An agent said that its work is done for now.
    WorkCompleted {
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
        /// What comes next.
        outcome: WorkOutcome,
        /// For whoever goes on.
        note: String,
    },
    /// A ticket waits again, with its age.
    TicketRequeued(Box<Requeued>),
    /// A ticket was handed over; what follows from it is a fact of its own.
    TicketTransferred {
        /// The ticket.
        ticket: TicketId,
        /// Who had it.
        from: Option<AgentId>,
        /// To whom.
        to_agent: Option<AgentId>,
        /// To which queue.
        to_queue: Option<QueueId>,
        /// For whoever goes on.
        note: String,
    },
    /// A ticket left routing.
    WorkEnded {
        /// The ticket.
        ticket: TicketId,
        /// Who had it; remembered for a reopening.
        agent: Option<AgentId>,
        /// Resolved or closed.
        status: TicketStatus,
    },
}
