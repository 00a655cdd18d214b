//! How many steps things take: the same sums for the bound, over the largest values, and for what really runs.

use super::{ELEMENTS_MAX, TEXT_MAX};

/// How many bytes of a text a template sees: so many more than a notification may have that what was left out shows
/// as cut.
pub(super) const SEEN_MAX: usize = TEXT_MAX + 4;
/// The longest form of a number: that of the largest ones has over 300 digits.
pub(super) const NUMBER_MAX: usize = 400;
/// The longest form of an instant.
pub(super) const INSTANT_MAX: usize = 32;
/// `false`
pub(super) const BOOLEAN_MAX: usize = 5;
/// Changing letters makes a text at most three times as long.
pub(super) const LETTERS_GROW: usize = 3;

const BYTES_A_STEP: usize = 64;

/// Reading or making so many bytes.
pub(super) fn bytes(count: usize) -> u64 {
    steps(count / BYTES_A_STEP).saturating_add(1)
}

/// So many elements or names.
pub(super) fn steps(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Comparing two texts, of which the shorter has so many bytes.
pub(super) fn comparison(shorter: usize) -> u64 {
    bytes(shorter).saturating_add(1)
}

/// Looking for a value among the elements of a list.
pub(super) fn membership(elements: usize, value: usize) -> u64 {
    comparison(value).saturating_mul(steps(elements.min(ELEMENTS_MAX))).saturating_add(1)
}

/// Looking for a text in another.
pub(super) fn search(text: usize, part: usize) -> u64 {
    bytes(text).saturating_add(bytes(part)).saturating_add(1)
}

/// A filter that reads and makes so many bytes.
pub(super) fn filter(read: usize, made: usize) -> u64 {
    search(read, made)
}

/// Joining so many elements to so many bytes.
pub(super) fn join(elements: usize, made: usize) -> u64 {
    filter(0, made).saturating_add(steps(elements.min(ELEMENTS_MAX)))
}
