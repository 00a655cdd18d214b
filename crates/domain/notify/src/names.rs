//! What a rule's filter may look at.

use rules::{LIST_MAX, Names, Shape};

/// The names of a filter, `event` and `ticket`, and how large their values can be. The longest text of an event is a
/// message's body, of at most 128 KiB; any other has at most 8 KiB (a note of 2,000 characters).
pub const FILTER_NAMES: Names = Names(&[
    (
        "event",
        Shape::Map {
            entries: LIST_MAX,
            key_bytes: 64,
            named: &[("body", Shape::Text { bytes: 128 * 1024 })],
            others: &FIELD,
        },
    ),
    (
        "ticket",
        Shape::Map {
            entries: 8,
            key_bytes: 64,
            named: &[],
            // The subject: three hundred characters, of at most four bytes each.
            others: &Shape::Text { bytes: 4 * 300 },
        },
    ),
]);

/// A field of an event, with all that events have within one another: a decision's candidates and their fields.
const FIELD: Shape = Shape::Either(&[
    TEXT,
    Shape::List { elements: LIST_MAX, of: &INNER },
    Shape::Map { entries: LIST_MAX, key_bytes: 64, named: &[], others: &INNER },
]);
const INNER: Shape = Shape::Either(&[
    TEXT,
    Shape::List { elements: LIST_MAX, of: &INMOST },
    Shape::Map { entries: LIST_MAX, key_bytes: 64, named: &[], others: &INMOST },
]);
const INMOST: Shape = Shape::Either(&[
    TEXT,
    Shape::List { elements: LIST_MAX, of: &TEXT },
    Shape::Map { entries: LIST_MAX, key_bytes: 64, named: &[], others: &TEXT },
]);
const TEXT: Shape = Shape::Text { bytes: 8 * 1024 };
