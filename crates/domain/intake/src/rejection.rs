//! Why intake says no.

use kernel::{TicketId, TicketStatus, WorkspaceId};

/// The fact that stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such workspace.
    #[error("there is no workspace {workspace}")]
    WorkspaceNotFound {
        /// The one that was named.
        workspace: WorkspaceId,
    },
    /// The workspace has no such ticket.
    #[error("there is no ticket {ticket} in this workspace")]
    TicketNotFound {
        /// The one that was named.
        ticket: TicketId,
    },
    /// The workspace has another ticket with this id.
    #[error("there is a ticket {ticket} already")]
    TicketExists {
        /// The id.
        ticket: TicketId,
    },
    /// The workspace has another ticket with this external id.
    #[error("ticket {ticket} has the external id {external_id} already")]
    ExternalIdExists {
        /// The external id.
        external_id: Box<str>,
        /// Whose it is.
        ticket: TicketId,
    },
    /// The ticket is closed.
    #[error("ticket {ticket} is closed")]
    TicketClosed {
        /// The ticket.
        ticket: TicketId,
    },
    /// The ticket's status doesn't allow this step.
    #[error("ticket {ticket} is {}, which does not allow this step", status.as_str())]
    TicketStatus {
        /// The ticket.
        ticket: TicketId,
        /// Its status.
        status: TicketStatus,
    },
    /// The ticket was closed too long ago to be reopened.
    #[error("ticket {ticket} was closed more than 7 days ago")]
    ReopenWindowOver {
        /// The ticket.
        ticket: TicketId,
    },
    /// The entity has another revision.
    #[error("the revision is {actual}, not {expected}")]
    RevisionMismatch {
        /// The one that the caller expected.
        expected: u64,
        /// The one that it has; 0: it isn't there.
        actual: u64,
    },
}
