//! Why not.

use kernel::{EndpointId, WorkspaceId};
use rules::OverBudget;

use crate::STEPS_MAX_TYPE;

/// The fact that stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Notify doesn't know the workspace.
    #[error("no workspace `{0}`")]
    WorkspaceUnknown(WorkspaceId),
    /// The rule names an endpoint that doesn't exist.
    #[error("no endpoint `{0}`")]
    EndpointUnknown(EndpointId),
    /// The filters of the workspace's rules could take too many steps together.
    #[error(transparent)]
    FilterBudget(#[from] OverBudget),
    /// The template holds what is not allowed, uses a name that isn't there, or could be costly.
    #[error("the template can't be used: {0}")]
    TemplateInvalid(String),
    /// The workspace's templates for one type of event would be too costly together.
    #[error(
        "the template could take {steps} steps, and the workspace's others for one of its event types {others}; \
         together {STEPS_MAX_TYPE} are allowed"
    )]
    TemplatesTooCostly {
        /// What this one could take.
        steps: u64,
        /// What the others could, for the costliest of its types.
        others: u64,
    },
    /// The entity has another revision.
    #[error("the revision is {actual}, not {expected}")]
    RevisionMismatch {
        /// What the caller expected.
        expected: u64,
        /// What it is; 0: the entity doesn't exist.
        actual: u64,
    },
    /// The workspace has as many as it may.
    #[error("a workspace may have at most {limit}")]
    LimitReached {
        /// How many.
        limit: u64,
    },
}
