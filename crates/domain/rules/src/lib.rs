//! Rules in CEL: compiled once, refused if they could be costly, and never a surprise when they run.
//!
//! ```text
//! text ──compile──▶ Rule ──matches(&Facts)──▶ True | False | Missing
//!                   │  ▲
//!                   ▼  │  in facts and snapshots
//!                  CheckedRule
//! ```
//!
//! A rule is a pure function of the facts that it is given. What can't be evaluated is never an error: a name that the
//! facts lack makes the verdict [`Verdict::Missing`], which counts as false, and anything else that goes wrong makes it
//! false.
//!
//! What a rule costs is counted in steps (`steps.rs` has the model): at most [`STEPS_MAX`] an evaluation, whatever the
//! facts, and [`WORKSPACE_STEPS_MAX`] for all filters of a workspace in one service.
//!
//! **Invariant:** no rule iterates over a map, and none runs a loop within a loop. **Invariant:** of the crate `cel`
//! only the parser is used, and only in `parse.rs`; nothing that was compiled once is parsed again.

mod bound;
mod budget;
mod eval;
mod extent;
mod facts;
mod function;
mod parse;
mod pattern;
mod rule;
mod scan;
mod shape;
mod steps;
mod stored;
mod ticket;
mod tree;
#[cfg(test)]
mod tests;

pub use budget::{OverBudget, check_budget};
pub use facts::{Facts, Value};
pub use pattern::{MATCHES_MAX, PATTERN_MAX, TABLE_MAX};
pub use rule::{Rule, RuleError, Verdict, exceeded};
pub use scan::NESTING_MAX;
pub use shape::{Names, Shape};
pub use steps::{STEPS_MAX, WORKSPACE_STEPS_MAX};
pub use stored::{CheckedRule, CheckedRuleError, TreeNode};
pub use ticket::{TICKET, TicketView, ticket_facts};

/// The longest rule, in characters.
pub const LENGTH_MAX: usize = 1_000;
/// The longest list or map, literal or of facts, in elements.
pub const LIST_MAX: usize = 100;
/// The deepest expression.
pub const DEPTH_MAX: usize = 24;
