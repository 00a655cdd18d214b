//! Snapshots: saved off the leader's path, loaded only if the log confirms them, and never needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kernel::{Actor, Context, Decider, Fact, WorkspaceId};
use runtime::{
    Call, EventType, Failure, HASH_EVERY, Health, InputError, InputEvent, Payload, SNAPSHOT_AFTER,
    SNAPSHOT_EVENTS, Service, ServiceId, SnapshotStatus,
};
use snapshots::{MemorySnapshots, Snapshot, SnapshotKey, SnapshotStore, StoreError};

use crate::toy::{self, Command, Source, Toy, add};
use crate::{World, sum};

fn key() -> SnapshotKey {
    SnapshotKey::new("intake", 0)
}

async fn world() -> (World, Arc<MemorySnapshots>) {
    let mut world = World::new().await;
    let store = Arc::new(MemorySnapshots::new());
    world.snapshots = Arc::<MemorySnapshots>::clone(&store);
    (world, store)
}

/// Under a paused clock the ten minutes pass as soon as nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn what_has_changed_is_saved_in_time_and_the_next_start_begins_there() {
    let (world, store) = world().await;
    let node = world.node(Source).await;
    let begun = tokio::time::Instant::now();
    node.execute(add("w", 5)).await.unwrap();
    let head = node.partitions()[0].head().seq;
    let mut saved = node.partitions()[0].watch_snapshots();
    assert_eq!(*saved.borrow(), SnapshotStatus::default());
    saved.wait_for(|saved| saved.seq == head).await.unwrap();
    assert!(begun.elapsed() >= SNAPSHOT_AFTER, "{:?}", begun.elapsed());
    assert_eq!(store.load(&key()).await.unwrap().seq, head);
    // Not stopped in order: what is there is the snapshotter's.
    drop(node);
    let node = world.node(Source).await;
    assert_eq!(node.partitions()[0].watch_snapshots().borrow().seq, head);
    assert_eq!(sum(&node, "w").await, 5);
}

#[tokio::test(start_paused = true)]
async fn many_events_are_saved_at_once() {
    let (world, _store) = world().await;
    let node = world.node(Source).await;
    let begun = tokio::time::Instant::now();
    let mut written = 0;
    while written < SNAPSHOT_EVENTS {
        let calls = (0..2_000).map(|_| node.execute(add("w", 1)));
        for done in futures::future::join_all(calls).await {
            done.unwrap();
            written += 1;
        }
    }
    let mut saved = node.partitions()[0].watch_snapshots();
    let saved = saved.wait_for(|saved| saved.seq > 0).await.unwrap().clone();
    assert!(begun.elapsed() < SNAPSHOT_AFTER, "{:?}", begun.elapsed());
    assert_eq!((saved.seq, saved.problem.as_str()), (node.partitions()[0].head().seq, ""));
}

#[tokio::test]
async fn a_stop_in_order_saves_a_fold_of_the_log() {
    let (world, store) = world().await;
    let node = world.node(Source).await;
    node.execute(add("w", 5)).await.unwrap();
    node.shutdown().await;
    let last = world.records(ServiceId::Intake).await.last().unwrap().seq;
    assert_eq!(store.load(&key()).await.unwrap().seq, last);
    let node = world.node(Source).await;
    assert_eq!(sum(&node, "w").await, 5);
}

/// Who trims the log has to leave both of use, so both must be known, after a restart too.
#[tokio::test(start_paused = true)]
async fn the_snapshot_before_the_newest_is_known_unless_the_log_denies_it() {
    let (world, store) = world().await;
    for _ in 0..2 {
        let node = world.node(Source).await;
        node.execute(add("w", 5)).await.unwrap();
        node.shutdown().await;
    }
    let newest = store.load(&key()).await.unwrap();
    let older = store.before(&key(), newest.seq).await.unwrap();
    let node = world.node(Source).await;
    let mut saved = node.partitions()[0].watch_snapshots();
    let known = saved.wait_for(|saved| saved.older > 0).await.unwrap().clone();
    assert_eq!((known.seq, known.older), (newest.seq, older.seq));
    // A newer one takes its place, and what was the newest is then the one before.
    node.execute(add("w", 5)).await.unwrap();
    let known = saved.wait_for(|saved| saved.seq > newest.seq).await.unwrap().clone();
    assert_eq!(known.older, newest.seq);
    node.shutdown().await;

    let bad = Snapshot { chain: [9; 16], ..older };
    store.discard(&key(), bad.seq).await.unwrap();
    let good = store.load(&key()).await.unwrap();
    let only = Arc::new(MemorySnapshots::new());
    only.save(&key(), bad).await.unwrap();
    only.save(&key(), good.clone()).await.unwrap();
    let mut world = world;
    world.snapshots = only;
    let node = world.node(Source).await;
    node.execute(add("w", 5)).await.unwrap();
    let mut saved = node.partitions()[0].watch_snapshots();
    let known = saved.wait_for(|saved| saved.seq > good.seq).await.unwrap().clone();
    assert_eq!(known.older, good.seq, "the one of another history counts for nothing");
}

#[tokio::test]
async fn a_snapshot_that_the_log_does_not_confirm_gives_way_to_the_one_before() {
    let good = {
        let (world, store) = world().await;
        let node = world.node(Source).await;
        node.execute(add("w", 5)).await.unwrap();
        node.shutdown().await;
        (world, store.load(&key()).await.unwrap())
    };
    let (mut world, good) = good;
    let bad = [
        ("of another layout", Snapshot { version: good.version + 1, ..good.clone() }),
        ("of another history", Snapshot { chain: [9; 16], ..good.clone() }),
        ("at another record", Snapshot { seq: good.seq - 1, ..good.clone() }),
        ("not a state", Snapshot { bytes: Bytes::from_static(&[0xff; 40]), ..good.clone() }),
        ("cut off", Snapshot { bytes: good.bytes.slice(..good.bytes.len() / 2), ..good.clone() }),
    ];
    for (expected, (what, mut snapshot)) in (5..).zip(bad) {
        if what == "of another history" {
            // A discard goes by the record's number: here the one before has to stay.
            snapshot.seq -= 1;
        }
        let store = Arc::new(MemorySnapshots::new());
        store.save(&key(), good.clone()).await.unwrap();
        store.save(&key(), snapshot.clone()).await.unwrap();
        world.snapshots = Arc::<MemorySnapshots>::clone(&store);
        let node = world.node(Source).await;
        assert_eq!(sum(&node, "w").await, expected, "{what}");
        let left = store.load(&key()).await;
        assert_ne!(left.as_ref(), Some(&snapshot), "{what}");
        if snapshot.seq != good.seq {
            assert_eq!(left.as_ref(), Some(&good), "{what}");
            let from = node.partitions()[0].watch_snapshots().borrow().seq;
            assert_eq!(from, good.seq, "{what}");
        }
        node.execute(add("w", 1)).await.unwrap();
    }
}

/// What a snapshot knows of another log, or of more than the log holds, was lost: nobody guesses.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_knows_more_than_the_log_stops_the_partition() {
    let (mut world, store) = world().await;
    let node = world.node(Source).await;
    node.execute(add("w", 5)).await.unwrap();
    node.shutdown().await;
    let good = store.load(&key()).await.unwrap();
    let more = [
        ("ends at record", Snapshot { seq: good.seq + 1_000, ..good.clone() }),
        ("it is log", Snapshot { log_id: [9; 16], ..good.clone() }),
        ("it is log", Snapshot { log_id: [9; 16], version: good.version + 1, ..good.clone() }),
        ("it is log", Snapshot { log_id: [9; 16], seq: good.seq + 1_000, ..good.clone() }),
    ];
    for (why, snapshot) in more {
        let store = Arc::new(MemorySnapshots::new());
        store.save(&key(), good.clone()).await.unwrap();
        store.save(&key(), snapshot.clone()).await.unwrap();
        world.snapshots = Arc::<MemorySnapshots>::clone(&store);
        let before = world.records(ServiceId::Intake).await.len();
        let node = world.start(Source).await;
        let reason = node.ready().await.unwrap_err().reason();
        let known = format!("record {} of log {}", snapshot.seq, hex(snapshot.log_id));
        assert!(reason.starts_with("intake/0: a snapshot knows"), "{reason}");
        assert!(reason.contains(&known) && reason.contains(why), "{reason}");
        assert!(reason.contains("--accept-loss"), "{reason}");
        let refused = node.execute(add("w", 1)).await;
        assert!(matches!(refused, Err(Failure::Halted(_))), "{refused:?}");
        node.shutdown().await;
        assert_eq!(world.records(ServiceId::Intake).await.len(), before, "it was claimed");
        assert_eq!(store.load(&key()).await, Some(snapshot), "what it knows is gone");
    }
}

fn hex(log_id: [u8; 16]) -> String {
    hex::encode(log_id)
}

/// A store whose disk is full.
#[derive(Debug)]
struct Full;

#[async_trait::async_trait]
impl SnapshotStore for Full {
    async fn save(&self, _: &SnapshotKey, _: Snapshot) -> Result<(), StoreError> {
        Err(StoreError::SetAside("no space left on device".into()))
    }

    async fn load(&self, _: &SnapshotKey) -> Option<Snapshot> {
        None
    }

    async fn discard(&self, _: &SnapshotKey, _: u64) -> Result<(), StoreError> {
        Err(StoreError::Dead)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_costs_nothing_but_the_snapshot() {
    let mut world = World::new().await;
    world.snapshots = Arc::new(Full);
    let node = world.node(Source).await;
    node.execute(add("w", 5)).await.unwrap();
    let mut saved = node.partitions()[0].watch_snapshots();
    let status = saved.wait_for(|saved| !saved.problem.is_empty()).await.unwrap().clone();
    assert!(status.problem.contains("no space left"), "{status:?}");
    node.execute(add("w", 6)).await.unwrap();
    assert_eq!(sum(&node, "w").await, 11);
    node.shutdown().await;
    assert_eq!(sum(&world.node(Source).await, "w").await, 11);
}

/// While true, [`Fickle`] makes of a fact what its log doesn't say.
static FICKLE: AtomicBool = AtomicBool::new(false);

/// The toy's rules with a planted bug.
#[derive(Debug)]
struct Fickle;

impl Decider for Fickle {
    type Command = Command;
    type Event = toy::Event;
    type State = toy::State;
    type Rejection = toy::Rejection;

    fn decide(
        state: &toy::State,
        context: &Context,
        command: Command,
    ) -> Result<Vec<Fact<toy::Event>>, toy::Rejection> {
        Toy::decide(state, context, command)
    }

    fn evolve(state: &mut toy::State, fact: &Fact<toy::Event>) {
        Toy::evolve(state, fact);
        if FICKLE.load(Ordering::SeqCst) {
            state.rang += 1;
        }
    }
}

impl Service for Fickle {
    type Decider = Self;
    const ID: ServiceId = ServiceId::Intake;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [EventType<toy::Event>] = toy::EVENTS;

    fn encode(&self, event: &toy::Event) -> Payload {
        Source.encode(event)
    }

    fn react(&self, _: &toy::State, _: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        Ok(vec![])
    }
}

fn fickle_add() -> Call<Fickle> {
    Call {
        workspace: WorkspaceId::trusted("w"),
        method: "Add",
        request: None,
        actor: Actor::Backend,
        command: Command::Add { by: 1 },
        render: Box::new(|_, _| Vec::new()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_state_is_not_its_logs_is_found_out_and_halts() {
    let (world, store) = world().await;
    let node = world.node(Fickle).await;
    FICKLE.store(true, Ordering::SeqCst);
    node.execute(fickle_add()).await.unwrap();
    FICKLE.store(false, Ordering::SeqCst);
    let mut health = node.partitions()[0].watch_health();
    // On it goes, one commit a call, until it has written its state's hash.
    for _ in 0..=HASH_EVERY {
        node.execute(fickle_add()).await.unwrap();
    }
    // A look makes a turn in which there is nothing else to write.
    node.read("w", |_| ()).await.unwrap();
    let halted = health.wait_for(|health| matches!(health, Health::Halted(_))).await.unwrap();
    assert!(halted.reason().contains("another state than its log gives"), "{halted:?}");
    drop(halted);
    let status = node.partitions()[0].watch_snapshots().borrow().clone();
    assert!(status.problem.contains("another state"), "{status:?}");
    assert_eq!(store.load(&key()).await, None, "no snapshot of a state in doubt");
    node.shutdown().await;
    // Folded anew, it is what the log says.
    let node = world.node(Fickle).await;
    let rang = node.read("w", |state| state.rang).await.unwrap();
    assert_eq!(rang, 0);
}
