//! Rules in CEL: compiled once, refused if they could be costly, and never a surprise when they run.
//!
//! ```text
//! text ──compile──▶ Rule ──matches(&Facts)──▶ True | False | Missing
//! ```
//!
//! A rule is a pure function of the facts that it is given. What can't be evaluated is never an error: a name that the facts lack
//! makes the verdict [`Verdict::Missing`], which counts as false, and anything else that goes wrong makes it false.
//!
//! **Invariant:** no rule iterates over a map (its order would differ from run to run), and none runs a loop within a loop.

mod cost;
mod facts;
mod rule;
mod scan;
mod ticket;

pub use cost::{DEPTH_MAX, LENGTH_MAX, LIST_MAX, MATCHES_MAX, PATTERN_MAX};
pub use facts::{Facts, Value};
pub use rule::{Rule, RuleError, Verdict};
pub use scan::NESTING_MAX;
pub use ticket::{TICKET, TicketView, ticket_facts};
