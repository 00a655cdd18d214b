//! Who is served when: workspaces take turns, and so do calls, inputs and what is due. Shown by the order in the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kernel::{Context, Decider, Fact, Timestamp, WorkspaceId};
use prost::Message;
use runtime::{
    Call, EventType, Failure, InputError, InputEvent, Node, Overload, Payload, Service, ServiceId,
    WAITING_MAX, WAITING_OF_WORKSPACE_MAX, open_record,
};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use crate::World;
use crate::toy::{self, Copier, Source, add};

/// The workspaces of a log's facts, in their order.
async fn order(world: &World, service: ServiceId) -> Vec<String> {
    let mut order = Vec::new();
    for record in world.records(service).await {
        let commit = open_record(&record).unwrap();
        order.extend(commit.events.into_iter().map(|event| event.workspace));
    }
    order
}

/// Lets everybody do what they can: these tests have one thread.
async fn settled() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_neighbour_s_calls_stand_between_those_of_a_flood() {
    let world = World::new().await;
    let node = world.node(Source).await;
    // All wait before the leader runs at all: the flood first.
    let flood = (0..1_000).map(|_| node.execute(add("flood", 1)));
    let calm = (0..20).map(|_| node.execute(add("calm", 1)));
    for done in futures::future::join_all(flood.chain(calm)).await {
        done.unwrap();
    }
    let order = order(&world, ServiceId::Intake).await;
    let places: Vec<_> =
        (0..).zip(&order).filter(|(_, of)| *of == "calm").map(|(at, _)| at).collect();
    let expected: Vec<usize> = (0..20).map(|turn| 2 * turn + 1).collect();
    assert_eq!(places, expected);
    assert_eq!(order.len(), 1_020);
}

#[tokio::test]
async fn a_workspace_takes_its_share_of_the_queue_and_others_are_let_in() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).stall_appends(true);
    // One commit is on its way, and the next is full: from here on calls wait in the queue.
    let mut flood: Vec<_> =
        (0..2 * runtime::EVENTS_MAX).map(|_| Box::pin(node.execute(add("flood", 1)))).collect();
    futures::future::join_all(flood.iter_mut().map(|call| async {
        tokio::select! { biased; _ = call => unreachable!("the log stalls"), () = settled() => {} }
    }))
    .await;
    let begin = |workspace: &'static str| {
        let node = node.clone();
        tokio::spawn(async move { node.execute(add(workspace, 1)).await })
    };
    let share: Vec<_> = (0..WAITING_OF_WORKSPACE_MAX).map(|_| begin("flood")).collect();
    settled().await;
    let beyond = node.execute(add("flood", 1)).await;
    assert_eq!(beyond, Err(Failure::Overloaded(Overload::Workspace)));
    // Others fill the rest, and one that has little waiting is let in even then.
    let rest = WAITING_MAX - WAITING_OF_WORKSPACE_MAX;
    let others: Vec<_> = (0..rest).map(|_| begin("other")).collect();
    settled().await;
    let calm = begin("calm");
    settled().await;
    assert!(!calm.is_finished(), "{:?}", calm.await);
    world.faults(ServiceId::Intake).stall_appends(false);
    calm.await.unwrap().unwrap();
    let mut refused = 0;
    for call in share.into_iter().chain(others) {
        match call.await.unwrap() {
            Err(Failure::Overloaded(Overload::Partition)) => refused += 1,
            // A slow machine's leader looked up early, and some of the first calls were still waiting.
            Ok(_) | Err(Failure::Overloaded(Overload::Workspace)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1, "the newest of the longest lane made room");
}

#[tokio::test]
async fn a_neighbour_s_look_does_not_wait_for_all_of_a_flood_s() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let look = |workspace: &'static str| {
        let (node, seen) = (node.clone(), Arc::clone(&seen));
        async move { node.read(workspace, move |_| seen.lock().unwrap().push(workspace)).await }
    };
    let looks = (0..500).map(|_| look("flood")).chain((0..5).map(|_| look("calm")));
    for seen in futures::future::join_all(looks).await {
        seen.unwrap();
    }
    let seen = seen.lock().unwrap();
    let last = seen.iter().rposition(|of| *of == "calm").unwrap();
    assert_eq!((last, seen.len()), (9, 505));
}

#[tokio::test]
async fn a_call_does_not_wait_until_all_inputs_are_read() {
    let world = World::new().await;
    let source = world.node(Source).await;
    let inputs = 4_000;
    for _ in 0..4 {
        let some = (0..inputs / 4).map(|_| source.execute(add("flood", 1)));
        for done in futures::future::join_all(some).await {
            done.unwrap();
        }
    }
    let copier = world.node(Copier).await;
    world.faults(ServiceId::Sla).stall_appends(true);
    settled().await;
    let had = order(&world, ServiceId::Sla).await.len();
    let call = tokio::spawn({
        let copier = copier.clone();
        async move { copier.execute(add("calm", 1)).await }
    });
    settled().await;
    world.faults(ServiceId::Sla).stall_appends(false);
    call.await.unwrap().unwrap();
    while copier.read("flood", |state| state.sums["flood"]).await.unwrap() < inputs {
        yield_now().await;
    }
    let order = order(&world, ServiceId::Sla).await;
    let place = order.iter().position(|of| of == "calm").unwrap();
    // A commit was on its way before it came, and the next one full.
    assert!(place <= had + 2 * runtime::EVENTS_MAX + 64, "{place} of {}", order.len());
}

/// Goes a way in steps: as many as it is told, each of them due at once.
#[derive(Debug)]
struct Walk;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Set { steps: u64 },
    Went,
    Added,
}

#[derive(Debug)]
enum Wish {
    Go { steps: u64 },
    Step,
    Add,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ways {
    left: BTreeMap<WorkspaceId, u64>,
    revision: u64,
}

impl Decider for Walk {
    type Command = Wish;
    type Event = Step;
    type State = Ways;
    type Rejection = toy::Rejection;

    fn decide(
        state: &Ways,
        context: &Context,
        command: Wish,
    ) -> Result<Vec<Fact<Step>>, toy::Rejection> {
        let event = match command {
            Wish::Go { steps } => Step::Set { steps },
            Wish::Step if state.left.contains_key(&context.workspace) => Step::Went,
            Wish::Step => return Ok(Vec::new()),
            Wish::Add => Step::Added,
        };
        Ok(vec![Fact {
            workspace: context.workspace.clone(),
            entity: (&context.workspace).into(),
            revision: state.revision + 1,
            at: context.at,
            actor: context.actor.clone(),
            event,
        }])
    }

    fn evolve(state: &mut Ways, fact: &Fact<Step>) {
        state.revision = fact.revision;
        match fact.event {
            Step::Set { steps } => {
                state.left.insert(fact.workspace.clone(), steps);
            }
            Step::Went => {
                let left = state.left.entry(fact.workspace.clone()).or_default();
                *left = left.saturating_sub(1);
                state.left.retain(|_, left| *left > 0);
            }
            Step::Added => {}
        }
    }

    fn next_due(state: &Ways) -> Option<Timestamp> {
        (!state.left.is_empty()).then(|| Timestamp::from_millis(1))
    }

    fn due(state: &Ways, _: Timestamp) -> Vec<(WorkspaceId, Wish)> {
        state.left.keys().map(|workspace| (workspace.clone(), Wish::Step)).collect()
    }
}

#[derive(Debug)]
struct Walker;

impl Service for Walker {
    type Decider = Walk;
    const ID: ServiceId = ServiceId::Intake;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [EventType<Step>] = &[
        EventType::new("Set", 1, |stored| Ok(Step::Set { steps: stored.message()? })),
        EventType::new("Went", 1, |_| Ok(Step::Went)),
        EventType::new("Added", 1, |_| Ok(Step::Added)),
    ];

    fn encode(&self, event: &Step) -> Payload {
        let (event_type, data) = match event {
            Step::Set { steps } => ("Set", steps.encode_to_vec()),
            Step::Went => ("Went", Vec::new()),
            Step::Added => ("Added", Vec::new()),
        };
        Payload { event_type, version: 1, data: data.into() }
    }

    fn react(&self, _: &Ways, _: &InputEvent<'_>) -> Result<Vec<Wish>, InputError> {
        Ok(Vec::new())
    }
}

fn wish(workspace: &str, command: Wish) -> Call<Walker> {
    Call {
        workspace: WorkspaceId::trusted(workspace),
        method: "Go",
        request: None,
        actor: kernel::Actor::Backend,
        command,
        render: Box::new(|_, _| Vec::new()),
    }
}

async fn arrived(node: &Node<Walker>) {
    let mut turns = node.turns();
    while !node.resting().unwrap().idle {
        turns.changed().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_done_in_many_steps_lets_calls_in_between() {
    let world = World::new().await;
    let node = world.node(Walker).await;
    let steps = 20_000;
    node.execute(wish("sweep", Wish::Go { steps })).await.unwrap();
    for _ in 0..50 {
        node.execute(wish("calm", Wish::Add)).await.unwrap();
    }
    arrived(&node).await;
    let order = order(&world, ServiceId::Intake).await;
    assert_eq!(order.len(), 1 + 20_000 + 50);
    let last = order.iter().rposition(|of| of == "sweep").unwrap();
    let meanwhile = order.iter().take(last).filter(|of| *of == "calm").count();
    // One call after another, each in a commit of its own, with a full one's steps at most before it.
    assert!(meanwhile >= 10, "the calls waited for the end: {meanwhile}");
}

#[tokio::test]
async fn calls_let_what_is_done_in_steps_in_between() {
    let world = World::new().await;
    let node = world.node(Walker).await;
    let begins = node.execute(wish("sweep", Wish::Go { steps: 10 }));
    let calls = (0..1_000).map(|_| node.execute(wish("busy", Wish::Add)));
    let (begun, calls) = tokio::join!(begins, futures::future::join_all(calls));
    begun.unwrap();
    assert!(calls.into_iter().all(|done| done.is_ok()));
    arrived(&node).await;
    let order = order(&world, ServiceId::Intake).await;
    let last = order.iter().rposition(|of| of == "sweep").unwrap();
    // A turn of calls goes before each step.
    assert!(last <= 11 * 65, "{last} of {}", order.len());
}

#[tokio::test]
async fn a_crash_at_any_step_is_gone_on_from() {
    let world = World::new().await;
    let node = world.node(Walker).await;
    node.execute(wish("sweep", Wish::Go { steps: 2_000 })).await.unwrap();
    for _ in 0..3 {
        node.execute(wish("calm", Wish::Add)).await.unwrap();
    }
    node.crash();
    let node = world.node(Walker).await;
    arrived(&node).await;
    let steps = order(&world, ServiceId::Intake).await;
    assert_eq!(steps.iter().filter(|of| *of == "sweep").count(), 1 + 2_000);
}
