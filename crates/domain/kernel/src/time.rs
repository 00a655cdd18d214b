//! Instants, in whole milliseconds of UTC.

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, without leap seconds. Arithmetic saturates.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant so many milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant `millis` milliseconds later.
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// The instant `millis` milliseconds earlier.
    pub const fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(millis))
    }

    /// Milliseconds from `earlier` to this instant; 0 if `earlier` is the later one.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        if self.0 <= earlier.0 { 0 } else { self.0.abs_diff(earlier.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_never_negative() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(7));
        assert_eq!(late.millis_since(early), 2);
        assert_eq!(early.millis_since(late), 0);
        assert_eq!(early.plus_millis(2), late);
        assert_eq!(late.minus_millis(2), early);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::from_millis(i64::MAX).plus_millis(9).as_millis(), i64::MAX);
        assert_eq!(
            Timestamp::from_millis(i64::MAX).millis_since(Timestamp::from_millis(i64::MIN)),
            u64::MAX
        );
    }
}
