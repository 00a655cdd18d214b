//! Clocks that are wrong: the log's time never follows them, calls go on, timers and what is too far ahead wait.

use std::future::Future;
use std::time::Duration;

use kernel::Timestamp;
use runtime::{Clock, Node, Service, ServiceId, TimeDoubt, open_record};
use tempfile::NamedTempFile;

use crate::toy::{Command, Copier, Source, Toy, add, call};
use crate::{World, sum};

const HOUR: i64 = 3_600_000;
const YEARS: i64 = 20 * 365 * 24 * HOUR;
/// Longer than any of these tests takes, and shorter than any step.
const MOMENT: u64 = 600_000;

/// A clock that is set off by a file.
struct Stepped {
    file: NamedTempFile,
    clock: Clock,
}

impl Stepped {
    fn new(offset_ms: i64) -> Self {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), offset_ms.to_string()).unwrap();
        let clock = Clock::with_offset_file(file.path().to_owned()).unwrap();
        Self { file, clock }
    }

    fn set(&self, offset_ms: i64) {
        std::fs::write(self.file.path(), offset_ms.to_string()).unwrap();
    }
}

/// The same logs by another clock: what another process has, or the same one after a restart.
fn at(world: &World, clock: &Stepped) -> World {
    World {
        provider: std::sync::Arc::clone(&world.provider),
        snapshots: std::sync::Arc::clone(&world.snapshots),
        clock: clock.clock.clone(),
    }
}

/// When the log's last record was written, as it says.
async fn written_last(world: &World, service: ServiceId) -> Timestamp {
    let records = world.records(service).await;
    let commit = open_record(records.last().unwrap()).unwrap();
    Timestamp::from_millis(i64::try_from(commit.time_ns / 1_000_000).unwrap())
}

async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn doubts<S: Service>(node: &Node<S>) -> Vec<TimeDoubt> {
    node.partitions()[0].time_doubts()
}

async fn rang<S: Service<Decider = Toy>>(node: &Node<S>) -> u64 {
    node.read("w", |state| state.rang).await.unwrap()
}

#[tokio::test]
async fn a_step_moves_neither_the_log_nor_its_timers() {
    let real = Stepped::new(0);
    let world = at(&World::new().await, &real);
    let node = world.node(Source).await;
    for step in [YEARS, -HOUR, -YEARS] {
        node.execute(add("w", 1)).await.unwrap();
        let before = written_last(&world, ServiceId::Intake).await;
        let due = before.as_millis() + 1_500;
        node.execute(call("w", Command::Ring { at: due })).await.unwrap();
        let had = rang(&node).await;
        real.set(step);
        // All that may be within one millisecond.
        until(|| async { node.partitions()[0].now() > before }).await;
        node.execute(add("w", 1)).await.unwrap();
        assert!(matches!(doubts(&node)[..], [TimeDoubt::Clock(_)]), "{:?}", doubts(&node));
        let during = written_last(&world, ServiceId::Intake).await;
        assert!(during.millis_since(before) < MOMENT && during > before, "{before:?} {during:?}");
        // It is due by the time that is believed, and waits nevertheless.
        until(|| async { node.partitions()[0].now().as_millis() > due }).await;
        assert_eq!(rang(&node).await, had);
        real.set(0);
        until(|| async { rang(&node).await == had + 1 }).await;
        node.execute(add("w", 1)).await.unwrap();
        let after = written_last(&world, ServiceId::Intake).await;
        assert!(after.millis_since(before) < MOMENT && doubts(&node).is_empty(), "{after:?}");
    }
    assert_eq!(sum(&node, "w").await, 9);
}

#[tokio::test]
async fn a_clock_behind_its_log_at_the_start_is_doubted_until_it_is_set_right() {
    let real = Stepped::new(0);
    let world = at(&World::new().await, &real);
    let node = world.node(Source).await;
    let due = real.clock.now().as_millis() + 300;
    node.execute(call("w", Command::Ring { at: due })).await.unwrap();
    node.shutdown().await;
    let before = written_last(&world, ServiceId::Intake).await;

    let behind = Stepped::new(-HOUR);
    let world = at(&world, &behind);
    let node = world.node(Source).await;
    assert!(matches!(doubts(&node)[..], [TimeDoubt::LogAhead { .. }]), "{:?}", doubts(&node));
    node.execute(add("w", 1)).await.unwrap();
    let during = written_last(&world, ServiceId::Intake).await;
    assert!(during >= before && during.millis_since(before) < MOMENT, "{before:?} {during:?}");
    until(|| async { node.partitions()[0].now().as_millis() > due }).await;
    assert_eq!(rang(&node).await, 0);
    behind.set(0);
    until(|| async { rang(&node).await == 1 }).await;
    assert_eq!(doubts(&node), []);
}

#[tokio::test]
async fn a_record_far_ahead_waits_until_an_operator_accepts_it_and_moves_the_log_no_further() {
    let (wrong, real) = (Stepped::new(YEARS), Stepped::new(0));
    let world = World::new().await;
    // Another instance's clock is wrong from its start: nothing tells it so.
    let ahead = at(&world, &wrong);
    let source = ahead.node(Source).await;
    source.execute(add("w", 5)).await.unwrap();

    let world = at(&world, &real);
    let copier = world.node(Copier).await;
    let waits = |node: &Node<Copier>| match doubts(node)[..] {
        [TimeDoubt::InputAhead { input: ServiceId::Intake, by_ms, .. }] => by_ms > MOMENT,
        _ => false,
    };
    until(|| async { waits(&copier) }).await;
    copier.execute(add("v", 1)).await.unwrap();
    assert_eq!(sum(&copier, "w").await, 0, "it waits");
    let before = written_last(&world, ServiceId::Sla).await;
    assert!(before.millis_since(real.clock.now()) == 0, "{before:?}");

    // So it does for the next leader.
    copier.shutdown().await;
    let copier = world.node(Copier).await;
    until(|| async { waits(&copier) }).await;
    assert_eq!(sum(&copier, "w").await, 0);

    assert_eq!(real.clock.accept(), None, "it is not this clock that was set");
    until(|| async { sum(&copier, "w").await == 5 }).await;
    assert_eq!(doubts(&copier), []);
    let after = written_last(&world, ServiceId::Sla).await;
    assert!(after.millis_since(real.clock.now()) <= 300_000, "{after:?}");
    // What comes behind it is as far ahead as what was accepted, and a restart asks for no other word.
    source.execute(add("w", 1)).await.unwrap();
    until(|| async { sum(&copier, "w").await == 6 }).await;
    copier.shutdown().await;
    let copier = world.node(Copier).await;
    source.execute(add("w", 1)).await.unwrap();
    until(|| async { sum(&copier, "w").await == 7 }).await;
}

#[tokio::test]
async fn a_record_that_was_ahead_goes_on_once_the_time_has_come() {
    let (other, ours) = (Stepped::new(HOUR), Stepped::new(0));
    let world = World::new().await;
    let ahead = at(&world, &other);
    let source = ahead.node(Source).await;
    source.execute(add("w", 5)).await.unwrap();
    let world = at(&world, &ours);
    let copier = world.node(Copier).await;
    until(|| async { !doubts(&copier).is_empty() }).await;
    // It was this clock that was behind.
    ours.set(HOUR);
    until(|| async { doubts(&copier).len() == 2 }).await;
    ours.clock.accept();
    until(|| async { sum(&copier, "w").await == 5 }).await;
    assert_eq!(doubts(&copier), []);
}
