//! Every event survives its stored form, and nothing else is read.

use notify::{Branch, Expression, FILTER_NAMES, Filter, Operator, Part, Template};
use rules::Value;

use super::*;

fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Event, DecodeError> {
    runtime::decode_event(EVENTS, event_type, version, &Bytes::copy_from_slice(data))
}

fn delivery() -> DeliveryId {
    DeliveryId::trusted("d1")
}

fn ended(outcome: Outcome, throttled_until: Option<Timestamp>) -> Event {
    Event::AttemptEnded(AttemptEnded {
        delivery: delivery(),
        attempt: 3,
        outcome,
        http_status: 503,
        error: "http_status".to_owned(),
        throttled_until,
    })
}

fn rule(way: Way) -> Event {
    Event::RulePut(RulePut {
        rule: RuleId::trusted("r"),
        version: 2,
        event_types: vec!["OfferMade".to_owned()],
        filter: Some(rules::Rule::compile("event.agent_id == 'ada'", FILTER_NAMES).unwrap()),
        way,
        template: Some(template()),
        disabled: true,
    })
}

/// Every kind of part and expression.
fn template() -> Template {
    let name = |path: &[&str]| Expression::Name(path.iter().map(ToString::to_string).collect());
    let text = |text: &str| Expression::Text(text.to_owned());
    let boxed = |expression: Expression| Box::new(expression);
    let filters = ["default", "default_if_false", "join", "length", "lower", "replace", "title"];
    let filters = filters.into_iter().chain(["trim", "upper"]).map(|word| {
        Part::Value(Expression::Filter {
            filter: Filter::of_word(word).unwrap(),
            input: boxed(name(&["event", "type"])),
            arguments: vec![text("a"), text("b")],
        })
    });
    let operators = ["==", "!=", "<", "<=", ">", ">=", "in"].map(|sign| Branch {
        condition: Expression::Comparison {
            operator: Operator::of_word(sign).unwrap(),
            left: boxed(Expression::Integer(i64::MIN)),
            right: boxed(Expression::Number(-0.5)),
        },
        then: vec![Part::Text(sign.to_owned())],
    });
    let junction = Expression::All(vec![
        Expression::Any(vec![Expression::Boolean(true), text("")]),
        Expression::Not(boxed(Expression::Boolean(false))),
    ]);
    let choice = Expression::Choice {
        condition: boxed(junction),
        then: boxed(text("x")),
        otherwise: boxed(name(&["loop", "index"])),
    };
    let each = Part::Loop {
        item: "it".to_owned(),
        list: vec!["event".to_owned(), "tags".to_owned()],
        body: vec![Part::Value(choice)],
        otherwise: vec![Part::Text("none".to_owned())],
    };
    let choice =
        Part::Choice { branches: operators.into(), otherwise: vec![Part::Text("-".to_owned())] };
    Template::trusted("source".to_owned(), filters.chain([choice, each]).collect(), 7)
}

fn sealed(key: &str, sealed: &[u8]) -> SealedSecret {
    SealedSecret { key_id: key.to_owned(), sealed: sealed.to_vec() }
}

fn intent(target: Target, ticket: Option<TicketId>) -> Event {
    Event::IntentMade(IntentMade {
        delivery: delivery(),
        rule: RuleId::trusted("r"),
        rule_version: 2,
        target,
        event_type: "OfferMade".to_owned(),
        ticket,
        body: "{}".to_owned(),
    })
}

fn learnt(owner: Option<AgentId>, priority: Option<Priority>) -> Event {
    Event::TicketLearnt(TicketLearnt {
        ticket: TicketId::trusted("t"),
        number: 7,
        requester_name: "Grace".to_owned(),
        subject: "Where?".to_owned(),
        queue: owner.is_some().then(|| QueueId::trusted("q")),
        owner,
        priority,
        closed_at: priority.is_none().then(|| Timestamp::from_millis(1)),
    })
}

fn awaiting() -> Event {
    let inner = [
        ("text", Value::from("x")),
        ("integer", Value::Integer(i64::MIN)),
        ("number", Value::Number(0.25)),
        ("boolean", Value::Boolean(false)),
        ("instant", Value::Instant(Timestamp::from_millis(-5))),
        ("list", Value::texts(["a", "b"])),
        ("map", Value::map([("deep", Value::map::<String>([]))])),
    ];
    Event::AwaitingTicket(AwaitingTicket {
        ticket: TicketId::trusted("t"),
        observation: Observation {
            cause: Cause { service: 3, partition: 2, seq: 9, index: 1 },
            event_type: "ClockBreached".to_owned(),
            at: Timestamp::from_millis(77),
            fields: inner.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        },
    })
}

fn events() -> Vec<Event> {
    let hook = || EndpointId::trusted("hook");
    let next_attempt_at = Timestamp::from_millis(5_000);
    vec![
        Event::WorkspaceSeen(kernel::WorkspaceId::trusted("acme")),
        Event::EndpointPut(EndpointPut {
            endpoint: hook(),
            url: Address::new("https://hooks.example/x"),
            secrets: vec![sealed("1", b"b"), sealed("2", b"\xff\0")],
            disabled: false,
            at_most_once: true,
        }),
        rule(Way::Webhook(hook())),
        rule(Way::InApp(vec![Recipient::Owner, Recipient::Queue(QueueId::trusted("q"))])),
        learnt(None, None),
        learnt(Some(AgentId::trusted("ada")), Some(Priority::P4)),
        awaiting(),
        intent(Target::Webhook(hook()), None),
        intent(Target::InApp(Recipient::All), Some(TicketId::trusted("t"))),
        Event::AttemptStarted(AttemptStarted { delivery: delivery(), attempt: 1 }),
        ended(Outcome::Delivered, None),
        ended(Outcome::Failed { next_attempt_at }, Some(next_attempt_at)),
        ended(Outcome::PermanentlyFailed, None),
        ended(Outcome::Unknown, None),
    ]
}

#[test]
fn every_event_survives_its_stored_form() {
    for event in events() {
        let Payload { event_type, version, data } = encode(&event);
        assert_eq!(decode(event_type, version, &data), Ok(event));
    }
}

fn without(change: impl FnOnce(&mut stored::RulePut)) -> Result<Event, DecodeError> {
    let data = encode(&rule(Way::InApp(vec![Recipient::All]))).data;
    let mut put = stored::RulePut::decode(data).unwrap();
    change(&mut put);
    decode("RulePut", 1, &put.encode_to_vec())
}

#[test]
fn a_stored_template_that_cannot_be_read_is_damage_and_never_another_one() {
    let malformed = |read| assert!(matches!(read, Err(DecodeError::Malformed(_))), "{read:?}");
    malformed(without(|put| put.checked_template = None));
    malformed(without(|put| put.template.clear()));
    malformed(without(|put| put.checked_template.as_mut().unwrap().parts[0].kind = None));
    for change in ["shout", ""] {
        malformed(without(|put| {
            let part = put.checked_template.as_mut().unwrap().parts[0].kind.as_mut().unwrap();
            let stored::template_part::Kind::Value(value) = part else { panic!("{part:?}") };
            let Some(stored::template_expression::Kind::Filter(filter)) = &mut value.kind else {
                panic!("{value:?}")
            };
            filter.filter = change.to_owned();
        }));
    }
    let none = without(|put| (put.template, put.checked_template) = (String::new(), None));
    assert!(matches!(none, Ok(Event::RulePut(RulePut { template: None, .. }))));
}

#[test]
fn a_webhook_without_a_body_is_damage() {
    let Event::IntentMade(made) = intent(Target::Webhook(EndpointId::trusted("hook")), None) else {
        unreachable!()
    };
    let empty = encode(&Event::IntentMade(IntentMade { body: String::new(), ..made }));
    let read = decode("IntentMade", 1, &empty.data);
    assert!(matches!(read, Err(DecodeError::Malformed(_))), "{read:?}");
}

#[test]
fn what_this_build_does_not_know_is_told_from_what_is_damaged() {
    let Payload { event_type, data, .. } = encode(&ended(Outcome::Delivered, None));
    assert_eq!(decode("Whatever", 1, &data), Err(DecodeError::UnknownType));
    let later = DecodeError::UnknownVersion { found: 2, known: 1 };
    assert_eq!(decode(event_type, 2, &data), Err(later));
    assert!(matches!(decode(event_type, 1, b"\xff"), Err(DecodeError::Malformed(_))));
    assert!(matches!(decode(event_type, 1, b""), Err(DecodeError::Malformed(_))));
}
