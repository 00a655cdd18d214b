//! Every fact survives being stored.

use kernel::{
    AgentId, OfferId, Priority, QueueId, SkillId, SkillLevel, SkillRequirement, TicketId,
    TicketStatus, Timestamp, WorkspaceId,
};
use routing::Event;
use routing::event::{AgentSettings, Made, QueueSettings, Queued, Requeued};
use routing::rules;
use routing::words::{
    AssignedHow, Candidate, Decision, OfferMode, Presence, QueueReason, RequeueReason,
    RescindReason, Rule, WorkClass, WorkOutcome, WorkState,
};
use runtime::DecodeError;

use super::{EVENTS, encode};

fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Event, DecodeError> {
    runtime::decode_event(EVENTS, event_type, version, &bytes::Bytes::copy_from_slice(data))
}

fn agent() -> AgentId {
    AgentId::trusted("ada")
}

fn ticket() -> TicketId {
    TicketId::trusted("t1")
}

fn queue() -> QueueId {
    QueueId::trusted("q")
}

fn offer() -> OfferId {
    OfferId::trusted("offer-7")
}

fn required() -> Vec<SkillRequirement> {
    let min_level = SkillLevel::new(3).unwrap();
    vec![SkillRequirement { skill: SkillId::trusted("de"), min_level }]
}

fn settings() -> Vec<Event> {
    let mut events = vec![
        Event::WorkspaceSeen { workspace: WorkspaceId::trusted("w") },
        Event::AgentPut {
            agent: agent(),
            settings: AgentSettings {
                display_name: "Ada".into(),
                skills: vec![(SkillId::trusted("de"), SkillLevel::new(5).unwrap())],
                queues: vec![queue()],
                capacity_units: 60,
            },
        },
        Event::PresenceExpired { agent: agent() },
    ];
    for offer_mode in OfferMode::ALL.iter().copied() {
        let settings = QueueSettings {
            display_name: "Q".into(),
            order: -3,
            filter: Some(rules::Rule::compile("ticket.channel == 'chat'", rules::TICKET).unwrap()),
            required_skills: required(),
            offer_mode,
            accept_within_ms: 12_000,
        };
        events.push(Event::QueuePut { queue: queue(), settings });
    }
    for presence in Presence::ALL.iter().copied() {
        events.push(Event::PresenceSet { agent: agent(), presence, lease_ms: 45_000 });
    }
    events
}

fn offers() -> Vec<Event> {
    let decision = Decision {
        agent: agent(),
        candidates: vec![Candidate {
            agent: agent(),
            idle_ms: 1,
            used_units: 2,
            capacity_units: 3,
            match_levels: 4,
        }],
        failures: Rule::ALL.iter().map(|rule| (*rule, 5)).collect(),
        log_seq: 0,
        policy_version: "longest_idle/1".into(),
        waiting: 6,
    };
    let made = Made {
        offer: offer(),
        ticket: ticket(),
        agent: agent(),
        queue: queue(),
        accept_by: Timestamp::from_millis(9),
        decision,
    };
    let mut events = vec![
        Event::OfferMade(Box::new(made)),
        Event::OfferAccepted { offer: offer(), ticket: ticket(), agent: agent(), automatic: true },
        Event::OfferDeclined {
            offer: offer(),
            ticket: ticket(),
            agent: agent(),
            reason: "lunch".into(),
        },
        Event::OfferExpired { offer: offer(), ticket: ticket(), agent: agent() },
        Event::CooldownEnded { ticket: ticket(), agent: agent() },
    ];
    for reason in RescindReason::ALL.iter().copied() {
        let (offer, ticket, agent) = (offer(), ticket(), agent());
        events.push(Event::OfferRescinded { offer, ticket, agent, reason });
    }
    events
}

fn queueing() -> Vec<Event> {
    let mut events = Vec::new();
    for reason in QueueReason::ALL.iter().copied() {
        for class in WorkClass::ALL.iter().copied() {
            events.push(Event::TicketQueued(Box::new(Queued {
                ticket: ticket(),
                number: 8,
                queue: queue(),
                reason,
                class,
                cost_units: class.cost_units(),
                priority: Some(Priority::P2),
                required_skills: required(),
                own_skills: Vec::new(),
                queued_at: Timestamp::from_millis(17),
            })));
        }
    }
    for reason in RequeueReason::ALL.iter().copied() {
        events.push(Event::TicketRequeued(Box::new(Requeued {
            ticket: ticket(),
            from: Some(agent()),
            queue: queue(),
            reason,
            queued_at: Timestamp::from_millis(17),
            required_skills: required(),
            own_skills: required(),
        })));
    }
    events.push(Event::WorkReprioritised { ticket: ticket(), priority: None });
    events
}

fn work() -> Vec<Event> {
    let mut events = vec![
        Event::TicketTransferred {
            ticket: ticket(),
            from: None,
            to_agent: Some(agent()),
            to_queue: None,
            note: "n".into(),
        },
        Event::WorkEnded { ticket: ticket(), agent: None, status: TicketStatus::Closed },
    ];
    for how in AssignedHow::ALL.iter().copied() {
        let reason = "r".into();
        let (ticket, agent) = (ticket(), agent());
        events.push(Event::TicketAssigned { ticket, agent, how, reason, over_capacity: true });
    }
    for state in WorkState::ALL.iter().copied() {
        events.push(Event::WorkStateChanged { ticket: ticket(), agent: Some(agent()), state });
    }
    for outcome in WorkOutcome::ALL.iter().copied() {
        let (ticket, agent, note) = (ticket(), agent(), "n\n".into());
        events.push(Event::WorkCompleted { ticket, agent, outcome, note });
    }
    events
}

#[test]
fn every_fact_survives_being_stored() {
    for event in [settings(), offers(), queueing(), work()].concat() {
        let stored = encode(&event);
        let read = decode(stored.event_type, stored.version, &stored.data);
        assert_eq!(read, Ok(event));
        let name = format!("switchyard.events.v1.{}", stored.event_type);
        assert!(wire::descriptors().get_message_by_name(&name).is_some(), "{name}");
    }
}

#[test]
fn what_is_newer_or_broken_is_refused() {
    let later = DecodeError::UnknownVersion { found: 2, known: 1 };
    assert_eq!(decode("OfferMade", 2, &[]), Err(later));
    assert_eq!(decode("OfferMaid", 1, &[]), Err(DecodeError::UnknownType));
    for broken in ["OfferMade", "PresenceSet", "TicketQueued", "TicketAssigned", "WorkEnded"] {
        assert!(matches!(decode(broken, 1, &[]), Err(DecodeError::Malformed(_))), "{broken}");
    }
}
