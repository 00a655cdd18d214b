//! Files that nobody but their owner may read: folders 0700, files 0600, whatever the process's umask.
//!
//! Logs, snapshots, archives, backups and keys hold what customers wrote. Whatever makes one of them makes it by
//! these functions, and [`tighten`] takes away what an earlier release, a copy or a hand has left open.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A folder's mode.
pub const FOLDER_MODE: u32 = 0o700;
/// A file's mode.
pub const FILE_MODE: u32 = 0o600;

const OTHERS: u32 = 0o077;

/// Makes a folder, and those above it that are missing. One that is there stays as it is.
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// How to open a file that may have to be made.
pub fn options() -> OpenOptions {
    let mut options = File::options();
    options.mode(FILE_MODE);
    options
}

/// Makes a file, empty, to be written; one that is there is emptied and closed to others.
pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
    let file = options().write(true).create(true).truncate(true).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Writes a new file, durable and whole, or none: it is written aside and then given its name.
/// [`io::ErrorKind::AlreadyExists`] if there is one of that name. For one process at a time: of two, the later one's
/// stays.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let aside = folder.join(name);
    let mut file = create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    if fs::exists(path)? {
        fs::remove_file(&aside)?;
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(&aside, path)?;
    File::open(folder)?.sync_all()
}

/// What could not be closed to others, since it belongs to somebody else.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeftOpen(pub Vec<PathBuf>);

/// Takes everybody else's rights from a file, or a folder with all that is in it. Links are not followed, and what is
/// gone meanwhile is no error. Returns what others can still read; an error means that a folder can't be read.
pub fn tighten(path: &Path) -> io::Result<LeftOpen> {
    let mut left = LeftOpen::default();
    let mut ahead = vec![path.to_owned()];
    while let Some(path) = ahead.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_symlink() {
            continue;
        }
        let mode = metadata.permissions().mode();
        if mode & OTHERS != 0 && !close(&path, mode)? {
            left.0.push(path.clone());
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                ahead.push(entry?.path());
            }
        }
    }
    Ok(left)
}

/// Whether it could be closed to others.
fn close(path: &Path, mode: u32) -> io::Result<bool> {
    // Only the nine bits of rights: what else a mode has, as a folder's group for new files, says nothing about who
    // may read.
    match fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error)
            if [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem]
                .contains(&error.kind()) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_the_owner_s_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        create_dir_all(&folder).unwrap();
        create_dir_all(&folder).unwrap();
        let file = folder.join("file");
        fs::write(&file, "open").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        create(&file).unwrap();
        options().append(true).create(true).open(folder.join("log")).unwrap();
        write_new(&folder.join("key"), b"k").unwrap();
        let again = write_new(&folder.join("key"), b"other").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(folder.join("key")).unwrap(), b"k");
        assert_eq!(mode(&place.path().join("a")), FOLDER_MODE);
        assert_eq!(mode(&folder), FOLDER_MODE);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), FILE_MODE, "{entry:?}");
            names.push(entry.file_name());
        }
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn what_is_open_is_closed_and_links_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let (data, other) = (place.path().join("data"), place.path().join("other"));
        fs::create_dir_all(data.join("deep/er")).unwrap();
        fs::write(data.join("deep/er/file"), "x").unwrap();
        fs::write(&other, "x").unwrap();
        std::os::unix::fs::symlink(&other, data.join("link")).unwrap();
        for (path, wide) in
            [("", 0o755), ("deep", 0o750), ("deep/er", 0o2775), ("deep/er/file", 0o664)]
        {
            fs::set_permissions(data.join(path), Permissions::from_mode(wide)).unwrap();
        }
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(tighten(&data).unwrap(), LeftOpen::default());
        for path in ["", "deep", "deep/er"] {
            assert_eq!(mode(&data.join(path)), FOLDER_MODE, "{path}");
        }
        assert_eq!(mode(&data.join("deep/er/file")), FILE_MODE);
        assert_eq!(mode(&other), 0o644, "it is not in the folder");
        assert_eq!(tighten(&place.path().join("absent")).unwrap(), LeftOpen::default());
    }
}
