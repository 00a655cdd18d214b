//! What a rule is evaluated over: nested maps with text keys.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

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

    fn to_cel(&self) -> cel::Value {
        match self {
            Self::Text(text) => cel::Value::String(Arc::new(text.clone())),
            Self::Integer(number) => cel::Value::Int(*number),
            Self::Number(number) => cel::Value::Float(*number),
            Self::Boolean(truth) => cel::Value::Bool(*truth),
            Self::Instant(at) => instant(*at),
            Self::List(values) => {
                cel::Value::List(Arc::new(values.iter().take(LIST_MAX).map(Self::to_cel).collect()))
            }
            Self::Map(entries) => cel::Value::Map(cel::objects::Map {
                map: Arc::new(entries.iter().map(cel_entry).collect()),
            }),
        }
    }
}

fn cel_entry((name, value): (&String, &Value)) -> (cel::objects::Key, cel::Value) {
    (cel::objects::Key::String(Arc::new(name.clone())), value.to_cel())
}

/// CEL makes its own timestamps, so that no other time library is named here.
fn instant(at: Timestamp) -> cel::Value {
    static MAKE: LazyLock<Option<cel::Program>> =
        LazyLock::new(|| cel::Program::compile("timestamp(0) + duration(since)").ok());
    let mut context = crate::rule::context();
    context.add_variable_from_value("since", format!("{}ms", at.as_millis()));
    match MAKE.as_ref().map(|program| program.execute(&context)) {
        Some(Ok(value)) => value,
        Some(Err(_)) | None => cel::Value::Null,
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
pub struct Facts {
    named: BTreeMap<String, Value>,
    cel: BTreeMap<String, cel::Value>,
}

impl Facts {
    /// No facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fact under its top-level name, in place of an earlier one of that name.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.cel.insert(name.clone(), value.to_cel());
        self.named.insert(name, value);
        self
    }

    /// The value at a path of names, if there is one.
    pub(crate) fn at(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.named.get(first)?, |value, name| match value {
            Value::Map(entries) => entries.get(name),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Number(_)
            | Value::Boolean(_)
            | Value::Instant(_)
            | Value::List(_) => None,
        })
    }

    pub(crate) fn cel(&self) -> impl Iterator<Item = (&String, &cel::Value)> {
        self.cel.iter()
    }
}
