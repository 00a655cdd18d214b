//! Whether an answer is one that the contract allows.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::StatusCode;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use wire::common::v1::ErrorReason;

use super::plan::{Planned, Way};
use super::wire::Answer;

/// What became of a call.
#[derive(Debug)]
pub(super) enum Became {
    /// It was served.
    Served(Vec<Bytes>),
    /// It was refused, and has changed nothing.
    Refused(ErrorReason),
    /// Nobody can say whether it was served.
    Unsure,
}

/// Judges an answer. An error is a fault of the server.
pub(super) fn judge(
    method: &MethodDescriptor,
    planned: &Planned,
    answer: Answer,
) -> anyhow::Result<Became> {
    match answer {
        Answer::Served(messages) => {
            let whole = method.is_server_streaming() || messages.len() == 1;
            ensure!(whole, "{} messages where one is promised", messages.len());
            Ok(Became::Served(messages))
        }
        Answer::Refused(status) => {
            let reason = reason_of(&status)?;
            check_details(method, reason, &status)?;
            let unsure =
                matches!(reason, ErrorReason::DeadlineExceeded | ErrorReason::OutcomeUnknown);
            Ok(if unsure { Became::Unsure } else { Became::Refused(reason) })
        }
        // What is none of gRPC gets an answer that is none.
        Answer::Http(status) => {
            let known = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNSUPPORTED_MEDIA_TYPE];
            ensure!(planned.way == Way::Header && known.contains(&status), "HTTP {status}");
            Ok(Became::Refused(ErrorReason::HeaderInvalid))
        }
        Answer::Broken(how) => bail!("no answer: {how}"),
    }
}

/// The reason that a refusal names: one of the contract's, and with the code that it has there.
fn reason_of(status: &Status) -> anyhow::Result<ErrorReason> {
    let code = status.code();
    let faulty = [Code::Internal, Code::Unknown, Code::DataLoss, Code::Cancelled];
    ensure!(!faulty.contains(&code), "a code that says the fault is the server's");
    let details = status.get_error_details();
    let info = details.error_info().context("no ErrorInfo")?;
    ensure!(info.domain == "switchyard", "domain {}", info.domain);
    let name = format!("ERROR_REASON_{}", info.reason);
    let reason = ErrorReason::from_str_name(&name).context("a reason that errors.proto lacks")?;
    ensure!(reason != ErrorReason::Unspecified, "no reason");
    let wanted = service_kit::code_of(reason);
    ensure!(code == wanted, "{reason:?} goes with {wanted:?}");
    ensure!(!status.message().is_empty(), "no message");
    Ok(reason)
}

/// A field that is refused is one of the request's.
fn check_details(
    method: &MethodDescriptor,
    reason: ErrorReason,
    status: &Status,
) -> anyhow::Result<()> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
    let violations = violations.unwrap_or_default();
    ensure!(reason != ErrorReason::InvalidField || !violations.is_empty(), "no field is named");
    for violation in violations {
        let first = violation.field.split(['.', '[']).next().unwrap_or_default();
        let input = method.input();
        let known = input.get_field_by_name(first).is_some()
            || input.oneofs().any(|oneof| oneof.name() == first);
        ensure!(known, "the request has no field `{}`", violation.field);
        ensure!(!violation.description.is_empty(), "`{}` has no description", violation.field);
    }
    Ok(())
}

/// The replies, decoded: each must be what the contract says.
pub(super) fn replies(
    method: &MethodDescriptor,
    messages: &[Bytes],
) -> anyhow::Result<Vec<DynamicMessage>> {
    let decoded =
        messages.iter().map(|bytes| DynamicMessage::decode(method.output(), bytes.clone()));
    Ok(decoded.collect::<Result<_, _>>()?)
}
