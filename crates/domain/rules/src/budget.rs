//! What all filters of a workspace may take together.

use crate::{Rule, WORKSPACE_STEPS_MAX};

/// With a filter, those of its workspace could take more steps together than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the filters of the workspace could take more than {WORKSPACE_STEPS_MAX} steps together: this one {steps}, the others {others}"
)]
pub struct OverBudget {
    /// The steps of this filter.
    pub steps: u64,
    /// The steps of all others.
    pub others: u64,
}

/// Refuses a filter that, with all others of its workspace, could take more than [`WORKSPACE_STEPS_MAX`] steps. One
/// that takes no more than the one that it replaces is never refused.
pub fn check_budget<'a>(
    filter: Option<&Rule>,
    replaced: Option<&Rule>,
    others: impl IntoIterator<Item = &'a Rule>,
) -> Result<(), OverBudget> {
    let steps_of = |rule: &Rule| u64::from(rule.steps());
    let (steps, before) = (filter.map_or(0, steps_of), replaced.map_or(0, steps_of));
    let others = others.into_iter().map(steps_of).fold(0, u64::saturating_add);
    if steps <= before || steps.saturating_add(others) <= WORKSPACE_STEPS_MAX {
        return Ok(());
    }
    Err(OverBudget { steps, others })
}
