//! What one decision costs in each service, and each step of its way to the log and back: `cargo bench -p benches`.

#![expect(clippy::unwrap_used, reason = "what is measured must not fail")]

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion};
use event_log::memory::MemoryProvider;
use intake::command::{CreateTicket, PutWorkspace};
use intake::event::Requester;
use intake_service::IntakeService;
use kernel::{
    Actor, AttributeValue, Attributes, Channel, Context, Decider, Fact, MessageId, Packed,
    PolicyId, Priority, QueueId, RequesterId, RuleId, TicketId, Timestamp, WorkspaceId,
};
use notify::{Cause, Change, Observation, Observe, PutRule, Recipient, Way};
use notify_service::NotifyService;
use routing::NewTicket;
use routing::words::{QueueReason, WorkClass};
use routing_service::RoutingService;
use runtime::Service;
use sla::{Metric, PolicyDraft, Targets, Traits};
use sla_service::SlaService;

/// Tickets that are there already.
const TICKETS: u64 = 10_000;

fn context() -> Context {
    Context {
        workspace: WorkspaceId::trusted("acme"),
        at: Timestamp::from_millis(1_772_409_600_000),
        actor: Actor::Backend,
        record: 2,
    }
}

fn ticket(number: u64) -> TicketId {
    TicketId::trusted(&format!("ticket-{number}"))
}

fn attributes() -> Attributes {
    let text = |at: u32| (format!("name-{at}"), AttributeValue::Text(format!("Value {at}")));
    (0..10).map(text).collect()
}

type Command<S> = <<S as Service>::Decider as Decider>::Command;
type Event<S> = <<S as Service>::Decider as Decider>::Event;
type State<S> = <<S as Service>::Decider as Decider>::State;

/// Decides a command and takes its facts in.
fn tell<S: Service>(state: &mut State<S>, command: Command<S>) -> Vec<Fact<Event<S>>> {
    let facts = S::Decider::decide(state, &context(), command).unwrap();
    for fact in &facts {
        S::Decider::evolve(state, fact);
    }
    facts
}

/// Measures `command` as the ticket after those that are there.
fn measure<S: Service>(
    criterion: &mut Criterion,
    service: &S,
    first: Vec<Command<S>>,
    command: fn(u64) -> Command<S>,
) {
    let mut state = State::<S>::default();
    for command in first.into_iter().chain((1..=TICKETS).map(command)) {
        tell::<S>(&mut state, command);
    }
    let mut group = criterion.benchmark_group(S::ID.name());
    let next = || command(TICKETS + 1);
    let facts = S::Decider::decide(&state, &context(), next()).unwrap();
    assert!(!facts.is_empty(), "{} decides nothing", S::ID);
    group.bench_function("decide", |bencher| {
        let decide = |command| S::Decider::decide(&state, &context(), command).unwrap();
        bencher.iter_batched(next, decide, BatchSize::SmallInput);
    });
    let encode = |fact: &Fact<Event<S>>| service.encode(&fact.event);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| facts.iter().map(encode).for_each(|payload| drop(black_box(payload))));
    });
    let stored: Vec<_> = facts.iter().map(encode).collect();
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for payload in &stored {
                let event = service.decode(payload.event_type, payload.version, &payload.data);
                drop(black_box(event.unwrap()));
            }
        });
    });
    // A state can't be set back cheaply, so each time it is another ticket.
    let (state, mut number) = (RefCell::new(state), TICKETS);
    group.bench_function("evolve", |bencher| {
        let decided = || {
            number += 1;
            S::Decider::decide(&state.borrow(), &context(), command(number)).unwrap()
        };
        let evolve = |facts: Vec<Fact<Event<S>>>| {
            let mut state = state.borrow_mut();
            for fact in &facts {
                S::Decider::evolve(&mut state, fact);
            }
            facts
        };
        bencher.iter_batched(decided, evolve, BatchSize::SmallInput);
    });
    group.finish();
}

fn rules(criterion: &mut Criterion) {
    let intake = IntakeService::new(Arc::new(MemoryProvider::default()));
    let workspace = PutWorkspace {
        display_name: "Acme".into(),
        default_priority: Some(Priority::P3),
        expected: None,
    };
    measure(criterion, &intake, vec![intake::Command::PutWorkspace(workspace)], create);
    measure(criterion, &RoutingService::new(), vec![routing::Command::SeeWorkspace], queue);
    measure(criterion, &SlaService, vec![sla::Command::NoteWorkspace, policy()], open);
    let config = notify_service::Config { allow_private_endpoints: true };
    let notify = NotifyService::new(config, notify_service::Keys::none()).unwrap();
    measure(criterion, &notify, vec![notify::Command::SeeWorkspace, rule()], observe);
}

fn create(number: u64) -> intake::Command {
    intake::Command::CreateTicket(Box::new(CreateTicket {
        ticket: ticket(number),
        message: MessageId::trusted(&format!("message-{number}")),
        external_id: None,
        channel: Channel::Email,
        provider: Box::default(),
        requester: Requester {
            id: RequesterId::trusted("grace"),
            name: "Grace".into(),
            addresses: Box::default(),
            locale: Box::default(),
        },
        subject: "The parcel has not arrived".into(),
        body: "x".repeat(1024).into(),
        priority: None,
        kind: Box::default(),
        tags: Vec::new(),
        attributes: attributes(),
        required_skills: Box::default(),
        queue: None,
        occurred_at: None,
    }))
}

fn queue(number: u64) -> routing::Command {
    routing::Command::QueueTicket(Box::new(NewTicket {
        ticket: ticket(number),
        number,
        queue: QueueId::trusted("default"),
        reason: QueueReason::Default,
        class: WorkClass::Async,
        priority: Some(Priority::P3),
        skills: Vec::new(),
        opened_at: context().at,
    }))
}

fn policy() -> sla::Command {
    let targets = Metric::ALL.map(|metric| ((metric, Priority::P3), 3_600_000));
    sla::Command::PutPolicy {
        policy: Box::new(PolicyDraft {
            policy: PolicyId::trusted("standard"),
            display_name: String::new(),
            order: 1,
            filter: None,
            targets: Targets::from(targets),
            warn_at_permille: vec![500, 800],
        }),
        expected_revision: None,
    }
}

fn open(number: u64) -> sla::Command {
    sla::Command::OpenTicket {
        ticket: ticket(number),
        number,
        priority: Some(Priority::P3),
        traits: Arc::new(Traits {
            channel: Channel::Email,
            provider: String::new(),
            subject: "The parcel has not arrived".into(),
            kind: String::new(),
            tags: Vec::new(),
            attributes: Packed::new(&attributes()),
            requester_id: "grace".into(),
            requester_name: "Grace".into(),
            requester_locale: String::new(),
        }),
        at: context().at,
    }
}

fn rule() -> notify::Command {
    notify::Command::PutRule(PutRule {
        rule: RuleId::trusted("told"),
        event_types: vec!["TicketOpened".into()],
        filter: None,
        way: Way::InApp(vec![Recipient::Owner]),
        template: String::new(),
        disabled: false,
        expected_revision: 0,
        fields: notify::Shapes::new(),
    })
}

fn observe(number: u64) -> notify::Command {
    notify::Command::Observe(Observe {
        ticket: Some(ticket(number)),
        change: Some(Change::Opened {
            number,
            requester_name: "Grace".to_owned(),
            subject: "The parcel has not arrived".to_owned(),
            queue: None,
            priority: Some(Priority::P3),
        }),
        observation: Observation {
            cause: Cause { service: 1, partition: 0, seq: number, index: 0 },
            event_type: "TicketOpened".into(),
            at: context().at,
            fields: [].into(),
        },
    })
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    rules(&mut criterion);
    criterion.final_summary();
}
