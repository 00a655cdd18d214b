//! Intake's refusals: each rejection with its reason.

use intake::Rejection;
use service_kit::{Refusal, Refuse};
use wire::common::v1::ErrorReason as Reason;

use crate::IntakeService;

impl Refuse for IntakeService {
    fn refuse(rejection: &Rejection) -> Refusal {
        let because = |reason| Refusal::of(reason, rejection.to_string());
        match rejection {
            Rejection::WorkspaceNotFound { workspace } => {
                because(Reason::WorkspaceNotFound).with("workspace", workspace)
            }
            Rejection::TicketNotFound { ticket } => {
                because(Reason::TicketNotFound).with("ticket_id", ticket)
            }
            Rejection::TicketExists { ticket } => {
                because(Reason::TicketExists).with("ticket_id", ticket)
            }
            Rejection::ExternalIdExists { external_id, ticket } => {
                let taken = because(Reason::ExternalIdExists);
                taken.with("external_id", external_id).with("ticket_id", ticket)
            }
            Rejection::TicketClosed { ticket } => {
                because(Reason::TicketClosed).with("ticket_id", ticket)
            }
            Rejection::TicketStatus { ticket, status } => {
                let wrong = because(Reason::TicketStatus).with("ticket_id", ticket);
                wrong.with("status", status.as_str())
            }
            Rejection::ReopenWindowOver { ticket } => {
                because(Reason::ReopenWindowOver).with("ticket_id", ticket)
            }
            Rejection::RevisionMismatch { expected, actual } => {
                let stale = because(Reason::RevisionMismatch).with("expected", expected);
                stale.with("actual", actual)
            }
        }
    }
}
