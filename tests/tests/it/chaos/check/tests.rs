//! A checker that can't fail shows nothing: each of these hands it something that must never be.

use ::tests::cluster::PARTITIONS;
use ::tests::proof::request_key;
use bytes::{BufMut as _, Bytes, BytesMut};
use event_log::Record;
use prost::Message;
use runtime::{Position, ServiceId, genesis, partition_of};
use wire::events::v1 as events;
use wire::events::v1::{Answered, Commit, Event, LeaderClaimed, Note, note};

use super::{Verdict, judge};
use crate::chaos::history::{Change, Effect, History, Look, Moment, Outcome};
use crate::chaos::logs::{Log, Logs, Marks};

const WORKSPACE: &str = "north";
const LOG_ID: [u8; 16] = [7; 16];
const WRITER: [u8; 16] = [9; 16];

fn partition() -> u32 {
    partition_of(WORKSPACE, u16::try_from(PARTITIONS).unwrap()).into()
}

/// A log in the making, as a leader would write it.
struct Writer {
    service: ServiceId,
    records: Vec<Record>,
    chain: [u8; 16],
}

impl Writer {
    fn new(service: ServiceId) -> Self {
        let place = u16::try_from(partition()).unwrap();
        let first = genesis(service, place, u16::try_from(PARTITIONS).unwrap(), LOG_ID);
        let mut writer = Self { service, records: Vec::new(), chain: [0; 16] };
        writer.push(first);
        let claim = note::Kind::LeaderClaimed(LeaderClaimed { epoch: 1 });
        writer.commit(Commit { notes: vec![Note { kind: Some(claim) }], ..Commit::default() });
        writer
    }

    fn push(&mut self, bytes: Bytes) {
        let hash = blake3::hash(&[&self.chain[..], &bytes].concat());
        self.chain.copy_from_slice(&hash.as_bytes()[..16]);
        let seq = u64::try_from(self.records.len()).unwrap() + 1;
        self.records.push(Record { seq, bytes });
    }

    fn commit(&mut self, commit: Commit) -> u64 {
        let seq = u64::try_from(self.records.len()).unwrap() + 1;
        let commit = Commit {
            format: 1,
            min_reader: 1,
            log_id: LOG_ID.to_vec(),
            seq,
            epoch: 1,
            writer: WRITER.to_vec(),
            prev: self.chain.to_vec(),
            time_ns: 1_767_323_045_000_000_000 + seq,
            ..commit
        };
        let mut bytes = BytesMut::new();
        commit.encode(&mut bytes).unwrap();
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u8(15 << 3 | 5);
        bytes.put_u32_le(crc);
        self.push(bytes.freeze());
        seq
    }

    fn log(self) -> Log {
        Log { service: self.service, partition: partition(), records: self.records }
    }
}

fn event<M: Message>(kind: &str, entity: &str, revision: u64, payload: &M) -> Event {
    Event {
        r#type: kind.to_owned(),
        version: 1,
        workspace: WORKSPACE.to_owned(),
        entity: entity.to_owned(),
        revision,
        data: payload.encode_to_vec().into(),
        ..Event::default()
    }
}

/// Intake's log, in which tickets are opened.
struct Intake(Writer);

impl Intake {
    fn new() -> Self {
        Self(Writer::new(ServiceId::Intake))
    }

    /// Opens a ticket for the request of the same name.
    fn open(&mut self, ticket: &str, request_id: &str, number: u64) -> u64 {
        let opened = events::TicketOpened {
            ticket_id: ticket.to_owned(),
            number,
            ..events::TicketOpened::default()
        };
        let key = request_key(WORKSPACE, "CreateTicket", request_id);
        self.0.commit(Commit {
            events: vec![event("TicketOpened", ticket, 1, &opened)],
            answered: vec![Answered { key, request_hash: 5, result: Vec::new() }],
            ..Commit::default()
        })
    }

    fn log(self) -> Log {
        self.0.log()
    }
}

/// A history in the making: calls one after the other, each asked when the one before was answered.
#[derive(Default)]
struct Told(History);

impl Told {
    fn moment(&mut self) -> Moment {
        let order = self.0.moments;
        self.0.moments += 1;
        Moment { order, at: std::time::Duration::from_millis(u64::try_from(order).unwrap()) }
    }

    fn create(&mut self, ticket: &str, outcome: Outcome) {
        let (began, ended) = (self.moment(), self.moment());
        self.0.changes.push(Change {
            service: ServiceId::Intake,
            workspace: WORKSPACE.to_owned(),
            method: "CreateTicket",
            request_id: ticket.to_owned(),
            hash: 5,
            effect: Effect { event_type: "TicketOpened", mark: ticket.to_owned() },
            is_wrong: false,
            began,
            ended,
            attempts: 1,
            outcome,
        });
    }

    fn look(&mut self, ticket: &str, found: Option<bool>) {
        let began = self.moment();
        let (service, ticket) = (ServiceId::Intake, ticket.to_owned());
        self.0.looks.push(Look { service, ticket, with_position: false, began, found });
    }
}

fn done(seq: u64, number: u64) -> Outcome {
    let partition = u16::try_from(partition()).unwrap();
    let position = Position { service: ServiceId::Intake, partition, log_id: LOG_ID, seq };
    Outcome::Acknowledged { position, told: number }
}

fn refused() -> Outcome {
    Outcome::Refused { reason: "NOT_LEADER".to_owned() }
}

/// The verdict over one log, without what needs the other services' ones.
#[expect(clippy::needless_pass_by_value, reason = "each is made for its one verdict")]
fn verdict(history: Told, log: Log) -> Verdict {
    let mut verdict = judge(&history.0, &Logs(vec![log]), &Marks::new(), None);
    // Routing has no log here, so nothing knows where the tickets are.
    verdict.violations.retain(|what| !what.contains("was never queued"));
    verdict
}

/// The only thing that was found begins so.
fn finds(verdict: &Verdict, what: &str) {
    let found = &verdict.violations;
    assert!(!found.is_empty() && found.iter().all(|one| one.contains(what)), "{what}: {found:?}");
}

#[test]
fn what_is_as_it_should_be_is_found_so() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq, 1));
    told.look("t-1", Some(true));
    told.create("t-2", refused());
    // Nobody knows of these; one was done.
    log.open("t-3", "t-3", 2);
    told.create("t-3", Outcome::Unknown);
    told.create("t-4", Outcome::Unknown);
    told.look("t-4", Some(false));
    let verdict = verdict(told, log.log());
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert_eq!((verdict.lost, verdict.doubled, verdict.records), (0, 0, 4));
}

#[test]
fn a_lost_call_is_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq, 1));
    told.create("t-2", done(seq + 1, 2));
    let verdict = verdict(told, log.log());
    // By its request, by its ticket, and by the number that was told.
    assert_eq!((verdict.lost, verdict.doubled), (2, 0), "{:?}", verdict.violations);
    assert_eq!(verdict.violations.len(), 3, "{:?}", verdict.violations);
}

#[test]
fn a_doubled_call_is_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    log.open("t-1", "t-1", 2);
    told.create("t-1", done(seq, 1));
    let verdict = verdict(told, log.log());
    assert_eq!((verdict.lost, verdict.doubled), (0, 2), "{:?}", verdict.violations);
    // The log shows it by itself, too.
    assert!(verdict.violations.iter().any(|what| what.contains("I3 in intake at 4")));
}

#[test]
fn a_call_of_unknown_outcome_is_done_once_at_most() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    log.open("t-1", "t-1", 1);
    log.open("t-1", "another", 2);
    told.create("t-1", Outcome::Unknown);
    let verdict = verdict(told, log.log());
    assert_eq!(verdict.doubled, 1, "{:?}", verdict.violations);
    assert!(verdict.violations.iter().any(|what| what.contains("nobody asked for")));
}

#[test]
fn a_call_that_was_wrongly_refused_is_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    log.open("t-1", "t-1", 1);
    told.create("t-1", refused());
    let verdict = verdict(told, log.log());
    finds(&verdict, "was refused");
    assert_eq!(verdict.violations.len(), 2, "by its request and by its ticket");
}

#[test]
fn another_content_another_answer_and_another_place_are_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq, 1));
    told.0.changes[0].hash = 6;
    finds(&verdict(told, log.log()), "another content");

    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq, 2));
    finds(&verdict(told, log.log()), "told 2, and the log has [1]");

    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq - 1, 1));
    finds(&verdict(told, log.log()), "was told to be in 2");
}

#[test]
fn calls_that_stand_in_the_wrong_order_are_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let early = log.open("t-1", "t-1", 1);
    let late = log.open("t-2", "t-2", 2);
    // The second one was over before the first one was asked.
    told.create("t-2", done(late, 2));
    told.create("t-1", done(early, 1));
    finds(&verdict(told, log.log()), "I5: CreateTicket t-1 began when 4 was told");
}

#[test]
fn a_look_that_misses_what_was_acknowledged_is_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    // Before, there was nothing to be seen.
    told.look("t-1", Some(false));
    told.create("t-1", done(seq, 1));
    told.look("t-1", Some(false));
    let verdict = verdict(told, log.log());
    finds(&verdict, "I8: t-1 was acknowledged, and intake did not see it");
    assert_eq!(verdict.violations.len(), 1);
}

#[test]
fn a_record_that_was_changed_is_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq, 1));
    let mut log = log.log();
    let mut bytes = log.records[1].bytes.to_vec();
    bytes[20] ^= 1;
    log.records[1].bytes = bytes.into();
    let verdict = verdict(told, log);
    assert!(verdict.violations.iter().any(|what| what.contains("I6")), "{:?}", verdict.violations);
}

/// Routing's log in which an agent of 100 units is offered so many tickets of 25.
fn offers(tickets: u64) -> Log {
    let mut log = Writer::new(ServiceId::Routing);
    let put = events::AgentPut {
        agent_id: "agent-0".to_owned(),
        capacity_units: 100,
        ..events::AgentPut::default()
    };
    let set = events::PresenceSet {
        agent_id: "agent-0".to_owned(),
        presence: events::Presence::Available.into(),
        ..events::PresenceSet::default()
    };
    log.commit(Commit {
        events: vec![
            event("AgentPut", "agent-0", 1, &put),
            event("PresenceSet", "agent-0", 2, &set),
        ],
        ..Commit::default()
    });
    for number in 1..=tickets {
        let ticket_id = format!("t-{number}");
        let queued = events::TicketQueued {
            ticket_id: ticket_id.clone(),
            cost_units: 25,
            ..events::TicketQueued::default()
        };
        let made = events::OfferMade {
            offer_id: format!("o-{number}"),
            ticket_id: ticket_id.clone(),
            agent_id: "agent-0".to_owned(),
            ..events::OfferMade::default()
        };
        log.commit(Commit {
            events: vec![
                event("TicketQueued", &ticket_id, 1, &queued),
                event("OfferMade", &ticket_id, 2, &made),
            ],
            ..Commit::default()
        });
    }
    log.log()
}

#[test]
fn an_agent_above_capacity_is_found() {
    let judged = |tickets| {
        // As if all of it had been there before the history began.
        let log = offers(tickets);
        let before = Marks::from([((ServiceId::Routing, partition()), 1000)]);
        judge(&History::default(), &Logs(vec![log]), &before, None)
    };
    assert_eq!(judged(4).violations, Vec::<String>::new());
    let verdict = judged(5);
    let found = |what: &str| verdict.violations.iter().filter(|one| one.contains(what)).count();
    assert_eq!(found("I19 in routing at 8: agent-0 would hold 125 of 100 units"), 1, "{verdict:?}");
}

/// A ticket that routing or sla never heard of.
#[test]
fn a_ticket_that_did_not_reach_routing_is_found() {
    let (mut log, mut told) = (Intake::new(), Told::default());
    let seq = log.open("t-1", "t-1", 1);
    told.create("t-1", done(seq, 1));
    let logs = Logs(vec![log.log(), Writer::new(ServiceId::Routing).log()]);
    let verdict = judge(&told.0, &logs, &Marks::new(), None);
    let found = |what: &str| verdict.violations.iter().any(|one| one.contains(what));
    assert!(found("I12: routing never heard of t-1"), "{verdict:?}");
    assert!(found("I18: t-1"), "{verdict:?}");
}
