//! What a refusal of the rules looks like on the wire.

use notify::Rejection;
use service_kit::filter::refuse_over_budget;
use service_kit::{Refusal, Refuse};
use wire::common::v1::ErrorReason;

use crate::NotifyService;

impl Refuse for NotifyService {
    fn refuse(rejection: &Rejection) -> Refusal {
        let text = rejection.to_string();
        match rejection {
            Rejection::WorkspaceUnknown(id) => {
                Refusal::of(ErrorReason::WorkspaceNotFound, text).with("workspace", id)
            }
            Rejection::EndpointUnknown(id) => {
                Refusal::of(ErrorReason::EndpointNotFound, text).with("endpoint_id", id)
            }
            Rejection::FilterBudget(over) => refuse_over_budget(over, "rule.filter"),
            Rejection::TemplateInvalid(error) => Refusal::of(ErrorReason::TemplateInvalid, text)
                .with("template_error", error)
                .at_field("rule.template"),
            Rejection::TemplatesTooCostly { .. } => {
                Refusal::of(ErrorReason::ExpressionTooCostly, text)
                    .with("limit", notify::STEPS_MAX_TYPE)
                    .at_field("rule.template")
            }
            Rejection::RevisionMismatch { expected, actual } => {
                Refusal::of(ErrorReason::RevisionMismatch, text)
                    .with("expected", expected)
                    .with("actual", actual)
            }
            Rejection::LimitReached { limit } => {
                Refusal::of(ErrorReason::LimitReached, text).with("limit", limit)
            }
        }
    }
}
