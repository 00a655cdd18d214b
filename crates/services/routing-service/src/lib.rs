//! Routing: who takes what.
//!
//! # Owns
//! Agents, their presence and capacity, queues, offers and assignments. The rules are in [`routing`].
//!
//! # Serves
//! `switchyard.routing.v1.RoutingService`. Reads see committed state alone. A heartbeat renews a lease in the leader's
//! memory: a new leader grants every lease anew.
//!
//! # Listens to
//! Intake: workspaces (`WorkspacePut`), tickets (`TicketOpened`, `TicketUpdated`, `StatusChanged`) and what customers
//! write (`MessageAdded`: that they did, not what).
//!
//! # Publishes
//! `WorkspaceSeen`, `AgentPut`, `PresenceSet`, `PresenceExpired`, `QueuePut`, `TicketQueued`, `WorkReprioritised`,
//! `OfferMade`, `OfferAccepted`, `OfferDeclined`, `OfferExpired`, `OfferRescinded`, `CooldownEnded`, `TicketAssigned`,
//! `WorkStateChanged`, `WorkCompleted`, `TicketRequeued`, `TicketTransferred`, `WorkEnded`.

mod service;
mod start;
mod leases;
mod codec;
mod reactions;
mod error;
mod api;
mod tickets;

pub use api::{Api, server};

pub use service::RoutingService;
pub use start::{fold, start};
pub use tickets::open_tickets;
