//! The rules, told as stories; then what must hold for every story.

use kernel::scenario::{Given, given};
use kernel::{Actor, AgentId, DeliveryId, EndpointId, Priority, QueueId, RuleId, TicketId};
use rules::{OverBudget, Value, WORKSPACE_STEPS_MAX};

use super::*;
use crate::{
    Address, AttemptResult, Cause, Change, DELAYS_MS, EndAttempt, EndpointPut, FILTER_NAMES,
    GivenSecret, IntentMade, Observation, Observe, Outcome, Progress, PutEndpoint, PutRule,
    Recipient, Reseal, SealedSecret, Shape, Shapes, Target, Way,
};

mod properties;
mod secrets;

fn at(millis: i64) -> Context {
    Context {
        workspace: WorkspaceId::trusted("acme"),
        at: Timestamp::from_millis(millis),
        actor: Actor::Backend,
        record: 2,
    }
}

/// A secret under a key, as if it were sealed.
fn sealed(key: &str, secret: &str) -> SealedSecret {
    SealedSecret { key_id: key.to_owned(), sealed: secret.as_bytes().to_vec() }
}

fn given_secret(secret: &str) -> GivenSecret {
    GivenSecret { sealed: sealed("1", secret), elsewhere: vec![sealed("2", secret)] }
}

fn endpoint() -> PutEndpoint {
    PutEndpoint {
        endpoint: EndpointId::trusted("hook"),
        url: Address::new("https://hooks.example/a"),
        secret: None,
        fresh: sealed("1", "fresh"),
        disabled: false,
        at_most_once: false,
        expected_revision: 0,
    }
}

fn filter(text: &str) -> rules::Rule {
    rules::Rule::compile(text, FILTER_NAMES).unwrap()
}

fn rule(name: &str, event_type: &str, way: Way) -> PutRule {
    PutRule {
        rule: RuleId::trusted(name),
        event_types: vec![event_type.to_owned()],
        filter: None,
        way,
        template: "{{ event.type }} of {{ ticket.requester_name }}".to_owned(),
        disabled: false,
        expected_revision: 0,
        fields: Shapes::new(),
    }
}

fn webhook() -> Way {
    Way::Webhook(EndpointId::trusted("hook"))
}

fn seen(service: u32, seq: u64, event_type: &str) -> Observe {
    Observe {
        ticket: Some(TicketId::trusted("t-1")),
        change: None,
        observation: Observation {
            cause: Cause { service, partition: 0, seq, index: 0 },
            event_type: event_type.to_owned(),
            at: Timestamp::from_millis(1_000),
            fields: [("permille".to_owned(), Value::Integer(750))].into(),
        },
    }
}

fn opened() -> Observe {
    let change = Change::Opened {
        number: 7,
        requester_name: "Grace".to_owned(),
        subject: "Where is it?".to_owned(),
        queue: Some(QueueId::trusted("asked")),
        priority: Some(Priority::P2),
    };
    Observe { change: Some(change), ..seen(1, 1, "TicketOpened") }
}

fn run(story: Given<Notify>, millis: i64, command: Command) -> (Given<Notify>, Vec<Event>) {
    let (story, facts) = story.when(&at(millis), command).happen();
    (story, facts.into_iter().map(|fact| fact.event).collect())
}

fn begin(commands: impl IntoIterator<Item = Command>) -> Given<Notify> {
    let base = [Command::SeeWorkspace, Command::PutEndpoint(endpoint())];
    let all = base.into_iter().chain(commands);
    all.fold(given([]), |story, command| run(story, 0, command).0)
}

/// The workspace with one webhook rule over breaches, and the ticket.
fn ready() -> Given<Notify> {
    begin([Command::PutRule(rule("tell", "ClockBreached", webhook())), Command::Observe(opened())])
}

fn intents(events: &[Event]) -> Vec<IntentMade> {
    let intent = |event: &Event| {
        let Event::IntentMade(intent) = event else { return None };
        Some(intent.clone())
    };
    events.iter().filter_map(intent).collect()
}

fn breach(story: Given<Notify>, seq: u64) -> (Given<Notify>, DeliveryId) {
    let (story, events) = run(story, 1_000, Command::Observe(seen(3, seq, "ClockBreached")));
    let id = intents(&events)[0].delivery.clone();
    (story, id)
}

fn end(id: &DeliveryId, attempt: u32, result: AttemptResult) -> Command {
    Command::EndAttempt(EndAttempt { delivery: id.clone(), attempt, result })
}

fn answered(status: u16) -> AttemptResult {
    AttemptResult::Answered { status, retry_after_ms: None }
}

fn progress(story: &Given<Notify>, id: &DeliveryId) -> Progress {
    story.state.workspace(&at(0).workspace).unwrap().delivery(id).unwrap().progress
}

fn next(story: &Given<Notify>) -> i64 {
    Notify::next_due(&story.state).unwrap().as_millis()
}

#[test]
fn an_intent_and_its_first_attempt_are_one_decision() {
    let (story, events) = run(ready(), 1_000, Command::Observe(seen(3, 9, "ClockBreached")));
    let [Event::IntentMade(intent), Event::AttemptStarted(started)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&started.delivery, started.attempt), (&intent.delivery, 1));
    assert_eq!(
        intent.body,
        concat!(
            r#"{"type":"ClockBreached","timestamp":"1970-01-01T00:00:01Z","data":{"workspace_id":"acme","ticket_id":"t-1","#,
            r#""ticket_number":7,"requester_name":"Grace","agent_id":"","queue_id":"asked","priority":"P2","rule_id":"tell","#,
            r#""text":"ClockBreached of Grace"}}"#
        )
    );
    assert!(story.state.is_busy());
}

#[test]
fn the_key_is_the_cause_the_rule_and_the_target() {
    let (story, first) = breach(ready(), 9);
    let (_, again) = breach(ready(), 9);
    assert_eq!(first, again);
    assert_eq!(first.as_str().len(), 64);
    let (story, events) = run(story, 2_000, Command::Observe(seen(3, 9, "ClockBreached")));
    assert_eq!(events, [], "the same event again makes nothing");
    let (_, other) = breach(story, 10);
    assert_ne!(first, other);
}

#[test]
fn failures_are_retried_by_the_schedule_under_the_same_key() {
    let (mut story, id) = breach(ready(), 9);
    let mut now = 1_000;
    for (attempt, delay) in (1..10).zip(DELAYS_MS.into_iter().skip(1)) {
        story = run(story, now, end(&id, attempt, answered(500))).0;
        let (due, delay) = (next(&story), i64::try_from(delay).unwrap());
        assert!((due - now) * 5 >= delay * 4 && (due - now) * 5 <= delay * 6, "{attempt}");
        assert!(Notify::due(&story.state, Timestamp::from_millis(due - 1)).is_empty());
        now = due;
        let started = Event::AttemptStarted(crate::AttemptStarted {
            delivery: id.clone(),
            attempt: attempt + 1,
        });
        story = story.when_due(&at(now)).then([started]);
    }
    let (story, events) = run(story, now, end(&id, 10, answered(500)));
    assert!(
        matches!(&events[..], [Event::AttemptEnded(it)] if it.outcome == Outcome::PermanentlyFailed)
    );
    assert_eq!(progress(&story, &id), Progress::PermanentlyFailed);
    assert_eq!(Notify::next_due(&story.state), None);
}

#[test]
fn a_second_success_is_one_delivery() {
    let (story, id) = breach(ready(), 9);
    let story = run(story, 1_000, end(&id, 1, answered(500))).0;
    let due = next(&story);
    let story = story.when_due(&at(due)).happen().0;
    let story = run(story, due, end(&id, 2, answered(204))).0;
    assert_eq!(progress(&story, &id), Progress::Delivered);
    let (story, late) = run(story, due, end(&id, 1, answered(500)));
    assert_eq!(late, []);
    let counts = story.state.workspace(&at(0).workspace).unwrap().counts();
    assert_eq!((counts.delivered, counts.permanently_failed), (1, 0));
}

#[test]
fn a_receiver_that_is_gone_disables_its_endpoint() {
    let (story, id) = breach(ready(), 9);
    let (story, facts) = story.when(&at(1_000), end(&id, 1, answered(410))).happen();
    assert!(matches!(&facts[1].event, Event::EndpointPut(EndpointPut { disabled: true, .. })));
    assert_eq!(facts[1].actor, Actor::Service("notify".into()));
    assert_eq!(facts[1].revision, 2);
    let (story, events) = run(story, 2_000, Command::Observe(seen(3, 10, "ClockBreached")));
    assert_eq!(events, [], "a disabled endpoint gets nothing");
    assert_eq!(progress(&story, &id), Progress::PermanentlyFailed);
}

#[test]
fn a_throttled_endpoint_rests_as_long_as_it_asked_but_an_hour_at_most() {
    for (asked, rest) in [(120_000, 120_000), (u64::MAX, 3_600_000), (0, 5_000)] {
        let (story, id) = breach(ready(), 9);
        let result = AttemptResult::Answered { status: 429, retry_after_ms: Some(asked) };
        let story = run(story, 1_000, end(&id, 1, result)).0;
        let (story, events) = run(story, 1_001, Command::Observe(seen(3, 10, "ClockBreached")));
        assert!(matches!(&events[..], [Event::IntentMade(_)]), "it waits too: {events:?}");
        assert_eq!(next(&story), 1_000 + rest);
        assert_eq!(story.when_due(&at(1_000 + rest)).happen().1.len(), 2);
    }
}

#[test]
fn an_unknown_outcome_is_repeated_unless_at_most_once_was_chosen() {
    let lost = || AttemptResult::Lost { error: "timeout".to_owned() };
    let (story, id) = breach(ready(), 9);
    let story = run(story, 1_000, end(&id, 1, lost())).0;
    assert!(matches!(progress(&story, &id), Progress::Waiting { .. }));

    let once = PutEndpoint { at_most_once: true, ..endpoint() };
    let (story, id) = breach(run(ready(), 0, Command::PutEndpoint(once)).0, 9);
    let refused = AttemptResult::NotSent { error: "connect".to_owned() };
    let story = run(story, 1_000, end(&id, 1, refused)).0;
    assert!(matches!(progress(&story, &id), Progress::Waiting { .. }), "nothing was sent");
    let due = next(&story);
    let story = story.when_due(&at(due)).happen().0;
    let story = run(story, due, end(&id, 2, lost())).0;
    assert_eq!(progress(&story, &id), Progress::Unknown);
}

#[test]
fn an_endpoint_has_eight_in_flight_and_the_others_wait_in_order() {
    let mut story = ready();
    let mut ids = Vec::new();
    for seq in 1..=10 {
        let (longer, id) = breach(story, seq);
        (story, ids) = (longer, [ids, vec![id]].concat());
    }
    assert_eq!(story.state.in_flight().count(), 8);
    assert_eq!(Notify::next_due(&story.state), None, "no slot, so nothing is due");
    let (_, events) = run(story, 2_000, end(&ids[3], 1, answered(200)));
    assert!(matches!(&events[1], Event::AttemptStarted(it) if it.delivery == ids[8]));
}

#[test]
fn an_event_before_its_ticket_waits_for_it() {
    let to = vec![Recipient::Owner, Recipient::Agent(AgentId::trusted("ada")), Recipient::All];
    let story = begin([Command::PutRule(rule("tell", "TicketAssigned", Way::InApp(to)))]);
    let agent = AgentId::trusted("ada");
    let early = Observe { change: Some(Change::Taken { agent }), ..seen(2, 4, "TicketAssigned") };
    let (story, events) = run(story, 1_000, Command::Observe(early));
    assert!(
        matches!(&events[..], [Event::TicketLearnt(it), Event::AwaitingTicket(_)] if it.number == 0)
    );
    let (story, events) = run(story, 1_001, Command::Observe(opened()));
    let told = intents(&events);
    let to: Vec<_> = told.iter().map(|intent| intent.target.clone()).collect();
    let ada = Recipient::Agent(AgentId::trusted("ada"));
    assert_eq!(to, [Target::InApp(Recipient::All), Target::InApp(ada)], "each once");
    assert_eq!(told[0].body, "TicketAssigned of Grace");
    assert_eq!(progress(&story, &told[0].delivery), Progress::Delivered);
    let queued = Change::Queued { queue: QueueId::trusted("q") };
    let queued = Observe { change: Some(queued), ..seen(2, 5, "TicketRequeued") };
    let (_, events) = run(story, 1_002, Command::Observe(queued));
    assert!(matches!(&events[..], [Event::TicketLearnt(it)] if it.owner.is_none()));
}

/// A ticket's opening, and its closing or reopening.
fn opened_as(id: &str) -> Command {
    Command::Observe(Observe { ticket: Some(TicketId::trusted(id)), ..opened() })
}

fn closed(id: &str, at: Option<i64>) -> Command {
    let change = Change::Closed { at: at.map(Timestamp::from_millis) };
    let ticket = Some(TicketId::trusted(id));
    Command::Observe(Observe { ticket, change: Some(change), ..seen(1, 2, "StatusChanged") })
}

#[test]
fn closed_tickets_are_forgotten_by_later_closings_after_thirty_days() {
    let forget = i64::try_from(kernel::CLOSED_KEPT_MS).unwrap();
    let knows = |story: &Given<Notify>, id: &str| {
        story.state.workspace(&at(0).workspace).unwrap().ticket(&TicketId::trusted(id)).is_some()
    };
    let all = ["kept", "reopened", "exact", "old", "last"];
    let story = begin(all.map(opened_as));
    let (story, events) = run(story, 0, closed("old", Some(1_000)));
    assert!(matches!(&events[..], [Event::TicketLearnt(it)] if it.closed_at.is_some()));
    let (story, _) = run(story, 0, closed("exact", Some(1_001)));
    let (story, _) = run(story, 0, closed("reopened", Some(1_000)));
    let (story, _) = run(story, 0, closed("reopened", None));
    let (story, _) = run(story, 0, closed("last", Some(1_001 + forget)));
    assert!(!knows(&story, "old"));
    assert!(["kept", "reopened", "exact", "last"].iter().all(|id| knows(&story, id)));
}

#[test]
fn a_filter_chooses_among_events() {
    let over = |permille: u32| PutRule {
        filter: Some(filter(&format!("event.permille >= {permille} && ticket.priority == 'P2'"))),
        ..rule("tell", "ClockWarned", Way::InApp(vec![Recipient::All]))
    };
    for (permille, expected) in [(750, 1), (900, 0)] {
        let story = begin([Command::PutRule(over(permille)), Command::Observe(opened())]);
        let (_, events) = run(story, 1_000, Command::Observe(seen(3, 1, "ClockWarned")));
        assert_eq!(intents(&events).len(), expected);
    }
}

#[test]
fn a_rule_that_cannot_be_meant_is_refused() {
    let base = || rule("tell", "ClockWarned", webhook());
    let unknown = Way::Webhook(EndpointId::trusted("nowhere"));
    for (put, expected) in [
        (
            PutRule { way: unknown, ..base() },
            Rejection::EndpointUnknown(EndpointId::trusted("nowhere")),
        ),
        (
            PutRule { expected_revision: 3, ..base() },
            Rejection::RevisionMismatch { expected: 3, actual: 0 },
        ),
    ] {
        begin([]).when(&at(0), Command::PutRule(put)).then_rejected(&expected);
    }
    given::<Notify>([])
        .when(&at(0), Command::PutRule(base()))
        .then_rejected(&Rejection::WorkspaceUnknown(at(0).workspace));
    let put = PutRule { template: "{{ event.nothing }}".to_owned(), ..base() };
    let refused = Notify::decide(&begin([]).state, &at(0), Command::PutRule(put)).unwrap_err();
    assert!(matches!(refused, Rejection::TemplateInvalid(_)));
}

#[test]
fn the_filters_of_enabled_rules_share_a_budget() {
    let costly = filter("event.body.contains('x') || event.body.contains('y')");
    let steps = u64::from(costly.steps());
    let room = WORKSPACE_STEPS_MAX / steps;
    let put = |name: &str, disabled| {
        let way = Way::InApp(vec![Recipient::All]);
        let put = rule(name, "ClockWarned", way);
        Command::PutRule(PutRule { filter: Some(costly.clone()), disabled, ..put })
    };
    let full = (0..room)
        .fold(begin([]), |story, number| run(story, 0, put(&format!("r{number}"), false)).0);
    let over = Rejection::FilterBudget(OverBudget { steps, others: room * steps });
    let decide = |state: &State, command| Notify::decide(state, &at(0), command);
    assert_eq!(decide(&full.state, put("more", false)), Err(over.clone()));
    let (off, _) = run(full, 0, put("more", true));
    assert_eq!(decide(&off.state, put("more", false)), Err(over), "it is enabled");
    let (off, _) = run(off, 0, put("r0", true));
    run(off, 0, put("more", false));
}

#[test]
fn a_changed_rule_has_a_new_version_and_so_new_keys() {
    let (story, first) = breach(ready(), 9);
    let changed = PutRule {
        template: "other".to_owned(),
        event_types: vec!["ClockBreached".to_owned(), "ClockMet".to_owned()],
        ..rule("tell", "", webhook())
    };
    let (story, events) = run(story, 1_000, Command::PutRule(changed));
    assert!(matches!(&events[..], [Event::RulePut(put)] if put.version == 2));
    let (story, events) = run(story, 1_000, Command::Observe(seen(3, 9, "ClockBreached")));
    assert_ne!(intents(&events)[0].delivery, first);
    let off = PutRule { disabled: true, ..rule("tell", "ClockMet", webhook()) };
    let story = run(story, 1_000, Command::PutRule(off)).0;
    assert!(!story.state.workspace(&at(0).workspace).unwrap().is_interested("ClockBreached"));
}

#[test]
fn the_templates_for_one_type_of_event_are_bounded_together() {
    let costly = |name: &str, event_type: &str| PutRule {
        template: "{{ event.text | upper }}".repeat(19),
        fields: Shapes::from([("text".to_owned(), Shape::Text)]),
        ..rule(name, event_type, webhook())
    };
    let mut story = begin([]);
    let mut taken = 0;
    let refused = loop {
        let put = Command::PutRule(costly(&format!("r-{taken}"), "ClockBreached"));
        match Notify::decide(&story.state, &at(0), put) {
            Ok(facts) => facts.iter().for_each(|fact| Notify::evolve(&mut story.state, fact)),
            Err(refused) => break refused,
        }
        taken += 1;
    };
    assert!(matches!(refused, Rejection::TemplatesTooCostly { .. }), "{refused}");
    assert!((20..100).contains(&taken), "{taken}");
    let story = run(story, 0, Command::PutRule(costly("other", "ClockMet"))).0;
    let (story, _) = run(
        story,
        0,
        Command::PutRule(PutRule { disabled: true, ..costly("off", "ClockBreached") }),
    );
    let again = Command::PutRule(PutRule { disabled: true, ..costly("r-0", "ClockBreached") });
    let story = run(story, 0, again).0;
    run(story, 0, Command::PutRule(costly("instead", "ClockBreached")));
}

#[test]
fn a_body_fits_its_limit_whatever_it_says() {
    let story = begin([
        Command::PutRule(PutRule {
            template: "{{ event.text }}".to_owned(),
            fields: Shapes::from([("text".to_owned(), Shape::Text)]),
            ..rule("tell", "MessageAdded", webhook())
        }),
        Command::Observe(opened()),
    ]);
    let mut observe = seen(1, 2, "MessageAdded");
    let worst = Value::from("\u{1}".repeat(20_000));
    observe.observation.fields.insert("text".to_owned(), worst);
    let (_, events) = run(story, 0, Command::Observe(observe));
    let body = &intents(&events)[0].body;
    assert!(body.len() <= crate::BODY_MAX && body.len() > 10_000, "{}", body.len());
    assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
}

#[test]
fn a_body_is_json_whatever_its_texts_hold() {
    let odd = "\"\\\u{0}\u{1f}\u{2028}</script>\u{10ffff}\n";
    let change = Change::Opened {
        number: u64::MAX,
        requester_name: odd.repeat(100),
        subject: odd.to_owned(),
        queue: None,
        priority: None,
    };
    let story = begin([Command::PutRule(PutRule {
        template: "{{ ticket.subject }}".to_owned(),
        ..rule("tell", "TicketOpened", webhook())
    })]);
    let observe = Observe { change: Some(change), ..seen(1, 1, "TicketOpened") };
    let (_, events) = run(story, 0, Command::Observe(observe));
    let body: serde_json::Value = serde_json::from_str(&intents(&events)[0].body).unwrap();
    assert_eq!(body["data"]["text"], odd);
    assert_eq!(body["data"]["ticket_number"], u64::MAX);
    assert_eq!(body["data"].as_object().unwrap().len(), 9);
}
