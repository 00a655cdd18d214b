//! Every event survives its stored form, and nothing else is read.

use notify::FILTER_NAMES;
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
        template: "{{ ticket.number }}".to_owned(),
        disabled: true,
    })
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
            secrets: vec![Secret::new("whsec_b"), Secret::new("whsec_a")],
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

#[test]
fn what_this_build_does_not_know_is_told_from_what_is_damaged() {
    let Payload { event_type, data, .. } = encode(&ended(Outcome::Delivered, None));
    assert_eq!(decode("Whatever", 1, &data), Err(DecodeError::UnknownType));
    let later = DecodeError::UnknownVersion { found: 2, known: 1 };
    assert_eq!(decode(event_type, 2, &data), Err(later));
    assert!(matches!(decode(event_type, 1, b"\xff"), Err(DecodeError::Malformed(_))));
    assert!(matches!(decode(event_type, 1, b""), Err(DecodeError::Malformed(_))));
}
