//! What the rules and the reads remember of a partition.

mod filter;
mod index;
mod ticket;

use std::borrow::Cow;
use std::collections::BTreeMap;

use kernel::{Closed, Packed, Priority, TicketId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

pub use filter::Filter;
pub(crate) use index::Indexes;
use index::Names;
pub use ticket::{Details, Ticket};

/// All workspaces of a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Workspaces")]
pub struct State {
    pub(crate) workspaces: BTreeMap<WorkspaceId, Workspace>,
    /// The closed tickets that are kept whole.
    #[serde(skip)]
    pub(crate) closed: Closed<(WorkspaceId, u64)>,
}

/// [`State`] as it is saved: what follows from the rest is left out.
#[derive(Deserialize)]
struct Workspaces {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
}

impl From<Workspaces> for State {
    fn from(Workspaces { workspaces }: Workspaces) -> Self {
        let closed = |(id, workspace): (&WorkspaceId, &Workspace)| {
            let closed = |ticket: &Ticket| Some((ticket.closed_at?, (id.clone(), ticket.number)));
            workspace.tickets.values().filter_map(|ticket| closed(ticket)).collect::<Vec<_>>()
        };
        let closed = workspaces.iter().flat_map(closed).collect();
        Self { workspaces, closed }
    }
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
    pub fn ticket(&self, workspace: &WorkspaceId, ticket: &TicketId) -> Option<Cow<'_, Ticket>> {
        self.workspace(workspace)?.ticket(ticket)
    }

    /// A ticket was closed, or is closed no more.
    pub(crate) fn note_closing(
        &mut self,
        workspace: &WorkspaceId,
        number: u64,
        before: Option<Timestamp>,
        after: Option<Timestamp>,
    ) {
        let Some((workspace, _)) = self.workspaces.get_key_value(workspace) else { return };
        self.closed.follow(&(workspace.clone(), number), before, after);
    }

    /// Leaves stubs of tickets that were closed long before `now`: a few with every fact, so that no fact waits for
    /// many.
    pub(crate) fn put_away(&mut self, now: Timestamp) {
        for (workspace, number) in self.closed.send_away(now) {
            if let Some(workspace) = self.workspaces.get_mut(&workspace) {
                workspace.put_away(number);
            }
        }
    }
}

/// A workspace with its tickets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Saved")]
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
    /// What is left of tickets that were closed long ago.
    stubs: BTreeMap<u64, Packed<Ticket>>,
    pub(crate) names: Names,
    #[serde(skip)]
    pub(crate) indexes: Indexes,
}

/// [`Workspace`] as it is saved: what follows from the rest is left out.
#[derive(Deserialize)]
struct Saved {
    display_name: Box<str>,
    default_priority: Option<Priority>,
    revision: u64,
    last_number: u64,
    #[serde(deserialize_with = "kernel::in_order::map")]
    tickets: BTreeMap<u64, Box<Ticket>>,
    #[serde(deserialize_with = "kernel::in_order::map")]
    stubs: BTreeMap<u64, Packed<Ticket>>,
    names: Names,
}

impl From<Saved> for Workspace {
    fn from(saved: Saved) -> Self {
        let Saved { display_name, default_priority, revision, last_number, .. } = saved;
        let Saved { tickets, stubs, names, .. } = saved;
        let indexes = Indexes::of(&tickets);
        Self {
            display_name,
            default_priority,
            revision,
            last_number,
            tickets,
            stubs,
            names,
            indexes,
        }
    }
}

impl Workspace {
    /// The ticket with this id.
    pub fn ticket(&self, id: &TicketId) -> Option<Cow<'_, Ticket>> {
        self.ticket_by_number(*self.names.ids.get(id)?)
    }

    /// The ticket with this number. One that was closed long ago is made from its stub.
    pub fn ticket_by_number(&self, number: u64) -> Option<Cow<'_, Ticket>> {
        match self.tickets.get(&number) {
            Some(ticket) => Some(Cow::Borrowed(ticket)),
            None => self.stubs.get(&number)?.get().map(Cow::Owned),
        }
    }

    /// The ticket with this external id.
    pub fn ticket_by_external_id(&self, external_id: &str) -> Option<Cow<'_, Ticket>> {
        self.ticket_by_number(*self.names.external_ids.get(external_id)?)
    }

    /// Whether there is a ticket with this id.
    pub(crate) fn has_ticket(&self, id: &TicketId) -> bool {
        self.names.ids.contains_key(id)
    }

    /// How many tickets it has, and of how many only stubs.
    #[cfg(test)]
    pub(crate) fn ticket_counts(&self) -> (usize, usize) {
        (self.tickets.len().saturating_add(self.stubs.len()), self.stubs.len())
    }

    /// Takes a new ticket in.
    pub(crate) fn add(&mut self, mut ticket: Ticket, external_id: Option<&str>) {
        self.last_number = self.last_number.max(ticket.number);
        self.names.add(&ticket, external_id);
        self.indexes.share(&mut ticket);
        self.indexes.add(&ticket);
        self.tickets.insert(ticket.number, Box::new(ticket));
    }

    /// The ticket that a fact changes, and the indexes that may have to follow.
    pub(crate) fn change(&mut self, id: &TicketId) -> Option<(&mut Ticket, &mut Indexes)> {
        let ticket = self.tickets.get_mut(self.names.ids.get(id)?)?;
        Some((ticket, &mut self.indexes))
    }

    /// Leaves a stub of a ticket, which no list shows any more.
    fn put_away(&mut self, number: u64) {
        let Some(ticket) = self.tickets.remove(&number) else { return };
        self.indexes.remove(&ticket);
        self.stubs.insert(number, ticket.stub());
    }

    /// Candidates for the filter with a number below `below`, newest number first. They come from the narrowest index
    /// that the filter names, so each must still be [admitted](Filter::admits). Tickets of which only a stub is kept
    /// are not among them.
    pub fn candidates<'a>(
        &'a self,
        filter: &'a Filter,
        below: u64,
    ) -> impl Iterator<Item = &'a Ticket> {
        let numbers: Box<dyn Iterator<Item = u64>> = match self.indexes.candidates(filter, below) {
            Some(numbers) => numbers,
            None => Box::new(self.tickets.range(..below).rev().map(|(number, _)| *number)),
        };
        numbers.filter_map(|number| self.tickets.get(&number).map(|ticket| &**ticket))
    }
}
