//! What a request must be beside its fields taken one by one, so that a well-meant one is served.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::draw::Draw;

/// Makes a request of good fields one that fits together.
pub(super) fn fit(method: &MethodDescriptor, message: &mut DynamicMessage, draw: &mut Draw<'_>) {
    match method.name() {
        "SetWaiting" => {
            let status = draw.rng.pick(&[3, 4]).unwrap_or(3);
            message.set_field_by_name("status", Value::EnumNumber(status));
        }
        "AddMessage" => fit_author(message),
        "CreateTicket" => {
            // Another one.
            message.set_field_by_name("ticket_id", Value::String(draw.fresh_id.clone()));
            message.clear_field_by_name("external_id");
        }
        "TransferTicket" => {
            message.clear_field_by_name("from_agent_id");
            message.set_field_by_name("queue_id", Value::String("network".to_owned()));
        }
        "SetPresence" => {
            message.set_field_by_name("presence", Value::EnumNumber(1));
            with(message, "lease", |lease| lease.clear_field_by_name("seconds"));
        }
        "WatchOffers" => {
            message.set_field_by_name("include_snapshot", Value::Bool(true));
            message.clear_field_by_name("start");
        }
        "AdvanceTo" => {
            // Slowly, or everything would be over.
            let seconds = draw.now + i64::try_from(draw.rng.below(20)).unwrap_or_default();
            let instant = message.get_field_by_name_mut("instant").and_then(Value::as_message_mut);
            if let Some(instant) = instant {
                instant.set_field_by_name("seconds", Value::I64(seconds));
            }
        }
        "PutRule" => with(message, "rule", fit_rule),
        "PutPolicy" => with(message, "policy", |policy| {
            clear(policy, &["targets"], |targets| targets.as_list().is_some_and(<[_]>::is_empty));
        }),
        "WatchNotifications" if is_empty(message, "agent_id") => {
            message.clear_field_by_name("queue_ids");
        }
        _ => {}
    }
}

fn with(message: &mut DynamicMessage, field: &str, change: impl FnOnce(&mut DynamicMessage)) {
    if let Some(inner) = message.get_field_by_name_mut(field).and_then(Value::as_message_mut) {
        change(inner);
    }
}

fn clear(message: &mut DynamicMessage, fields: &[&str], when: impl Fn(&Value) -> bool) {
    for field in fields {
        if message.get_field_by_name(field).is_some_and(|value| when(&value)) {
            message.clear_field_by_name(field);
        }
    }
}

fn is_empty(message: &DynamicMessage, field: &str) -> bool {
    let value = message.get_field_by_name(field);
    value.is_none_or(|value| value.as_str().is_some_and(str::is_empty))
}

fn fit_author(message: &mut DynamicMessage) {
    let kind = message.get_field_by_name("author_kind").and_then(|kind| kind.as_enum_number());
    match kind {
        // A customer's word is public, and an agent has a name.
        Some(1) => {
            message.set_field_by_name("visibility", Value::EnumNumber(1));
            message.clear_field_by_name("author_id");
        }
        Some(2) if is_empty(message, "author_id") => {
            message.set_field_by_name("author_id", Value::String("a-1".to_owned()));
        }
        _ => {}
    }
}

fn fit_rule(rule: &mut DynamicMessage) {
    let channel = rule.get_field_by_name("channel").and_then(|kind| kind.as_enum_number());
    if channel == Some(1) {
        rule.set_field_by_name("endpoint_id", Value::String("hook".to_owned()));
        rule.clear_field_by_name("recipients");
    } else {
        rule.clear_field_by_name("endpoint_id");
    }
    for (list, one) in [("event_types", "OfferMade"), ("recipients", "owner")] {
        let empty = rule
            .get_field_by_name(list)
            .is_none_or(|value| value.as_list().is_none_or(<[_]>::is_empty));
        if empty && (list == "event_types" || channel == Some(2)) {
            rule.set_field_by_name(list, Value::List(vec![Value::String(one.to_owned())]));
        }
    }
}
