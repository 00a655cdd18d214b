//! What can happen to workspaces and tickets.

use kernel::{
    AgentId, Attributes, Channel, MessageId, Packed, Priority, QueueId, RequesterId,
    SkillRequirement, TicketId, TicketStatus, WorkspaceId,
};
use serde::{Deserialize, Serialize};

/// A fact of intake's log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A workspace was made or changed.
    WorkspacePut(WorkspacePut),
    /// A ticket was opened.
    TicketOpened(Box<TicketOpened>),
    /// A message joined the conversation.
    MessageAdded(MessageAdded),
    /// Fields of a ticket were changed.
    TicketUpdated(TicketUpdated),
    /// A ticket moved on in its life.
    StatusChanged(StatusChanged),
    /// Routing gave the ticket to someone or to a queue, or took it from its owner.
    OwnerChanged(OwnerChanged),
}

/// All settings of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePut {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its name for people.
    pub display_name: Box<str>,
    /// The priority of tickets that come without one.
    pub default_priority: Option<Priority>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The requester's id.
    pub id: RequesterId,
    /// The name, as a person would say it; may be empty.
    pub name: Box<str>,
    /// E-mail addresses, numbers, handles.
    pub addresses: Box<[Box<str>]>,
    /// BCP 47; empty: unknown.
    pub locale: Box<str>,
}

/// A ticket as it was opened, with its first message.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketOpened {
    /// The ticket.
    pub ticket: TicketId,
    /// 1, 2, 3… per workspace.
    pub number: u64,
    /// The caller's own id for it, unique in the workspace.
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
    /// The first message's id.
    pub message: MessageId,
    /// Its priority, the workspace's default filled in.
    pub priority: Option<Priority>,
    /// Its type, free text; may be empty.
    pub kind: Box<str>,
    /// Its tags, sorted, each once.
    pub tags: Box<[Box<str>]>,
    /// Its attributes.
    pub attributes: Packed<Attributes>,
    /// What its agent must be able to do.
    pub required_skills: Box<[SkillRequirement]>,
    /// The queue that the caller asked for; none: routing chooses.
    pub queue: Option<QueueId>,
    /// The closed ticket that this one follows up.
    pub follows: Option<TicketId>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorKind {
    /// The customer.
    EndUser,
    /// A person of the company.
    Agent,
    /// A program of the company: it starts no work and satisfies no promise of a reply.
    Bot,
}

/// Who may read a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The customer too.
    Public,
    /// Agents and bots alone.
    Internal,
}

/// A message of a ticket, other than the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageAdded {
    /// The ticket.
    pub ticket: TicketId,
    /// The message.
    pub message: MessageId,
    /// Who wrote it.
    pub author_kind: AuthorKind,
    /// The author's id; may be empty for a bot.
    pub author: Box<str>,
    /// Who may read it.
    pub visibility: Visibility,
    /// What it says.
    pub body: Box<str>,
    /// The queue that the ticket is in or came from; none: not known yet. So whoever watches a queue needs to remember
    /// nothing.
    pub queue: Option<QueueId>,
}

/// New values of those fields of a ticket that changed; the others are none.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketUpdated {
    /// The ticket.
    pub ticket: TicketId,
    /// The priority.
    pub priority: Option<Priority>,
    /// The type; may become empty.
    pub kind: Option<Box<str>>,
    /// All tags, sorted, each once.
    pub tags: Option<Box<[Box<str>]>>,
    /// All attributes.
    pub attributes: Option<Packed<Attributes>>,
    /// The queue that the ticket is in or came from; none: not known yet.
    pub queue: Option<QueueId>,
}

/// A step in a ticket's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChanged {
    /// The ticket.
    pub ticket: TicketId,
    /// Where it was.
    pub from: TicketStatus,
    /// Where it is.
    pub to: TicketStatus,
    /// Why, in the caller's words or one of this crate's constants; may be empty.
    pub reason: Box<str>,
    /// The queue that the ticket is in or came from; none: not known yet.
    pub queue: Option<QueueId>,
}

/// Whose ticket it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerChanged {
    /// The ticket.
    pub ticket: TicketId,
    /// The owner; none: nobody.
    pub agent: Option<AgentId>,
    /// The queue that it is in or came from; none: not known yet.
    pub queue: Option<QueueId>,
    /// The queue that it left by this; none: it stays where it is, or was in none.
    pub left: Option<QueueId>,
}
