//! The life of tickets: opened, talked about, waited on, resolved, reopened, closed.
//!
//! ```text
//!            work started              waits            taken up, or the customer replied
//!   new ─────────────────▶ open ───────────────▶ pending · on_hold ───────────────▶ open
//!    │                      │  ▲                      │
//!    │        resolved      ▼  │ reopened             │        (any status can be closed; a closed
//!    └────────────────▶ resolved ◀────────────────────┘         ticket reopens for 7 days, and is
//!                           │                                   followed up by a new one afterwards)
//!                           ▼ closed
//!                         closed
//! ```
//!
//! **Invariant:** the state keeps no message body; what was said is in the log alone.

pub mod event;
pub mod state;
pub mod command;
mod rejection;
mod decide;
mod evolve;

pub use command::Command;
pub use decide::Intake;
pub use event::Event;
pub use rejection::Rejection;
pub use state::{Details, Filter, State, Ticket, Workspace};

/// How far in the past a caller may say that something happened: 7 days, in milliseconds.
pub const BACKDATING_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How far ahead of the service's clock a caller's clock may be: 5 s, in milliseconds.
pub const CLOCK_AHEAD_MAX_MS: u64 = 5_000;

/// How long a closed ticket may be reopened: 7 days, in milliseconds.
pub const REOPEN_WINDOW_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The reason of a status that a customer's message changed.
pub const CUSTOMER_REPLIED: &str = "customer_replied";

/// The reason of a ticket's first step from new to open.
pub const WORK_STARTED: &str = "work_started";

/// The reason of a status that routing's `WorkCompleted` asked for.
pub const WORK_COMPLETED: &str = "work_completed";
