//! How a log is named: whose it is, and which partition.

use std::borrow::Cow;
use std::fmt;

use crate::OpenError;

/// The longest service name, in bytes.
const SERVICE_MAX_BYTES: usize = 32;

/// The name of a log: the service that owns it and the partition it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    /// The owner: 1 to 32 lower-case ASCII letters and digits, a letter first.
    pub service: Cow<'static, str>,
    /// The partition, from 0.
    pub partition: u16,
}

impl LogName {
    /// Names a log. Nothing is checked here; [`LogName::check`] is called by whoever opens it.
    pub fn new(service: impl Into<Cow<'static, str>>, partition: u16) -> Self {
        Self { service: service.into(), partition }
    }

    /// Refuses a name that some log could not carry, with [`OpenError::BadName`].
    pub fn check(&self) -> Result<(), OpenError> {
        let bad = |reason| OpenError::BadName { name: self.service.to_string(), reason };
        if self.service.is_empty() || self.service.len() > SERVICE_MAX_BYTES {
            return Err(bad("1 to 32 characters are allowed"));
        }
        if !self.service.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(bad("the first character is a lower-case letter"));
        }
        if !self.service.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            return Err(bad("only lower-case letters and digits are allowed"));
        }
        Ok(())
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:02}", self.service, self.partition)
    }
}
