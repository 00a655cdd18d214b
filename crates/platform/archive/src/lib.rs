//! Logs as files: segments that never change, for archives and backups.
//!
//! ```text
//! DIR/intake/03/00000000000000000001.segment     records 1 to 10,000 of intake's partition 3
//! DIR/intake/03/00000000000000010001.segment     ... and so on, each where the one before ends
//! DIR/manifest.json                              in a backup: what belongs together, and how far
//! ```
//!
//! A segment holds records byte for byte as the log has them, compressed, between a line that says what it holds and a
//! hash of all of it. It is written aside, made durable, read back and only then given its name; after that nothing
//! writes to it. What a record's place in the chain must be is checked when it is taken in and again whenever it is
//! read.
//!
//! **Invariant:** an archive never holds two histories. A record that does not follow its last one in the chain is
//! refused.

mod cut;
mod error;
mod log;
mod manifest;
mod provider;
mod segment;

pub use cut::{Need, closed};
pub use error::ArchiveError;
pub use log::ArchivedLog;
pub use manifest::{CopiedLog, MANIFEST, Manifest};
pub use provider::{ArchiveProvider, WithArchive};
pub use segment::{SEGMENT_BYTES_MAX, SEGMENT_RECORDS_MAX};

use std::path::{Path, PathBuf};

use event_log::LogName;

/// A directory of archived logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// An archive that is there: [`ArchiveError::Missing`] if it isn't a directory.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let directory = directory.into();
        if directory.is_dir() {
            Ok(Self { directory })
        } else {
            Err(ArchiveError::Missing { place: directory.display().to_string() })
        }
    }

    /// An archive that is there, or is made now, empty. Whatever is written to it is its owner's alone.
    pub fn create(directory: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let directory = directory.into();
        private_files::create_dir_all(&directory)
            .map_err(|error| ArchiveError::io(&directory, error))?;
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The logs that it has segments of, in order of service and partition. What is no log's is left alone.
    pub fn logs(&self) -> Result<Vec<LogName>, ArchiveError> {
        let mut names = Vec::new();
        for service in folders(&self.directory)? {
            for partition in folders(&self.directory.join(&service))? {
                let Ok(number) = partition.parse() else { continue };
                let name = LogName::new(service.clone(), number);
                let log = self.log(&name);
                if name.check().is_ok() && log.is_ok_and(|log| log.end().is_some()) {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// The archived part of one log; it may have nothing yet. Its segments must join: [`ArchiveError::Broken`] if they
    /// don't.
    pub fn log(&self, name: &LogName) -> Result<ArchivedLog, ArchiveError> {
        let folder = self.directory.join(&*name.service).join(format!("{:02}", name.partition));
        ArchivedLog::open(folder, name.clone())
    }
}

/// The names of the folders in a folder.
fn folders(parent: &Path) -> Result<Vec<String>, ArchiveError> {
    let failed = |error| ArchiveError::io(parent, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(parent).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}
