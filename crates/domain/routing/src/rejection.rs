//! Why not.

use kernel::{AgentId, OfferId, QueueId, TicketId, WorkspaceId};
use rules::OverBudget;

use crate::words::OfferEnd;

/// The fact that stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Routing doesn't know the workspace.
    #[error("no workspace {0}")]
    WorkspaceNotFound(WorkspaceId),
    /// No such agent.
    #[error("no agent {0}")]
    AgentNotFound(AgentId),
    /// No such queue.
    #[error("no queue {0}")]
    QueueNotFound(QueueId),
    /// No such offer was ever made.
    #[error("no offer {0}")]
    OfferNotFound(OfferId),
    /// The deadline has passed.
    #[error("offer {0} has expired")]
    OfferExpired(OfferId),
    /// The offer is over; how it ended, unless that was long ago.
    #[error("offer {0} is over")]
    OfferNotLive(OfferId, Option<OfferEnd>),
    /// The offer was made to someone else.
    #[error("offer {0} was made to another agent")]
    OfferOfAnotherAgent(OfferId),
    /// The agent doesn't own the ticket.
    #[error("agent {1} does not own ticket {0}")]
    NotTheOwner(TicketId, AgentId),
    /// Routing holds no open work of that name.
    #[error("ticket {0} is not open work")]
    TicketNotRoutable(TicketId),
    /// The revision isn't the expected one.
    #[error("the revision is {actual}, not {expected}")]
    RevisionMismatch {
        /// What was expected.
        expected: u64,
        /// What it is; 0: it doesn't exist.
        actual: u64,
    },
    /// The workspace holds as many of these as it may.
    #[error("a workspace holds at most {0} of these")]
    LimitReached(usize),
    /// The filters of the workspace's queues could take too many steps together.
    #[error(transparent)]
    FilterBudget(#[from] OverBudget),
}
