//! What is in doubt stops its own partition, says so, and nothing else; and what an operator gives up goes on.

#![expect(clippy::panic, reason = "a test fails by it")]

use std::time::Duration;

use bytes::Bytes;
use event_log::memory::MemoryProvider;
use runtime::{PartitionHandle, genesis_superseding, partition_of};
use wire::events::v1::Supersedes;

use super::*;
use crate::toy::Event;

const PARTITIONS: u16 = 4;

/// A world of several partitions.
async fn world() -> World {
    let world = World::new().await;
    let provider = Arc::new(MemoryProvider::new());
    let services = [ServiceId::Intake, ServiceId::Sla];
    initialise(&*provider, &services, PARTITIONS).await.unwrap();
    World { provider, ..world }
}

/// A workspace of each partition.
fn workspaces() -> Vec<String> {
    let mut of = vec![None; usize::from(PARTITIONS)];
    for number in 0..1_000 {
        let name = format!("w{number}");
        of[usize::from(partition_of(&name, PARTITIONS))].get_or_insert(name);
    }
    of.into_iter().map(Option::unwrap).collect()
}

async fn halted<S: Service>(partition: &PartitionHandle<S>) -> String {
    let mut health = partition.watch_health();
    health.wait_for(Health::is_halted).await.unwrap().reason()
}

/// Of all partitions but this one a call is answered; this one's is told why not.
async fn all_but(node: &Node<Source>, broken: u16) {
    for (number, workspace) in (0..).zip(workspaces()) {
        let done = node.execute(add(&workspace, 1)).await;
        if number == broken {
            let Err(Failure::Halted(reason)) = done else { panic!("{done:?}") };
            assert!(reason.starts_with(&format!("intake/{broken}: ")), "{reason}");
        } else {
            done.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_no_leader_wrote_stops_its_partition_alone_at_once_and_after_a_restart() {
    let world = world().await;
    let node = world.node(Source).await;
    all_but(&node, PARTITIONS).await;
    let log = world.provider.open(&ServiceId::Intake.log(2)).await.unwrap();
    log.append(log.tail().await.unwrap().last, Bytes::from_static(b"no commit")).await.unwrap();
    let reason = halted(&node.partitions()[2]).await;
    assert!(reason.contains("somebody else has written"), "{reason}");
    all_but(&node, 2).await;
    node.shutdown().await;

    let node = world.start(Source).await;
    let settled = node.settled().await;
    let stopped: Vec<u16> = settled
        .iter()
        .filter(|(_, health)| health.is_halted())
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(stopped, [2]);
    all_but(&node, 2).await;
    assert!(node.resting().is_ok(), "a halted partition rests");
}

/// Wherever the damage is, in the first record or in a later one: the number of partitions is what the others say.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_missing_stops_its_partition_alone() {
    for (broken, seq) in [(0, 1), (1, 1), (3, 2)] {
        let world = world().await;
        world.node(Source).await.shutdown().await;
        world.provider.faults(&ServiceId::Intake.log(broken)).unwrap().hide(seq);
        let node = world.start(Source).await;
        assert_eq!(node.partitions().len(), usize::from(PARTITIONS));
        halted(&node.partitions()[usize::from(broken)]).await;
        node.settled().await;
        all_but(&node, broken).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_purged_log_stops_its_partition_while_it_serves_and_after_a_restart() {
    let world = world().await;
    let node = world.node(Source).await;
    all_but(&node, PARTITIONS).await;
    let log = world.provider.open(&ServiceId::Intake.log(1)).await.unwrap();
    log.trim(log.tail().await.unwrap().last).await.unwrap();
    let reason = halted(&node.partitions()[1]).await;
    assert!(reason.starts_with("intake/1: ") && reason.contains("purged"), "{reason}");
    all_but(&node, 1).await;
    node.shutdown().await;
    let node = world.start(Source).await;
    let reason = halted(&node.partitions()[1]).await;
    assert!(reason.starts_with("intake/1: ") && reason.contains("purged"), "{reason}");
    node.settled().await;
    all_but(&node, 1).await;
}

/// A purge of a part leaves a log that begins where none may.
#[tokio::test(start_paused = true)]
async fn a_log_of_which_a_part_was_purged_stops_its_partition() {
    let world = world().await;
    let node = world.node(Source).await;
    for _ in 0..3 {
        all_but(&node, PARTITIONS).await;
    }
    let log = world.provider.open(&ServiceId::Intake.log(1)).await.unwrap();
    log.trim(log.tail().await.unwrap().last - 1).await.unwrap();
    let reason = halted(&node.partitions()[1]).await;
    assert!(reason.contains("which no trimming leaves"), "{reason}");
}

async fn succeed(world: &World, service: ServiceId) -> [u8; 16] {
    let word = Supersedes { actor: "olga".into(), reason: "lost".into(), ..Supersedes::default() };
    let log_id = [77; 16];
    let first = genesis_superseding(service, 0, 1, log_id, word);
    world.provider.create(&service.log(0), first).await.unwrap();
    log_id
}

/// The source's log is lost; the copier's is not, and says what it has read of it.
#[tokio::test(start_paused = true)]
async fn a_lost_log_that_a_reader_knows_stops_until_it_is_given_up() {
    let original = World::new().await;
    let store = Arc::new(MemorySnapshots::new());
    let original = World { snapshots: Arc::<MemorySnapshots>::clone(&store), ..original };
    let (source, copier) = (original.node(Source).await, original.node(Copier).await);
    for by in 1..=4 {
        let done = source.execute(add("w", by)).await.unwrap();
        let mut positions = Positions::default();
        positions.merge(done.position);
        copier.wait_for(&positions).await.unwrap();
    }
    source.shutdown().await;
    copier.shutdown().await;

    // Made anew, without a word: the reader knows more, and so does the source's own snapshot.
    for snapshots in [Arc::clone(&original.snapshots), Arc::new(NoSnapshots)] {
        let lost = World { snapshots, ..World::empty(&original) };
        original.copy(&lost, ServiceId::Sla).await;
        initialise(&*lost.provider, &[ServiceId::Intake], 1).await.unwrap();
        let source = lost.start(Source).await;
        let reason = halted(&source.partitions()[0]).await;
        assert!(reason.contains("the log of sla/0 knows record"), "{reason}");
        assert_eq!(lost.records(ServiceId::Intake).await.len(), 1, "it was claimed");
        let copier = lost.start(Copier).await;
        let reason = halted(&copier.partitions()[0]).await;
        assert!(reason.contains("the log of intake/0 is in doubt"), "{reason}");
    }

    // Given up: the source begins with nothing, the copier keeps what it has and copies what comes.
    let world = World { snapshots: Arc::clone(&original.snapshots), ..World::empty(&original) };
    original.copy(&world, ServiceId::Sla).await;
    let log_id = succeed(&world, ServiceId::Intake).await;
    let (source, copier) = (world.node(Source).await, world.node(Copier).await);
    assert_eq!((sum(&source, "w").await, sum(&copier, "w").await), (0, 10));
    let done = source.execute(add("w", 5)).await.unwrap();
    assert_eq!(done.position.log_id, log_id);
    let mut positions = Positions::default();
    positions.merge(done.position);
    copier.wait_for(&positions).await.unwrap();
    assert_eq!(sum(&copier, "w").await, 15);
    source.shutdown().await;
    copier.shutdown().await;
    let (source, copier) = (world.node(Source).await, world.node(Copier).await);
    assert_eq!((sum(&source, "w").await, sum(&copier, "w").await), (5, 15));
    let (fold, checks) = world.refold(Copier).await;
    assert!(fold.state().sums["w"] == 15 && checks > 0);
}

/// Every call hears that there is no room, every look sees what the log has, and it goes on by itself.
#[tokio::test(start_paused = true)]
async fn while_a_log_is_full_calls_are_refused_and_looks_are_answered() {
    let world = World::new().await;
    let node = world.node(Source).await;
    node.execute(add("w", 1)).await.unwrap();
    world.faults(ServiceId::Intake).set_full(true);
    let mut waiting = Vec::new();
    for number in 0..400 {
        let node = node.clone();
        waiting.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number)).await;
            let seen = node.read("w", |state: &toy::State| state.sums.values().sum::<u64>());
            let (written, seen) = tokio::join!(node.execute(add("w", 5)), seen);
            (written, seen)
        }));
    }
    for one in waiting {
        let (written, seen) = one.await.unwrap();
        assert_eq!((written, seen), (Err(Failure::LogFull), Ok(1)));
    }
    assert_eq!(node.partitions()[0].health(), Health::LogFull);
    world.faults(ServiceId::Intake).set_full(false);
    let mut health = node.partitions()[0].watch_health();
    health.wait_for(Health::is_ready).await.unwrap();
    node.execute(add("w", 2)).await.unwrap();
    assert_eq!(sum(&node, "w").await, 3);
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 3);
}

/// A start on a full log says that it is full, and shows what the log has.
#[tokio::test(start_paused = true)]
async fn a_start_on_a_full_log_gives_the_true_reason() {
    let world = World::new().await;
    let node = world.node(Source).await;
    node.execute(add("w", 7)).await.unwrap();
    node.shutdown().await;
    world.faults(ServiceId::Intake).set_full(true);
    let node = world.start(Source).await;
    let settled = node.settled().await;
    assert_eq!(settled, [(0, Health::LogFull)]);
    assert!(settled[0].1.reason().contains("the log is full"));
    assert_eq!(sum(&node, "w").await, 7);
    assert_eq!(node.execute(add("w", 1)).await, Err(Failure::LogFull));
    world.faults(ServiceId::Intake).set_full(false);
    node.partitions()[0].watch_health().wait_for(Health::is_ready).await.unwrap();
    node.execute(add("w", 1)).await.unwrap();
    assert_eq!(sum(&node, "w").await, 8);
}

/// Writes what nobody could read: its table of events lacks one.
#[derive(Debug)]
struct Forgetful;

impl Service for Forgetful {
    type Decider = Toy;
    const ID: ServiceId = ServiceId::Intake;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [runtime::EventType<Event>] = toy::EVENTS;

    fn encode(&self, event: &Event) -> runtime::Payload {
        let payload = Source.encode(event);
        let version = runtime::written_version(&toy::EVENTS[..0], payload.event_type);
        runtime::Payload { version, ..payload }
    }

    fn react(
        &self,
        _: &toy::State,
        _: &runtime::InputEvent<'_>,
    ) -> Result<Vec<Command>, runtime::InputError> {
        Ok(vec![])
    }
}

#[tokio::test]
async fn an_event_that_nobody_could_read_is_not_written() {
    let world = World::new().await;
    let node = world.node(Forgetful).await;
    let before = world.records(ServiceId::Intake).await.len();
    let refused = node.execute(add("w", 1)).await;
    let Err(Failure::Halted(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("Added") && reason.contains("can't be written"), "{reason}");
    halted(&node.partitions()[0]).await;
    assert_eq!(world.records(ServiceId::Intake).await.len(), before);
    let node = world.node(Source).await;
    assert_eq!(sum(&node, "w").await, 0);
}
