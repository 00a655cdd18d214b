//! A clock that keeps tokio's time.

use std::sync::atomic::{AtomicU64, Ordering};

use kernel::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

/// A clock that was set once and goes on as tokio's time does.
#[derive(Debug)]
pub(super) struct Simulated {
    set_to: Timestamp,
    set_at: Instant,
    seed: u64,
    ids: AtomicU64,
}

impl Simulated {
    pub(super) fn new(now: Timestamp, seed: u64) -> Self {
        Self { set_to: now, set_at: Instant::now(), seed, ids: AtomicU64::new(0) }
    }

    pub(super) fn now(&self) -> Timestamp {
        let passed = self.set_at.elapsed().as_millis();
        self.set_to.plus_millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// As unique as a hash of the seed and a count is.
    pub(super) fn unique_id(&self) -> Uuid {
        let mut hasher = blake3::Hasher::new();
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        hasher.update(&self.seed.to_be_bytes()).update(&count.to_be_bytes());
        let mut random = [0; 10];
        hasher.finalize_xof().fill(&mut random);
        let millis = u64::try_from(self.now().as_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_keeps_tokio_s_time_and_makes_the_same_ids_again() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let (clock, same) = (Simulated::new(at, 7), Simulated::new(at, 7));
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(clock.now(), at.plus_millis(250));
        let first = clock.unique_id();
        assert_eq!(first, same.unique_id());
        assert_ne!(first, clock.unique_id());
        assert_eq!(first.get_version_num(), 7);
    }
}
