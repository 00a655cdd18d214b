//! What the rules and the reads remember of a partition.

mod index;

use std::collections::BTreeMap;

use kernel::{
    AgentId, Attributes, Channel, Packed, Priority, QueueId, RequesterId, SkillRequirement,
    TicketId, TicketStatus, Timestamp, WorkspaceId,
};
use serde::{Deserialize, Serialize};

use crate::event::Requester;
pub(crate) use index::Indexes;

/// All workspaces of a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) workspaces: BTreeMap<WorkspaceId, Workspace>,
}

impl State {
    /// The workspace, if it is there.
    pub fn workspace(&self, id: &WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(id)
    }

    /// Every workspace after `after`, by id.
    pub fn workspaces_after(
        &self,
        after: Option<&WorkspaceId>,
    ) -> impl Iterator<Item = (&WorkspaceId, &Workspace)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.workspaces.range::<WorkspaceId, _>((from, Unbounded))
    }

    /// The ticket, if workspace and ticket are there.
    pub fn ticket(&self, workspace: &WorkspaceId, ticket: &TicketId) -> Option<&Ticket> {
        self.workspace(workspace)?.ticket(ticket)
    }
}

/// A workspace with its tickets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its name for people.
    pub display_name: Box<str>,
    /// The priority of tickets that come without one.
    pub default_priority: Option<Priority>,
    /// 1..n.
    pub revision: u64,
    /// The number of the ticket opened last; 0: none.
    pub last_number: u64,
    /// Boxed, since a map's leaves are half empty where its keys came in their order.
    pub(crate) tickets: BTreeMap<u64, Box<Ticket>>,
    pub(crate) indexes: Indexes,
}

/// A ticket as it stands, without what was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket.
    pub id: TicketId,
    /// 1, 2, 3… per workspace.
    pub number: u64,
    /// The caller's own id.
    pub external_id: Option<Box<str>>,
    /// Where it is in its life.
    pub status: TicketStatus,
    /// How it came.
    pub channel: Channel,
    /// Who carried it; may be empty.
    pub provider: Box<str>,
    /// Who asks.
    pub requester: Requester,
    /// What it is about.
    pub subject: Box<str>,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Its type; may be empty.
    pub kind: Box<str>,
    /// Its tags, sorted.
    pub tags: Box<[Box<str>]>,
    /// Its attributes: as a map they would take most of a ticket's memory.
    pub attributes: Packed<Attributes>,
    /// What its agent must be able to do.
    pub required_skills: Box<[SkillRequirement]>,
    /// Its queue; before routing has chosen, the one asked for.
    pub queue: Option<QueueId>,
    /// Its owner. Stays after the end, for whom to thank or to ask again.
    pub agent: Option<AgentId>,
    /// The closed ticket that it follows up.
    pub follows: Option<TicketId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was closed, while it is.
    pub closed_at: Option<Timestamp>,
    /// How many messages it has, the first included.
    pub message_count: u32,
    /// 1..n.
    pub revision: u64,
}

impl Ticket {
    /// Its attributes as a map.
    pub fn attribute_map(&self) -> Attributes {
        self.attributes.get().unwrap_or_default()
    }
}

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
            && self.requester.as_ref().is_none_or(|id| *id == ticket.requester.id)
            && self.queue.as_ref().is_none_or(|id| Some(id) == ticket.queue.as_ref())
            && self.agent.as_ref().is_none_or(|id| Some(id) == ticket.agent.as_ref())
            && self.tag.as_ref().is_none_or(|tag| ticket.tags.binary_search(tag).is_ok())
            && self.kind.as_ref().is_none_or(|kind| *kind == ticket.kind)
            && self.priority.is_none_or(|priority| Some(priority) == ticket.priority)
    }
}

impl Workspace {
    /// The ticket with this id.
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.ticket_by_number(*self.indexes.ids.get(id)?)
    }

    /// The ticket with this number.
    pub fn ticket_by_number(&self, number: u64) -> Option<&Ticket> {
        self.tickets.get(&number).map(|ticket| &**ticket)
    }

    /// The ticket with this external id.
    pub fn ticket_by_external_id(&self, external_id: &str) -> Option<&Ticket> {
        self.ticket_by_number(*self.indexes.external_ids.get(external_id)?)
    }

    /// How many tickets it has.
    pub fn ticket_count(&self) -> usize {
        self.tickets.len()
    }

    /// Candidates for the filter with a number below `below`, newest number first. They come from the narrowest index that the
    /// filter names, so each must still be [admitted](Filter::admits).
    pub fn candidates<'a>(
        &'a self,
        filter: &'a Filter,
        below: u64,
    ) -> impl Iterator<Item = &'a Ticket> {
        let numbers: Box<dyn Iterator<Item = u64>> = match self.indexes.candidates(filter, below) {
            Some(numbers) => numbers,
            None => Box::new(self.tickets.range(..below).rev().map(|(number, _)| *number)),
        };
        numbers.filter_map(|number| self.ticket_by_number(number))
    }
}
