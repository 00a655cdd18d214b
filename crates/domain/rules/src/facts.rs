//! What a rule is evaluated over: nested maps with text keys.

use std::collections::BTreeMap;

use kernel::{AttributeValue, Attributes, Timestamp};
use serde::{Deserialize, Serialize};

use crate::LIST_MAX;

/// A value that a rule can look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Text: `string` in CEL.
    Text(String),
    /// A whole number: `int`.
    Integer(i64),
    /// A number: `double`.
    Number(f64),
    /// True or false: `bool`.
    Boolean(bool),
    /// An instant: `timestamp`.
    Instant(Timestamp),
    /// Several values: `list`. A rule sees the first [`LIST_MAX`].
    List(Vec<Value>),
    /// Named values: `map`. No macro may run over it.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// A map of these entries.
    pub fn map<N: Into<String>>(entries: impl IntoIterator<Item = (N, Value)>) -> Self {
        Self::Map(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// A list of texts.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::from_text).collect())
    }

    fn from_text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Instant(at)
    }
}

impl From<&AttributeValue> for Value {
    fn from(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text.clone()),
            AttributeValue::Integer(number) => Self::Integer(*number),
            AttributeValue::Number(number) => Self::Number(*number),
            AttributeValue::Boolean(truth) => Self::Boolean(*truth),
            AttributeValue::Instant(at) => Self::Instant(*at),
            AttributeValue::Texts(texts) => Self::texts(texts.iter().take(LIST_MAX).cloned()),
        }
    }
}

impl From<&Attributes> for Value {
    fn from(attributes: &Attributes) -> Self {
        Self::map(attributes.iter().map(|(name, value)| (name.clone(), value.into())))
    }
}

/// The facts of one evaluation, by their top-level names. Made once, asked by many rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(BTreeMap<String, Value>);

impl Facts {
    /// No facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fact under its top-level name, in place of an earlier one of that name.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The value of a top-level name, if there is one.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}
