//! Changes of policies on their way through the tickets, and whose step is next.

use std::collections::BTreeSet;
use std::ops::Bound;

use kernel::{TicketId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

/// A change of policies on its way through a workspace's open tickets, by id.
///
/// One that takes the place of another begins behind the last ticket that that one reached, and comes to those before
/// it at the end. So however often policies change, no ticket waits for longer than one round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// When the change takes effect.
    pub at: Timestamp,
    /// It began behind this ticket; none: with the first.
    from: Option<TicketId>,
    /// The last ticket of this half that follows the change; none: no step was made in it.
    through: Option<TicketId>,
    /// Whether it is at the tickets up to `from`, its second half.
    second: bool,
    /// Its turn among all sweeps.
    turn: u64,
}

impl Sweep {
    /// Whether the ticket follows the change already.
    pub(crate) fn has_reached(&self, ticket: &TicketId) -> bool {
        let in_this_half = self.through.as_ref().is_some_and(|through| ticket <= through);
        match &self.from {
            None => in_this_half,
            Some(from) if self.second => in_this_half || ticket > from,
            Some(from) => in_this_half && ticket > from,
        }
    }

    /// Behind which ticket it goes on.
    pub(crate) fn goes_on_behind(&self) -> Bound<&TicketId> {
        let begins = if self.second { None } else { self.from.as_ref() };
        self.through.as_ref().or(begins).map_or(Bound::Unbounded, Bound::Excluded)
    }

    /// The ticket that it was at last, or would begin behind; none: the first one is next.
    fn stands_behind(&self) -> Option<TicketId> {
        match self.goes_on_behind() {
            Bound::Excluded(ticket) | Bound::Included(ticket) => Some(ticket.clone()),
            Bound::Unbounded => None,
        }
    }

    /// Whether the ticket belongs to the half that it is at.
    pub(crate) fn is_at(&self, ticket: &TicketId) -> bool {
        !self.second || self.from.as_ref().is_none_or(|from| ticket <= from)
    }

    /// Whether it is over once this half is.
    pub(crate) fn is_last_half(&self) -> bool {
        self.second || self.from.is_none()
    }
}

/// The sweeps of all workspaces: each makes one step before any makes a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweeps {
    /// By turn, the next one first.
    turns: BTreeSet<(u64, WorkspaceId)>,
    /// By when the change takes effect.
    since: BTreeSet<(Timestamp, WorkspaceId)>,
    /// How many turns were given out.
    given: u64,
}

impl Sweeps {
    /// A workspace's policies changed at `at`. What was still on its way there is superseded.
    pub(crate) fn begin(
        &mut self,
        workspace: &WorkspaceId,
        sweep: &mut Option<Sweep>,
        at: Timestamp,
    ) {
        let from = sweep.as_ref().and_then(Sweep::stands_behind);
        self.end(workspace, sweep);
        let turn = self.turn();
        self.turns.insert((turn, workspace.clone()));
        self.since.insert((at, workspace.clone()));
        *sweep = Some(Sweep { at, from, through: None, second: false, turn });
    }

    /// A sweep made a step, up to a ticket or (none) to the end of its first half: the others are next.
    pub(crate) fn step(
        &mut self,
        workspace: &WorkspaceId,
        sweep: &mut Sweep,
        through: Option<TicketId>,
    ) {
        sweep.second |= through.is_none();
        sweep.through = through;
        let turn = self.turn();
        self.turns.remove(&(sweep.turn, workspace.clone()));
        self.turns.insert((turn, workspace.clone()));
        sweep.turn = turn;
    }

    /// A sweep is over.
    pub(crate) fn end(&mut self, workspace: &WorkspaceId, sweep: &mut Option<Sweep>) {
        if let Some(Sweep { at, turn, .. }) = sweep.take() {
            self.turns.remove(&(turn, workspace.clone()));
            self.since.remove(&(at, workspace.clone()));
        }
    }

    fn turn(&mut self) -> u64 {
        self.given = self.given.saturating_add(1);
        self.given
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Since when the earliest of the changes has effect.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        self.since.first().map(|(at, _)| *at)
    }

    /// The workspaces with a sweep, the next one first.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &WorkspaceId> {
        self.turns.iter().map(|(_, workspace)| workspace)
    }
}
