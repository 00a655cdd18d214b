//! Rejections as callers see them.

use routing::Rejection;
use routing::words::OfferEnd;
use service_kit::filter::refuse_over_budget;
use service_kit::{Refusal, Refuse};
use wire::common::v1::ErrorReason as Reason;

use crate::RoutingService;

impl Refuse for RoutingService {
    fn refuse(rejection: &Rejection) -> Refusal {
        let of = |reason| Refusal::of(reason, rejection.to_string());
        match rejection {
            Rejection::WorkspaceNotFound(id) => of(Reason::WorkspaceNotFound).with("workspace", id),
            Rejection::AgentNotFound(id) => of(Reason::AgentNotFound).with("agent_id", id),
            Rejection::QueueNotFound(id) => of(Reason::QueueNotFound).with("queue_id", id),
            Rejection::OfferNotFound(id) => of(Reason::OfferNotFound).with("offer_id", id),
            Rejection::OfferExpired(id) => of(Reason::OfferExpired).with("offer_id", id),
            Rejection::OfferNotLive(id, end) => of(Reason::OfferNotLive)
                .with("offer_id", id)
                .with("state", end.map_or("over", OfferEnd::as_str)),
            Rejection::OfferOfAnotherAgent(id) => {
                of(Reason::OfferOfAnotherAgent).with("offer_id", id)
            }
            Rejection::NotTheOwner(ticket, agent) => {
                of(Reason::NotTheOwner).with("ticket_id", ticket).with("agent_id", agent)
            }
            Rejection::TicketNotRoutable(id) => of(Reason::TicketNotRoutable).with("ticket_id", id),
            Rejection::RevisionMismatch { expected, actual } => {
                of(Reason::RevisionMismatch).with("expected", expected).with("actual", actual)
            }
            Rejection::LimitReached(limit) => of(Reason::LimitReached).with("limit", limit),
            Rejection::FilterBudget(over) => refuse_over_budget(over, "queue.filter"),
        }
    }
}
