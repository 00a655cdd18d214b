//! Intake: tickets and their conversation.
//!
//! # Owns
//! Workspaces, and the tickets in them: who asks, what was said, where each is in its life. The rules are in
//! [`intake`].
//!
//! # Serves
//! `switchyard.intake.v1.IntakeService`. Reads see committed state alone. A timeline is read from all four logs of a
//! partition.
//!
//! # Listens to
//! Routing: the queue (`TicketQueued`, `TicketRequeued`, `TicketTransferred`), the owner (`OfferAccepted`,
//! `TicketAssigned`) and the outcome of work (`WorkCompleted`).
//!
//! # Publishes
//! `WorkspacePut`, `TicketOpened`, `MessageAdded`, `TicketUpdated`, `StatusChanged`, `OwnerChanged`.

mod service;
mod start;
mod api;
mod error;
mod codec;
mod reactions;
mod timeline;
mod tickets;

pub use api::{Api, server};
pub use service::IntakeService;
pub use start::{fold, start};
pub use tickets::unknown_tickets;
