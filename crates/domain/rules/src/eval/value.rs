//! What an expression comes to: values that lend what they can from the facts and the tree, and are cheap to clone.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use super::time::{Duration, Instant};
use crate::steps::count;
use crate::{LIST_MAX, Value};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Number(f64),
    Text(Text<'a>),
    Bytes(Bytes<'a>),
    Instant(Instant),
    Duration(Duration),
    List(List<'a>),
    Map(Map<'a>),
}

/// Text, lent or made.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Lent(&'a str),
    Made(Rc<str>),
}

/// Bytes, lent or made.
#[derive(Debug, Clone)]
pub(super) enum Bytes<'a> {
    Lent(&'a [u8]),
    Made(Rc<[u8]>),
}

/// A list, of the facts or made. Of the facts' a rule sees the first [`LIST_MAX`].
#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Lent(&'a [Value]),
    Made(Rc<[Val<'a>]>),
}

/// A map, of the facts or made.
#[derive(Debug, Clone)]
pub(super) enum Map<'a> {
    Lent(&'a BTreeMap<String, Value>),
    Made(Rc<BTreeMap<Key, Val<'a>>>),
}

/// A key of a map that was made. Numbers of one value are one key, whatever their type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Boolean(bool),
    Number(i128),
    Text(Rc<str>),
}

impl<'a> Val<'a> {
    /// A value of the facts.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(Text::Lent(text)),
            Value::Integer(number) => Self::Integer(*number),
            Value::Number(number) => Self::Number(*number),
            Value::Boolean(truth) => Self::Boolean(*truth),
            Value::Instant(at) => Self::Instant(Instant::from_millis(at.as_millis())),
            Value::List(values) => Self::List(List::Lent(values.get(..LIST_MAX).unwrap_or(values))),
            Value::Map(entries) => Self::Map(Map::Lent(entries)),
        }
    }

    /// How many bytes it has, if it is text or bytes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => count(text.len()),
            Self::Bytes(bytes) => count(bytes.len()),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Unsigned(_)
            | Self::Number(_)
            | Self::Instant(_)
            | Self::Duration(_)
            | Self::List(_)
            | Self::Map(_) => 0,
        }
    }

    /// It as the key of a map literal, if it can be one.
    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Boolean(truth) => Some(Key::Boolean(*truth)),
            Self::Integer(number) => Some(Key::Number((*number).into())),
            Self::Unsigned(number) => Some(Key::Number((*number).into())),
            Self::Text(text) => Some(Key::Text(text.shared())),
            Self::Null
            | Self::Number(_)
            | Self::Bytes(_)
            | Self::Instant(_)
            | Self::Duration(_)
            | Self::List(_)
            | Self::Map(_) => None,
        }
    }
}

impl Text<'_> {
    fn shared(&self) -> Rc<str> {
        match self {
            Self::Lent(text) => Rc::from(*text),
            Self::Made(text) => Rc::clone(text),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lent(values) => values.len(),
            Self::Made(values) => values.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Lent(values) => values.get(index).map(Val::of),
            Self::Made(values) => values.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lent(entries) => entries.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// The entry of a text.
    pub(super) fn text(&self, key: &str) -> Option<Val<'a>> {
        match self {
            Self::Lent(entries) => entries.get(key).map(Val::of),
            Self::Made(entries) => entries.get(&Key::Text(key.into())).cloned(),
        }
    }

    /// The entry of a key.
    pub(super) fn key(&self, key: &Key) -> Option<Val<'a>> {
        match (self, key) {
            (Self::Lent(entries), Key::Text(text)) => entries.get(&**text).map(Val::of),
            (Self::Lent(_), Key::Boolean(_) | Key::Number(_)) => None,
            (Self::Made(entries), key) => entries.get(key).cloned(),
        }
    }

    /// The entry of a value. `Err`: nothing can have this as its key.
    pub(super) fn get(&self, key: &Val<'_>) -> Result<Option<Val<'a>>, NoKey> {
        match key {
            Val::Text(text) => Ok(self.text(text)),
            Val::Number(number) => {
                Ok(whole(*number).and_then(|number| self.key(&Key::Number(number))))
            }
            Val::Boolean(_)
            | Val::Integer(_)
            | Val::Unsigned(_)
            | Val::Null
            | Val::Bytes(_)
            | Val::Instant(_)
            | Val::Duration(_)
            | Val::List(_)
            | Val::Map(_) => key.key().map(|key| self.key(&key)).ok_or(NoKey),
        }
    }
}

/// A value that can't be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoKey;

/// A number that is whole, and one of an integer type's.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "checked to be whole and within bounds"
)]
pub(super) fn whole(number: f64) -> Option<i128> {
    let within = number > i64::MIN as f64 && number < u64::MAX as f64;
    (within && number.fract() == 0.0).then_some(number as i128)
}

impl Key {
    /// How many bytes it has, if it is text.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => count(text.len()),
            Self::Boolean(_) | Self::Number(_) => 0,
        }
    }
}
