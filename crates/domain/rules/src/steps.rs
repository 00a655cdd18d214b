//! The step model: what an evaluation costs, as a function of the sizes of what it looks at.
//!
//! One step is the work of one node of the tree, or of a few dozen bytes that are read: some tens of nanoseconds at
//! most. The same functions price an operation when a rule is compiled (over the largest sizes that the facts may have,
//! see [`Shape`](crate::Shape)) and when it runs (over the sizes that they have), and each of them grows with its
//! sizes. So what is counted never passes what was computed.
//!
//! | operation | steps |
//! |---|---|
//! | any node of the tree | 1 |
//! | looking up a key in a map, or putting one into it | 2, and 8 for each 64 bytes of the key |
//! | `==`, `!=`, `in`, for each pair of values | 1; for texts of one length 1 for each 64 bytes; of lists and maps their elements too |
//! | `<`, `<=`, `>`, `>=`, `startsWith`, `endsWith` | 1 for each 64 bytes of the shorter text |
//! | `size` of a text | 1 for each 64 bytes |
//! | `+` of texts or bytes | 2, and 1 for each 64 bytes of the result |
//! | `+` of lists, a literal of a list or map | 1 for each element of the result |
//! | `contains` | 1 for each 32 bytes of the text, and for each 16 of what is looked for |
//! | `matches` | 1 for each 16 bytes that the automaton reads |
//! | `bool`, `int`, `uint`, `duration` of a text | 1 for each 4 bytes |
//! | `timestamp` | 8, and 1 for each 4 bytes of a text |
//! | `double` of a text | 1 for each byte, and 256 from 20 bytes on: more digits than an integer holds |
//! | `string` | 8, and 1 for each 16 bytes of text or bytes |
//! | `getHours` and its kin | 8, and for a time zone 8 with 1 for each 16 bytes |
//! | a macro, for each element | 1, and what its body takes |
//! | `map`, `filter`, for each element of the result | 1 |

use std::cell::Cell;

/// The most steps of one evaluation. A rule that could take more on the largest facts is refused.
pub const STEPS_MAX: u32 = 10_000;
/// The most steps of all filters of a workspace in one service: the sum of [`Rule::steps`](crate::Rule::steps).
pub const WORKSPACE_STEPS_MAX: u64 = 500_000;

/// Every node.
pub(crate) const NODE: u64 = 1;
/// Each pair of values that is compared, and each element that is made or visited.
pub(crate) const ELEMENT: u64 = 1;
/// Making a text of a number or an instant, an instant of a text, and the parts of an instant.
pub(crate) const CONVERSION: u64 = 8;

/// Bytes that are compared, copied or counted.
pub(crate) const fn compared(bytes: u64) -> u64 {
    bytes / 64
}

/// The bytes of what two texts come to, one behind the other.
pub(crate) const fn joined(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { 2_u64.saturating_add(compared(bytes)) }
}

/// Bytes that a text is looked for in, and those of the text, of which a table is made before.
pub(crate) const fn searched(bytes: u64, part: u64) -> u64 {
    (bytes / 32).saturating_add(scanned(part))
}

/// Bytes that are taken one by one, each by a look into a table.
pub(crate) const fn scanned(bytes: u64) -> u64 {
    bytes / 16
}

/// Bytes that are taken one by one, with sums and decisions for each.
pub(crate) const fn read(bytes: u64) -> u64 {
    bytes / 4
}

/// The bytes of a text that is read as a double. Nineteen digits are an integer and are read at once; to round more of
/// them, all may have to be multiplied again and again.
pub(crate) const fn read_double(bytes: u64) -> u64 {
    if bytes < 20 { bytes } else { bytes.saturating_add(256) }
}

/// A key of a map; about eight others are compared with it.
pub(crate) const fn lookup(key_bytes: u64) -> u64 {
    2_u64.saturating_add(8_u64.saturating_mul(key_bytes / 64))
}

/// A number of things in memory.
pub(crate) fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// Counts the steps of an evaluation, and ends it when there are too many.
#[derive(Debug)]
pub(crate) struct Meter {
    taken: Cell<u64>,
}

/// Too many steps were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded;

impl Meter {
    /// Nothing was done yet.
    pub(crate) const fn new() -> Self {
        Self { taken: Cell::new(0) }
    }

    /// Takes steps, before they are done.
    pub(crate) fn take(&self, steps: u64) -> Result<(), Exceeded> {
        let taken = self.taken.get().saturating_add(steps);
        self.taken.set(taken);
        if taken > u64::from(STEPS_MAX) { Err(Exceeded) } else { Ok(()) }
    }

    /// How many were taken, or asked for.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }
}
