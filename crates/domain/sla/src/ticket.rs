//! What sla keeps of a ticket.

use std::sync::Arc;

use kernel::{
    AgentId, Attributes, Channel, Packed, PolicyId, Priority, QueueId, TicketStatus, Timestamp,
};
use rules::{Facts, TicketView, ticket_facts};
use serde::{Deserialize, Serialize};

use crate::clock::Alarm;
use crate::{CYCLES_KEPT, Change, Clock, ClockKey, Metric, Phase, TicketNote};

/// What policies' filters see of a ticket, besides its priority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    /// How it came.
    pub channel: Channel,
    /// Who carried it; may be empty.
    pub provider: String,
    /// What it is about.
    pub subject: String,
    /// Its type; may be empty.
    pub kind: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// Its attributes.
    pub attributes: Packed<Attributes>,
    /// Who asks; may be empty, as the next two.
    pub requester_id: String,
    /// The requester's name.
    pub requester_name: String,
    /// The requester's language.
    pub requester_locale: String,
}

/// A ticket, and its clocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its number, for people.
    pub number: u64,
    /// How many facts its log has, 1..n.
    pub revision: u64,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Its status.
    pub status: TicketStatus,
    /// When it was closed, while it is.
    pub closed_at: Option<Timestamp>,
    /// The policy that its clocks follow.
    pub policy: Option<PolicyId>,
    /// Its owner.
    pub agent: Option<AgentId>,
    /// Its queue, once known.
    pub queue: Option<QueueId>,
    /// What filters see of it; forgotten when it is closed.
    pub traits: Option<Packed<Traits>>,
    /// Its clocks by metric and cycle; of `next_reply` the last [`CYCLES_KEPT`].
    pub clocks: Vec<Clock>,
    /// How many cycles of `next_reply` there were.
    pub cycles: u32,
}

impl Ticket {
    /// A ticket of which nothing is known yet.
    pub(crate) fn unknown() -> Self {
        Self {
            number: 0,
            revision: 0,
            priority: None,
            status: TicketStatus::New,
            closed_at: None,
            policy: None,
            agent: None,
            queue: None,
            traits: None,
            clocks: Vec::new(),
            cycles: 0,
        }
    }

    /// One of its clocks.
    pub fn clock(&self, key: ClockKey) -> Option<&Clock> {
        self.clocks.iter().find(|clock| clock.key == key)
    }

    /// Its running or paused clock of a metric.
    pub(crate) fn open_clock(&self, metric: Metric) -> Option<&Clock> {
        self.clocks.iter().find(|clock| clock.key.metric == metric && clock.is_open())
    }

    /// What a policy's filter is evaluated over; none once the ticket was closed.
    pub(crate) fn facts(&self) -> Option<Facts> {
        let traits = self.traits.as_ref()?.get()?;
        let attributes = traits.attributes.get()?;
        Some(ticket_facts(TicketView {
            channel: traits.channel,
            provider: &traits.provider,
            subject: &traits.subject,
            priority: self.priority,
            kind: &traits.kind,
            tags: &traits.tags,
            attributes: &attributes,
            requester_id: &traits.requester_id,
            requester_name: &traits.requester_name,
            requester_locale: &traits.requester_locale,
        }))
    }

    /// The next timer of all its clocks.
    pub(crate) fn next_alarm(&self) -> Option<(Timestamp, ClockKey, Alarm)> {
        let alarms = self
            .clocks
            .iter()
            .filter_map(|clock| clock.next_alarm().map(|(at, alarm)| (at, clock.key, alarm)));
        alarms.min_by_key(|(at, key, _)| (*at, *key))
    }

    /// Forgets the oldest ended cycle of `next_reply`, if another would be too many.
    pub(crate) fn make_room(&mut self) {
        let cycles = |clock: &&Clock| clock.key.metric == Metric::NextReply;
        if self.clocks.iter().filter(cycles).count() < CYCLES_KEPT {
            return;
        }
        let ended = |clock: &Clock| clock.key.metric == Metric::NextReply && !clock.is_open();
        if let Some(oldest) = self.clocks.iter().position(ended) {
            self.clocks.remove(oldest);
        }
    }

    /// Takes a note that was written, and what it says has been so since `at`.
    pub(crate) fn note(&mut self, note: &TicketNote, at: Timestamp) {
        self.closed_at = match note.status {
            TicketStatus::Closed => self.closed_at.or(Some(at)),
            TicketStatus::New
            | TicketStatus::Open
            | TicketStatus::Pending
            | TicketStatus::OnHold
            | TicketStatus::Resolved => None,
        };
        self.number = note.number;
        self.priority = note.priority;
        self.status = note.status;
        self.policy.clone_from(&note.policy);
        self.agent.clone_from(&note.agent);
        self.queue.clone_from(&note.queue);
        if let Some(traits) = &note.traits {
            self.traits = Some(Packed::new(traits));
        }
        let open = self.clocks.iter_mut().filter(|clock| clock.is_open());
        open.for_each(|clock| clock.priority = note.priority);
        if note.status == TicketStatus::Closed {
            self.forget_what_ended();
        }
    }

    fn forget_what_ended(&mut self) {
        self.traits = None;
        let ended = self.clocks.iter_mut().filter(|clock| !clock.is_open());
        ended.for_each(|clock| clock.warn = None);
        self.clocks.shrink_to_fit();
    }

    /// Takes a change of a clock that happened. `warn` is what the change's policy says about warnings.
    pub(crate) fn change(&mut self, key: ClockKey, change: &Change, warn: Option<Arc<[u16]>>) {
        if let Change::Started { at, target_ms, due_at, policy } = change {
            self.start(Clock {
                key,
                started_at: *at,
                phase: Phase::Running(*at),
                elapsed_ms: 0,
                target_ms: *target_ms,
                due_at: *due_at,
                breached_at: None,
                priority: self.priority,
                policy: policy.clone(),
                warn,
                warned: 0,
            });
            return;
        }
        let priority = self.priority;
        if let Some(clock) = self.clocks.iter_mut().find(|clock| clock.key == key) {
            clock.apply(change, warn);
            if matches!(change, Change::Reopened { .. }) {
                clock.priority = priority;
            }
        }
    }

    fn start(&mut self, clock: Clock) {
        if clock.key.metric == Metric::NextReply {
            self.cycles = self.cycles.max(clock.key.cycle);
        }
        match self.clocks.binary_search_by_key(&clock.key, |known| known.key) {
            Ok(_) => {}
            Err(place) => {
                // A ticket has few, and there are many tickets: room for another would double what they take.
                self.clocks.reserve_exact(1);
                self.clocks.insert(place, clock);
            }
        }
    }
}
