//! A backup's manifest: which logs belong together, how far each goes, and what its state is there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use event_log::Seq;
use serde::{Deserialize, Serialize};

use crate::{Archive, ArchiveError};

/// The manifest's file. A directory without it holds no complete backup.
pub const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "switchyard-backup 1";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    /// The backup's name: random, so that no two are taken for one.
    pub name: String,
    /// When it was made, in RFC 3339.
    pub made_at: String,
    /// The release that made it.
    pub made_by: String,
    /// How many partitions each service has.
    pub partitions: u16,
    /// The logs, in order of service and partition.
    pub logs: Vec<CopiedLog>,
}

/// One log of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedLog {
    /// Its service's name.
    pub service: String,
    /// Its partition.
    pub partition: u16,
    /// Its identity at the last record, in hex.
    pub log_id: String,
    /// 1 for a log that was born, one more with each restoring.
    pub generation: u32,
    /// The last record.
    pub last: Seq,
    /// The chain after it, in hex.
    pub chain: String,
    /// The hash of the state there, in hex.
    pub state_hash: String,
    /// The version of what the hash is made of. One of another version says nothing to a reader.
    pub state_version: u32,
}

/// The manifest as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    manifest: Manifest,
    /// BLAKE3 of the manifest as compact JSON, in hex.
    blake3: String,
}

impl Manifest {
    /// A manifest of these logs.
    pub fn new(name: String, made_at: String, partitions: u16, logs: Vec<CopiedLog>) -> Self {
        let made_by = concat!("switchyard ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { format: FORMAT.to_owned(), name, made_at, made_by, partitions, logs }
    }

    /// Writes it as the last file of a backup, whole or not at all.
    pub fn write(&self, archive: &Archive) -> Result<(), ArchiveError> {
        let folder = archive.directory();
        let aside = folder.join("manifest.partial");
        let failed = |error| ArchiveError::io(&aside, error);
        let blake3 = self.hash(&aside)?;
        let stored = Stored { manifest: self.clone(), blake3 };
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| failed(error.into()))?;
        let mut file = private_files::create(&aside).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&aside, folder.join(MANIFEST)).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// Reads the manifest of a backup, and checks that each of its logs is there up to the record that it names.
    pub fn read(archive: &Archive) -> Result<Self, ArchiveError> {
        let path = archive.directory().join(MANIFEST);
        let text = fs::read(&path).map_err(|error| ArchiveError::io(&path, error))?;
        let stored: Stored = serde_json::from_slice(&text)
            .map_err(|error| ArchiveError::damaged(&path, error.to_string()))?;
        let manifest = stored.manifest;
        if manifest.format != FORMAT {
            return Err(ArchiveError::damaged(&path, "it is of another format"));
        }
        if manifest.hash(&path)? != stored.blake3 {
            return Err(ArchiveError::damaged(&path, "its hash does not match"));
        }
        for copied in &manifest.logs {
            let name = event_log::LogName::new(copied.service.clone(), copied.partition);
            let log = archive.log(&name)?;
            let end =
                log.end().map(|end| (end.seq, hex::encode(end.chain), hex::encode(end.log_id)));
            if end != Some((copied.last, copied.chain.clone(), copied.log_id.clone())) {
                return Err(ArchiveError::damaged(&path, format!("{name} ends elsewhere")));
            }
        }
        Ok(manifest)
    }

    fn hash(&self, path: &Path) -> Result<String, ArchiveError> {
        let text =
            serde_json::to_vec(self).map_err(|error| ArchiveError::io(path, error.into()))?;
        Ok(blake3::hash(&text).to_hex().to_string())
    }
}
