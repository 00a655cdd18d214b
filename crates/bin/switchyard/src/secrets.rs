//! The keys of webhooks' secrets: read from a file, and made where that is asked for.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use notify_service::Keys;

use crate::exit::bad_configuration;

/// Readable by anyone.
const WORLD_READABLE: u32 = 0o004;

/// Where `up` keeps its keys unless told otherwise: beside its data.
pub(crate) fn beside(data_dir: &Path) -> PathBuf {
    data_dir.join("keys").join("webhook-secrets.keys")
}

/// Reads a file of keys, which must be there.
pub(crate) fn read(file: &Path) -> Result<Keys> {
    let wrong = |why: String| bad_configuration(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let keys = Keys::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let mode = std::fs::metadata(file).map(|it| it.permissions().mode());
    if mode.is_ok_and(|mode| mode & WORLD_READABLE != 0) {
        let file = file.display();
        tracing::warn!(%file, "anyone on this host can read the keys of webhooks' secrets");
    }
    Ok(keys)
}

/// Makes a file with a new key, unless there is one. Returns whether it was made.
pub(crate) fn make(file: &Path) -> Result<bool> {
    if file.exists() {
        read(file)?;
        return Ok(false);
    }
    let failed = || format!("making {}", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_files::create_dir_all(folder).with_context(failed)?;
    }
    let text = Keys::generate().with_context(failed)?;
    private_files::write_new(file, text.as_bytes()).with_context(failed)?;
    Ok(true)
}

/// Reads the file, or makes it and reads it.
pub(crate) fn read_or_make(file: &Path) -> Result<Keys> {
    if make(file)? {
        let file = file.display();
        tracing::info!(%file, "made a key for webhooks' secrets: keep a copy, no backup has it");
    }
    read(file)
}
