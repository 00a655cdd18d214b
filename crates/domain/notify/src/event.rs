//! What can happen.

use std::collections::BTreeMap;

use kernel::{
    AgentId, DeliveryId, EndpointId, Priority, QueueId, RuleId, TicketId, Timestamp, WorkspaceId,
};
use rules::Value;
use serde::{Deserialize, Serialize};

use crate::{Address, SealedSecret, Target, Template, Way};

/// A fact of notify's log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Notify learnt of a workspace.
    WorkspaceSeen(WorkspaceId),
    /// An endpoint was made or changed.
    EndpointPut(EndpointPut),
    /// A rule was made or changed.
    RulePut(RulePut),
    /// Something was learnt of a ticket.
    TicketLearnt(TicketLearnt),
    /// Another service's event waits for its ticket to be known.
    AwaitingTicket(AwaitingTicket),
    /// A notification is to be sent.
    IntentMade(IntentMade),
    /// An attempt is about to be made; what starts one must have read this in the log.
    AttemptStarted(AttemptStarted),
    /// An attempt has ended.
    AttemptEnded(AttemptEnded),
}

/// All settings of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPut {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where to POST.
    pub url: Address,
    /// The signing secrets, newest first; every one signs.
    pub secrets: Vec<SealedSecret>,
    /// It gets nothing.
    pub disabled: bool,
    /// An attempt of unknown outcome is not repeated.
    pub at_most_once: bool,
}

/// All of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RulePut {
    /// The rule.
    pub rule: RuleId,
    /// 1..n; also the rule's revision.
    pub version: u32,
    /// The event types that it is about.
    pub event_types: Vec<String>,
    /// Which of their events; none: all.
    pub filter: Option<rules::Rule>,
    /// How it travels.
    pub way: Way,
    /// What it says, as it was checked; none: one line.
    pub template: Option<Template>,
    /// It does nothing.
    pub disabled: bool,
}

/// What notify knows of a ticket after this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketLearnt {
    /// The ticket.
    pub ticket: TicketId,
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
}

/// Where an input event stands: what tells it from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The service whose log it is, by number.
    pub service: u32,
    /// That log's partition.
    pub partition: u32,
    /// The record.
    pub seq: u64,
    /// The event's place in the record, from 0.
    pub index: u32,
}

/// An event of another service, as rules see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Where it stands.
    pub cause: Cause,
    /// Its type: `ClockBreached`.
    pub event_type: String,
    /// When it happened.
    pub at: Timestamp,
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
}

/// An observation that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct AwaitingTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The observation.
    pub observation: Observation,
}

/// A notification to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentMade {
    /// Its stable key.
    pub delivery: DeliveryId,
    /// The rule.
    pub rule: RuleId,
    /// The rule's version.
    pub rule_version: u32,
    /// Where it goes.
    pub target: Target,
    /// The event's type.
    pub event_type: String,
    /// The ticket, if there is one.
    pub ticket: Option<TicketId>,
    /// The text; for a webhook the body, the same in every attempt.
    pub body: String,
}

/// An attempt is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStarted {
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1..n.
    pub attempt: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// To be tried again then.
    Failed {
        /// When to try again.
        next_attempt_at: Timestamp,
    },
    /// Not to be tried again.
    PermanentlyFailed,
    /// At most once: it may have arrived.
    Unknown,
}

/// An attempt's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnded {
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1..n; 0: it ended before any was made.
    pub attempt: u32,
    /// How.
    pub outcome: Outcome,
    /// The HTTP status; 0: none.
    pub http_status: u32,
    /// Why it failed, one word; empty: it did not.
    pub error: String,
    /// The endpoint gets nothing before; the receiver asked for it.
    pub throttled_until: Option<Timestamp>,
}
