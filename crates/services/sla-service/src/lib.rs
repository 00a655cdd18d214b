//! Sla: the promises made to customers.
//!
//! # Owns
//! Policies, and the clocks of every ticket. The rules are in [`sla`].
//!
//! # Serves
//! `switchyard.sla.v1.SlaService`. Reads see committed state alone.
//!
//! # Listens to
//! Intake: `WorkspacePut`, `TicketOpened`, `TicketUpdated`, `MessageAdded`, `StatusChanged`, `OwnerChanged`. Routing:
//! the queue (`TicketQueued`, `TicketRequeued`). Only intake's facts move clocks, so the figures don't depend on the
//! order between the two.
//!
//! # Publishes
//! `WorkspaceNoted`, `PolicyPut`, `PoliciesApplied`, `TicketNoted`, and the facts of clocks: `ClockStarted`,
//! `ClockPaused`, `ClockResumed`, `ClockRetargeted`, `ClockWarned`, `ClockMet`, `ClockBreached`,
//! `ClockStoppedAfterBreach`, `BreachRetracted`, `ClockCancelled`, `ClockReopened`.

mod service;
mod start;
mod api;
mod codec;
mod reactions;
mod error;
mod tickets;

pub use api::{Api, server};
pub use service::SlaService;
pub use start::{fold, start};
pub use tickets::open_tickets;
