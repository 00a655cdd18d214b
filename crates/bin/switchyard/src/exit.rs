//! How the program ends: exit codes, and the one line that says why.

use std::fmt::Write as _;
use std::process::ExitCode;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed
   2  wrong usage
   4  not allowed
   5  not found
   6  conflict: it exists with other content, or its state does not allow this
   7  unavailable, or too slow
  78  bad configuration";

const FAILED: u8 = 1;
const NOT_ALLOWED: u8 = 4;
const NOT_FOUND: u8 = 5;
const CONFLICT: u8 = 6;
const UNAVAILABLE: u8 = 7;
/// `EX_CONFIG` of sysexits.
pub(crate) const BAD_CONFIGURATION: u8 = 78;

/// The configuration can't be used, and trying again won't help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadConfiguration(pub(crate) String);

/// No server answers at an address.
#[derive(Debug, thiserror::Error)]
#[error("no server answers at {address}")]
pub(crate) struct Unreachable {
    /// Where it was looked for.
    pub(crate) address: String,
    #[source]
    pub(crate) source: tonic::transport::Error,
}

/// Something that is needed can't be reached now; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("try again later")]
pub(crate) struct Unavailable;

/// What was asked for can't be as things stand; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// Makes a configuration error.
pub(crate) fn bad_configuration(text: impl Into<String>) -> anyhow::Error {
    BadConfiguration(text.into()).into()
}

/// The exit code of an error.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    let code = error.chain().find_map(|cause| {
        if cause.is::<BadConfiguration>() {
            return Some(BAD_CONFIGURATION);
        }
        if cause.is::<Refused>() {
            return Some(CONFLICT);
        }
        if cause.is::<Unreachable>() || cause.is::<Unavailable>() {
            return Some(UNAVAILABLE);
        }
        cause.downcast_ref::<Status>().map(|status| of_status(status.code()))
    });
    code.unwrap_or(FAILED).into()
}

fn of_status(code: Code) -> u8 {
    match code {
        Code::Unauthenticated | Code::PermissionDenied => NOT_ALLOWED,
        Code::NotFound => NOT_FOUND,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => CONFLICT,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => UNAVAILABLE,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => FAILED,
    }
}

/// The whole chain in one line; a status as its reason, message and fields.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error
        .chain()
        .map(|cause| cause.downcast_ref::<Status>().map_or_else(|| cause.to_string(), of_refusal))
        .collect();
    parts.join(": ")
}

fn of_refusal(status: &Status) -> String {
    let details = status.get_error_details();
    let reason = details
        .error_info()
        .map_or_else(|| format!("{:?}", status.code()), |info| info.reason.clone());
    let mut text = format!("{reason}: {}", status.message());
    for field in details.bad_request().iter().flat_map(|bad| &bad.field_violations) {
        // Mostly the message says the same.
        if !status.message().contains(&field.description)
            || !status.message().contains(&field.field)
        {
            // Writing to a string can't fail.
            write!(text, "; {}: {}", field.field, field.description).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_refusal_keeps_its_code_through_contexts() {
        let error = Err::<(), _>(Status::not_found("no such ticket")).context("ticket 7");
        let error = error.unwrap_err();
        assert_eq!(code_of(&error), ExitCode::from(NOT_FOUND));
        assert_eq!(describe(&error), "ticket 7: NotFound: no such ticket");
        assert_eq!(code_of(&bad_configuration("x")), ExitCode::from(BAD_CONFIGURATION));
    }
}
