//! The directory: taken by one process, marked with the format it holds.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use event_log::OpenError;
use fs4::fs_std::FileExt;

use crate::{FORMAT_VERSION, store};

/// The directory is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    /// The operating system lets go of the lock when the file is closed, however this process ends.
    _lock: File,
}

impl Place {
    /// Takes the directory, making it if it isn't there, and checks its format.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let unavailable = |error| unavailable(directory, error);
        private_files::create_dir_all(directory).map_err(unavailable)?;
        let lock = private_files::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("LOCK"))
            .map_err(unavailable)?;
        if !lock.try_lock_exclusive().map_err(unavailable)? {
            return Err(OpenError::InUse { place: directory.display().to_string() });
        }
        check_format(directory)?;
        Ok(Self { _lock: lock })
    }
}

fn check_format(directory: &Path) -> Result<(), OpenError> {
    let unavailable = |error| unavailable(directory, error);
    let supported = format!("switchyard-log {FORMAT_VERSION}");
    let path = directory.join("FORMAT");
    let found = match fs::read(&path) {
        Ok(found) => String::from_utf8_lossy(&found).trim_end().to_owned(),
        // The mark is written before the log's file is made, so a file without one isn't ours.
        Err(error)
            if error.kind() == ErrorKind::NotFound && !store::file_of(directory).exists() =>
        {
            return mark(directory, &supported).map_err(unavailable);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => "without a mark".to_owned(),
        Err(error) => return Err(unavailable(error)),
    };
    if found == supported {
        return Ok(());
    }
    Err(OpenError::OtherVersion { place: directory.display().to_string(), found, supported })
}

/// Written aside and renamed, so that a crash leaves the whole mark or none.
fn mark(directory: &Path, format: &str) -> std::io::Result<()> {
    let aside = directory.join("FORMAT.new");
    let mut file = private_files::create(&aside)?;
    writeln!(file, "{format}")?;
    file.sync_all()?;
    fs::rename(aside, directory.join("FORMAT"))?;
    File::open(directory)?.sync_all()
}

/// A place that can be no directory of ours is not a passing trouble.
fn unavailable(directory: &Path, error: std::io::Error) -> OpenError {
    let lasts = matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::NotFound
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::AlreadyExists
    );
    if lasts {
        return OpenError::Denied(format!("{}: {error}", directory.display()).into());
    }
    OpenError::Unavailable(error.into())
}
