//! What notify knows of a ticket.

use kernel::{AgentId, Priority, QueueId, TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Change, Observation, TicketLearnt};

/// A ticket. Its owner and queue come from routing, the rest from intake; each may come first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its number; 0: it is not known yet, only where it is.
    pub number: u64,
    /// The customer's name.
    pub requester_name: String,
    /// The subject.
    pub subject: String,
    /// The owner.
    pub owner: Option<AgentId>,
    /// The queue.
    pub queue: Option<QueueId>,
    /// The priority.
    pub priority: Option<Priority>,
    /// When it was closed, if it is.
    pub closed_at: Option<Timestamp>,
    /// 1..n.
    pub revision: u64,
    /// Events that came before it was known, in order.
    pub(crate) awaiting: Vec<Observation>,
}

impl Ticket {
    /// Whether its opening was read.
    pub const fn is_known(&self) -> bool {
        self.number > 0
    }

    /// The ticket after a change; the queue that was asked for doesn't displace the one that routing chose.
    pub(crate) fn changed(&self, change: &Change) -> Self {
        let mut ticket = Self { awaiting: Vec::new(), ..self.clone() };
        match change {
            Change::Opened { number, requester_name, subject, queue, priority } => {
                ticket.number = *number;
                ticket.requester_name.clone_from(requester_name);
                ticket.subject.clone_from(subject);
                ticket.queue = ticket.queue.or_else(|| queue.clone());
                ticket.priority = *priority;
            }
            Change::Taken { agent } => ticket.owner = Some(agent.clone()),
            Change::Queued { queue } => {
                ticket.owner = None;
                ticket.queue = Some(queue.clone());
            }
            Change::Prioritised { priority } => ticket.priority = *priority,
            Change::Closed { at } => ticket.closed_at = *at,
        }
        ticket
    }

    pub(crate) fn learnt(&self, id: &TicketId) -> TicketLearnt {
        TicketLearnt {
            ticket: id.clone(),
            number: self.number,
            requester_name: self.requester_name.clone(),
            subject: self.subject.clone(),
            owner: self.owner.clone(),
            queue: self.queue.clone(),
            priority: self.priority,
            closed_at: self.closed_at,
        }
    }

    pub(super) fn learn(&mut self, learnt: &TicketLearnt, revision: u64) {
        self.number = learnt.number;
        self.requester_name.clone_from(&learnt.requester_name);
        self.subject.clone_from(&learnt.subject);
        self.owner.clone_from(&learnt.owner);
        self.queue.clone_from(&learnt.queue);
        self.priority = learnt.priority;
        self.closed_at = learnt.closed_at;
        self.revision = revision;
        if self.is_known() {
            // Their intents are made in the same decision.
            self.awaiting = Vec::new();
        }
    }
}
