//! Chance, from a seed.

use std::ops::Range;

/// A generator (splitmix64); the same seed gives the same numbers for ever.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed ^ 0x5357_4954_4348_5944);
        rng.next();
        rng
    }

    /// A generator of its own for whoever bears this name.
    pub(crate) fn fork(&self, name: &str) -> Self {
        let hash = blake3::hash([&self.0.to_le_bytes(), name.as_bytes()].concat().as_slice());
        let (head, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self::new(u64::from_le_bytes(*head))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number of the range, which must not be empty.
    pub(crate) fn range(&mut self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start).max(1);
        range.start + self.next() % width
    }

    /// True so many times of 10,000.
    pub(crate) fn chance(&mut self, of_10_000: u64) -> bool {
        self.range(0..10_000) < of_10_000
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let index = self.range(0..u64::try_from(of.len()).unwrap_or(1).max(1));
        of.get(usize::try_from(index).unwrap_or(0))
    }

    /// A duration of so many milliseconds.
    pub(crate) fn millis(&mut self, range: Range<u64>) -> std::time::Duration {
        std::time::Duration::from_millis(self.range(range))
    }
}
