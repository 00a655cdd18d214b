//! What can go wrong with a log, and what the caller then knows.

use std::error::Error;

use crate::{LogName, Seq};

/// The failure underneath, kept for the operator. No one decides on it.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a log couldn't be opened, created or listed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such log, or it has no record yet. Create it.
    #[error("the log {name} does not exist")]
    Missing {
        /// The log asked for.
        name: LogName,
    },
    /// The name has characters that can't be part of a log's name.
    #[error("{name:?} is not a name for a log: {reason}")]
    BadName {
        /// The service part as it was given.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// Another process has the log's place open.
    #[error("{place} is in use by another process")]
    InUse {
        /// The directory.
        place: String,
    },
    /// The place was written by a version that this one can't read.
    #[error("{place} holds format {found}, this program reads {supported}")]
    OtherVersion {
        /// The directory.
        place: String,
        /// What was found there.
        found: String,
        /// What this program supports.
        supported: String,
    },
    /// The log is there but not set up as a log must be; appending to it could lose records.
    #[error("the log {name} is not set up as it must be: {reason}")]
    Misconfigured {
        /// The log asked for.
        name: LogName,
        /// What differs.
        reason: String,
    },
    /// What holds the log, or the log itself, is damaged. Trying again won't help.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The file or the log.
        what: String,
        /// What gave it away.
        reason: String,
    },
    /// The genesis record is longer than a record may be.
    #[error("a genesis record of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit, [`crate::RECORD_MAX_BYTES`].
        max: usize,
    },
    /// Whoever keeps the log doesn't let us in. Trying again won't help.
    #[error("access to the log is denied")]
    Denied(#[source] Cause),
    /// The log can't be reached or doesn't work now. Trying again may help.
    #[error("the log is unavailable")]
    Unavailable(#[source] Cause),
}

/// Why an append failed, and whether the record may be in the log all the same.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Not written: the last record is another one than the fence says. Someone else has written, or
    /// an earlier attempt of this very append has.
    #[error("refused by the fence: the last record is {last}")]
    Fenced {
        /// The last record's number when the log looked.
        last: Seq,
    },
    /// May or may not be written, now or later. Read `fence + 1` to find out.
    #[error("the append's outcome is unknown")]
    Unknown(#[source] Cause),
    /// Not written: a limit of the log, or its disk, is full.
    #[error("the log is full")]
    Full,
    /// Certainly not written, nor will it be: it never left this process, or the log refused it.
    #[error("the log is unavailable, nothing was written")]
    Unavailable(#[source] Cause),
    /// Not written: the record is longer than a record may be.
    #[error("a record of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// The record's length.
        bytes: usize,
        /// The limit, [`crate::RECORD_MAX_BYTES`].
        max: usize,
    },
}

/// Why reading, following or trimming failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A record that must be there isn't, in any copy of the log.
    #[error("record {expected} is missing, the next one is {found}")]
    Gap {
        /// The missing record's number.
        expected: Seq,
        /// The next number that is there, or `last + 1`.
        found: Seq,
    },
    /// The log ends before a record that this reader has already had: history was lost.
    #[error("the log went backwards: record {had} was read, now it ends at {last}")]
    WentBackwards {
        /// The highest number that was delivered.
        had: Seq,
        /// Where the log ends now.
        last: Seq,
    },
    /// The record asked for was trimmed away.
    #[error("trimmed: the log now begins at {first}")]
    Trimmed {
        /// The lowest number that is still there.
        first: Seq,
    },
    /// The record asked for lies more than one past the end.
    #[error("beyond the end: the log ends at {last}")]
    Beyond {
        /// The last record's number.
        last: Seq,
    },
    /// The log no longer exists.
    #[error("the log no longer exists")]
    Missing,
    /// The log was deleted, and another one of its name was made.
    #[error("the log was deleted, and another one was made in its place")]
    Replaced,
    /// A record's bytes are not those that were stored.
    #[error("record {seq} is corrupt: {reason}")]
    Corrupt {
        /// The record's number.
        seq: Seq,
        /// What gave it away.
        reason: String,
    },
    /// The log can't be reached or doesn't work now. Trying again may help.
    #[error("the log is unavailable")]
    Unavailable(#[source] Cause),
}
