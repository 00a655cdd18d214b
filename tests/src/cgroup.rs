//! A limit on the memory of one process, as a container has it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A control group with a limit on its memory, of either version of the kernel's interface. Removed when dropped, once
/// nothing runs in it.
#[derive(Debug)]
pub struct MemoryLimit {
    directory: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl MemoryLimit {
    /// Below the group that this process is in; none where groups can't be made.
    pub fn new(name: &str, bytes: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let path_of = |controllers: &str| {
            let line =
                own.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controllers));
            line.and_then(|rest| rest.strip_prefix(':'))
                .map(|path| path.trim_start_matches('/').to_owned())
        };
        let one = path_of("memory")
            .map(|path| (Path::new("/sys/fs/cgroup/memory").join(path), Version::One));
        let two = path_of("").map(|path| (Path::new("/sys/fs/cgroup").join(path), Version::Two));
        [one, two].into_iter().flatten().find_map(|(parent, version)| {
            let directory = parent.join(format!("switchyard-{name}-{}", std::process::id()));
            fs::create_dir(&directory).ok()?;
            let limit = Self { directory, version };
            let file = if version == Version::One { "memory.limit_in_bytes" } else { "memory.max" };
            // A group without the controller of memory is of no use.
            fs::write(limit.directory.join(file), bytes.to_string()).ok()?;
            Some(limit)
        })
    }

    /// Puts a process into the group.
    pub fn take(&self, process: u32) -> anyhow::Result<()> {
        let file = self.directory.join("cgroup.procs");
        fs::write(&file, process.to_string()).with_context(|| file.display().to_string())
    }

    /// How often the kernel has killed a process of the group for its memory.
    pub fn kills(&self) -> anyhow::Result<u64> {
        let file =
            if self.version == Version::One { "memory.oom_control" } else { "memory.events" };
        let text = fs::read_to_string(self.directory.join(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.context("no count of kills")?.trim().parse().context("a count of kills")
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // A group in which something still runs stays; the kernel forgets it with the machine.
        fs::remove_dir(&self.directory).ok();
    }
}
