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
/// Making the text of an instant.
pub(super) const INSTANT: u64 = 8;

/// Bytes that are copied, compared or counted, many at once.
const BYTES_A_STEP: usize = 64;
/// Bytes that a text is looked for in.
const SEARCHED_A_STEP: usize = 16;
/// Bytes of letters that are taken one by one, looked up in a table, and made to others.
const LETTERS_A_STEP: usize = 8;

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

/// Looking for a text in another, of which a table is made before.
pub(super) fn search(text: usize, part: usize) -> u64 {
    steps(text / SEARCHED_A_STEP).saturating_add(steps(part / SEARCHED_A_STEP)).saturating_add(3)
}

/// A filter that counts so many bytes.
pub(super) fn length(read: usize) -> u64 {
    bytes(read).saturating_add(1)
}

/// A filter that takes so many bytes letter by letter; what it makes of each is paid with it.
pub(super) fn letters(read: usize) -> u64 {
    steps(read / LETTERS_A_STEP).saturating_add(2)
}

/// Looking for a text in another, and writing so many bytes with something else in its place so many times.
pub(super) fn replace(text: usize, from: usize, made: usize, times: usize) -> u64 {
    search(text, from).saturating_add(bytes(made)).saturating_add(steps(times))
}

/// How often something is replaced in a text of so many bytes, at most: what is looked for has at least `from` bytes,
/// and what takes its place at least `to`. It ends when there is as much as a template may see.
pub(super) fn replacements(text: usize, from: usize, to: usize) -> usize {
    // An empty text is found before each letter and behind the last.
    let found = text.checked_div(from).unwrap_or(text.saturating_add(1));
    let room = SEEN_MAX.checked_div(to).map_or(usize::MAX, |room| room.saturating_add(1));
    found.min(room)
}

/// Joining so many elements to so many bytes.
pub(super) fn join(elements: usize, made: usize) -> u64 {
    bytes(made).saturating_add(2).saturating_add(steps(elements.min(ELEMENTS_MAX)))
}
