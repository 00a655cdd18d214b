//! What goes wrong with what was written.

use std::time::Duration;

use async_nats::jetstream::stream::DiscardPolicy;
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{
    AppendError, EventLog, EventLogProvider, LogError, LogName, OpenError, Record, Seq, Tail,
};
use event_log_nats::NatsProvider;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use runtime::metrics::{Invariant, OfInvariant};
use runtime::{
    Failure, Health, Node, Positions, Service, ServiceId, genesis_superseding, initialise,
};
use std::sync::Arc;
use tests::nats_log;
use wire::events::v1::Supersedes;

use crate::failure_modes::rig::{
    Rig, copy, halted, stream, sum, surely_add, until, until_ready, until_sum,
};
use crate::failure_modes::toy::{Copier, Source, add};

fn violations<S: Service>(node: &Node<S>, invariant: Invariant) -> u64 {
    let counted = &node.partitions()[0].metrics().violations;
    counted.get_or_create(&OfInvariant { invariant }).get()
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_a_restored_old_data_directory_stops_leader_and_followers() {
    let mut rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    let kept = tempfile::tempdir().unwrap();
    let place = rig.nats.stream_directory(0, &stream(ServiceId::Intake)).unwrap();
    rig.nats.stop(0).await.unwrap();
    copy(&place, kept.path());
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    for number in 0..3 {
        surely_add(&source, 1, &format!("r{number}")).await;
    }
    until_ready(&copier).await;
    until_sum(&copier, 4).await;
    rig.nats.kill(0).unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    copy(kept.path(), &place);
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    let (why, heard) = (halted(&source).await, halted(&copier).await);
    assert!(why.contains("went backwards"), "{why}");
    assert!(heard.contains("intake/0 is in doubt"), "{heard}");
    assert!(violations(&source, Invariant::NoAckedLoss) > 0, "it was not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_a_flipped_bit_on_one_replica_is_healed_from_another() {
    let mut rig = Rig::cluster().await;
    let source = rig.node(Source).await;
    for _ in 0..30 {
        source.execute(add("w", 1)).await.unwrap();
    }
    let records = rig.records(ServiceId::Intake).await;
    let damaged = &records[15];
    // A clean stop keeps the index, so the server does not notice at its start.
    rig.nats.stop(0).await.unwrap();
    let place = rig.nats.stream_directory(0, &stream(ServiceId::Intake)).unwrap();
    nats_log::flip(&place, &damaged.bytes).unwrap();
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    let log = rig.log(ServiceId::Intake).await;
    // The damaged copy becomes the stream's leader, which is asked first.
    let repaired = async {
        loop {
            nats_log::prefer(&rig.admin, &stream(ServiceId::Intake), "n0").await;
            for _ in 0..10 {
                match log.read(damaged.seq, 1).await {
                    Ok(read) => assert_eq!(read, std::slice::from_ref(damaged)),
                    Err(LogError::Unavailable(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
                if matches!(log.inspect().await, Ok(inspection) if inspection.repaired > 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(80), repaired).await.unwrap();
    let copier = rig.node(Copier).await;
    until_sum(&copier, 30).await;
    surely_add(&source, 5, "r").await;
    until_sum(&copier, 35).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_a_hole_in_every_copy_stops_the_reader() {
    let mut rig = Rig::start().await;
    let source = rig.node(Source).await;
    for _ in 0..5 {
        source.execute(add("w", 1)).await.unwrap();
    }
    let damaged = rig.records(ServiceId::Intake).await[3].clone();
    rig.nats.stop(0).await.unwrap();
    let place = rig.nats.stream_directory(0, &stream(ServiceId::Intake)).unwrap();
    nats_log::flip(&place, &damaged.bytes).unwrap();
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    let copier = rig.start_node(Copier, &rig.direct).await;
    let why = halted(&copier).await;
    assert!(why.contains(&format!("record {} is missing", damaged.seq)), "{why}");
    assert!(violations(&copier, Invariant::Contiguity) > 0, "it was not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_a_history_that_was_rewritten_meanwhile_stops_the_follower() {
    let mut rig = Rig::start().await;
    let source = rig.node(Source).await;
    source.execute(add("w", 1)).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    let place = rig.nats.stream_directory(0, &stream(ServiceId::Intake)).unwrap();
    rig.nats.stop(0).await.unwrap();
    copy(&place, kept.path());
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    surely_add(&source, 2, "a").await;
    let copier = rig.node(Copier).await;
    until_sum(&copier, 3).await;
    // Both stop in order; then intake's log alone is restored, and goes on beyond where it was.
    copier.shutdown().await;
    source.shutdown().await;
    drop((source, copier));
    rig.nats.stop(0).await.unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    copy(kept.path(), &place);
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    // It can't see what the copier's log says of it, or it would stop at once.
    let source = rig.start_node(Source, &Alone(rig.direct.clone())).await;
    until_ready(&source).await;
    for number in 0..10 {
        surely_add(&source, 7, &format!("b{number}")).await;
    }
    let copier = rig.start_node(Copier, &rig.direct).await;
    let why = halted(&copier).await;
    assert!(why.contains("history was rewritten"), "{why}");
    assert!(violations(&copier, Invariant::Chain) > 0, "it was not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_deleted_stream_stops_the_partition() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    rig.admin.delete_stream(stream(ServiceId::Intake)).await.unwrap();
    for why in [halted(&source).await, halted(&copier).await] {
        assert!(why.contains("no longer exists"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_stream_made_anew_stops_the_partition() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    rig.admin.delete_stream(stream(ServiceId::Intake)).await.unwrap();
    initialise(&rig.direct, &[ServiceId::Intake], 1).await.unwrap();
    let why = halted(&source).await;
    assert!(why.contains("another one was made in its place"), "{why}");
    halted(&copier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_stream_that_could_forget_stops_the_partition_and_is_not_opened() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    let kept = rig.admin.get_stream(stream(ServiceId::Intake)).await.unwrap();
    let mut config = kept.cached_info().config.clone();
    config.discard = DiscardPolicy::Old;
    rig.admin.update_stream(config).await.unwrap();
    for why in [halted(&source).await, halted(&copier).await] {
        assert!(why.contains("forgets old records when full"), "{why}");
    }
    let opened = rig.direct.open(&ServiceId::Intake.log(0)).await;
    assert!(matches!(opened, Err(OpenError::Misconfigured { .. })), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_reader_that_stalls_is_made_anew() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    // A paused consumer gives signs of life, and nothing else.
    let kept = rig.admin.get_stream(stream(ServiceId::Intake)).await.unwrap();
    let names: Vec<String> = kept.consumer_names().try_collect().await.unwrap();
    assert!(!names.is_empty(), "nobody reads");
    let next_year = std::time::SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
    for name in &names {
        kept.pause_consumer(name, next_year.into()).await.unwrap();
    }
    source.execute(add("w", 2)).await.unwrap();
    until_sum(&copier, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_records_that_were_read_already_are_dropped() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    copier.shutdown().await;
    let copier = rig.start_node(Copier, &FromTheStart(rig.direct.clone())).await;
    until_ready(&copier).await;
    let done = source.execute(add("w", 2)).await.unwrap();
    let mut positions = Positions::default();
    positions.merge(done.position);
    copier.wait_for(&positions).await.unwrap();
    assert_eq!(sum(&copier).await, 3);
    assert!(copier.partitions()[0].metrics().redelivered.get() > 0, "nothing came twice");
}

/// A place that has intake's logs alone, as far as can be seen.
#[derive(Clone, Debug)]
struct Alone(NatsProvider);

#[async_trait]
impl EventLogProvider for Alone {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        if name.service != ServiceId::Intake.name() {
            return Err(OpenError::Missing { name: name.clone() });
        }
        self.0.open(name).await
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        self.0.create(name, genesis).await
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        self.0.list().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_purge_stops_leader_and_follower_while_they_serve() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    rig.admin.get_stream(stream(ServiceId::Intake)).await.unwrap().purge().await.unwrap();
    for why in [halted(&source).await, halted(&copier).await] {
        assert!(why.contains("purged"), "{why}");
    }
    assert!(violations(&source, Invariant::NoAckedLoss) > 0, "it was not counted");
    let source = rig.start_node(Source, &rig.direct).await;
    let why = halted(&source).await;
    assert!(why.starts_with("intake/0: ") && why.contains("purged"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_purge_of_the_beginning_stops_the_partition() {
    let rig = Rig::start().await;
    let source = rig.node(Source).await;
    for _ in 0..5 {
        source.execute(add("w", 1)).await.unwrap();
    }
    let kept = rig.admin.get_stream(stream(ServiceId::Intake)).await.unwrap();
    kept.purge().keep(2).await.unwrap();
    let why = halted(&source).await;
    assert!(why.contains("which no trimming leaves"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_a_lost_log_that_its_reader_knows_stops_until_it_is_given_up() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 3)).await.unwrap();
    until_sum(&copier, 3).await;
    source.shutdown().await;
    copier.shutdown().await;
    rig.admin.delete_stream(stream(ServiceId::Intake)).await.unwrap();
    initialise(&rig.direct, &[ServiceId::Intake], 1).await.unwrap();
    let source = rig.start_node(Source, &rig.direct).await;
    let why = halted(&source).await;
    assert!(why.contains("the log of sla/0 knows record"), "{why}");

    rig.admin.delete_stream(stream(ServiceId::Intake)).await.unwrap();
    let word = Supersedes { actor: "olga".into(), reason: "lost".into(), ..Default::default() };
    let first = genesis_superseding(ServiceId::Intake, 0, 1, [77; 16], word);
    rig.direct.create(&ServiceId::Intake.log(0), first).await.unwrap();
    let (source, copier) = (rig.rival(Source).await, rig.rival(Copier).await);
    source.execute(add("w", 4)).await.unwrap();
    until_sum(&copier, 7).await;
    assert_eq!(sum(&source).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_server_that_is_gone_is_noticed_without_a_call() {
    let mut rig = Rig::start().await;
    let source = rig.rival(Source).await;
    source.execute(add("w", 1)).await.unwrap();
    rig.nats.kill(0).unwrap();
    let begun = tokio::time::Instant::now();
    until(&source, |health| *health == Health::LogUnavailable).await;
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert_eq!(source.execute(add("w", 5)).await, Err(Failure::LogUnavailable));
    rig.nats.start_again(0).unwrap();
    rig.nats.ready().await.unwrap();
    until_ready(&source).await;
    surely_add(&source, 2, "r").await;
    assert_eq!((sum(&source).await, rig.times_added(5).await), (3, 0));
}

/// A log whose followers are always given everything, wherever they begin: what a client does that forgot its place.
#[derive(Clone, Debug)]
struct FromTheStart<T>(T);

#[async_trait]
impl EventLogProvider for FromTheStart<NatsProvider> {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        Ok(Arc::new(FromTheStart(self.0.open(name).await?)))
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        self.0.create(name, genesis).await
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        self.0.list().await
    }
}

#[async_trait]
impl EventLog for FromTheStart<Arc<dyn EventLog>> {
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        self.0.append(fence, record).await
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        self.0.read(from, max_bytes).await
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        self.0.tail().await
    }

    fn follow(&self, _from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        self.0.follow(1)
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        self.0.trim(upto).await
    }
}
