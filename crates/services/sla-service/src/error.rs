//! Refusals: what each rejection is on the wire.

use service_kit::filter::refuse_over_budget;
use service_kit::{Refusal, Refuse};
use sla::{POLICIES_MAX, Rejection};
use wire::common::v1::ErrorReason as Reason;

use crate::SlaService;

impl Refuse for SlaService {
    fn refuse(rejection: &Rejection) -> Refusal {
        let text = rejection.to_string();
        match rejection {
            Rejection::UnknownWorkspace(id) => {
                Refusal::of(Reason::WorkspaceNotFound, text).with("workspace", id)
            }
            Rejection::UnknownTicket(id) => {
                Refusal::of(Reason::TicketNotFound, text).with("ticket_id", id)
            }
            Rejection::TooManyPolicies => {
                Refusal::of(Reason::LimitReached, text).with("limit", POLICIES_MAX)
            }
            Rejection::RevisionMismatch { expected, actual } => {
                Refusal::of(Reason::RevisionMismatch, text)
                    .with("expected", expected)
                    .with("actual", actual)
            }
            Rejection::FilterBudget(over) => refuse_over_budget(over, "policy.filter"),
        }
    }
}
