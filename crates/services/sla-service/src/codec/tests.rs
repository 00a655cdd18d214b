//! Every fact survives its stored form.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::{
    AgentId, AttributeValue, Channel, Packed, PolicyId, Priority, QueueId, TicketId, TicketStatus,
    Timestamp, WorkspaceId,
};
use sla::{
    BreachCause, CancelReason, Change, ClockKey, Event, Metric, PolicySpec, TicketNote, Traits,
};

use super::*;

fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Event, DecodeError> {
    runtime::decode_event(EVENTS, event_type, version, &Bytes::copy_from_slice(data))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn changes() -> Vec<Change> {
    let policy = Some(PolicyId::trusted("p"));
    let mut changes = vec![
        Change::Started {
            at: at(1),
            target_ms: Some(2),
            due_at: Some(at(3)),
            policy: policy.clone(),
        },
        Change::Started { at: at(1), target_ms: None, due_at: None, policy: None },
        Change::Paused { at: at(4), elapsed_ms: 5 },
        Change::Resumed { at: at(6), due_at: Some(at(7)) },
        Change::Retargeted { at: at(8), target_ms: Some(9), due_at: None, policy },
        Change::Warned { permille: 800, due_at: at(10) },
        Change::Met { at: at(11), elapsed_ms: 12 },
        Change::StoppedAfterBreach { at: at(13), elapsed_ms: 14 },
        Change::BreachRetracted { at: at(15), elapsed_ms: 16 },
        Change::Reopened { at: at(17), due_at: None },
    ];
    changes.extend(BreachCause::ALL.map(|cause| Change::Breached { at: at(18), cause }));
    changes.extend(CancelReason::ALL.map(|reason| Change::Cancelled { at: at(19), reason }));
    changes
}

fn note(traits: Option<Traits>) -> Event {
    Event::TicketNoted(Box::new(TicketNote {
        ticket: TicketId::trusted("t"),
        number: 7,
        priority: Some(Priority::P2),
        status: TicketStatus::OnHold,
        policy: Some(PolicyId::trusted("p")),
        agent: Some(AgentId::trusted("a")),
        queue: Some(QueueId::trusted("q")),
        traits: traits.map(Arc::new),
    }))
}

fn events() -> Vec<Event> {
    let traits = Traits {
        channel: Channel::Sms,
        provider: "telegram".into(),
        subject: "No heat".into(),
        kind: "incident".into(),
        tags: vec!["vip".into()],
        attributes: Packed::new(&BTreeMap::from([("amount".into(), AttributeValue::Integer(4))])),
        requester_id: "r".into(),
        requester_name: "Ann".into(),
        requester_locale: "de-AT".into(),
    };
    let spec = PolicySpec {
        policy: PolicyId::trusted("p"),
        display_name: "Gold".into(),
        order: -3,
        filter: Some(rules::Rule::compile("ticket.type == 'incident'", rules::TICKET).unwrap()),
        targets: BTreeMap::from([((Metric::NextReply, Priority::P3), 60_000)]),
        warn_at_permille: Arc::from([500, 800]),
    };
    let all = PolicySpec { filter: None, targets: BTreeMap::new(), ..spec.clone() };
    let mut events = vec![
        Event::WorkspaceNoted(WorkspaceId::trusted("w")),
        Event::PolicyPut(Box::new(spec)),
        Event::PolicyPut(Box::new(all)),
        Event::PoliciesApplied { through: Some(TicketId::trusted("t")), done: false },
        Event::PoliciesApplied { through: None, done: true },
        note(Some(traits)),
        note(None),
    ];
    for (change, metric) in changes().into_iter().zip(Metric::ALL.into_iter().cycle()) {
        let (ticket, key) = (TicketId::trusted("t"), ClockKey { metric, cycle: 3 });
        events.push(Event::Clock { ticket, key, change });
    }
    events
}

#[test]
fn a_fact_survives_its_stored_form() {
    for event in events() {
        let Payload { event_type, version, data } = encode(&event);
        assert_eq!(decode(event_type, version, &data), Ok(event), "{event_type}");
        let full_name = format!("switchyard.events.v1.{event_type}");
        assert!(wire::descriptors().get_message_by_name(&full_name).is_some(), "{full_name}");
        let later = DecodeError::UnknownVersion { found: 2, known: 1 };
        assert_eq!(decode(event_type, 2, &data), Err(later));
    }
    assert_eq!(decode("TicketOpened", 1, &[]), Err(DecodeError::UnknownType));
}

#[test]
fn what_cannot_be_is_malformed() {
    let id = || "t/first_reply/1".to_owned();
    let cause = stored::ClockBreached { clock_id: id(), cause: "x".into(), ..Default::default() };
    let paused = stored::ClockPaused { clock_id: "t/x/1".into(), ..Default::default() };
    for (event_type, data) in [
        ("ClockBreached", cause.encode_to_vec()),
        ("ClockPaused", paused.encode_to_vec()),
        ("TicketNoted", stored::TicketNoted { priority: 9, ..Default::default() }.encode_to_vec()),
        ("PolicyPut", vec![0xff]),
    ] {
        let read = decode(event_type, 1, &data);
        assert!(matches!(read, Err(DecodeError::Malformed(_))), "{event_type}: {read:?}");
    }
}
