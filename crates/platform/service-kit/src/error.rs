//! Refusals: why a call was not served, and how that looks on the wire.
//!
//! Every reply that is not OK carries a `google.rpc.ErrorInfo` with a reason of the closed list in `errors.proto`; the
//! code follows from the reason by one table.

use std::fmt::Display;
use std::time::Duration;

use runtime::{
    Failure, FailureOf, Overload, REPETITIONS_MAX, Rejection, Service, WAITING_MAX,
    WAITING_OF_WORKSPACE_MAX,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use wire::common::v1::ErrorReason;

use crate::convert::rfc3339;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "switchyard";

/// The metadata of `NOT_LEADER` that holds the leader's address.
pub const LEADER: &str = "leader";

/// The metadata that says how many fields are refused beside those that are named.
const FIELDS_LEFT_OUT: &str = "fields_left_out";

/// When to try again, unless the refusal says otherwise.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many bytes of a refusal's message, of all its fields together, of a field's name, of its description and of a
/// value of its metadata are sent. All of it travels in one block of headers, the message twice and percent-encoded
/// once: less than 8 KiB in all, where the first clients give up (gRPC's C core; hyper does at 16 KiB).
const MESSAGE_MAX: usize = 512;
const FIELDS_MAX: usize = 1_536;
const FIELD_MAX: usize = 128;
const DESCRIPTION_MAX: usize = 256;
const VALUE_MAX: usize = 256;

/// The code of a reason.
pub const fn code_of(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidField
        | ErrorReason::ExpressionInvalid
        | ErrorReason::ExpressionTooCostly
        | ErrorReason::TemplateInvalid
        | ErrorReason::PageTokenInvalid
        | ErrorReason::ResumeTokenInvalid
        | ErrorReason::PositionInvalid
        | ErrorReason::HeaderInvalid
        | ErrorReason::MessageInvalid => Code::InvalidArgument,
        ErrorReason::WorkspaceNotFound
        | ErrorReason::TicketNotFound
        | ErrorReason::AgentNotFound
        | ErrorReason::QueueNotFound
        | ErrorReason::OfferNotFound
        | ErrorReason::EndpointNotFound
        | ErrorReason::PartitionNotFound
        | ErrorReason::NothingParked => Code::NotFound,
        ErrorReason::RequestIdReused
        | ErrorReason::TicketExists
        | ErrorReason::ExternalIdExists => Code::AlreadyExists,
        ErrorReason::RequestIdTooOld
        | ErrorReason::TicketClosed
        | ErrorReason::TicketStatus
        | ErrorReason::ReopenWindowOver
        | ErrorReason::OfferExpired
        | ErrorReason::OfferNotLive
        | ErrorReason::NotTheOwner
        | ErrorReason::TicketNotRoutable
        | ErrorReason::AgentAbsent
        | ErrorReason::PositionAhead
        | ErrorReason::LogGenerationChanged
        | ErrorReason::ClockNotManual
        | ErrorReason::InputNotApplicable
        | ErrorReason::SecretKeyMissing
        | ErrorReason::FilterBudgetExceeded => Code::FailedPrecondition,
        ErrorReason::OfferOfAnotherAgent => Code::PermissionDenied,
        ErrorReason::ResumeTokenExpired => Code::OutOfRange,
        ErrorReason::RevisionMismatch => Code::Aborted,
        ErrorReason::MessageTooLarge
        | ErrorReason::Overloaded
        | ErrorReason::LogFull
        | ErrorReason::SlowConsumer
        | ErrorReason::TooManyWatches
        | ErrorReason::LimitReached => Code::ResourceExhausted,
        ErrorReason::LogUnavailable
        | ErrorReason::OutcomeUnknown
        | ErrorReason::NotReady
        | ErrorReason::NotLeader
        | ErrorReason::ServerDraining
        | ErrorReason::PartitionHalted => Code::Unavailable,
        ErrorReason::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorReason::Unimplemented => Code::Unimplemented,
        ErrorReason::Unspecified | ErrorReason::Internal => Code::Internal,
    }
}

/// The reason as `ErrorInfo` carries it: `TICKET_NOT_FOUND`.
pub fn reason_text(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// Why a call was not served. Becomes a [`Status`] by `into()`.
#[derive(Debug, Clone)]
pub struct Refusal {
    reason: ErrorReason,
    message: String,
    metadata: Vec<(&'static str, String)>,
    fields: Vec<FieldViolation>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal for this reason. The message is for people; what it names belongs into the metadata too.
    pub fn of(reason: ErrorReason, message: impl Into<String>) -> Self {
        let temporary = matches!(code_of(reason), Code::Unavailable | Code::ResourceExhausted);
        let retry_after = temporary.then_some(RETRY_AFTER);
        let message = message.into();
        Self { reason, message, metadata: Vec::new(), fields: Vec::new(), retry_after }
    }

    /// A field that can't be used.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldViolation::new(field, description)])
    }

    /// Fields that can't be used.
    pub fn invalid_fields(fields: Vec<FieldViolation>) -> Self {
        let texts: Vec<_> =
            fields.iter().map(|field| format!("{} {}", field.field, field.description)).collect();
        let mut refusal = Self::of(ErrorReason::InvalidField, texts.join("; "));
        refusal.fields = fields;
        refusal
    }

    /// Adds to the metadata; see `errors.proto` for what each reason carries.
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.metadata.push((key, value.to_string()));
        self
    }

    /// Names the field that is to blame, beside the reason.
    pub fn at_field(mut self, field: impl Into<String>) -> Self {
        self.fields.push(FieldViolation::new(field, self.message.clone()));
        self
    }

    /// Says when to try again.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The reason.
    pub const fn reason(&self) -> ErrorReason {
        self.reason
    }

    /// The code.
    pub const fn code(&self) -> Code {
        code_of(self.reason)
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, message, mut metadata, fields, retry_after } = refusal;
        let all = fields.len();
        let fields = those_that_fit(fields);
        if fields.len() < all {
            metadata.push((FIELDS_LEFT_OUT, all.saturating_sub(fields.len()).to_string()));
        }
        let metadata =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), shortened(value, VALUE_MAX)));
        let mut details = ErrorDetails::with_error_info(
            reason_text(reason),
            DOMAIN,
            metadata.collect::<std::collections::HashMap<_, _>>(),
        );
        if !fields.is_empty() {
            details.set_bad_request(fields);
        }
        if retry_after.is_some() {
            details.set_retry_info(retry_after);
        }
        Self::with_error_details(code_of(reason), shortened(message, MESSAGE_MAX), details)
    }
}

/// The first of these that fit into an answer; always one.
fn those_that_fit(fields: Vec<FieldViolation>) -> Vec<FieldViolation> {
    let mut bytes = 0_usize;
    let each = fields.into_iter().map(|it| {
        let description = shortened(it.description, DESCRIPTION_MAX);
        FieldViolation { field: shortened(it.field, FIELD_MAX), description, ..it }
    });
    let fits = |it: &FieldViolation| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(it.field.len()).saturating_add(it.description.len());
        first || bytes <= FIELDS_MAX
    };
    each.take_while(fits).collect()
}

/// A text of at most so many bytes; one that was cut ends in `…`.
fn shortened(mut text: String, bytes_max: usize) -> String {
    const CUT: &str = "…";
    if text.len() > bytes_max {
        let room = bytes_max.saturating_sub(CUT.len());
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(CUT);
    }
    text
}

/// A domain's rejections, as refusals. Each service implements it for itself (the rejection is the domain crate's
/// type), by one exhaustive match.
pub trait Refuse: Service {
    /// The refusal.
    fn refuse(rejection: &Rejection<Self>) -> Refusal;
}

/// A failed call, as a refusal.
pub fn refuse_failure<S: Refuse>(failure: &FailureOf<S>) -> Refusal {
    use ErrorReason as Reason;
    match failure {
        Failure::Rejected(rejection) => S::refuse(rejection),
        Failure::RequestIdReused => {
            Refusal::of(Reason::RequestIdReused, "the request_id was used for another content")
        }
        Failure::RequestIdTooOld { horizon } => Refusal::of(
            Reason::RequestIdTooOld,
            "the request_id is older than what is remembered; the request may have been run",
        )
        .with("horizon", rfc3339(*horizon)),
        Failure::TooLarge => Refusal::of(
            Reason::MessageTooLarge,
            "what the call would write is larger than a record may be",
        )
        .with("limit_bytes", event_log::RECORD_MAX_BYTES),
        Failure::Overloaded(overload) => overloaded(*overload),
        Failure::LogFull => Refusal::of(Reason::LogFull, "the log or its disk is full"),
        Failure::LogUnavailable => {
            Refusal::of(Reason::LogUnavailable, "the log can't be reached; nothing was written")
        }
        Failure::OutcomeUnknown => Refusal::of(
            Reason::OutcomeUnknown,
            "whether it was written isn't known; retrying with the same request_id is safe",
        ),
        Failure::NotLeader { leader } => not_leader(leader.as_deref()),
        Failure::NotReady(reason) => Refusal::of(Reason::NotReady, reason.as_str()),
        Failure::Halted(reason) => Refusal::of(Reason::PartitionHalted, reason.as_str()),
        Failure::Draining => Refusal::of(Reason::ServerDraining, "the service is shutting down"),
    }
}

fn overloaded(overload: Overload) -> Refusal {
    let (scope, limit, message) = match overload {
        Overload::Partition => ("partition", WAITING_MAX, "too many calls are waiting"),
        Overload::Workspace => {
            ("workspace", WAITING_OF_WORKSPACE_MAX, "too many calls of the workspace are waiting")
        }
        Overload::Request => {
            ("request", REPETITIONS_MAX, "too many repetitions of the request are waiting")
        }
        Overload::Release => ("release", 1, "inputs of this entity are being released already"),
    };
    Refusal::of(ErrorReason::Overloaded, message).with("scope", scope).with("limit", limit)
}

fn not_leader(leader: Option<&str>) -> Refusal {
    let refusal = Refusal::of(ErrorReason::NotLeader, "another instance leads the partition");
    match leader {
        Some(leader) => refusal.with(LEADER, leader),
        None => refusal,
    }
}

/// A failed call, as a status.
pub fn status_of<S: Refuse>(failure: &FailureOf<S>) -> Status {
    refuse_failure::<S>(failure).into()
}

/// An error of ours: logged once, here, with its chain and an id that the caller gets.
pub fn internal(error: &dyn std::error::Error) -> Status {
    let id = uuid::Uuid::now_v7();
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(%id, error = chain, "a call failed");
    Refusal::of(ErrorReason::Internal, format!("internal error {id}")).with("id", id).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<ErrorReason> {
        (0..1_000).filter_map(|number| ErrorReason::try_from(number).ok()).collect()
    }

    /// The contract says each reason's code first thing in its comment; the table must say the same.
    #[test]
    fn every_reason_has_the_code_that_the_contract_documents() {
        let documented = include_str!("../../../../proto/switchyard/common/v1/errors.proto");
        let mut seen = 0;
        // The first line of the comment, which may have several.
        let mut comment = None;
        for line in documented.lines() {
            let line = line.trim();
            if let Some(text) = line.strip_prefix("// ") {
                comment.get_or_insert(text);
                continue;
            }
            let comment = comment.take();
            if let Some((name, _)) = line.split_once(" = ")
                && let Some(reason) = ErrorReason::from_str_name(name)
                && reason != ErrorReason::Unspecified
            {
                let (code, _) = comment.and_then(|text| text.split_once(':')).unwrap();
                let camel = format!("{:?}", code_of(reason));
                assert_eq!(camel.to_uppercase(), code.replace('_', ""), "{name}");
                seen += 1;
            }
        }
        assert_eq!(seen, all().len() - 1);
    }

    #[test]
    fn a_status_carries_its_details() {
        let status = Status::from(
            Refusal::of(ErrorReason::TicketNotFound, "no ticket `T1`").with("ticket_id", "T1"),
        );
        assert_eq!(status.code(), Code::NotFound);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("TICKET_NOT_FOUND", DOMAIN));
        assert_eq!(info.metadata["ticket_id"], "T1");
        assert!(details.retry_info().is_none());

        let status = Status::from(Refusal::invalid("subject", "must not be empty"));
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "subject");

        for reason in all() {
            let status = Status::from(Refusal::of(reason, "x"));
            let retry = status.get_error_details().retry_info().is_some();
            let wanted = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
            assert_eq!(retry, wanted, "{reason:?}");
        }
    }

    #[test]
    fn whatever_is_wrong_an_answer_s_headers_are_small_and_say_what_they_leave_out() {
        let field = |number| FieldViolation::new(format!("tags[{number}]"), "\n🦀".repeat(50));
        let fields = (0..100).map(field).chain([FieldViolation::new("f".repeat(900), "é")]);
        let refusal = Refusal::invalid_fields(fields.collect()).with("tag", "\u{1}".repeat(9_000));
        let status = Status::from(refusal);
        let details = status.get_error_details();
        let named = details.bad_request().unwrap().field_violations.len();
        assert!(named > 1, "{named}");
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!(metadata["fields_left_out"], (101 - named).to_string());
        assert!(status.message().ends_with('…') && metadata["tag"].ends_with('…'), "{metadata:?}");
        let answer = status.into_http::<()>();
        let bytes = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + 32
        };
        let bytes: usize = answer.headers().iter().map(bytes).sum();
        assert!(bytes < 8 * 1_024, "{bytes}");

        let long = Status::from(Refusal::invalid("f".repeat(900), "é".repeat(900)));
        let violations = long.get_error_details().bad_request().unwrap().field_violations.clone();
        assert_eq!(violations.len(), 1);
        assert!(violations[0].field.ends_with('…') && violations[0].description.ends_with('…'));
    }
}
