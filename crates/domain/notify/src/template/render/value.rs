//! Values as a template sees them.

use std::borrow::Cow;
use std::cmp::Ordering;

use rules::Value;

use super::super::cost::SEEN_MAX;
use super::super::{ELEMENT_MAX, Operator};
use super::Failed;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Seen<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    List(&'a [Value]),
    /// An attribute that isn't there.
    Absent,
    /// A group of fields.
    Group,
}

impl<'a> Seen<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(begin(text, SEEN_MAX).into()),
            Value::Integer(number) => Self::Integer(*number),
            Value::Number(number) => Self::Number(*number),
            Value::Boolean(truth) => Self::Boolean(*truth),
            Value::Instant(at) => Self::Text(crate::body::rfc3339(*at).into()),
            Value::List(values) => Self::List(values),
            Value::Map(_) => Self::Group,
        }
    }

    /// As an element of a list, whose text is cut earlier; and how many bytes were copied for that.
    pub(super) fn into_element(self) -> (Self, usize) {
        match self {
            Self::Text(text) if text.len() > ELEMENT_MAX => {
                let cut = crate::view::cut(&text, ELEMENT_MAX);
                let copied = cut.len();
                (Self::Text(cut.into()), copied)
            }
            other @ (Self::Text(_)
            | Self::Integer(_)
            | Self::Number(_)
            | Self::Boolean(_)
            | Self::List(_)
            | Self::Absent
            | Self::Group) => (other, 0),
        }
    }

    /// How many bytes its text has; of a number, none are read.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Integer(_)
            | Self::Number(_)
            | Self::Boolean(_)
            | Self::List(_)
            | Self::Absent
            | Self::Group => 0,
        }
    }

    /// Why it can't stand where it stands.
    pub(super) fn unfit(&self) -> Failed {
        match self {
            Self::Absent => Failed::Absent,
            Self::Text(_)
            | Self::Integer(_)
            | Self::Number(_)
            | Self::Boolean(_)
            | Self::List(_)
            | Self::Group => Failed::Kind,
        }
    }

    /// Its text.
    pub(super) fn text(self) -> Result<Cow<'a, str>, Failed> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Integer(number) => Ok(number.to_string().into()),
            Self::Number(number) => Ok(shown(number).into()),
            Self::Boolean(truth) => Ok(if truth { "true" } else { "false" }.into()),
            Self::List(_) | Self::Absent | Self::Group => Err(self.unfit()),
        }
    }

    /// Whether it counts as true.
    pub(super) fn holds(&self) -> Result<bool, Failed> {
        match self {
            Self::Text(text) => Ok(!text.is_empty()),
            Self::Integer(number) => Ok(*number != 0),
            Self::Number(number) => Ok(*number != 0.0),
            Self::Boolean(truth) => Ok(*truth),
            Self::List(values) => Ok(!values.is_empty()),
            Self::Absent | Self::Group => Err(self.unfit()),
        }
    }

    pub(super) fn equals(&self, other: &Self) -> Result<bool, Failed> {
        if let (Self::Text(one), Self::Text(other)) = (self, other) {
            return Ok(one == other);
        }
        Ok(self.ordered(other)? == Some(Ordering::Equal))
    }

    pub(super) fn compares(&self, operator: Operator, other: &Self) -> Result<bool, Failed> {
        let order = self.ordered(other)?;
        match operator {
            Operator::Equal => Ok(order == Some(Ordering::Equal)),
            Operator::NotEqual => Ok(order != Some(Ordering::Equal)),
            Operator::Less => order.map(Ordering::is_lt).ok_or(Failed::Kind),
            Operator::LessOrEqual => order.map(Ordering::is_le).ok_or(Failed::Kind),
            Operator::Greater => order.map(Ordering::is_gt).ok_or(Failed::Kind),
            Operator::GreaterOrEqual => order.map(Ordering::is_ge).ok_or(Failed::Kind),
            Operator::In => Err(Failed::Kind),
        }
    }

    /// How two values stand to each other; `None`: they are of different kinds, or no numbers.
    fn ordered(&self, other: &Self) -> Result<Option<Ordering>, Failed> {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => Ok(Some(one.cmp(other))),
            (Self::Integer(one), Self::Integer(other)) => Ok(Some(one.cmp(other))),
            (Self::Boolean(one), Self::Boolean(other)) => Ok(Some(one.cmp(other))),
            (Self::Absent | Self::Group | Self::List(_), _) => Err(self.unfit()),
            (_, Self::Absent | Self::Group | Self::List(_)) => Err(other.unfit()),
            (one, other) => {
                let numbers = one.number().zip(other.number());
                Ok(numbers.and_then(|(one, other)| one.partial_cmp(&other)))
            }
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            #[expect(
                clippy::as_conversions,
                clippy::cast_precision_loss,
                reason = "a whole number beside another is compared as near as a double comes to it"
            )]
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Boolean(_) | Self::List(_) | Self::Absent | Self::Group => None,
        }
    }
}

/// A number always shows that it is no whole one.
fn shown(number: f64) -> String {
    let mut text = number.to_string();
    if number.is_finite() && !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// As much of a text as so many bytes hold.
pub(super) fn begin(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
