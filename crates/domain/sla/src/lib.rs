//! The promises made to customers: policies, and the clocks that measure whether they are kept.
//!
//! ```text
//!             ┌──────────── reopened ────────────┐
//!             ▼                                  │
//! started → running ⇄ paused ──▶ met ────────────┤
//!             │         │  └───▶ cancelled ──────┤
//!             ▼         ▼                        │
//!            breached (runs on, measures the overrun) ──▶ stopped after breach
//!             └─ a stop from before it, learnt late ──▶ met (breach retracted)
//! ```
//!
//! A changed policy reaches the open tickets in steps, a *sweep*: the change is one fact, and then each step is a
//! decision of its own that ends with how far the sweep has come ([`Event::PoliciesApplied`]). What happens to a ticket
//! that was not reached yet first brings that ticket up to the change; what is due on it, too. So whoever decides about
//! a clock, and when, it is by the policies that held at that instant. A newer change takes the place of one that is
//! still on its way.
//!
//! Clocks compute on the instant at which something happened, not on the one at which it was learnt. They measure wall
//! time. **Invariants:** a breach is decided once per clock, and never before its due instant; no warning while a clock
//! stands still or after its breach.

mod metric;
mod policy;
mod event;
mod clock;
mod ticket;
mod state;
mod evolve;
mod command;
mod rejection;
mod decide;

pub use clock::{Clock, ClockState, Phase};
pub use command::{Command, PolicyDraft, TraitsUpdate};
pub use decide::Sla;
pub use event::{BreachCause, CancelReason, Change, Event, TicketNote};
pub use metric::{ClockKey, Metric, clock_id, parse_clock_id};
pub use policy::{Policy, PolicySpec, Targets};
pub use rejection::Rejection;
pub use state::{Counts, State, Sweep, Sweeps, Workspace};
pub use ticket::{Ticket, Traits};

/// How long after a due instant its breach is decided, in milliseconds: what happened before it may still be on its
/// way.
pub const CONFIRM_MS: u64 = 100;
/// How many policies a workspace may have.
pub const POLICIES_MAX: usize = 100;
/// How many cycles of `next_reply` a ticket keeps one by one; older ones live on in the counts alone.
pub const CYCLES_KEPT: usize = 20;
/// How many tickets one step of a sweep takes at most. Beside the facts about them, a record has room for others'
/// facts.
pub const SWEEP_TICKETS_MAX: usize = 50;
/// How many steps of filters (`rules` counts them) one step of a sweep may take at most, unless one ticket alone takes
/// more: about half a millisecond, so that a command that comes meanwhile waits for little.
pub const SWEEP_RULE_STEPS_MAX: u64 = 100_000;
