//! What goes wrong with what is in the records, and beside them.

use std::sync::Arc;

use event_log::EventLogProvider as _;
use kernel::Timestamp;
use runtime::{Clock, Failure, Fold, ServiceId, StartError, View, initialise, open_record};
use snapshots::{MemorySnapshots, Snapshot, SnapshotKey, SnapshotStore};
use tests::forge;
use wire::events::v1::Commit;

use crate::failure_modes::rig::{Rig, halted, sum, until_sum};
use crate::failure_modes::toy::{Copier, Source, add, with_id};

#[tokio::test(flavor = "multi_thread")]
async fn f14_an_input_that_can_t_be_applied_is_set_aside() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    for (workspace, by) in [("a", 1), ("a", 13), ("a", 2), ("w", 3)] {
        source.execute(add(workspace, by)).await.unwrap();
    }
    until_sum(&copier, 3).await;
    let parked = copier.partitions()[0].view(|view: &View<'_, Copier>| view.parked()).await;
    assert_eq!(parked, Ok(2));
    assert_eq!(copier.partitions()[0].metrics().parked.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_record_of_a_later_release_stops_its_reader() {
    let rig = Rig::start().await;
    let source = rig.node(Source).await;
    source.execute(add("w", 1)).await.unwrap();
    source.shutdown().await;
    let copier = rig.node(Copier).await;
    until_sum(&copier, 1).await;
    let records = rig.records(ServiceId::Intake).await;
    let last = records.last().unwrap();
    let log = rig.direct.open(&ServiceId::Intake.log(0)).await.unwrap();
    let later = Commit { min_reader: 99, ..forge::after(last).unwrap() };
    log.append(last.seq, forge::record(&later)).await.unwrap();
    let why = halted(&copier).await;
    assert!(why.contains("needs reader 99"), "{why}");
    let source = rig.start_node(Source, &rig.direct).await;
    let why = halted(&source).await;
    assert!(why.contains("needs reader 99"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_a_snapshot_that_the_log_does_not_confirm_is_set_aside() {
    let mut rig = Rig::start().await;
    let store = Arc::new(MemorySnapshots::new());
    rig.snapshots = Arc::<MemorySnapshots>::clone(&store);
    let source = rig.node(Source).await;
    source.execute(add("w", 5)).await.unwrap();
    let head = source.partitions()[0].head();
    source.shutdown().await;
    let key = SnapshotKey::new("intake", 0);
    let good = Snapshot {
        version: Fold::<Source>::LAYOUT,
        log_id: head.log_id,
        seq: head.seq,
        chain: [0; 16],
        bytes: bytes::Bytes::from_static(b"not a state"),
    };
    let torn = Snapshot { seq: head.seq - 1, ..good.clone() };
    for bad in [good, torn] {
        store.save(&key, bad).await.unwrap();
        let source = rig.node(Source).await;
        assert_eq!(sum(&source).await, 5);
        assert_eq!(source.partitions()[0].metrics().snapshots_set_aside.get(), 1);
        source.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_a_snapshot_that_knows_more_than_the_log_stops_the_partition() {
    let mut rig = Rig::start().await;
    let source = rig.node(Source).await;
    source.execute(add("w", 5)).await.unwrap();
    let head = source.partitions()[0].head();
    source.shutdown().await;
    let known = Snapshot {
        version: Fold::<Source>::LAYOUT,
        log_id: head.log_id,
        seq: head.seq + 1_000,
        chain: [1; 16],
        bytes: bytes::Bytes::from_static(b"a state"),
    };
    let foreign = Snapshot { log_id: [7; 16], seq: head.seq, ..known.clone() };
    for more in [known, foreign] {
        let store = Arc::new(MemorySnapshots::new());
        store.save(&SnapshotKey::new("intake", 0), more).await.unwrap();
        rig.snapshots = store;
        let source = rig.start_node(Source, &rig.direct).await;
        let why = halted(&source).await;
        assert!(why.contains("a snapshot knows record"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_time_goes_on_in_the_log_though_the_clock_went_back() {
    let mut rig = Rig::start().await;
    // A leader whose clock was far ahead.
    rig.clock = Clock::manual(Timestamp::from_millis(4_102_444_800_000));
    let source = rig.node(Source).await;
    source.execute(add("w", 1)).await.unwrap();
    source.shutdown().await;
    rig.clock = Clock::system();
    let source = rig.node(Source).await;
    for _ in 0..3 {
        source.execute(add("w", 1)).await.unwrap();
    }
    let times: Vec<u64> = rig
        .records(ServiceId::Intake)
        .await
        .iter()
        .map(|record| open_record(record).unwrap().time_ns)
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert_eq!(sum(&source).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_another_number_of_partitions_is_refused() {
    let rig = Rig::start().await;
    let again = initialise(&rig.direct, &[ServiceId::Intake], 2).await;
    assert!(matches!(again, Err(StartError::Doubt(_))), "{again:?}");
    // A follower whose own logs are split otherwise.
    rig.admin.delete_stream(crate::failure_modes::rig::stream(ServiceId::Sla)).await.unwrap();
    initialise(&rig.direct, &[ServiceId::Sla], 2).await.unwrap();
    let copier = rig.start_node(Copier, &rig.direct).await;
    let why = halted(&copier).await;
    assert!(why.contains("has 1 partitions and ours has 2"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_request_from_before_the_horizon_is_refused() {
    let mut rig = Rig::start().await;
    let long_ago = 1_600_000_000;
    rig.clock = Clock::manual(Timestamp::from_millis(long_ago * 1_000));
    let source = rig.node(Source).await;
    source.execute(with_id(add("w", 1), "old", 1)).await.unwrap();
    source.shutdown().await;
    rig.clock = Clock::system();
    let source = rig.node(Source).await;
    // The next answer lets the old one be forgotten.
    source.execute(with_id(add("w", 2), "new", 2)).await.unwrap();
    let made_at = |seconds| {
        let at = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        uuid::Uuid::new_v7(at).to_string()
    };
    let before = u64::try_from(long_ago).unwrap() - 60;
    let refused = source.execute(with_id(add("w", 5), &made_at(before), 5)).await;
    assert!(matches!(refused, Err(Failure::RequestIdTooOld { .. })), "{refused:?}");
    let after = u64::try_from(long_ago).unwrap() + 60;
    source.execute(with_id(add("w", 4), &made_at(after), 4)).await.unwrap();
    assert_eq!((sum(&source).await, rig.times_added(5).await), (7, 0));
}
