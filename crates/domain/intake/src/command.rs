//! What can be asked of intake. Ids and the callers' times come in the command.

use kernel::{
    AgentId, Attributes, Channel, MessageId, Priority, QueueId, SkillRequirement, TicketId,
    Timestamp,
};

use crate::event::{AuthorKind, Requester, Visibility};

/// A wish. `expected` is the revision that the entity must have; none: any.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Makes or changes the context's workspace; all settings are replaced.
    PutWorkspace(PutWorkspace),
    /// Makes the context's workspace unless it is there already.
    EnsureWorkspace {
        /// The name that it gets if it is made.
        display_name: Box<str>,
    },
    /// Opens a ticket.
    CreateTicket(Box<CreateTicket>),
    /// Adds a message.
    AddMessage(Box<AddMessage>),
    /// Changes fields of a ticket.
    UpdateTicket(Box<UpdateTicket>),
    /// Moves a ticket on in its life.
    Move(Move),
    /// An agent has the ticket now, says routing: it owns it, and a new ticket is open.
    NoteOwner {
        /// The ticket.
        ticket: TicketId,
        /// The owner.
        agent: AgentId,
        /// When routing gave it.
        at: Timestamp,
    },
    /// The ticket waits in a queue, says routing: nobody owns it.
    NoteQueue {
        /// The ticket.
        ticket: TicketId,
        /// The queue; none: the one that it was in.
        queue: Option<QueueId>,
        /// When routing put it there.
        at: Timestamp,
    },
    /// The owner is done with it for now, says routing.
    NoteWorkDone {
        /// The ticket.
        ticket: TicketId,
        /// What comes next.
        outcome: Outcome,
        /// When the work was done.
        at: Timestamp,
    },
}

/// See [`Command::PutWorkspace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutWorkspace {
    /// The name for people.
    pub display_name: Box<str>,
    /// The priority of tickets that come without one.
    pub default_priority: Option<Priority>,
    /// The workspace's revision; none: any, also one that isn't there yet.
    pub expected: Option<u64>,
}

/// See [`Command::CreateTicket`].
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTicket {
    /// The ticket's id.
    pub ticket: TicketId,
    /// The first message's id.
    pub message: MessageId,
    /// The caller's own id.
    pub external_id: Option<Box<str>>,
    /// How it came.
    pub channel: Channel,
    /// Who carried it; may be empty.
    pub provider: Box<str>,
    /// Who asks.
    pub requester: Requester,
    /// What it is about.
    pub subject: Box<str>,
    /// The first message.
    pub body: Box<str>,
    /// None: the workspace's default.
    pub priority: Option<Priority>,
    /// Its type; may be empty.
    pub kind: Box<str>,
    /// Its tags, in any order.
    pub tags: Vec<Box<str>>,
    /// Its attributes.
    pub attributes: Attributes,
    /// What its agent must be able to do.
    pub required_skills: Box<[SkillRequirement]>,
    /// The queue asked for.
    pub queue: Option<QueueId>,
    /// When it happened; clamped. None: now.
    pub occurred_at: Option<Timestamp>,
}

/// See [`Command::AddMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddMessage {
    /// The ticket.
    pub ticket: TicketId,
    /// The message's id.
    pub message: MessageId,
    /// The id of the follow-up ticket, if one must be opened.
    pub follow_up: TicketId,
    /// Who wrote it.
    pub author_kind: AuthorKind,
    /// The author's id; empty for a customer: the ticket's requester.
    pub author: Box<str>,
    /// Who may read it.
    pub visibility: Visibility,
    /// What it says.
    pub body: Box<str>,
    /// When it was written; clamped. None: now.
    pub occurred_at: Option<Timestamp>,
    /// The ticket's revision.
    pub expected: Option<u64>,
}

/// See [`Command::UpdateTicket`]. A field that is none stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The priority.
    pub priority: Option<Priority>,
    /// The type.
    pub kind: Option<Box<str>>,
    /// All tags, in any order.
    pub tags: Option<Vec<Box<str>>>,
    /// All attributes.
    pub attributes: Option<Attributes>,
    /// The ticket's revision.
    pub expected: Option<u64>,
}

/// A step in a ticket's life that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The ticket.
    pub ticket: TicketId,
    /// Which step.
    pub step: Step,
    /// Why, in the caller's words; may be empty.
    pub reason: Box<str>,
    /// The ticket's revision.
    pub expected: Option<u64>,
    /// When it happened; clamped. None: now.
    pub occurred_at: Option<Timestamp>,
}

/// The steps that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait on the customer.
    AwaitCustomer,
    /// Wait on others.
    AwaitOthers,
    /// Take a waiting ticket up again.
    Resume,
    /// Say that it is solved.
    Resolve,
    /// Open what was resolved, or closed not long ago.
    Reopen,
    /// End it.
    Close,
}

/// What comes after a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is solved.
    Resolved,
    /// It waits on the customer.
    Pending,
    /// It waits on others.
    OnHold,
    /// Someone else must go on.
    Requeue,
}
