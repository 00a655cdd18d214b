//! A small disk for each instance's data directory, so that it can be full: a tmpfs, where this process may mount one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use tests::cluster::At;

/// Enough for the snapshots and for those that were set aside.
const SIZE: &str = "size=48m";
const BALLAST: &str = "ballast";

/// The disks. Unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disks {
    mounted: Vec<PathBuf>,
    /// Why there are none.
    pub(crate) missing: Option<String>,
}

impl Disks {
    /// Mounts one for every instance below `directory`, or says why that can't be.
    pub(crate) fn mount(directory: &Path) -> anyhow::Result<Self> {
        let mut disks = Self { mounted: Vec::new(), missing: None };
        for at in At::all() {
            let place = directory.join(at.to_string());
            std::fs::create_dir(&place)?;
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", SIZE, "switchyard-chaos"])
                .arg(&place)
                .output()
                .context("mount")?;
            if !mount.status.success() {
                disks.missing = Some(String::from_utf8_lossy(&mount.stderr).trim().to_owned());
                return Ok(disks);
            }
            disks.mounted.push(place);
        }
        Ok(disks)
    }

    /// Leaves no byte free where an instance keeps its snapshots.
    pub(crate) fn fill(&self, directory: &Path) -> anyhow::Result<u64> {
        ensure!(self.missing.is_none(), "no disk of its own");
        let mut ballast = File::create(directory.join(BALLAST))?;
        let mut written = 0;
        let mut piece = vec![0; 1 << 16];
        while !piece.is_empty() {
            match ballast.write(&piece) {
                Ok(count @ 1..) => written += u64::try_from(count)?,
                Ok(0) | Err(_) => piece.truncate(piece.len() / 2),
            }
        }
        Ok(written)
    }

    /// Makes room again.
    pub(crate) fn clear(&self, directory: &Path) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(directory.join(BALLAST))?)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for place in &self.mounted {
            // Lazily: whoever still has a file open keeps nobody waiting.
            drop(Command::new("umount").arg("--lazy").arg(place).status());
        }
    }
}
