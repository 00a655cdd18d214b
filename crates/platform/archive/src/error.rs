//! Why an archive can't be read or written.

use std::path::Path;

use event_log::Seq;
use runtime::Doubt;

/// Why an archive can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no such directory.
    #[error("{place} is no directory")]
    Missing {
        /// The path.
        place: String,
    },
    /// The disk failed, is full, or keeps us out.
    #[error("{place}: {error}")]
    Io {
        /// The file or directory.
        place: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is not what was written.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// The file.
        place: String,
        /// What gave it away.
        reason: String,
    },
    /// A segment does not go on where the one before ends.
    #[error("{place} does not join what comes before it: {reason}")]
    Broken {
        /// The file.
        place: String,
        /// What differs.
        reason: String,
    },
    /// The record to be taken in does not follow the last one: it is of another history.
    #[error("the archive ends at record {end} and the log has another history: {doubt}")]
    OtherHistory {
        /// The archive's last record.
        end: Seq,
        /// What doesn't fit.
        doubt: Doubt,
    },
}

impl ArchiveError {
    pub(crate) fn io(place: &Path, error: std::io::Error) -> Self {
        Self::Io { place: place.display().to_string(), error }
    }

    pub(crate) fn damaged(place: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { place: place.display().to_string(), reason: reason.into() }
    }
}
