//! One scenario for each rule.

use kernel::scenario::{Given, given};
use kernel::{AgentId, AttributeValue, Context, Packed, Priority, QueueId, TicketId, TicketStatus};

use super::*;
use crate::command::{Outcome, UpdateTicket};
use crate::event::OwnerChanged;
use crate::{Intake, Rejection, Ticket};

fn acme() -> Given<Intake> {
    given::<Intake>([]).when(&at(0), put(Some(Priority::P3))).happen().0
}

fn open_ticket() -> Given<Intake> {
    acme().when(&at(0), create("t")).happen().0
}

/// Takes the steps, all at once.
fn after(steps: &[Step]) -> Given<Intake> {
    steps.iter().fold(open_ticket(), |given, next| given.when(&at(0), step(*next)).happen().0)
}

fn ticket(given: &Given<Intake>, id: &str) -> Ticket {
    given.state.ticket(&at(0).workspace, &TicketId::trusted(id)).unwrap().into_owned()
}

/// What the command decides, as status changes, and the longer history.
fn went(
    given: Given<Intake>,
    context: &Context,
    command: Command,
) -> (Given<Intake>, Vec<(&'static str, &'static str, String)>) {
    let (given, facts) = given.when(context, command).happen();
    let events: Vec<_> = facts.into_iter().map(|fact| fact.event).collect();
    let moves = moves(&events).into_iter().map(|(a, b, why)| (a, b, why.to_owned())).collect();
    (given, moves)
}

fn owner(agent: Option<&str>, queue: Option<&str>) -> Event {
    moved(agent, queue, None)
}

fn moved(agent: Option<&str>, queue: Option<&str>, left: Option<&str>) -> Event {
    Event::OwnerChanged(OwnerChanged {
        ticket: TicketId::trusted("t"),
        agent: agent.map(AgentId::trusted),
        queue: queue.map(QueueId::trusted),
        left: left.map(QueueId::trusted),
    })
}

fn note_owner(agent: &str) -> Command {
    Command::NoteOwner {
        ticket: TicketId::trusted("t"),
        agent: AgentId::trusted(agent),
        at: at(0).at,
    }
}

fn note_queue(queue: Option<&str>) -> Command {
    Command::NoteQueue {
        ticket: TicketId::trusted("t"),
        queue: queue.map(QueueId::trusted),
        at: at(0).at,
    }
}

fn note_done(outcome: Outcome) -> Command {
    Command::NoteWorkDone { ticket: TicketId::trusted("t"), outcome, at: at(0).at }
}

#[test]
fn a_workspace_is_made_once_and_changed_by_revision() {
    let ensure = || Command::EnsureWorkspace { display_name: "Default".into() };
    let (given, facts) = given::<Intake>([]).when(&at(0), ensure()).happen();
    assert_eq!(facts.len(), 1);
    let given = given.when(&at(0), ensure()).then([]);
    let stale = Command::PutWorkspace(PutWorkspace {
        display_name: "Acme".into(),
        default_priority: None,
        expected: Some(7),
    });
    let given = given
        .when(&at(0), stale)
        .then_rejected(&Rejection::RevisionMismatch { expected: 7, actual: 1 });
    let (given, facts) = given.when(&at(0), put(None)).happen();
    assert_eq!(facts[0].revision, 2);
    given.when(&at(0), put(None)).then([]);
}

#[test]
fn an_unknown_workspace_or_ticket_is_not_found() {
    let workspace = at(0).workspace;
    given::<Intake>([])
        .when(&at(0), create("t"))
        .then_rejected(&Rejection::WorkspaceNotFound { workspace });
    let ticket = TicketId::trusted("t");
    acme().when(&at(0), step(Step::Close)).then_rejected(&Rejection::TicketNotFound { ticket });
}

#[test]
fn tickets_get_numbers_the_default_priority_and_sorted_tags() {
    let given = open_ticket().when(&at(0), create("u")).happen().0;
    assert_eq!((ticket(&given, "t").number, ticket(&given, "u").number), (1, 2));
    assert_eq!(ticket(&given, "t").priority, Some(Priority::P3));
    assert_eq!(*ticket(&given, "t").tags, ["a".into(), "b".into()]);
}

#[test]
fn a_ticket_id_and_an_external_id_are_taken_once() {
    let known = TicketId::trusted("t");
    let named = |id: &str| {
        let external_id = Some("INC-1".into());
        Command::CreateTicket(Box::new(CreateTicket { external_id, ..new_ticket(id) }))
    };
    let given = acme().when(&at(0), named("t")).happen().0;
    let exists = Rejection::TicketExists { ticket: known.clone() };
    let given = given.when(&at(0), named("t")).then_rejected(&exists);
    given
        .when(&at(0), named("u"))
        .then_rejected(&Rejection::ExternalIdExists { external_id: "INC-1".into(), ticket: known });
}

#[test]
fn a_callers_time_is_clamped() {
    let now = at(100 * DAY_MS);
    for (said, kept) in [
        (now.at.minus_millis(8 * DAY_MS), now.at.minus_millis(7 * DAY_MS)),
        (now.at.minus_millis(DAY_MS), now.at.minus_millis(DAY_MS)),
        (now.at.plus_millis(60_000), now.at.plus_millis(5_000)),
    ] {
        let occurred_at = Some(said);
        let wish = CreateTicket { occurred_at, ..new_ticket("t") };
        let (_, facts) = acme().when(&now, Command::CreateTicket(Box::new(wish))).happen();
        assert_eq!(facts[0].at, kept);
    }
}

#[test]
fn only_a_persons_public_message_starts_the_work() {
    for (kind, visibility, starts) in [
        (AuthorKind::Agent, Visibility::Public, true),
        (AuthorKind::Agent, Visibility::Internal, false),
        (AuthorKind::Bot, Visibility::Public, false),
        (AuthorKind::EndUser, Visibility::Public, false),
    ] {
        let (given, moves) = went(open_ticket(), &at(1), say(kind, visibility));
        assert_eq!(!moves.is_empty(), starts, "{kind:?} {visibility:?}");
        assert_eq!(ticket(&given, "t").message_count, 2);
    }
}

#[test]
fn a_customers_reply_takes_a_waiting_or_resolved_ticket_up_again() {
    for path in [
        &[Step::AwaitCustomer][..],
        &[Step::AwaitOthers],
        &[Step::Resolve],
        &[Step::Resolve, Step::Close],
    ] {
        let given = after(path);
        let was = ticket(&given, "t").status.as_str();
        let reply = say(AuthorKind::EndUser, Visibility::Public);
        let (given, moves) = went(given, &at(7 * DAY_MS), reply);
        assert_eq!(moves, [(was, "open", "customer_replied".to_owned())]);
        let said = ticket(&given, "t");
        assert_eq!((said.message_count, said.closed_at), (2, None));
    }
}

#[test]
fn nobody_of_the_company_writes_on_a_closed_ticket() {
    for (kind, visibility) in [
        (AuthorKind::Agent, Visibility::Public),
        (AuthorKind::Agent, Visibility::Internal),
        (AuthorKind::Bot, Visibility::Public),
    ] {
        after(&[Step::Close])
            .when(&at(1), say(kind, visibility))
            .then_rejected(&Rejection::TicketClosed { ticket: TicketId::trusted("t") });
    }
}

#[test]
fn a_late_reply_opens_a_follow_up() {
    let reply = || say(AuthorKind::EndUser, Visibility::Public);
    let given = after(&[Step::Close]).when(&at(7 * DAY_MS + 1), reply()).happen().0;
    let follow_up = ticket(&given, "t-2");
    assert_eq!(follow_up.details().follows, Some(TicketId::trusted("t")));
    assert_eq!((follow_up.number, follow_up.status), (2, TicketStatus::New));
    assert_eq!(follow_up.details().subject, "It does not start");
    assert_eq!(ticket(&given, "t").status, TicketStatus::Closed);

    // Written in time, delivered late: it counts as written.
    let occurred_at = Some(at(6 * DAY_MS).at);
    let late = AddMessage { occurred_at, ..message(AuthorKind::EndUser, Visibility::Public) };
    let (_, moves) =
        went(after(&[Step::Close]), &at(8 * DAY_MS), Command::AddMessage(Box::new(late)));
    assert_eq!(moves.len(), 1);
}

#[test]
fn every_step_from_every_status() {
    let paths: [&[Step]; 6] = [
        &[],
        &[Step::AwaitCustomer, Step::Resume],
        &[Step::AwaitCustomer],
        &[Step::AwaitOthers],
        &[Step::Resolve],
        &[Step::Close],
    ];
    // Rows as the paths above: new, open, pending, on hold, resolved, closed. `=` holds already, `S` and `C` are
    // refused.
    let table = [
        (Step::AwaitCustomer, ["pending", "pending", "=", "pending", "S", "C"]),
        (Step::AwaitOthers, ["on_hold", "on_hold", "on_hold", "=", "S", "C"]),
        (Step::Resume, ["S", "=", "open", "open", "S", "C"]),
        (Step::Resolve, ["resolved", "resolved", "resolved", "resolved", "=", "C"]),
        (Step::Reopen, ["S", "=", "S", "S", "open", "open"]),
        (Step::Close, ["closed", "closed", "closed", "closed", "closed", "="]),
    ];
    for (wish, row) in table {
        for (path, expected) in paths.iter().zip(row) {
            let given = after(path);
            let (id, status) = (TicketId::trusted("t"), ticket(&given, "t").status);
            let asked = given.when(&at(1), step(wish));
            match expected {
                "=" => drop(asked.then([])),
                "S" => drop(asked.then_rejected(&Rejection::TicketStatus { ticket: id, status })),
                "C" => drop(asked.then_rejected(&Rejection::TicketClosed { ticket: id })),
                to => assert_eq!(ticket(&asked.happen().0, "t").status.as_str(), to),
            }
        }
    }
}

#[test]
fn a_ticket_closed_long_ago_stays_closed() {
    after(&[Step::Close])
        .when(&at(7 * DAY_MS + 1), step(Step::Reopen))
        .then_rejected(&Rejection::ReopenWindowOver { ticket: TicketId::trusted("t") });
}

#[test]
fn an_update_names_only_what_changed() {
    let attributes = Attributes::from([("seats".to_owned(), AttributeValue::Integer(3))]);
    let wish = || {
        Command::UpdateTicket(Box::new(UpdateTicket {
            ticket: TicketId::trusted("t"),
            priority: Some(Priority::P3),
            kind: None,
            tags: Some(vec!["b".into(), "a".into()]),
            attributes: Some(attributes.clone()),
            expected: None,
        }))
    };
    let (given, facts) = open_ticket().when(&at(1), wish()).happen();
    let Event::TicketUpdated(updated) = &facts[0].event else { panic!("{facts:?}") };
    assert_eq!(updated.attributes, Some(Packed::new(&attributes)));
    assert!(updated.priority.is_none() && updated.tags.is_none() && updated.kind.is_none());
    given.when(&at(2), wish()).then([]);
}

#[test]
fn an_expected_revision_is_checked_before_anything_else() {
    let stale = Move {
        ticket: TicketId::trusted("t"),
        step: Step::Resolve,
        reason: "".into(),
        expected: Some(9),
        occurred_at: None,
    };
    open_ticket()
        .when(&at(1), Command::Move(stale))
        .then_rejected(&Rejection::RevisionMismatch { expected: 9, actual: 1 });
}

#[test]
fn routing_gives_a_ticket_a_queue_an_owner_and_an_outcome() {
    let given = open_ticket().when(&at(1), note_queue(Some("q"))).then([owner(None, Some("q"))]);
    let (given, facts) = given.when(&at(1), note_owner("ada")).happen();
    assert_eq!(facts[0].event, owner(Some("ada"), Some("q")));
    assert_eq!(moves(&[facts[1].event.clone()]), [("new", "open", "work_started")]);
    assert_eq!(facts[1].at, at(0).at, "routing's own time is kept");
    let given = given.when(&at(2), note_owner("ada")).then([]);
    let Event::StatusChanged(started) = &facts[1].event else { panic!("{facts:?}") };
    assert_eq!(started.queue, Some(QueueId::trusted("q")), "a fact says in which queue it happens");
    let elsewhere = Given::<Intake> { state: given.state.clone() };
    let left = moved(None, Some("r"), Some("q"));
    elsewhere.when(&at(2), note_queue(Some("r"))).then([left]);

    for (outcome, to) in [
        (Outcome::Pending, "pending"),
        (Outcome::OnHold, "on_hold"),
        (Outcome::Resolved, "resolved"),
    ] {
        let now = Given { state: given.state.clone() };
        let (now, moves) = went(now, &at(3), note_done(outcome));
        assert_eq!(moves, [("open", to, "work_completed".to_owned())]);
        now.when(&at(3), note_done(outcome)).then([]);
    }
    let given = given.when(&at(3), note_done(Outcome::Requeue)).then([owner(None, Some("q"))]);
    given.when(&at(3), note_queue(None)).then([]);
}

#[test]
fn what_routing_says_of_a_ticket_that_moved_on_changes_nothing() {
    for command in [note_owner("ada"), note_queue(Some("q")), note_done(Outcome::Pending)] {
        after(&[Step::Close]).when(&at(1), command).then([]);
    }
    after(&[Step::Resolve]).when(&at(1), note_done(Outcome::Requeue)).then([]);
}

#[test]
fn a_ticket_takes_little_memory() {
    assert!(size_of::<Ticket>() <= 400, "{}", size_of::<Ticket>());
}
