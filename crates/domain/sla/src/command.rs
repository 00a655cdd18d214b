//! What can be asked.

use std::sync::Arc;

use kernel::{
    AgentId, Attributes, Packed, PolicyId, Priority, QueueId, TicketId, TicketStatus, Timestamp,
};
use rules::Rule;

use crate::{Targets, Traits};

/// A wish. `at` is when something happened, which may lie before the decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Know the workspace.
    NoteWorkspace,
    /// Make or change a policy.
    PutPolicy {
        /// All of it.
        policy: Box<PolicyDraft>,
        /// The revision that it must have; none: any.
        expected_revision: Option<u64>,
    },
    /// A customer opened a ticket.
    OpenTicket {
        /// The ticket.
        ticket: TicketId,
        /// Its number.
        number: u64,
        /// Its priority.
        priority: Option<Priority>,
        /// What filters see of it.
        traits: Arc<Traits>,
        /// When.
        at: Timestamp,
    },
    /// A ticket's fields were changed.
    UpdateTicket {
        /// The ticket.
        ticket: TicketId,
        /// What changed.
        update: Box<TraitsUpdate>,
        /// When.
        at: Timestamp,
    },
    /// The customer wrote.
    NoteCustomerMessage {
        /// The ticket.
        ticket: TicketId,
        /// When.
        at: Timestamp,
    },
    /// A person of the company replied for the customer to read. Bots and internal notes are no replies.
    NoteReply {
        /// The ticket.
        ticket: TicketId,
        /// When.
        at: Timestamp,
    },
    /// The ticket moved on in its life.
    ChangeStatus {
        /// The ticket.
        ticket: TicketId,
        /// Where it is.
        to: TicketStatus,
        /// When.
        at: Timestamp,
    },
    /// The ticket's owner changed.
    NoteOwner {
        /// The ticket.
        ticket: TicketId,
        /// The owner; none: nobody.
        agent: Option<AgentId>,
        /// The queue that it is in or came from; none: as before.
        queue: Option<QueueId>,
    },
    /// The ticket took its place in a queue.
    NoteQueue {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
    },
    /// What a ticket's clocks have due up to an instant.
    RunTimers {
        /// The ticket.
        ticket: TicketId,
        /// The instant, which has come.
        until: Timestamp,
    },
    /// Let the next tickets follow the policies as they are now.
    ApplyPolicies,
}

/// A policy as an operator writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDraft {
    /// The policy.
    pub policy: PolicyId,
    /// The name for people.
    pub display_name: String,
    /// Its place: lower first, ties by id.
    pub order: i32,
    /// The tickets that it is for; none: every ticket.
    pub filter: Option<Rule>,
    /// What it promises.
    pub targets: Targets,
    /// When to warn, in thousandths of a target, 1 to 999.
    pub warn_at_permille: Vec<u16>,
}

/// A ticket's changed fields; none: as before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraitsUpdate {
    /// The priority, which may have been taken away.
    #[expect(clippy::option_option, reason = "the outer: did it change; the inner: is there one")]
    pub priority: Option<Option<Priority>>,
    /// The type.
    pub kind: Option<String>,
    /// All tags, sorted.
    pub tags: Option<Vec<String>>,
    /// All attributes.
    pub attributes: Option<Packed<Attributes>>,
}
