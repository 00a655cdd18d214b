//! What the rules remember.
//!
//! ```text
//! Delivery:  Waiting ──AttemptStarted──▶ InFlight ──AttemptEnded──▶ Delivered | PermanentlyFailed | Unknown
//!               ▲                            │
//!               └────────── Failed ──────────┘
//! ```

mod delivery;
mod endpoint;
mod evolve;
mod rule;
mod ticket;

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Closed, DeliveryId, EndpointId, RuleId, TicketId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

pub use delivery::{Counts, Delivery, Progress};
pub use endpoint::Endpoint;
pub(crate) use evolve::evolve;
pub use rule::Rule;
pub use ticket::Ticket;

/// How many attempts an endpoint has in flight at most.
pub const IN_FLIGHT_MAX: u32 = 8;
/// How many deliveries wait for an endpoint at most; what comes above is failed at once, visibly.
pub const WAITING_MAX: usize = 10_000;
/// How many deliveries that are over a workspace remembers; of older ones it keeps the counts.
pub const FINISHED_MAX: usize = 10_000;
/// How many rules a workspace has at most.
pub const RULES_MAX: usize = 1_000;
/// How many notifications one event makes at most, by the rules about it and their recipients: all of them stand in one
/// record.
pub const NOTICES_MAX: usize = 300;
/// How many endpoints a workspace has at most.
pub const ENDPOINTS_MAX: usize = 1_000;
/// How many secrets of an endpoint sign at once.
pub const SECRETS_MAX: usize = 2;

/// A partition: all its workspaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    /// When each endpoint that may get something may get it.
    due: BTreeSet<(Timestamp, WorkspaceId, EndpointId)>,
    in_flight: BTreeSet<(WorkspaceId, DeliveryId)>,
}

impl State {
    /// A workspace, if anything is known of it.
    pub fn workspace(&self, id: &WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(id)
    }

    /// Every attempt in flight: started and not ended.
    pub fn in_flight(&self) -> impl Iterator<Item = (&WorkspaceId, &Delivery)> {
        self.in_flight.iter().filter_map(|(workspace, id)| {
            Some((workspace, self.workspaces.get(workspace)?.delivery(id)?))
        })
    }

    /// Every endpoint.
    pub fn endpoints(&self) -> impl Iterator<Item = (&WorkspaceId, &EndpointId, &Endpoint)> {
        self.workspaces.iter().flat_map(|(workspace, it)| {
            it.endpoints.iter().map(move |(id, endpoint)| (workspace, id, endpoint))
        })
    }

    /// Whether an attempt is in flight.
    pub fn is_busy(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// What each endpoint may get next and when, the earliest first.
    pub(crate) fn due(&self) -> impl Iterator<Item = &(Timestamp, WorkspaceId, EndpointId)> {
        self.due.iter()
    }
}

/// A workspace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    seen: bool,
    revision: u64,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    rules: BTreeMap<RuleId, Rule>,
    /// The rules that are not disabled, by the event types that they are about.
    by_type: BTreeMap<String, BTreeSet<RuleId>>,
    #[serde(deserialize_with = "kernel::in_order::map")]
    tickets: BTreeMap<TicketId, Ticket>,
    /// The closed ones, to be forgotten one day.
    closed: Closed<TicketId>,
    /// By their order of making.
    #[serde(deserialize_with = "kernel::in_order::map")]
    deliveries: BTreeMap<u64, Delivery>,
    #[serde(deserialize_with = "kernel::in_order::map")]
    orders: BTreeMap<DeliveryId, u64>,
    finished: BTreeSet<u64>,
    made: u64,
    counts: Counts,
    /// When each endpoint that may get something may get it.
    ready: BTreeSet<(Timestamp, EndpointId)>,
}

impl Workspace {
    /// Whether intake made it, as far as notify has read.
    pub const fn is_seen(&self) -> bool {
        self.seen
    }

    /// An endpoint.
    pub fn endpoint(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id)
    }

    /// A rule.
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.get(id)
    }

    /// A ticket.
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    /// A delivery that is pending, or one of the newest [`FINISHED_MAX`] that are over.
    pub fn delivery(&self, id: &DeliveryId) -> Option<&Delivery> {
        self.deliveries.get(self.orders.get(id)?)
    }

    /// The deliveries made before number `before` (all: `u64::MAX`), newest first, with their numbers.
    pub fn deliveries(&self, before: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        self.deliveries.range(..before).rev().map(|(order, delivery)| (*order, delivery))
    }

    /// How many deliveries came to which end, those forgotten included.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a rule is about this type of event.
    pub fn is_interested(&self, event_type: &str) -> bool {
        self.by_type.contains_key(event_type)
    }

    pub(crate) fn rules_about(&self, event_type: &str) -> impl Iterator<Item = (&RuleId, &Rule)> {
        let ids = self.by_type.get(event_type).into_iter().flatten();
        ids.filter_map(|id| Some((id, self.rules.get(id)?)))
    }

    pub(crate) fn rules_beside<'a>(&'a self, id: &'a RuleId) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |(other, _)| *other != id).map(|(_, rule)| rule)
    }

    pub(crate) fn rule_count(&self) -> usize {
        self.rules.len()
    }

    pub(crate) fn endpoint_count(&self) -> usize {
        self.endpoints.len()
    }

    /// The endpoints that may get something at `now`, the longest due first.
    pub(crate) fn ready(&self, now: Timestamp) -> impl Iterator<Item = &EndpointId> {
        self.ready.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// What an endpoint may get at `now`, in order.
    pub(crate) fn startable(
        &self,
        id: &EndpointId,
        now: Timestamp,
    ) -> impl Iterator<Item = &Delivery> {
        let orders = self.endpoints.get(id).into_iter().flat_map(move |it| it.startable(now));
        orders.filter_map(|order| self.deliveries.get(&order))
    }
}
