//! One workspace: its queues, agents, tickets and offers.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AgentId, Closed, OfferId, QueueId, SkillRequirement, TicketId, Timestamp};
use rules::Facts;
use serde::{Deserialize, Serialize};

use super::board::Board;
use super::ticket::joined;
use super::{Agent, Place, Ticket};
use crate::event::QueueSettings;
use crate::words::{OfferEnd, OfferMode, QueueReason, WorkClass};
use crate::{Command, DEFAULT_QUEUE};

/// A queue as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub(crate) settings: QueueSettings,
    /// Tickets offered and not yet taken.
    pub(crate) offered: u32,
    /// Tickets owned.
    pub(crate) assigned: u32,
    pub(crate) revision: u64,
}

impl Queue {
    /// Its settings.
    pub fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    /// Its revision, 1..n.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether work of this class is accepted by itself.
    pub(crate) fn accepts_by_itself(&self, class: WorkClass) -> bool {
        match (self.settings.offer_mode, class) {
            (OfferMode::AutoAccept, _) | (OfferMode::ByClass, WorkClass::Async) => true,
            (OfferMode::Manual, _) | (OfferMode::ByClass, WorkClass::Voice | WorkClass::Chat) => {
                false
            }
        }
    }

    /// How long an offer stands, in milliseconds.
    pub(crate) fn accept_within_ms(&self, class: WorkClass) -> u64 {
        match self.settings.accept_within_ms {
            0 => class.accept_within_ms(),
            set => set,
        }
    }
}

/// An offer that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The ticket.
    pub ticket: TicketId,
    /// The agent.
    pub agent: AgentId,
    /// The queue.
    pub queue: QueueId,
    /// The last instant at which it can be accepted.
    pub accept_by: Timestamp,
}

/// An offer that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedOffer {
    /// The ticket.
    pub ticket: TicketId,
    /// The agent.
    pub agent: AgentId,
    /// How it ended.
    pub end: OfferEnd,
}

/// A deadline of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// An offer's, just after its last instant.
    Offer(u64),
    /// A cooldown's end.
    Cooldown(TicketId, AgentId),
    /// The end of an absent owner's grace; only while something waits for its return.
    Grace(AgentId),
}

impl Timer {
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Offer(number) => Command::ExpireOffer { offer: offer_id(*number) },
            Self::Cooldown(ticket, agent) => {
                Command::EndCooldown { ticket: ticket.clone(), agent: agent.clone() }
            }
            Self::Grace(agent) => Command::EndGrace { agent: agent.clone() },
        }
    }
}

/// The name of the n-th offer of a workspace.
pub fn offer_id(number: u64) -> OfferId {
    OfferId::trusted(&format!("offer-{number}"))
}

/// The number in an offer's name; nothing if it is no such name.
pub fn offer_number(offer: &OfferId) -> Option<u64> {
    let number = offer.as_str().strip_prefix("offer-")?.parse().ok()?;
    (offer_id(number) == *offer).then_some(number)
}

/// A workspace as routing knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    pub(crate) seen: bool,
    pub(crate) queues: BTreeMap<QueueId, Queue>,
    /// The queues in the order in which a ticket tries them.
    pub(crate) queue_order: BTreeSet<(i32, QueueId)>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    /// Boxed, since a map's leaves are half empty where its keys came in their order.
    #[serde(deserialize_with = "kernel::in_order::map")]
    pub(crate) tickets: BTreeMap<TicketId, Box<Ticket>>,
    /// The closed tickets, to be forgotten one day.
    pub(crate) closed: Closed<TicketId>,
    #[serde(deserialize_with = "kernel::in_order::map")]
    pub(crate) offers: BTreeMap<u64, Offer>,
    #[serde(deserialize_with = "kernel::in_order::map")]
    pub(crate) ended_offers: BTreeMap<u64, EndedOffer>,
    /// The number of the last offer made.
    pub(crate) last_offer: u64,
    pub(crate) board: Board,
    #[serde(deserialize_with = "kernel::in_order::set")]
    pub(crate) timers: BTreeSet<(Timestamp, Timer)>,
    pub(crate) leases: BTreeSet<(Timestamp, AgentId)>,
}

impl Workspace {
    /// An agent.
    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// The agents by id, from the first after `after`.
    pub fn agents_after(
        &self,
        after: Option<&AgentId>,
    ) -> impl Iterator<Item = (&AgentId, &Agent)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.agents.range::<AgentId, _>((from, Unbounded))
    }

    /// A queue.
    pub fn queue(&self, id: &QueueId) -> Option<&Queue> {
        self.queues.get(id)
    }

    /// The queues by order, then id, from the first after `after`.
    pub fn queues_after(
        &self,
        after: Option<&(i32, QueueId)>,
    ) -> impl Iterator<Item = (&QueueId, &Queue)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let rest = self.queue_order.range::<(i32, QueueId), _>((from, Unbounded));
        rest.filter_map(|(_, id)| self.queues.get_key_value(id))
    }

    /// A ticket that was not forgotten.
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id).map(|ticket| &**ticket)
    }

    /// The tickets that are neither resolved nor closed, by id.
    pub fn open_tickets(&self) -> impl Iterator<Item = &TicketId> {
        let ended = |ticket: &Ticket| matches!(ticket.place(), Place::Ended { .. });
        self.tickets.iter().filter(move |(_, ticket)| !ended(ticket)).map(|(id, _)| id)
    }

    /// The offers that stand, by number.
    pub fn offers(&self) -> &BTreeMap<u64, Offer> {
        &self.offers
    }

    /// The queue of a new ticket: the one asked for, else the first whose filter is true of its facts, else `default`.
    pub fn queue_for(&self, asked: Option<&QueueId>, facts: &Facts) -> (QueueId, QueueReason) {
        let otherwise = QueueId::trusted(DEFAULT_QUEUE);
        let matches = |queue: &Queue| {
            queue.settings.filter.as_ref().is_some_and(|filter| filter.matches(facts).holds())
        };
        match asked {
            Some(queue) if self.queues.contains_key(queue) => (queue.clone(), QueueReason::Asked),
            Some(_) => (otherwise, QueueReason::UnknownQueue),
            None => self
                .queues_after(None)
                .find(|(_, queue)| matches(queue))
                .map_or((otherwise, QueueReason::Default), |(id, _)| {
                    (id.clone(), QueueReason::Filter)
                }),
        }
    }

    /// The ticket of an offer that was made and is still known.
    pub fn ticket_of_offer(&self, id: &OfferId) -> Option<&TicketId> {
        let number = offer_number(id)?;
        let live = self.offers.get(&number).map(|offer| &offer.ticket);
        live.or_else(|| self.ended_offers.get(&number).map(|ended| &ended.ticket))
    }

    /// How many tickets wait in a queue.
    pub(crate) fn waiting_in(&self, queue: &QueueId) -> usize {
        self.board.of_queue(queue).map(|(_, group)| group.waiting.len()).sum()
    }

    /// A ticket's requirements joined with those of a queue.
    pub(crate) fn required(
        &self,
        queue: &QueueId,
        own: &[SkillRequirement],
    ) -> Vec<SkillRequirement> {
        let of_queue =
            self.queues.get(queue).map_or(&[][..], |queue| &queue.settings.required_skills);
        joined(own.iter().chain(of_queue))
    }

    /// Whether someone could take a ticket that waits.
    pub(crate) fn has_match(&self) -> bool {
        !self.board.ready.is_empty()
    }

    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn next_lease(&self) -> Option<Timestamp> {
        self.leases.first().map(|(at, _)| *at)
    }

    /// The ticket, if it is open work.
    pub(crate) fn open_ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.ticket(id).filter(|ticket| match ticket.place {
            Place::Waiting | Place::Paused(_) | Place::Offered(_) | Place::Owned { .. } => true,
            Place::Ended { .. } => false,
        })
    }
}
