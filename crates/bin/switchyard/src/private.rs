//! A data directory is its owner's alone.

use std::path::Path;

use anyhow::{Context as _, Result};

/// What Switchyard keeps in a data directory.
const OURS: [&str; 4] = ["keys", "log", "log.restoring", "snapshots"];

/// Makes a data directory if there is none, and closes what is Switchyard's in it to others. The directory itself is
/// closed too, unless it holds what is somebody else's. What can't be closed, since it belongs to another user, is
/// said.
pub(crate) fn data_dir(data_dir: &Path) -> Result<()> {
    let failed = || format!("closing {} to other users", data_dir.display());
    private_files::create_dir_all(data_dir).with_context(failed)?;
    let mut shared = false;
    let mut left = Vec::new();
    for entry in std::fs::read_dir(data_dir).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_name().to_str().is_some_and(|name| OURS.contains(&name)) {
            left.extend(private_files::tighten(&entry.path()).with_context(failed)?.0);
        } else {
            shared = true;
        }
    }
    if !shared {
        left.extend(private_files::tighten(data_dir).with_context(failed)?.0);
    }
    left.sort();
    left.dedup();
    if let Some(first) = left.first() {
        let (first, count) = (first.display(), left.len());
        tracing::warn!(%first, count, "other users can read these files, which belong to another user");
    }
    Ok(())
}
