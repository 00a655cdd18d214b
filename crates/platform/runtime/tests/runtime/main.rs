//! The runtime over the in-memory log and its faults: one instance, and several of them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what surrounds a test fails like the test itself"
)]

mod ahead;
mod cluster;
mod doubts;
mod fair;
mod parking;
mod restored;
mod saving;
mod stepped;
mod toy;

use std::sync::Arc;

use event_log::memory::{Faults, MemoryProvider};
use event_log::{EventLogProvider, Record};
use kernel::Timestamp;
use runtime::{
    Clock, Failure, Fold, Health, Node, NodeConfig, Positions, Service, ServiceId, StartError,
    initialise,
};
use snapshots::{MemorySnapshots, NoSnapshots, SnapshotStore};
use toy::{Command, Copier, Source, Toy, add, call, with_id};

struct World {
    provider: Arc<MemoryProvider>,
    snapshots: Arc<dyn SnapshotStore>,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        let provider = Arc::new(MemoryProvider::new());
        let services = [ServiceId::Intake, ServiceId::Sla];
        initialise(&*provider, &services, 1).await.unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_000));
        Self { provider, snapshots: Arc::new(NoSnapshots), clock }
    }

    /// Another place, without any log, at the same time.
    fn empty(like: &Self) -> Self {
        Self {
            provider: Arc::new(MemoryProvider::new()),
            snapshots: Arc::new(NoSnapshots),
            clock: like.clock.clone(),
        }
    }

    fn config(&self) -> NodeConfig {
        NodeConfig {
            provider: Arc::<MemoryProvider>::clone(&self.provider),
            snapshots: Arc::clone(&self.snapshots),
            snapshot_after: runtime::SNAPSHOT_AFTER,
            clock: self.clock.clone(),
            cluster: None,
        }
    }

    /// Starts a node that may never be ready.
    async fn start<S: Service>(&self, service: S) -> Node<S> {
        Node::start(service, self.config()).await.unwrap()
    }

    async fn node<S: Service>(&self, service: S) -> Node<S> {
        let node = self.start(service).await;
        node.ready().await.unwrap();
        node
    }

    /// Copies a log as it is.
    async fn copy(&self, to: &Self, service: ServiceId) {
        let records = self.records(service).await;
        let log = to.provider.create(&service.log(0), records[0].bytes.clone()).await.unwrap();
        for record in &records[1..] {
            log.append(record.seq - 1, record.bytes.clone()).await.unwrap();
        }
    }

    fn faults(&self, service: ServiceId) -> Faults {
        self.provider.faults(&service.log(0)).unwrap()
    }

    async fn records(&self, service: ServiceId) -> Vec<Record> {
        let log = self.provider.open(&service.log(0)).await.unwrap();
        log.read(1, usize::MAX).await.unwrap()
    }

    /// Folds a service's log from its first record, and the hashes that its leaders wrote with it.
    async fn refold<S: Service<Decider = Toy>>(&self, service: S) -> (Fold<S>, usize) {
        let records = self.records(S::ID).await;
        let (log_id, _) = runtime::read_first(&records[0], S::ID, 0).unwrap();
        let mut fold = Fold::at_start(log_id);
        let mut checks = 0;
        for record in &records {
            if let Some(check) = fold.take_and_check(&service, record).unwrap() {
                assert_eq!(check.written, check.folded, "at record {}", check.seq);
                checks += 1;
            }
        }
        (fold, checks)
    }
}

async fn sum<S: Service<Decider = Toy>>(node: &Node<S>, workspace: &'static str) -> u64 {
    let look = move |state: &toy::State| state.sums.get(workspace).copied().unwrap_or(0);
    node.read(workspace, look).await.unwrap()
}

#[tokio::test]
async fn without_logs_a_node_says_that_they_are_to_be_made() {
    let config = NodeConfig {
        provider: Arc::new(MemoryProvider::new()),
        snapshots: Arc::new(NoSnapshots),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: Clock::system(),
        cluster: None,
    };
    let error = Node::start(Source, config).await.unwrap_err();
    assert!(matches!(error, StartError::NotInitialised { service: ServiceId::Intake }), "{error}");
}

#[tokio::test]
async fn calls_that_wait_share_a_commit() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let before = node.partitions()[0].head().seq;
    // All are submitted before the leader runs at all: this test has one thread.
    let calls = (0..50).map(|_| node.execute(add("w", 2)));
    for done in futures::future::join_all(calls).await {
        done.unwrap();
    }
    let commits = node.partitions()[0].head().seq - before;
    assert_eq!(commits, 1);
    assert_eq!(sum(&node, "w").await, 100);
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_also_after_a_restart() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let first = node.execute(with_id(add("w", 5), "r", 1)).await.unwrap();
    assert!(!first.replayed);
    node.execute(add("w", 1)).await.unwrap();
    let again = node.execute(with_id(add("w", 5), "r", 1)).await.unwrap();
    assert_eq!((again.reply.clone(), again.position), (first.reply.clone(), first.position));
    assert!(again.replayed);
    let other = node.execute(with_id(add("w", 6), "r", 2)).await;
    assert_eq!(other, Err(Failure::RequestIdReused));
    node.shutdown().await;

    let node = world.node(Source).await;
    let again = node.execute(with_id(add("w", 5), "r", 1)).await.unwrap();
    assert_eq!((again.reply, again.position), (first.reply, first.position));
    assert_eq!(sum(&node, "w").await, 6);
}

#[tokio::test]
async fn a_request_repeated_while_in_flight_shares_its_outcome() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let node = node.clone();
            tokio::spawn(async move { node.execute(with_id(add("w", 5), "r", 1)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().reply, 5_u64.to_le_bytes().as_slice());
    }
    assert_eq!(sum(&node, "w").await, 5);
}

#[tokio::test]
async fn a_refusal_changes_nothing_and_is_not_remembered() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let refused = node.execute(with_id(add("w", 0), "r", 1)).await;
    assert_eq!(refused, Err(Failure::Rejected(toy::Rejection::Nothing)));
    node.execute(with_id(add("w", 4), "r", 2)).await.unwrap();
    assert_eq!(sum(&node, "w").await, 4);
}

#[tokio::test]
async fn a_lost_acknowledgement_is_resolved_by_reading() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).lose_next_ack();
    node.execute(add("w", 5)).await.unwrap();
    node.execute(add("w", 5)).await.unwrap();
    assert_eq!(sum(&node, "w").await, 10);
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 10);
}

#[tokio::test]
async fn a_late_write_of_an_append_that_was_repeated_is_refused() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).hold_next_append();
    node.execute(add("w", 5)).await.unwrap();
    assert_eq!(world.faults(ServiceId::Intake).release_held().len(), 1);
    node.execute(add("w", 5)).await.unwrap();
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 10);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_gone_refuses_calls_until_it_is_back() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).set_unavailable(true);
    assert_eq!(node.execute(add("w", 5)).await, Err(Failure::OutcomeUnknown));
    assert_eq!(node.execute(add("w", 9)).await, Err(Failure::LogUnavailable));
    world.faults(ServiceId::Intake).set_unavailable(false);
    let mut health = node.partitions()[0].watch_health();
    health.wait_for(Health::is_ready).await.unwrap();
    // The call of unknown outcome was written after all, the one that was refused was not.
    assert_eq!(sum(&node, "w").await, 5);
}

#[tokio::test]
async fn a_full_log_refuses_and_leaves_no_trace() {
    let world = World::new().await;
    let node = world.node(Source).await;
    node.execute(add("w", 1)).await.unwrap();
    world.faults(ServiceId::Intake).set_full(true);
    assert_eq!(node.execute(add("w", 5)).await, Err(Failure::LogFull));
    world.faults(ServiceId::Intake).set_full(false);
    let mut health = node.partitions()[0].watch_health();
    health.wait_for(Health::is_ready).await.unwrap();
    assert_eq!(sum(&node, "w").await, 1);
}

#[tokio::test]
async fn of_two_writers_the_older_one_steps_down() {
    let world = World::new().await;
    let old = world.node(Source).await;
    old.execute(add("w", 1)).await.unwrap();
    let new = world.node(Source).await;
    let refused = old.execute(add("w", 5)).await;
    assert!(matches!(refused, Err(Failure::NotReady(_))), "{refused:?}");
    new.execute(add("w", 2)).await.unwrap();
    assert_eq!(sum(&new, "w").await, 3);
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 3);
}

#[tokio::test]
async fn an_input_is_consumed_exactly_once_whatever_dies() {
    let mut world = World::new().await;
    world.snapshots = Arc::new(MemorySnapshots::new());
    let source = world.node(Source).await;
    let mut total = 0;
    for round in 0..5 {
        let copier = world.node(Copier).await;
        for by in 1..=10 {
            let done = source.execute(add("w", by)).await.unwrap();
            total += by;
            if by % 3 == round % 3 {
                world.faults(ServiceId::Sla).lose_next_ack();
            }
            let mut positions = Positions::default();
            positions.merge(done.position);
            copier.wait_for(&positions).await.unwrap();
        }
        assert_eq!(sum(&copier, "w").await, total);
        if round % 2 == 0 {
            copier.shutdown().await;
        }
    }
    let (fold, checks) = world.refold(Copier).await;
    assert_eq!(fold.state().sums["w"], total);
    assert!(checks >= 3, "{checks} state hashes");
}

#[tokio::test]
async fn a_poisonous_input_is_set_aside_with_all_behind_it() {
    let world = World::new().await;
    let (source, copier) = (world.node(Source).await, world.node(Copier).await);
    let mut positions = Positions::default();
    for (workspace, by) in [("a", 1), ("a", 13), ("a", 2), ("b", 3)] {
        positions.merge(source.execute(add(workspace, by)).await.unwrap().position);
    }
    copier.wait_for(&positions).await.unwrap();
    assert_eq!(sum(&copier, "a").await, 1, "the later input of `a` waits behind the poison");
    assert_eq!(sum(&copier, "b").await, 3, "another entity goes on");
    let look = |view: &runtime::View<'_, Copier>| {
        (view.parked(), view.is_parked(ServiceId::Intake, "a", "a"))
    };
    assert_eq!(copier.partitions()[0].view(look).await.unwrap(), (2, true));
    copier.shutdown().await;
    let copier = world.node(Copier).await;
    source.execute(add("a", 4)).await.unwrap();
    let done = source.execute(add("b", 4)).await.unwrap();
    positions.merge(done.position);
    copier.wait_for(&positions).await.unwrap();
    assert_eq!((sum(&copier, "a").await, sum(&copier, "b").await), (1, 7));
}

#[tokio::test]
async fn nothing_is_due_before_the_inputs_were_heard() {
    let world = World::new().await;
    let (source, copier) = (world.node(Source).await, world.node(Copier).await);
    copier.execute(call("w", Command::Ring { at: 5_000 })).await.unwrap();
    world.clock.advance_to(Timestamp::from_millis(4_999)).unwrap();
    assert_eq!(copier.resting().unwrap().next_due, Some(Timestamp::from_millis(5_000)));
    world.faults(ServiceId::Intake).stall_followers(true);
    source.execute(add("w", 1)).await.unwrap();
    world.clock.advance_to(Timestamp::from_millis(5_000)).unwrap();
    // The head that was seen lies beyond what was heard, so it can't ring, however often it is asked.
    for _ in 0..100 {
        assert!(!copier.resting().unwrap().idle);
    }
    assert_eq!(copier.read("w", |state| state.rang).await.unwrap(), 0);
    world.faults(ServiceId::Intake).stall_followers(false);
    while !copier.resting().unwrap().idle {
        tokio::task::yield_now().await;
    }
    let (rang, heard) = copier.read("w", |state| (state.rang, state.sums["w"])).await.unwrap();
    assert_eq!((rang, heard), (1, 1));
}

#[tokio::test]
async fn a_log_that_lost_its_end_halts_the_partition() {
    let world = World::new().await;
    let node = world.node(Source).await;
    for _ in 0..3 {
        node.execute(add("w", 1)).await.unwrap();
    }
    let head = node.partitions()[0].head().seq;
    world.faults(ServiceId::Intake).drop_after(head - 2);
    let failed = node.execute(add("w", 1)).await;
    assert!(matches!(failed, Err(Failure::Halted(_))), "{failed:?}");
    assert!(matches!(node.partitions()[0].health(), Health::Halted(_)));
}

#[tokio::test]
async fn a_follower_sees_every_commit_once_and_in_order() {
    use futures::StreamExt;
    let world = World::new().await;
    let node = world.node(Source).await;
    let mut followed = node.partitions()[0].follow(1);
    for by in 1..=20 {
        node.execute(add("w", by)).await.unwrap();
    }
    let mut sums = 0;
    let mut seq = 0;
    while sums < 210 {
        let (position, commit) = followed.next().await.unwrap().unwrap();
        assert_eq!(position.seq, seq + 1);
        seq = position.seq;
        for event in &commit.events {
            sums += <u64 as prost::Message>::decode(event.data.clone()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_position_of_another_log_is_refused() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let mut position = node.partitions()[0].head();
    position.log_id = [9; 16];
    let mut positions = Positions::default();
    positions.merge(position);
    assert!(node.wait_for(&positions).await.is_err());
}
