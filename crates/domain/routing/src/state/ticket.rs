//! A ticket: what it needs, and where it is.

use std::collections::BTreeMap;

use kernel::{AgentId, Priority, QueueId, SkillRequirement, TicketId, TicketStatus, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Demand, Turn};
use crate::words::{AssignedHow, Decision, QueueReason, WorkClass, WorkState};

/// Where a ticket is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In its queue.
    Waiting,
    /// Out of its queue without an owner: it waits on the customer or on others.
    Paused(WorkState),
    /// Offered, under this number.
    Offered(u64),
    /// In an agent's hands.
    Owned {
        /// The owner.
        agent: AgentId,
        /// Whether the owner works at it.
        state: WorkState,
    },
    /// Resolved or closed.
    Ended {
        /// Who had it.
        owner: Option<AgentId>,
        /// Which of the two.
        status: TicketStatus,
        /// When.
        at: Timestamp,
    },
}

/// A ticket as routing knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    pub(crate) number: u64,
    pub(crate) queue: QueueId,
    pub(crate) reason: QueueReason,
    pub(crate) class: WorkClass,
    pub(crate) cost_units: u32,
    pub(crate) priority: Option<Priority>,
    pub(crate) skills: Vec<SkillRequirement>,
    pub(crate) queued_at: Timestamp,
    pub(crate) place: Place,
    /// Until when whom it must not be offered to.
    pub(crate) cooldowns: BTreeMap<AgentId, Timestamp>,
    /// The last decision, while the ticket is live.
    pub(crate) decision: Option<Box<Decision>>,
    pub(crate) revision: u64,
}

impl Ticket {
    /// Its number, for people.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its queue.
    pub fn queue(&self) -> &QueueId {
        &self.queue
    }

    /// Why that queue.
    pub fn queue_reason(&self) -> QueueReason {
        self.reason
    }

    /// Since when it waits, or waited first.
    pub fn queued_at(&self) -> Timestamp {
        self.queued_at
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its cost in units.
    pub fn cost_units(&self) -> u32 {
        self.cost_units
    }

    /// Why it is where it is; none: no decision was made, or it is over.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref()
    }

    /// Its owner.
    pub fn owner(&self) -> Option<&AgentId> {
        match &self.place {
            Place::Owned { agent, .. } => Some(agent),
            Place::Waiting | Place::Paused(_) | Place::Offered(_) | Place::Ended { .. } => None,
        }
    }

    /// What an agent who gets it without an offer has to do: what waits goes on waiting, unless it returns because it
    /// waits no more.
    pub(crate) fn state_when_assigned(&self, how: AssignedHow) -> WorkState {
        match (how, &self.place) {
            (
                AssignedHow::Manual | AssignedHow::Transferred,
                Place::Owned { state, .. } | Place::Paused(state),
            ) => *state,
            (AssignedHow::Returned, _)
            | (_, Place::Waiting | Place::Offered(_) | Place::Ended { .. }) => WorkState::Active,
        }
    }

    /// Units that it holds of its owner.
    pub(crate) fn held_units(&self) -> u32 {
        match &self.place {
            Place::Owned { state, .. } => state.held_units(self.cost_units),
            Place::Offered(_) => self.cost_units,
            Place::Waiting | Place::Paused(_) | Place::Ended { .. } => 0,
        }
    }

    /// What it asks of an agent: tickets with the same demand wait together.
    pub(crate) fn demand(&self) -> Demand {
        Demand {
            queue: self.queue.clone(),
            skills: self.skills.clone(),
            cost_units: self.cost_units,
            excluded: self.cooldowns.keys().cloned().collect(),
        }
    }

    /// Its place among those that wait.
    pub(crate) fn turn(&self, id: &TicketId) -> Turn {
        Turn {
            priority: self.priority.unwrap_or(Priority::P3),
            queued_at: self.queued_at,
            number: self.number,
            ticket: id.clone(),
        }
    }
}

/// Sorts requirements by skill and keeps the highest level of each.
pub(crate) fn joined<'a>(
    requirements: impl Iterator<Item = &'a SkillRequirement>,
) -> Vec<SkillRequirement> {
    let mut all: Vec<_> = requirements.cloned().collect();
    all.sort_by(|one, other| one.skill.cmp(&other.skill).then(other.min_level.cmp(&one.min_level)));
    all.dedup_by(|later, kept| later.skill == kept.skill);
    all
}
