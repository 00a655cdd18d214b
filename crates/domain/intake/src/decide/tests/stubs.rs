//! What is left of a ticket long after it was closed.

use kernel::scenario::{Given, given};
use kernel::{AttributeValue, CLOSED_KEPT_MS, Priority, QueueId, SENT_AWAY_AT_ONCE, TicketStatus};

use super::*;
use crate::{Filter, Intake, Rejection, State, Ticket};

/// A whole ticket, closed at once.
fn closed(given: Given<Intake>, id: &str) -> Given<Intake> {
    let attribute = |n: i64| (format!("attribute-{n}"), AttributeValue::Text("some value".into()));
    let wish = CreateTicket {
        external_id: Some(format!("ext-{id}").into()),
        provider: "servicenow".into(),
        priority: Some(Priority::P2),
        kind: "incident".into(),
        attributes: (0..20).map(attribute).collect(),
        queue: Some(QueueId::trusted("q")),
        ..new_ticket(id)
    };
    let given = given.when(&at(0), Command::CreateTicket(Box::new(wish))).happen().0;
    let close = Move {
        ticket: TicketId::trusted(id),
        step: Step::Close,
        reason: "".into(),
        expected: None,
        occurred_at: None,
    };
    given.when(&at(0), Command::Move(close)).happen().0
}

fn one_closed() -> Given<Intake> {
    closed(given([]).when(&at(0), put(None)).happen().0, "t")
}

/// One fact happens elsewhere.
fn meanwhile(given: Given<Intake>, millis: u64) -> Given<Intake> {
    let workspace = WorkspaceId::trusted(&format!("made-at-{millis}"));
    let (given, facts) = given.when(&Context { workspace, ..at(millis) }, put(None)).happen();
    assert_eq!(facts.len(), 1);
    given
}

fn find(state: &State, id: &str) -> Ticket {
    state.ticket(&at(0).workspace, &TicketId::trusted(id)).unwrap().into_owned()
}

fn listed(state: &State) -> Vec<u64> {
    let workspace = state.workspace(&at(0).workspace).unwrap();
    workspace.candidates(&Filter::default(), u64::MAX).map(|ticket| ticket.number).collect()
}

#[test]
fn after_thirty_days_only_a_stub_is_kept() {
    let given = meanwhile(one_closed(), CLOSED_KEPT_MS);
    let whole = find(&given.state, "t");
    assert!(!whole.is_stub);
    assert_eq!((whole.tags.len(), whole.details().attributes.entries().len()), (2, 20));
    assert_eq!(listed(&given.state), [1]);

    let given = meanwhile(given, CLOSED_KEPT_MS + 1);
    let stub = find(&given.state, "t");
    assert!(stub.is_stub);
    assert_eq!((stub.id.as_str(), stub.number, stub.status), ("t", 1, TicketStatus::Closed));
    assert_eq!((stub.revision, stub.closed_at), (whole.revision, whole.closed_at));
    let (left, before) = (stub.details(), whole.details());
    assert_eq!(stub.requester(&left), whole.requester(&before));
    assert_eq!((left.subject, left.external_id), (before.subject, before.external_id));
    assert_eq!((stub.tags.len(), left.attributes.entries().len(), stub.agent), (0, 0, None));
    assert!(listed(&given.state).is_empty());
    let workspace = given.state.workspace(&at(0).workspace).unwrap();
    assert_eq!(workspace.ticket_counts(), (1, 1));
    for found in [workspace.ticket_by_number(1), workspace.ticket_by_external_id("ext-t")] {
        assert_eq!(found.unwrap().id.as_str(), "t");
    }
}

#[test]
fn a_late_reply_to_a_stub_opens_a_follow_up_of_what_is_left() {
    let given = meanwhile(one_closed(), CLOSED_KEPT_MS + 1);
    let reply = say(AuthorKind::EndUser, Visibility::Public);
    let (given, facts) = given.when(&at(400 * DAY_MS), reply).happen();
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].actor, Actor::Requester(RequesterId::trusted("rita")));
    let (stub, follow_up) = (find(&given.state, "t"), find(&given.state, "t-2"));
    assert_eq!((follow_up.number, follow_up.status), (2, TicketStatus::New));
    assert_eq!(follow_up.details().follows, Some(TicketId::trusted("t")));
    assert_eq!(
        (follow_up.priority, &*follow_up.kind, &follow_up.queue),
        (Some(Priority::P2), "incident", &Some(QueueId::trusted("q")))
    );
    let (left, inherited) = (stub.details(), follow_up.details());
    assert_eq!(follow_up.requester(&inherited), stub.requester(&left));
    assert_eq!((inherited.subject, inherited.provider), (left.subject, left.provider));
}

#[test]
fn nothing_else_can_be_done_with_a_stub() {
    let stub = || meanwhile(one_closed(), CLOSED_KEPT_MS + 1);
    let (later, ticket) = (at(31 * DAY_MS), TicketId::trusted("t"));
    let over = Rejection::ReopenWindowOver { ticket: ticket.clone() };
    stub().when(&later, step(Step::Reopen)).then_rejected(&over);
    let closed = Rejection::TicketClosed { ticket: ticket.clone() };
    let reply = say(AuthorKind::Agent, Visibility::Public);
    stub().when(&later, reply).then_rejected(&closed);
    stub().when(&later, step(Step::Resolve)).then_rejected(&closed);
    stub().when(&later, step(Step::Close)).then([]);
    let known = ticket.clone();
    stub().when(&later, create("t")).then_rejected(&Rejection::TicketExists { ticket: known });
    let again = CreateTicket { external_id: Some("ext-t".into()), ..new_ticket("u") };
    let external_id = "ext-t".into();
    stub()
        .when(&later, Command::CreateTicket(Box::new(again)))
        .then_rejected(&Rejection::ExternalIdExists { external_id, ticket });
}

#[test]
fn a_reopened_ticket_is_kept_whole() {
    let given = one_closed().when(&at(DAY_MS), step(Step::Reopen)).happen().0;
    let given = meanwhile(given, 100 * DAY_MS);
    assert!(!find(&given.state, "t").is_stub);
    // Closed anew, it counts from there.
    let given = given.when(&at(100 * DAY_MS), step(Step::Close)).happen().0;
    let given = meanwhile(given, 130 * DAY_MS);
    assert!(!find(&given.state, "t").is_stub);
    assert!(find(&meanwhile(given, 130 * DAY_MS + 1).state, "t").is_stub);
}

#[test]
fn when_the_clock_jumps_a_few_go_with_each_fact() {
    let ids: Vec<_> = (1..=10).map(|number| format!("t-{number}")).collect();
    let mut given = ids.iter().fold(one_closed(), |given, id| closed(given, id));
    let mut whole = 11;
    assert_eq!(listed(&given.state).len(), whole);
    for millis in 0..4 {
        given = meanwhile(given, 1_000 * DAY_MS + millis);
        whole = whole.saturating_sub(SENT_AWAY_AT_ONCE);
        assert_eq!(listed(&given.state).len(), whole);
    }
    assert_eq!(whole, 0);
}

#[test]
fn a_stub_takes_a_fraction_of_the_ticket() {
    let given = (1..=100).fold(one_closed(), |given, number| closed(given, &format!("t-{number}")));
    let size = |given: &Given<Intake>| postcard::to_stdvec(&given.state).unwrap().len();
    let before = size(&given);
    let given = (1..=100).fold(given, |given, millis| meanwhile(given, 31 * DAY_MS + millis));
    assert!(listed(&given.state).is_empty());
    let (after, elsewhere) = (size(&given), 100 * 40);
    assert!(after < before / 2 + elsewhere, "{after} bytes of {before}");
}
