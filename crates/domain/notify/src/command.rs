//! What can be asked.

use kernel::{AgentId, DeliveryId, EndpointId, Priority, QueueId, RuleId, TicketId, Timestamp};

use crate::{Address, GivenSecret, Observation, SealedSecret, Shapes, Way};

/// A wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Learn of a workspace.
    SeeWorkspace,
    /// Make or change an endpoint.
    PutEndpoint(PutEndpoint),
    /// Put the same secret in another sealing, since the keys have changed.
    Reseal(Reseal),
    /// Make or change a rule.
    PutRule(PutRule),
    /// Look at another service's event: learn from it, and tell those whom the rules name.
    Observe(Observe),
    /// Start what an endpoint has waiting and may get now.
    Start {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// Note how an attempt ended.
    EndAttempt(EndAttempt),
}

/// See [`Command::PutEndpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutEndpoint {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where to POST.
    pub url: Address,
    /// A secret of the caller's. `None`: the ones it has are kept.
    pub secret: Option<GivenSecret>,
    /// Made for this call, from randomness; used if the endpoint is new and `secret` is `None`.
    pub fresh: SealedSecret,
    /// It gets nothing.
    pub disabled: bool,
    /// An attempt of unknown outcome is not repeated.
    pub at_most_once: bool,
    /// 0: any; else the revision that it must have.
    pub expected_revision: u64,
}

/// See [`Command::Reseal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseal {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// As it was sealed.
    pub from: SealedSecret,
    /// As it is sealed now.
    pub to: SealedSecret,
}

/// See [`Command::PutRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutRule {
    /// The rule.
    pub rule: RuleId,
    /// The event types that it is about; distinct.
    pub event_types: Vec<String>,
    /// Which of their events, over [`FILTER_NAMES`](crate::FILTER_NAMES); none: all.
    pub filter: Option<rules::Rule>,
    /// How it travels.
    pub way: Way,
    /// A [`Template`](crate::Template) over the same; empty: one line.
    pub template: String,
    /// It does nothing.
    pub disabled: bool,
    /// 0: any; else the revision that it must have.
    pub expected_revision: u64,
    /// The fields that every one of the types has. Those of `ticket` are known here.
    pub fields: Shapes,
}

/// See [`Command::Observe`].
#[derive(Debug, Clone, PartialEq)]
pub struct Observe {
    /// The ticket it is about, if it is about one.
    pub ticket: Option<TicketId>,
    /// What it tells of the ticket.
    pub change: Option<Change>,
    /// The event.
    pub observation: Observation,
}

/// What an event tells of its ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was opened.
    Opened {
        /// Its number, from 1.
        number: u64,
        /// The customer's name.
        requester_name: String,
        /// The subject.
        subject: String,
        /// The queue that was asked for.
        queue: Option<QueueId>,
        /// The priority.
        priority: Option<Priority>,
    },
    /// An agent has it.
    Taken {
        /// The agent.
        agent: AgentId,
    },
    /// It waits in a queue, and nobody has it.
    Queued {
        /// The queue.
        queue: QueueId,
    },
    /// It has this priority.
    Prioritised {
        /// The priority.
        priority: Option<Priority>,
    },
    /// It was closed, or reopened.
    Closed {
        /// When; `None`: it is no longer.
        at: Option<Timestamp>,
    },
}

/// See [`Command::EndAttempt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Which attempt.
    pub attempt: u32,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long the receiver asked to be left alone, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// Nothing was sent, for certain.
    NotSent {
        /// Why, one word.
        error: String,
    },
    /// It may have arrived.
    Lost {
        /// Why that isn't known, one word.
        error: String,
    },
}
