//! What can be asked.

use kernel::{
    AgentId, OfferId, Priority, QueueId, SkillRequirement, TicketId, TicketStatus, Timestamp,
};

use crate::event::{AgentSettings, QueueSettings};
use crate::words::{Presence, QueueReason, WorkClass, WorkOutcome};

/// A ticket that intake opened. The queue was chosen by [`Workspace::queue_for`](crate::state::Workspace::queue_for).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// Its number.
    pub number: u64,
    /// The queue.
    pub queue: QueueId,
    /// Why this queue.
    pub reason: QueueReason,
    /// Its class.
    pub class: WorkClass,
    /// Its priority.
    pub priority: Option<Priority>,
    /// What its agent must be able to do.
    pub skills: Vec<SkillRequirement>,
    /// When it was opened; later than the decision counts as the decision's time.
    pub opened_at: Timestamp,
}

/// To whom a ticket is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To this agent, over capacity if need be.
    Agent(AgentId),
    /// Into this queue.
    Queue(QueueId),
    /// To whoever has this skill besides those required.
    Skill(SkillRequirement),
}

/// A wish: of a caller, of an event of intake, or of a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Intake has this workspace.
    SeeWorkspace,
    /// Intake opened a ticket.
    QueueTicket(Box<NewTicket>),
    /// A ticket's priority changed.
    Reprioritise {
        /// The ticket.
        ticket: TicketId,
        /// The priority.
        priority: Option<Priority>,
    },
    /// A ticket's status changed in intake.
    FollowStatus {
        /// The ticket.
        ticket: TicketId,
        /// Where it was.
        from: TicketStatus,
        /// Where it is.
        to: TicketStatus,
        /// The customer's answer did it.
        answered: bool,
    },
    /// The customer wrote; the ticket's status may not have changed by it.
    NoteAnswer {
        /// The ticket.
        ticket: TicketId,
    },

    /// Makes or changes an agent.
    PutAgent {
        /// The agent.
        agent: AgentId,
        /// All its settings; normalised by the decider.
        settings: AgentSettings,
        /// The revision it must have; 0: any.
        expected_revision: u64,
    },
    /// Makes or changes a queue. Its filter was checked before.
    PutQueue {
        /// The queue.
        queue: QueueId,
        /// All its settings; normalised by the decider.
        settings: QueueSettings,
        /// The revision it must have; 0: any.
        expected_revision: u64,
    },
    /// Sets an agent's presence.
    SetPresence {
        /// The agent.
        agent: AgentId,
        /// How available it is.
        presence: Presence,
        /// How long that holds without a heartbeat, in milliseconds; 0: until changed.
        lease_ms: u64,
    },
    /// Takes an offered ticket.
    AcceptOffer {
        /// Who accepts.
        agent: AgentId,
        /// The offer.
        offer: OfferId,
    },
    /// Refuses an offered ticket.
    DeclineOffer {
        /// Who declines.
        agent: AgentId,
        /// The offer.
        offer: OfferId,
        /// In the agent's words.
        reason: String,
    },
    /// Ends or pauses an agent's work.
    CompleteWork {
        /// The owner.
        agent: AgentId,
        /// The ticket.
        ticket: TicketId,
        /// What comes next.
        outcome: WorkOutcome,
        /// For whoever goes on.
        note: String,
    },
    /// Hands a ticket over.
    TransferTicket {
        /// The ticket.
        ticket: TicketId,
        /// The owner who does; none: a supervisor.
        from: Option<AgentId>,
        /// To whom.
        to: Destination,
        /// For whoever goes on.
        note: String,
    },
    /// Gives a ticket to an agent by hand.
    AssignTicket {
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
        /// Why.
        reason: String,
    },

    /// An offer's deadline passed.
    ExpireOffer {
        /// The offer.
        offer: OfferId,
    },
    /// An agent's lease ran out.
    ExpirePresence {
        /// The agent.
        agent: AgentId,
    },
    /// A cooldown is over.
    EndCooldown {
        /// The ticket.
        ticket: TicketId,
        /// The agent.
        agent: AgentId,
    },
    /// An absent owner's grace is over.
    EndGrace {
        /// The owner.
        agent: AgentId,
    },
    /// Make the next match: one decision had more to make than one decision makes.
    Match,
}
