//! Random histories: whatever happens, the invariants hold after each step.

use std::collections::BTreeMap;

use kernel::{AgentId, Decider, Fact, OfferId, Priority, QueueId, TicketId, TicketStatus};
use proptest::prelude::*;

use super::{World, requirements};
use crate::event::{AgentSettings, QueueSettings};
use crate::state::State;
use crate::words::{OfferMode, Presence, QueueReason, WorkClass, WorkOutcome};
use crate::{Command, Destination, Event, NewTicket, Routing};

/// A step: a command, or time that passes.
#[derive(Debug, Clone)]
enum Step {
    Do(Command),
    Pass(u64),
}

fn agent_id() -> impl Strategy<Value = AgentId> {
    (0..5_u8).prop_map(|n| AgentId::trusted(&format!("a{n}")))
}

fn ticket_id() -> impl Strategy<Value = TicketId> {
    (0..12_u8).prop_map(|n| TicketId::trusted(&format!("t{n}")))
}

fn queue_id() -> impl Strategy<Value = QueueId> {
    prop_oneof![Just("default"), Just("q1"), Just("q2")].prop_map(QueueId::trusted)
}

fn offer_id() -> impl Strategy<Value = OfferId> {
    (1..30_u8).prop_map(|n| OfferId::trusted(&format!("offer-{n}")))
}

fn skills() -> impl Strategy<Value = Vec<(&'static str, u32)>> {
    prop_oneof![
        4 => Just(vec![]),
        2 => (1..4_u32).prop_map(|level| vec![("de", level)]),
        1 => (1..4_u32).prop_map(|level| vec![("de", 1), ("tax", level)]),
    ]
}

fn new_ticket() -> impl Strategy<Value = Command> {
    let class = proptest::sample::select(WorkClass::ALL);
    let priority = proptest::option::of(proptest::sample::select(&Priority::ALL));
    (ticket_id(), queue_id(), class, priority, skills(), 0..5_000_i64).prop_map(
        |(ticket, queue, class, priority, skills, opened)| {
            Command::QueueTicket(Box::new(NewTicket {
                number: ticket.as_str()[1..].parse().unwrap(),
                ticket,
                queue,
                reason: QueueReason::Asked,
                class,
                priority,
                skills: requirements(&skills),
                opened_at: kernel::Timestamp::from_millis(opened),
            }))
        },
    )
}

fn put_agent() -> impl Strategy<Value = Command> {
    let queues = prop_oneof![3 => Just(vec![]), 1 => queue_id().prop_map(|id| vec![id])];
    let capacity = proptest::sample::select(&[0_u32, 20, 60, 100, 150]);
    (agent_id(), skills(), queues, capacity).prop_map(|(agent, skills, queues, capacity_units)| {
        let skills = requirements(&skills).into_iter().map(|one| (one.skill, one.min_level));
        let settings = AgentSettings {
            display_name: String::new(),
            skills: skills.collect(),
            queues,
            capacity_units,
        };
        Command::PutAgent { agent, settings, expected_revision: 0 }
    })
}

fn put_queue() -> impl Strategy<Value = Command> {
    (queue_id(), skills(), proptest::sample::select(OfferMode::ALL)).prop_map(
        |(queue, skills, offer_mode)| {
            let settings = QueueSettings {
                display_name: String::new(),
                order: 0,
                filter: None,
                required_skills: requirements(&skills),
                offer_mode,
                accept_within_ms: 0,
            };
            Command::PutQueue { queue, settings, expected_revision: 0 }
        },
    )
}

fn status() -> impl Strategy<Value = Command> {
    let words = [
        TicketStatus::New,
        TicketStatus::Open,
        TicketStatus::Pending,
        TicketStatus::OnHold,
        TicketStatus::Resolved,
        TicketStatus::Closed,
    ];
    let word = || proptest::sample::select(words.to_vec());
    (ticket_id(), word(), word(), any::<bool>()).prop_map(|(ticket, from, to, answered)| {
        Command::FollowStatus { ticket, from, to, answered }
    })
}

fn owned_work() -> impl Strategy<Value = Command> {
    let to = prop_oneof![
        agent_id().prop_map(Destination::Agent),
        queue_id().prop_map(Destination::Queue),
        (1..4_u32).prop_map(|level| Destination::Skill(requirements(&[("tax", level)]).remove(0))),
    ];
    let outcome = proptest::sample::select(WorkOutcome::ALL);
    let note = String::new;
    prop_oneof![
        3 => (agent_id(), ticket_id(), outcome).prop_map(move |(agent, ticket, outcome)| {
            Command::CompleteWork { agent, ticket, outcome, note: note() }
        }),
        1 => (ticket_id(), proptest::option::of(agent_id()), to).prop_map(
            move |(ticket, from, to)| Command::TransferTicket { ticket, from, to, note: note() }
        ),
        1 => (ticket_id(), agent_id()).prop_map(move |(ticket, agent)| {
            Command::AssignTicket { ticket, agent, reason: note() }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let presence = proptest::sample::select(Presence::ALL);
    let lease = prop_oneof![Just(0_u64), Just(45_000)];
    let command = prop_oneof![
        6 => new_ticket(),
        3 => put_agent(),
        1 => put_queue(),
        4 => (agent_id(), presence, lease).prop_map(|(agent, presence, lease_ms)| {
            Command::SetPresence { agent, presence, lease_ms }
        }),
        4 => (agent_id(), offer_id())
            .prop_map(|(agent, offer)| Command::AcceptOffer { agent, offer }),
        4 => (agent_id(), offer_id()).prop_map(|(agent, offer)| {
            Command::DeclineOffer { agent, offer, reason: String::new() }
        }),
        6 => status(),
        1 => ticket_id().prop_map(|ticket| Command::NoteAnswer { ticket }),
        2 => (ticket_id(), proptest::option::of(proptest::sample::select(&Priority::ALL)))
            .prop_map(|(ticket, priority)| Command::Reprioritise { ticket, priority }),
        6 => owned_work(),
    ];
    let pass = proptest::sample::select(&[1_u64, 15_001, 60_000, 121_000, 601_000]);
    prop_oneof![9 => command.prop_map(Step::Do), 2 => pass.prop_map(Step::Pass)]
}

fn play(steps: &[Step]) -> World {
    let mut world = World::new();
    let mut ages = BTreeMap::new();
    for step in steps {
        match step {
            Step::Do(command) => {
                // A refusal is an answer too.
                drop(world.try_run(command.clone()));
            }
            Step::Pass(millis) => drop(world.pass(*millis)),
        }
        for (id, ticket) in &world.workspace().tickets {
            let age = *ages.entry(id.clone()).or_insert(ticket.queued_at());
            assert_eq!(ticket.queued_at(), age, "INV5: {id} keeps its age");
        }
    }
    world
}

fn folded<'a>(facts: impl IntoIterator<Item = &'a Fact<Event>>) -> State {
    let mut state = State::default();
    facts.into_iter().for_each(|fact| Routing::evolve(&mut state, fact));
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_invariants(steps in prop::collection::vec(step(), 1..80)) {
        let world = play(&steps);
        prop_assert_eq!(folded(&world.facts), world.state);
    }

    #[test]
    fn no_history_makes_evolve_panic(
        (facts, order) in prop::collection::vec(step(), 1..40)
            .prop_map(|steps| play(&steps).facts)
            .prop_flat_map(|facts| {
                let places: Vec<_> = (0..facts.len()).collect();
                (Just(facts), Just(places).prop_shuffle())
            }),
    ) {
        let state = folded(order.iter().map(|place| &facts[*place]));
        // And what follows from nonsense still comes to an end.
        drop(Routing::due(&state, kernel::Timestamp::from_millis(i64::MAX)));
    }
}

#[test]
fn thousands_that_nobody_can_take_cost_nothing() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    let context = world.context();
    for n in 1..5_000_u64 {
        let new = Command::QueueTicket(Box::new(NewTicket {
            ticket: TicketId::trusted(&format!("t{n}")),
            number: n,
            queue: QueueId::trusted("default"),
            reason: QueueReason::Default,
            class: WorkClass::Async,
            priority: None,
            skills: requirements(&[("rare", 5)]),
            opened_at: context.at,
        }));
        let facts = Routing::decide(&world.state, &context, new).unwrap();
        world.take(&facts);
        assert_eq!(Routing::follow_up(&world.state, &context), []);
    }
    // They are one group, and it isn't ready: a step looks at it once, however many wait in it.
    let board = &world.workspace().board;
    assert_eq!((board.groups.len(), board.ready.len()), (1, 0));
    world.put_agent("bob", &[("rare", 5)], &[], 100);
    let news = world.presence("bob", Presence::Available);
    assert_eq!(news.len(), 1 + 5 * 2, "five offers, each accepted by itself");
}
