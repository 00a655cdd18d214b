//! A value that a log holds and this build doesn't know.

use std::fmt::Display;

use runtime::{DecodeError, InputError};

/// A value that the log holds and this build doesn't know: a later release wrote it, or somebody else. In one's own log
/// it stops the partition; an event of another service that holds it is set aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {found} is unknown")]
pub struct UnknownValue {
    what: &'static str,
    found: String,
}

impl UnknownValue {
    /// `what` it is, and what was found instead: nothing that a customer wrote, for it is logged.
    pub fn of(what: &'static str, found: impl Display) -> Self {
        Self { what, found: found.to_string() }
    }
}

impl From<UnknownValue> for InputError {
    fn from(unknown: UnknownValue) -> Self {
        Self(unknown.to_string())
    }
}

impl From<UnknownValue> for DecodeError {
    fn from(unknown: UnknownValue) -> Self {
        Self::Malformed(unknown.to_string())
    }
}
