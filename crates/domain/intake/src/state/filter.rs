//! Which tickets to list.

use kernel::{AgentId, Priority, QueueId, RequesterId, TicketStatus};

use super::Ticket;

/// Which tickets to list; what is none or empty lets all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these.
    pub statuses: Vec<TicketStatus>,
    /// Of this requester.
    pub requester: Option<RequesterId>,
    /// In this queue.
    pub queue: Option<QueueId>,
    /// With this tag.
    pub tag: Option<Box<str>>,
    /// Owned by this agent.
    pub agent: Option<AgentId>,
    /// Of this type.
    pub kind: Option<Box<str>>,
    /// Of this priority.
    pub priority: Option<Priority>,
}

impl Filter {
    /// Whether it lets the ticket through.
    pub fn admits(&self, ticket: &Ticket) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&ticket.status))
            && self.requester.as_ref().is_none_or(|id| *id == ticket.requester)
            && self.queue.as_ref().is_none_or(|id| Some(id) == ticket.queue.as_ref())
            && self.agent.as_ref().is_none_or(|id| Some(id) == ticket.agent.as_ref())
            && self.tag.as_ref().is_none_or(|tag| ticket.tags.binary_search(tag).is_ok())
            && self.kind.as_ref().is_none_or(|kind| *kind == ticket.kind)
            && self.priority.is_none_or(|priority| Some(priority) == ticket.priority)
    }
}
