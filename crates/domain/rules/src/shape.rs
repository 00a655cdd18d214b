//! What a rule may look at, and how large it can be: the names of its facts.
//!
//! A shape is an upper bound, not a type: a rule may take any value for any other, and errs when it runs. This is also
//! the place for types, should rules be checked against them one day.

/// The top-level names of a rule's facts, and what each stands for.
#[derive(Debug, Clone, Copy)]
pub struct Names(pub &'static [(&'static str, Shape)]);

/// How large a value can be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A number, a truth, an instant, nothing.
    Scalar,
    /// Text.
    Text {
        /// The most bytes.
        bytes: usize,
    },
    /// A list.
    List {
        /// The most elements.
        elements: usize,
        /// What each is.
        of: &'static Shape,
    },
    /// A map.
    Map {
        /// The most entries.
        entries: usize,
        /// The most bytes of a key.
        key_bytes: usize,
        /// What entries of these names are.
        named: &'static [(&'static str, Shape)],
        /// What all others are.
        others: &'static Shape,
    },
    /// One of these.
    Either(&'static [Shape]),
}

impl Names {
    /// What a top-level name stands for, if there is one.
    pub(crate) fn shape(self, name: &str) -> Option<&'static Shape> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, shape)| shape)
    }

    /// The names, for people: `` `event`, `ticket` ``.
    pub(crate) fn listed(self) -> String {
        let quoted: Vec<_> = self.0.iter().map(|(name, _)| format!("`{name}`")).collect();
        quoted.join(", ")
    }
}
