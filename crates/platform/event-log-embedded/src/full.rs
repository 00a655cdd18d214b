//! A disk without room: what is known of it, so that it isn't tried again in vain.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::Core;

/// A full disk is tried again once so much more is free, in bytes, ...
const ROOM_BYTES: u64 = 1024 * 1024;
/// ... or after so long: a quota's room can't be seen.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A disk that was found full. Trying again costs a check of the whole file, since redb is opened anew after any
/// failure.
#[derive(Debug)]
pub(crate) struct FullDisk {
    since: Instant,
    /// What was free when it was found full, in bytes.
    free: u64,
    /// The limit to the file's size then.
    limit: u64,
}

impl FullDisk {
    pub(crate) fn now(core: &Core) -> Self {
        let limit = core.limit.load(Ordering::Relaxed);
        Self { since: Instant::now(), free: free(core), limit }
    }

    /// Whether it is worth trying again.
    pub(crate) fn may_have_room(&self, core: &Core) -> bool {
        self.since.elapsed() >= TRIED_AGAIN_AFTER
            || free(core) >= self.free.saturating_add(ROOM_BYTES)
            || core.limit.load(Ordering::Relaxed) != self.limit
    }
}

fn free(core: &Core) -> u64 {
    // A disk that can't say counts as full: the time alone decides then.
    fs4::available_space(&core.directory).unwrap_or(0)
}
