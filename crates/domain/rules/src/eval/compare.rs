//! Which values are equal, which come first, and which are in others.

use std::cmp::Ordering;

use super::value::{List, Map, Val, whole};
use super::{Evaluator, Fault};
use crate::steps::{self, ELEMENT, count};

impl<'a> Evaluator<'a> {
    /// Whether two values are equal. Numbers are compared by value, whatever their type; all else of different types is
    /// not equal.
    pub(super) fn equal(&self, one: &Val<'a>, other: &Val<'a>) -> Result<bool, Fault> {
        self.meter.take(ELEMENT)?;
        Ok(match (one, other) {
            (Val::Null, Val::Null) => true,
            (Val::Boolean(one), Val::Boolean(other)) => one == other,
            (Val::Text(one), Val::Text(other)) => self.same(one.as_bytes(), other.as_bytes())?,
            (Val::Bytes(one), Val::Bytes(other)) => self.same(one, other)?,
            (Val::Instant(one), Val::Instant(other)) => one == other,
            (Val::Duration(one), Val::Duration(other)) => one == other,
            (Val::List(one), Val::List(other)) => self.same_lists(one, other)?,
            (Val::Map(one), Val::Map(other)) => self.same_maps(one, other)?,
            (one, other) => numbers(one, other) == Some(Ordering::Equal),
        })
    }

    fn same(&self, one: &[u8], other: &[u8]) -> Result<bool, Fault> {
        if one.len() != other.len() {
            return Ok(false);
        }
        self.meter.take(steps::compared(count(one.len())))?;
        Ok(one == other)
    }

    fn same_lists(&self, one: &List<'a>, other: &List<'a>) -> Result<bool, Fault> {
        if one.len() != other.len() {
            return Ok(false);
        }
        for (one, other) in one.iter().zip(other.iter()) {
            if !self.equal(&one, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn same_maps(&self, one: &Map<'a>, other: &Map<'a>) -> Result<bool, Fault> {
        if one.len() != other.len() {
            return Ok(false);
        }
        match one {
            Map::Lent(entries) => {
                for (key, value) in *entries {
                    self.meter.take(steps::lookup(count(key.len())))?;
                    if !self.same_entry(&Val::of(value), other.text(key))? {
                        return Ok(false);
                    }
                }
            }
            Map::Made(entries) => {
                for (key, value) in entries.iter() {
                    self.meter.take(steps::lookup(key.bytes()))?;
                    if !self.same_entry(value, other.key(key))? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn same_entry(&self, one: &Val<'a>, other: Option<Val<'a>>) -> Result<bool, Fault> {
        other.map_or(Ok(false), |other| self.equal(one, &other))
    }

    /// How two values stand to one another; those of types without an order are senseless, and so is NaN.
    pub(super) fn order(&self, one: &Val<'a>, other: &Val<'a>) -> Result<Ordering, Fault> {
        let order = match (one, other) {
            (Val::Boolean(one), Val::Boolean(other)) => Some(one.cmp(other)),
            (Val::Text(one), Val::Text(other)) => {
                self.take_shorter(one.as_bytes(), other.as_bytes())?;
                Some(str::cmp(one, other))
            }
            (Val::Bytes(one), Val::Bytes(other)) => {
                self.take_shorter(one, other)?;
                Some(<[u8]>::cmp(one, other))
            }
            (Val::Instant(one), Val::Instant(other)) => Some(one.cmp(other)),
            (Val::Duration(one), Val::Duration(other)) => Some(one.cmp(other)),
            (one, other) => numbers(one, other),
        };
        order.ok_or(Fault::Senseless)
    }

    /// Takes the steps of comparing as much of two texts as both have.
    pub(super) fn take_shorter(&self, one: &[u8], other: &[u8]) -> Result<(), Fault> {
        Ok(self.meter.take(steps::compared(count(one.len().min(other.len()))))?)
    }

    /// Whether a list has an equal element, or a map such a key.
    pub(super) fn is_in(&self, value: &Val<'a>, of: &Val<'a>) -> Result<bool, Fault> {
        match of {
            Val::List(list) => {
                for element in list.iter() {
                    if self.equal(&element, value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Val::Map(map) => {
                self.meter.take(steps::lookup(value.bytes()))?;
                let entry = map.get(value).map_err(|_| Fault::Senseless)?;
                Ok(entry.is_some())
            }
            Val::Null
            | Val::Boolean(_)
            | Val::Integer(_)
            | Val::Unsigned(_)
            | Val::Number(_)
            | Val::Text(_)
            | Val::Bytes(_)
            | Val::Instant(_)
            | Val::Duration(_) => Err(Fault::Senseless),
        }
    }

    /// `of[at]`.
    pub(super) fn index(&self, of: &Val<'a>, at: &Val<'a>) -> Result<Val<'a>, Fault> {
        match (of, at) {
            (Val::List(list), at) => {
                let at = position(at).ok_or(Fault::Senseless)?;
                list.get(at).ok_or(Fault::Senseless)
            }
            (Val::Map(map), at) => {
                self.meter.take(steps::lookup(at.bytes()))?;
                map.get(at).map_err(|_| Fault::Senseless)?.ok_or(Fault::Missing)
            }
            _ => Err(Fault::Senseless),
        }
    }
}

/// A place in a list.
fn position(at: &Val<'_>) -> Option<usize> {
    let whole = if let Val::Number(number) = at { whole(*number)? } else { integer(at)? };
    usize::try_from(whole).ok()
}

/// How two numbers stand to one another; none if they aren't numbers, or one is NaN. Beside a double, a whole number is
/// one too.
fn numbers(one: &Val<'_>, other: &Val<'_>) -> Option<Ordering> {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => double(one)?.partial_cmp(&double(other)?),
    }
}

/// A whole number of either type.
pub(super) fn integer(value: &Val<'_>) -> Option<i128> {
    if let Val::Integer(number) = value {
        Some((*number).into())
    } else if let Val::Unsigned(number) = value {
        Some((*number).into())
    } else {
        None
    }
}

/// Any number.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "CEL compares whole numbers with others as the nearest double"
)]
pub(super) fn double(value: &Val<'_>) -> Option<f64> {
    if let Val::Number(number) = value {
        Some(*number)
    } else {
        integer(value).map(|number| number as f64)
    }
}
