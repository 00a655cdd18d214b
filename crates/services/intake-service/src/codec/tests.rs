//! What is stored is what is read.

use intake::event::{AuthorKind, Requester, TicketOpened, Visibility};
use kernel::{
    AttributeValue, Attributes, Channel, Packed, Priority, RequesterId, SkillId, SkillLevel,
    SkillRequirement, TicketStatus, Timestamp,
};

use super::*;

fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Event, DecodeError> {
    runtime::decode_event(EVENTS, event_type, version, &Bytes::copy_from_slice(data))
}

fn attributes() -> Attributes {
    Attributes::from([
        ("text".to_owned(), AttributeValue::Text("ü".into())),
        ("integer".to_owned(), AttributeValue::Integer(-3)),
        ("number".to_owned(), AttributeValue::Number(0.5)),
        ("boolean".to_owned(), AttributeValue::Boolean(false)),
        ("instant".to_owned(), AttributeValue::Instant(Timestamp::from_millis(1_767_323_045_678))),
        ("texts".to_owned(), AttributeValue::Texts(vec!["b".into(), "a".into()])),
    ])
}

fn opened() -> TicketOpened {
    TicketOpened {
        ticket: TicketId::trusted("t"),
        number: 7,
        external_id: Some("INC 7".into()),
        channel: Channel::WebForm,
        provider: "site".into(),
        requester: Requester {
            id: RequesterId::trusted("rita"),
            name: "Rita".into(),
            addresses: ["rita@example.com".into()].into(),
            locale: "de-AT".into(),
        },
        subject: "It does not start".into(),
        body: "Since\nyesterday.".into(),
        message: MessageId::trusted("m"),
        priority: Some(Priority::P2),
        kind: "incident".into(),
        tags: ["a".into(), "b".into()].into(),
        attributes: Packed::new(&attributes()),
        required_skills: [SkillRequirement {
            skill: SkillId::trusted("de"),
            min_level: SkillLevel::new(4).unwrap(),
        }]
        .into(),
        queue: Some(QueueId::trusted("q")),
        follows: Some(TicketId::trusted("s")),
    }
}

fn bare() -> TicketOpened {
    TicketOpened {
        external_id: None,
        priority: None,
        queue: None,
        follows: None,
        tags: Box::default(),
        attributes: Packed::new(&Attributes::default()),
        required_skills: Box::default(),
        ..opened()
    }
}

fn updated() -> TicketUpdated {
    TicketUpdated {
        ticket: TicketId::trusted("t"),
        priority: Some(Priority::P1),
        kind: Some("".into()),
        tags: Some(Box::default()),
        attributes: Some(Packed::new(&attributes())),
        queue: Some(QueueId::trusted("q")),
    }
}

#[test]
fn every_fact_survives_its_encoding() {
    let ticket = || TicketId::trusted("t");
    for event in [
        Event::WorkspacePut(WorkspacePut {
            workspace: WorkspaceId::trusted("acme"),
            display_name: "Acme".into(),
            default_priority: Some(Priority::P4),
        }),
        Event::TicketOpened(Box::new(opened())),
        Event::TicketOpened(Box::new(bare())),
        Event::MessageAdded(MessageAdded {
            ticket: ticket(),
            message: MessageId::trusted("m"),
            author_kind: AuthorKind::Bot,
            author: "".into(),
            visibility: Visibility::Internal,
            body: "Hello".into(),
            queue: Some(QueueId::trusted("q")),
        }),
        Event::TicketUpdated(updated()),
        Event::TicketUpdated(TicketUpdated { kind: None, tags: None, ..updated() }),
        Event::TicketUpdated(TicketUpdated { priority: None, attributes: None, ..updated() }),
        Event::StatusChanged(StatusChanged {
            ticket: ticket(),
            from: TicketStatus::OnHold,
            to: TicketStatus::Resolved,
            reason: "done".into(),
            queue: None,
        }),
        Event::OwnerChanged(OwnerChanged {
            ticket: ticket(),
            agent: Some(AgentId::trusted("ada")),
            queue: None,
            left: Some(QueueId::trusted("q")),
        }),
    ] {
        let stored = encode(&event);
        assert_eq!(decode(stored.event_type, stored.version, &stored.data), Ok(event));
    }
}

#[test]
fn what_this_build_does_not_know_is_no_fact() {
    assert_eq!(decode("TicketMerged", 1, &[]), Err(DecodeError::UnknownType));
    let later = DecodeError::UnknownVersion { found: 2, known: 1 };
    assert_eq!(decode(OWNER_CHANGED, 2, &[]), Err(later));
    assert!(matches!(decode(OWNER_CHANGED, 1, &[0xff]), Err(DecodeError::Malformed(_))));
    assert!(matches!(decode(TICKET_OPENED, 1, &[]), Err(DecodeError::Malformed(_))));
}
