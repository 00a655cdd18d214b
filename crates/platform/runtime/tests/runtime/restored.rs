//! Logs that go on from a copy under another identity, and logs whose beginning was trimmed away.

use super::*;
use event_log::Seq;
use runtime::{ChainReader, Position, WaitError, open_record};
use wire::events::v1::note::Kind;

/// Copies records 1 to `last` of a log into another world, and appends the record of its restoring. Returns its number.
async fn restore(from: &World, to: &MemoryProvider, service: ServiceId, last: Seq) -> Seq {
    let records = from.records(service).await;
    let (log_id, _) = runtime::read_first(&records[0], service, 0).unwrap();
    let mut reader = ChainReader::at_start(log_id);
    let log = to.create(&service.log(0), records[0].bytes.clone()).await.unwrap();
    for record in records.iter().filter(|record| record.seq <= last) {
        reader.take(record).unwrap();
        if record.seq > 1 {
            log.append(record.seq - 1, record.bytes.clone()).await.unwrap();
        }
    }
    let new = [if service == ServiceId::Intake { 101 } else { 103 }; 16];
    log.append(last, reader.restored(new, 2, "test", u64::MAX / 2)).await.unwrap()
}

async fn last(world: &World, service: ServiceId) -> Seq {
    world.records(service).await.last().unwrap().seq
}

fn only(position: Position) -> Positions {
    let mut positions = Positions::default();
    positions.merge(position);
    positions
}

/// A source and a copier that has heard all of it, both stopped.
async fn told(snapshots: Arc<dyn SnapshotStore>) -> (World, Position) {
    let mut world = World::new().await;
    world.snapshots = snapshots;
    let (source, copier) = (world.node(Source).await, world.node(Copier).await);
    for by in 1..=9 {
        source.execute(add("w", by)).await.unwrap();
    }
    let done = source.execute(with_id(add("w", 10), "r", 1)).await.unwrap();
    copier.wait_for(&only(done.position)).await.unwrap();
    copier.shutdown().await;
    source.shutdown().await;
    (world, done.position)
}

#[tokio::test]
async fn logs_restored_together_go_on_and_old_positions_are_refused() {
    let (original, old) = told(Arc::new(MemorySnapshots::new())).await;
    // The snapshots of before are still there, and must not be taken for the new log's.
    let world = World { snapshots: Arc::clone(&original.snapshots), ..World::empty(&original) };
    for service in [ServiceId::Intake, ServiceId::Sla] {
        restore(&original, &world.provider, service, last(&original, service).await).await;
    }
    let (source, copier) = (world.node(Source).await, world.node(Copier).await);
    for refused in [source.wait_for(&only(old)).await, copier.wait_for(&only(old)).await] {
        assert_eq!(refused, Err(WaitError::OtherLog(old)));
    }
    // A request from before is known, and a new position is waited for.
    let again = source.execute(with_id(add("w", 10), "r", 1)).await.unwrap();
    assert!(again.replayed);
    let done = source.execute(add("w", 45)).await.unwrap();
    assert_ne!(done.position.log_id, old.log_id);
    copier.wait_for(&only(done.position)).await.unwrap();
    assert_eq!((sum(&source, "w").await, sum(&copier, "w").await), (100, 100));
    copier.shutdown().await;
    source.shutdown().await;
    // Folded from the first record on, the log has the same states before and after it was restored.
    let (fold, checks) = world.refold(Copier).await;
    assert_eq!(fold.state().sums["w"], 100);
    assert!(checks >= 2, "{checks} state hashes");
}

#[tokio::test]
async fn a_log_restored_to_before_what_was_read_of_it_stops_its_reader() {
    let (original, old) = told(Arc::new(NoSnapshots)).await;
    // The copier keeps its log; the source lost what the copier has read, and has written other things since.
    for lost in 1..=3 {
        let world = World::empty(&original);
        restore(&original, &world.provider, ServiceId::Intake, old.seq - lost).await;
        original.copy(&world, ServiceId::Sla).await;
        // Nor does the source go on by itself: what its reader knows of it was lost.
        let source = world.start(Source).await;
        let reason = source.ready().await.unwrap_err().reason();
        assert!(reason.contains("the log of sla/0 knows record"), "{reason}");
        let alone = World::empty(&world);
        world.copy(&alone, ServiceId::Intake).await;
        let source = alone.node(Source).await;
        for by in 1..=lost + 3 {
            source.execute(add("w", by)).await.unwrap();
        }
        original.copy(&alone, ServiceId::Sla).await;
        let copier = alone.start(Copier).await;
        let mut health = copier.partitions()[0].watch_health();
        let health = health.wait_for(Health::is_halted).await.unwrap().clone();
        assert!(health.reason().contains("another log"), "{}", health.reason());
    }
}

#[tokio::test]
async fn a_trimmed_log_begins_at_an_origin_and_needs_a_snapshot() {
    let (world, old) = told(Arc::new(MemorySnapshots::new())).await;
    let first = world.records(ServiceId::Intake).await.into_iter().rev().find(|record| {
        let notes = open_record(record).unwrap().notes;
        notes.iter().any(|note| matches!(note.kind, Some(Kind::Origin(_))))
    });
    let first = first.unwrap().seq;
    assert!(first > old.seq, "the stop wrote one");
    let log = world.provider.open(&ServiceId::Intake.log(0)).await.unwrap();
    log.trim(old.seq - 1).await.unwrap();
    // Not at an origin: nothing says how many partitions there are.
    let source = world.start(Source).await;
    let reason = source.ready().await.unwrap_err().reason();
    assert!(reason.contains("intake/0") && reason.contains("does not say whose"), "{reason}");
    drop(source);
    log.trim(first - 1).await.unwrap();
    let source = world.node(Source).await;
    let done = source.execute(add("w", 5)).await.unwrap();
    assert_eq!(sum(&source, "w").await, 60);
    assert!(source.wait_for(&only(old)).await.is_ok(), "it is still the same log");
    source.shutdown().await;
    // What was read of it is gone as well, and the reader can't know that it was this.
    let copier = world.start(Copier).await;
    let mut health = copier.partitions()[0].watch_health();
    let health = health.wait_for(|health| matches!(health, Health::Halted(_))).await.unwrap();
    assert!(health.reason().contains("trimmed"), "{}", health.reason());
    drop(health);
    assert!(done.position.seq > first);

    let bare = World { snapshots: Arc::new(NoSnapshots), ..world };
    let source = bare.start(Source).await;
    let health = source.ready().await.unwrap_err();
    assert!(health.reason().contains("--archive"), "{}", health.reason());
}
