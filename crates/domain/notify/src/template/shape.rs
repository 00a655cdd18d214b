//! What a template may name: the fields of its events, with what each of them holds.

use std::collections::BTreeMap;

/// The fields of an event by name, each with what it holds.
pub type Shapes = BTreeMap<String, Shape>;

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A text; an enum's word.
    Text,
    /// A whole number or another.
    Number,
    /// True or false.
    Boolean,
    /// An instant; a template sees it as RFC 3339.
    Instant,
    /// Several values, all of one shape.
    List(Box<Shape>),
    /// Fields of its own.
    Group(Shapes),
    /// A ticket's attributes: any name may be asked for, and what it holds is known only when the template runs.
    Attributes,
}

impl Shape {
    /// What both hold, so that a template over either may name it; `None`: nothing.
    pub fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Group(one), Self::Group(other)) => Some(Self::Group(common(one, other))),
            (Self::List(one), Self::List(other)) => {
                one.common(other).map(|item| Self::List(Box::new(item)))
            }
            (one, other) => (one == other).then(|| one.clone()),
        }
    }
}

/// The fields that both have.
pub fn common(one: &Shapes, other: &Shapes) -> Shapes {
    let both = one.iter().filter_map(|(name, shape)| Some((name, shape.common(other.get(name)?)?)));
    both.map(|(name, shape)| (name.clone(), shape)).collect()
}

/// The fields of `ticket`, in every template.
pub(super) fn ticket() -> Shapes {
    let texts = ["id", "requester_name", "subject", "agent_id", "queue_id", "priority"];
    let mut fields: Shapes = texts.map(|name| (name.to_owned(), Shape::Text)).into();
    fields.insert("number".to_owned(), Shape::Number);
    fields
}
