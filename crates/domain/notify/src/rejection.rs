//! Why not.

use kernel::{EndpointId, WorkspaceId};
use rules::OverBudget;

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
    /// The template doesn't compile, or uses a name that isn't there.
    #[error("the template can't be used: {0}")]
    TemplateInvalid(String),
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
