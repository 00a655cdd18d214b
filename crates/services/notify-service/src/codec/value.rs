//! The fields of an event that waits for its ticket, as they are stored.

use std::collections::BTreeMap;

use kernel::Timestamp;
use rules::Value;
use runtime::DecodeError;
use wire::events::v1::field_value::Kind;
use wire::events::v1::{FieldList, FieldMap, FieldValue};

pub(super) fn stored_fields(fields: &BTreeMap<String, Value>) -> BTreeMap<String, FieldValue> {
    fields.iter().map(|(name, value)| (name.clone(), stored(value))).collect()
}

pub(super) fn fields_of(
    fields: BTreeMap<String, FieldValue>,
) -> Result<BTreeMap<String, Value>, DecodeError> {
    fields.into_iter().map(|(name, field)| Ok((name, value_of(field)?))).collect()
}

fn stored(value: &Value) -> FieldValue {
    let kind = match value {
        Value::Text(text) => Kind::Text(text.clone()),
        Value::Integer(number) => Kind::Integer(*number),
        Value::Number(number) => Kind::Number(*number),
        Value::Boolean(truth) => Kind::Boolean(*truth),
        Value::Instant(at) => Kind::InstantMs(at.as_millis()),
        Value::List(values) => {
            Kind::List(FieldList { values: values.iter().map(stored).collect() })
        }
        Value::Map(fields) => Kind::Map(FieldMap { fields: stored_fields(fields) }),
    };
    FieldValue { kind: Some(kind) }
}

fn value_of(field: FieldValue) -> Result<Value, DecodeError> {
    let Some(kind) = field.kind else {
        return Err(DecodeError::Malformed("a field without a value".to_owned()));
    };
    Ok(match kind {
        Kind::Text(text) => Value::Text(text),
        Kind::Integer(number) => Value::Integer(number),
        Kind::Number(number) => Value::Number(number),
        Kind::Boolean(truth) => Value::Boolean(truth),
        Kind::InstantMs(millis) => Value::Instant(Timestamp::from_millis(millis)),
        Kind::List(list) => {
            Value::List(list.values.into_iter().map(value_of).collect::<Result<_, _>>()?)
        }
        Kind::Map(map) => Value::Map(fields_of(map.fields)?),
    })
}
