//! Other services' events as rules see them: decoded by the contract's own descriptors, so that a new event needs no
//! code here.
//!
//! Every field is there, unset ones with their default. Enums are their words (`web_form`, `P1`; unset: empty),
//! instants are instants, whole numbers are 64 bits wide, bytes and the checked forms of filters are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use kernel::Timestamp;
use notify::{Shape, Shapes};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage, Value as Reflected,
};
use rules::Value;

const PACKAGE: &str = "switchyard.events.v1";
const ATTRIBUTE: &str = "switchyard.common.v1.AttributeValue";
const PRIORITY: &str = "switchyard.common.v1.Priority";
const TIMESTAMP: &str = "google.protobuf.Timestamp";
/// A filter's tree, which stands beside its text.
const CHECKED: &str = "switchyard.events.v1.CheckedExpression";
/// Deeper than any event.
const DEPTH_MAX: usize = 6;

/// The fields of an event, by name. An error says why its bytes can't be read.
pub(crate) fn of(event_type: &str, data: &[u8]) -> Result<BTreeMap<String, Value>, String> {
    let descriptor = TYPES.get(event_type).ok_or_else(|| format!("{event_type} is unknown"))?;
    let message = DynamicMessage::decode(descriptor.clone(), data)
        .map_err(|error| format!("{event_type}: {error}"))?;
    Ok(fields(&message, DEPTH_MAX))
}

/// Whether an event belongs to a ticket: those of clocks name the clock alone, and have their ticket as their entity.
pub(crate) fn is_about_ticket(event_type: &str) -> bool {
    let named = |descriptor: &MessageDescriptor, name| descriptor.get_field_by_name(name).is_some();
    TYPES.get(event_type).is_some_and(|it| named(it, "ticket_id") || named(it, "clock_id"))
}

/// Whether there is such a type of event in the logs that notify follows.
pub(crate) fn is_event(event_type: &str) -> bool {
    TYPES.contains_key(event_type)
}

/// The fields that every one of these types has, as [`notify::PutRule::fields`] wants them.
pub(crate) fn shapes(event_types: &[String]) -> Shapes {
    let known = event_types.iter().filter_map(|event_type| TYPES.get(event_type));
    let each = known.map(|descriptor| group(descriptor, DEPTH_MAX));
    each.reduce(|one, other| notify::common(&one, &other)).unwrap_or_default()
}

/// The events of intake, routing and sla: the messages of their files that are part of no other.
static TYPES: LazyLock<BTreeMap<String, MessageDescriptor>> = LazyLock::new(|| {
    let pool = wire::descriptors();
    let ours = |message: &MessageDescriptor| {
        let file = message.parent_file();
        message.package_name() == PACKAGE
            && ["/intake.proto", "/routing.proto", "/sla.proto"]
                .iter()
                .any(|name| file.name().ends_with(name))
            && !message.is_map_entry()
    };
    let parts: BTreeSet<String> = pool
        .all_messages()
        .flat_map(|message| message.fields().filter_map(|field| part(&field)).collect::<Vec<_>>())
        .collect();
    pool.all_messages()
        .filter(|message| ours(message) && !parts.contains(message.full_name()))
        .map(|message| (message.name().to_owned(), message))
        .collect()
});

fn part(field: &FieldDescriptor) -> Option<String> {
    Some(field.kind().as_message()?.full_name().to_owned())
}

/// The fields of a message, as [`fields`] gives them.
fn group(message: &MessageDescriptor, depth: usize) -> Shapes {
    let shaped = |field: FieldDescriptor| Some((field.name().to_owned(), shape(&field, depth)?));
    message.fields().filter_map(shaped).collect()
}

fn shape(field: &FieldDescriptor, depth: usize) -> Option<Shape> {
    if field.is_map() {
        return Some(Shape::Attributes);
    }
    let one = match field.kind() {
        Kind::Bytes => return None,
        Kind::String | Kind::Enum(_) => Shape::Text,
        Kind::Bool => Shape::Boolean,
        Kind::Message(inner) if inner.full_name() == TIMESTAMP => Shape::Instant,
        Kind::Message(inner) if [ATTRIBUTE, CHECKED].contains(&inner.full_name()) => return None,
        Kind::Message(inner) => Shape::Group(group(&inner, depth.checked_sub(1)?)),
        Kind::Double
        | Kind::Float
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64 => Shape::Number,
    };
    Some(if field.is_list() { Shape::List(Box::new(one)) } else { one })
}

fn fields(message: &DynamicMessage, depth: usize) -> BTreeMap<String, Value> {
    let field = |field: FieldDescriptor| {
        let value = value(&message.get_field(&field), &field.kind(), depth)?;
        Some((field.name().to_owned(), value))
    };
    message.descriptor().fields().filter_map(field).collect()
}

fn value(value: &Reflected, kind: &Kind, depth: usize) -> Option<Value> {
    Some(match value {
        Reflected::Bool(truth) => Value::Boolean(*truth),
        Reflected::I32(number) => Value::Integer((*number).into()),
        Reflected::I64(number) => Value::Integer(*number),
        Reflected::U32(number) => Value::Integer((*number).into()),
        Reflected::U64(number) => Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
        Reflected::F32(number) => Value::Number((*number).into()),
        Reflected::F64(number) => Value::Number(*number),
        Reflected::String(text) => Value::Text(text.clone()),
        Reflected::Bytes(_) => return None,
        Reflected::EnumNumber(number) => Value::Text(word(kind.as_enum()?, *number)),
        Reflected::Message(message) => return inner(message, depth.checked_sub(1)?),
        Reflected::List(values) => {
            let each = |value: &Reflected| self::value(value, kind, depth);
            Value::List(values.iter().filter_map(each).collect())
        }
        Reflected::Map(entries) => {
            let kind = kind.as_message()?.map_entry_value_field().kind();
            let entry = |(key, value): (&MapKey, &Reflected)| match key {
                MapKey::String(key) => Some((key.clone(), self::value(value, &kind, depth)?)),
                MapKey::Bool(_)
                | MapKey::I32(_)
                | MapKey::I64(_)
                | MapKey::U32(_)
                | MapKey::U64(_) => None,
            };
            Value::Map(entries.iter().filter_map(entry).collect())
        }
    })
}

fn inner(message: &DynamicMessage, depth: usize) -> Option<Value> {
    match message.descriptor().full_name() {
        TIMESTAMP => Some(Value::Instant(instant(message)?)),
        ATTRIBUTE => attribute(message, depth),
        CHECKED => None,
        _ => Some(Value::Map(fields(message, depth))),
    }
}

/// The one value that is set; a list of texts is its texts.
fn attribute(message: &DynamicMessage, depth: usize) -> Option<Value> {
    let (field, set) = message.fields().next()?;
    let value = value(set, &field.kind(), depth)?;
    match value {
        Value::Map(mut list) => list.remove("values"),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Number(_)
        | Value::Boolean(_)
        | Value::Instant(_)
        | Value::List(_) => Some(value),
    }
}

fn instant(message: &DynamicMessage) -> Option<Timestamp> {
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    let millis = seconds.saturating_mul(1_000).saturating_add(i64::from(nanos / 1_000_000));
    Some(Timestamp::from_millis(millis))
}

/// `CHANNEL_WEB_FORM` is `web_form`; priorities keep their capital, as people write them.
fn word(descriptor: &EnumDescriptor, number: i32) -> String {
    if number == 0 {
        return String::new();
    }
    let Some(value) = descriptor.get_value(number) else { return number.to_string() };
    let mut prefix = String::new();
    for letter in descriptor.name().chars() {
        if letter.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix.push('_');
    let name = value.name().strip_prefix(&prefix).unwrap_or_else(|| value.name());
    if descriptor.full_name() == PRIORITY { name.to_owned() } else { name.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests;
