//! How large a value can be that an expression comes to: an upper bound over all facts that are let in.

use std::rc::Rc;

use crate::shape::Shape;
use crate::steps::{self, count};

/// An upper bound of a value's sizes, whatever its type turns out to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extent {
    /// If it is text or bytes: how many bytes.
    pub(crate) bytes: u64,
    /// If it is a list or map: how many elements.
    pub(crate) elements: u64,
    /// If it is a map: the bytes of its longest key.
    keys: u64,
    /// If it is a list or map: what each element is; none: it has no sizes.
    of: Option<Rc<Extent>>,
    /// If it is a map of the facts: what its entries of these names are.
    named: &'static [(&'static str, Shape)],
}

impl Extent {
    /// Something without sizes.
    pub(crate) fn scalar() -> Self {
        Self::default()
    }

    /// Text or bytes.
    pub(crate) fn text(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// A list.
    pub(crate) fn list(elements: u64, of: Self) -> Self {
        Self { elements, of: Some(Rc::new(of)), ..Self::default() }
    }

    /// A map.
    pub(crate) fn map(entries: u64, keys: u64, of: Self) -> Self {
        Self { keys, ..Self::list(entries, of) }
    }

    /// What the facts say of a value.
    pub(crate) fn of_shape(shape: &'static Shape) -> Self {
        match shape {
            Shape::Scalar => Self::scalar(),
            Shape::Text { bytes } => Self::text(count(*bytes)),
            Shape::List { elements, of } => Self::list(count(*elements), Self::of_shape(of)),
            Shape::Map { entries, key_bytes, named, others } => {
                let all = named.iter().map(|(_, shape)| Self::of_shape(shape));
                let any = all.fold(Self::of_shape(others), |one, other| one.or(&other));
                Self { named, ..Self::map(count(*entries), count(*key_bytes), any) }
            }
            Shape::Either(shapes) => shapes
                .iter()
                .map(Self::of_shape)
                .reduce(|one, other| one.or(&other))
                .unwrap_or_default(),
        }
    }

    /// A bound of both.
    pub(crate) fn or(&self, other: &Self) -> Self {
        // What one of them has under a name says nothing of what the other has there.
        let named = if std::ptr::eq(self.named, other.named) || other.elements == 0 {
            self.named
        } else if self.elements == 0 {
            other.named
        } else {
            &[]
        };
        Self {
            bytes: self.bytes.max(other.bytes),
            elements: self.elements.max(other.elements),
            keys: self.keys.max(other.keys),
            of: match (&self.of, &other.of) {
                (Some(one), Some(other)) => Some(Rc::new(one.or(other))),
                (Some(one), None) | (None, Some(one)) => Some(Rc::clone(one)),
                (None, None) => None,
            },
            named,
        }
    }

    /// Both, one behind the other: `+`.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            elements: self.elements.saturating_add(other.elements),
            named: &[],
            ..self.or(other)
        }
    }

    /// Any of its elements.
    pub(crate) fn element(&self) -> Self {
        self.of.as_deref().cloned().unwrap_or_default()
    }

    /// Its entry of this name.
    pub(crate) fn entry(&self, name: &str) -> Self {
        let named = self.named.iter().find(|(known, _)| *known == name);
        named.map_or_else(|| self.element(), |(_, shape)| Self::of_shape(shape))
    }

    /// The steps of comparing the two.
    pub(crate) fn equal(&self, other: &Self) -> u64 {
        let texts = steps::compared(self.bytes.min(other.bytes));
        let elements = self.elements.min(other.elements);
        let each = if elements == 0 {
            0
        } else {
            steps::lookup(self.keys).saturating_add(self.element().equal(&other.element()))
        };
        steps::ELEMENT.saturating_add(texts.max(elements.saturating_mul(each)))
    }

    /// The steps of looking for a value in it: `in`.
    pub(crate) fn membership(&self, value: &Self) -> u64 {
        let in_list = self.elements.saturating_mul(self.element().equal(value));
        in_list.max(steps::lookup(value.bytes))
    }
}
