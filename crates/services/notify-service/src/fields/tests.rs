//! Events of each service, as a rule sees them.

use std::collections::BTreeMap;

use prost::Message;
use wire::common::v1::{AttributeValue, TextList, attribute_value};
use wire::events::v1 as events;

use super::*;

fn attribute(kind: attribute_value::Kind) -> AttributeValue {
    AttributeValue { kind: Some(kind) }
}

#[test]
fn a_ticket_is_seen_with_its_words_and_its_own_types() {
    let texts = TextList { values: vec!["a".into()] };
    let at = prost_types::Timestamp { seconds: 2, nanos: 5_000_000 };
    let opened = events::TicketOpened {
        ticket_id: "t-1".into(),
        number: 7,
        channel: wire::common::v1::Channel::WebForm.into(),
        priority: wire::common::v1::Priority::P2.into(),
        tags: vec!["x".into()],
        attributes: BTreeMap::from([
            ("amount".into(), attribute(attribute_value::Kind::Integer(i64::MAX))),
            ("since".into(), attribute(attribute_value::Kind::Instant(at))),
            ("codes".into(), attribute(attribute_value::Kind::Texts(texts))),
        ]),
        ..events::TicketOpened::default()
    };
    let seen = of("TicketOpened", &opened.encode_to_vec()).unwrap();
    assert_eq!(seen["channel"], Value::from("web_form"));
    assert_eq!(seen["priority"], Value::from("P2"));
    assert_eq!(seen["number"], Value::Integer(7));
    assert_eq!(seen["subject"], Value::from(""), "what is unset is there");
    let Value::Map(requester) = &seen["requester"] else { panic!("{seen:?}") };
    assert_eq!(requester["name"], Value::from(""));
    let attributes = Value::map([
        ("amount", Value::Integer(i64::MAX)),
        ("since", Value::Instant(Timestamp::from_millis(2_005))),
        ("codes", Value::texts(["a"])),
    ]);
    assert_eq!(seen["attributes"], attributes);
}

/// Whether a value is of this shape.
fn fits(value: &Value, shape: &Shape) -> bool {
    match (value, shape) {
        (Value::Text(_), Shape::Text)
        | (Value::Integer(_) | Value::Number(_), Shape::Number)
        | (Value::Boolean(_), Shape::Boolean)
        | (Value::Instant(_), Shape::Instant)
        | (Value::Map(_), Shape::Attributes) => true,
        (Value::List(values), Shape::List(item)) => values.iter().all(|it| fits(it, item)),
        (Value::Map(fields), Shape::Group(shapes)) => {
            shapes.iter().all(|(name, shape)| fields.get(name).is_some_and(|it| fits(it, shape)))
        }
        _ => false,
    }
}

#[test]
fn every_event_has_the_fields_that_it_is_said_to_have() {
    for event_type in TYPES.keys() {
        let fields = Value::Map(of(event_type, &[]).unwrap());
        let shapes = shapes(std::slice::from_ref(event_type));
        assert!(fits(&fields, &Shape::Group(shapes)), "{event_type}");
    }
    let skill = wire::common::v1::SkillRequirement { skill: "x".into(), min_level: 3 };
    let opened = events::TicketOpened {
        required_skills: vec![skill],
        tags: vec!["x".into()],
        ..events::TicketOpened::default()
    };
    let fields = Value::Map(of("TicketOpened", &opened.encode_to_vec()).unwrap());
    let shapes = shapes(&["TicketOpened".to_owned()]);
    assert!(fits(&fields, &Shape::Group(shapes.clone())));
    assert_eq!(shapes["attributes"], Shape::Attributes);
    assert_eq!(shapes["tags"], Shape::List(Box::new(Shape::Text)));
    assert_eq!(shapes["number"], Shape::Number);
    assert!(
        matches!(&shapes["required_skills"], Shape::List(it) if matches!(&**it, Shape::Group(_)))
    );
}

#[test]
fn parts_of_events_and_what_is_not_followed_are_no_events() {
    for event_type in ["TicketOpened", "OfferMade", "ClockBreached", "WorkEnded", "AgentPut"] {
        assert!(is_event(event_type), "{event_type}");
    }
    for other in ["Requester", "Candidate", "Target", "IntentMade", "Commit", "AttributesEntry"] {
        assert!(!is_event(other), "{other}");
    }
    assert!(is_about_ticket("ClockPaused") && !is_about_ticket("AgentPut"));
    let both = shapes(&["OfferMade".to_owned(), "TicketAssigned".to_owned()]);
    assert!(both.contains_key("agent_id") && !both.contains_key("accept_by_ms"));
}

#[test]
fn bytes_that_are_no_event_are_an_error() {
    assert!(of("TicketOpened", b"\xff\xff").is_err());
    assert!(of("Nothing", b"").is_err());
}
