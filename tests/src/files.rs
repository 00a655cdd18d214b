//! Directories of tests.

use std::fs;
use std::path::Path;

/// Copies a directory with all that is in it.
pub fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A path as an argument.
pub fn path(path: &Path) -> String {
    path.display().to_string()
}
