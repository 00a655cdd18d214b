//! Why not.

use kernel::{TicketId, WorkspaceId};
use rules::OverBudget;

use crate::POLICIES_MAX;

/// The fact that stood in the way.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// No such workspace.
    #[error("workspace {0} does not exist")]
    UnknownWorkspace(WorkspaceId),
    /// No such ticket.
    #[error("ticket {0} does not exist")]
    UnknownTicket(TicketId),
    /// The workspace has as many policies as it may.
    #[error("a workspace has at most {POLICIES_MAX} policies")]
    TooManyPolicies,
    /// The policy isn't as the caller believes.
    #[error("the policy's revision is {actual}, not {expected}")]
    RevisionMismatch {
        /// What the caller expected.
        expected: u64,
        /// What it is; 0: there is no such policy.
        actual: u64,
    },
    /// The filters of the workspace's policies could take too many steps together.
    #[error(transparent)]
    FilterBudget(#[from] OverBudget),
}
