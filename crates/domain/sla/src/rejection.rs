//! Why not.

use kernel::{TicketId, WorkspaceId};
use rules::RuleError;

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
    /// The filter is no rule.
    #[error("the filter can't be used")]
    Filter(#[source] RuleError),
}
