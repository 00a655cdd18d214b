//! What is decided while a commit is on its way: nobody hears of it too soon, and it falls with that commit.

use kernel::WorkspaceId;
use runtime::{Done, Failure, FailureOf, Health, Node, ServiceId};
use tokio::task::{JoinHandle, yield_now};

use crate::World;
use crate::toy::{Command, Rejection, Source, State, add, call, with_id};

type Answer = Result<Done, FailureOf<Source>>;

/// Lets everybody do what they can: these tests have one thread.
async fn settled() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// A call that is under way.
async fn begun(node: &Node<Source>, call: runtime::Call<Source>) -> JoinHandle<Answer> {
    let node = node.clone();
    let answer = tokio::spawn(async move { node.execute(call).await });
    settled().await;
    answer
}

async fn look(node: &Node<Source>) -> JoinHandle<Result<u64, FailureOf<Source>>> {
    let node = node.clone();
    let sum = |state: &State| state.sums.get(&WorkspaceId::trusted("w")).copied().unwrap_or(0);
    let seen = tokio::spawn(async move { node.read("w", sum).await });
    settled().await;
    seen
}

#[tokio::test]
async fn nobody_hears_of_what_the_log_does_not_have() {
    let world = World::new().await;
    let node = world.node(Source).await;
    let head = node.partitions()[0].head().seq;
    world.faults(ServiceId::Intake).stall_appends(true);
    let first = begun(&node, add("w", 1)).await;
    let second = begun(&node, add("w", 2)).await;
    let refused = begun(&node, add("w", 0)).await;
    let seen = look(&node).await;
    let all_wait = [first.is_finished(), second.is_finished(), refused.is_finished()];
    assert_eq!((all_wait, seen.is_finished()), ([false; 3], false));
    assert_eq!(node.partitions()[0].head().seq, head, "nothing is shown as written");

    world.faults(ServiceId::Intake).stall_appends(false);
    assert_eq!(first.await.unwrap().unwrap().position.seq, head + 1);
    assert_eq!(second.await.unwrap().unwrap().position.seq, head + 2);
    assert_eq!(refused.await.unwrap(), Err(Failure::Rejected(Rejection::Nothing)));
    assert_eq!(seen.await.unwrap(), Ok(3));
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 3);
}

#[tokio::test]
async fn a_repetition_of_what_is_on_its_way_waits_for_it() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).stall_appends(true);
    let first = begun(&node, with_id(add("w", 5), "r", 1)).await;
    let again = begun(&node, with_id(add("w", 5), "r", 1)).await;
    let other = begun(&node, with_id(add("w", 6), "r", 2)).await;
    assert_eq!(other.await.unwrap(), Err(Failure::RequestIdReused));
    assert!(!first.is_finished() && !again.is_finished());
    world.faults(ServiceId::Intake).stall_appends(false);
    let first = first.await.unwrap().unwrap();
    assert_eq!(again.await.unwrap(), Ok(Done { replayed: true, ..first }));
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 5);
}

#[tokio::test]
async fn so_many_repetitions_wait_and_no_more() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).stall_appends(true);
    let mut calls = Vec::new();
    for _ in 0..18 {
        calls.push(begun(&node, with_id(add("w", 5), "r", 1)).await);
    }
    let refused = calls.pop().unwrap().await.unwrap();
    assert_eq!(refused, Err(Failure::Overloaded(runtime::Overload::Request)));
    world.faults(ServiceId::Intake).stall_appends(false);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(world.refold(Source).await.0.state().sums["w"], 5);
}

#[tokio::test]
async fn what_follows_a_commit_that_is_not_written_falls_with_it() {
    let world = World::new().await;
    let node = world.node(Source).await;
    node.execute(add("w", 1)).await.unwrap();
    world.faults(ServiceId::Intake).stall_appends(true);
    let first = begun(&node, add("w", 5)).await;
    let second = begun(&node, add("w", 7)).await;
    let seen = look(&node).await;
    world.faults(ServiceId::Intake).set_full(true);
    world.faults(ServiceId::Intake).stall_appends(false);
    assert_eq!(first.await.unwrap(), Err(Failure::LogFull));
    assert_eq!(second.await.unwrap(), Err(Failure::LogFull));
    // Whoever looked looks again, and never hears of what was not written.
    assert_eq!(seen.await.unwrap(), Ok(1));
    assert_eq!(node.partitions()[0].health(), Health::LogFull);
    world.faults(ServiceId::Intake).set_full(false);
    let mut health = node.partitions()[0].watch_health();
    health.wait_for(Health::is_ready).await.unwrap();
    assert_eq!(look(&node).await.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_stop_waits_for_what_is_on_its_way_and_for_what_was_decided_since() {
    let world = World::new().await;
    let node = world.node(Source).await;
    world.faults(ServiceId::Intake).stall_appends(true);
    let first = begun(&node, add("w", 1)).await;
    let second = begun(&node, add("w", 2)).await;
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.shutdown().await }
    });
    settled().await;
    assert!(!stopping.is_finished());
    world.faults(ServiceId::Intake).stall_appends(false);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    stopping.await.unwrap();
    let (fold, checks) = world.refold(Source).await;
    assert_eq!((fold.state().sums["w"], checks), (3, 1));
}

#[tokio::test]
async fn a_timer_may_be_decided_meanwhile() {
    let world = World::new().await;
    let node = world.node(Source).await;
    node.execute(call("w", Command::Ring { at: 2_000 })).await.unwrap();
    world.faults(ServiceId::Intake).stall_appends(true);
    let first = begun(&node, add("w", 1)).await;
    world.clock.advance_to(kernel::Timestamp::from_millis(2_000)).unwrap();
    settled().await;
    let resting = node.resting().unwrap();
    assert!(!first.is_finished() && !resting.idle);
    world.faults(ServiceId::Intake).stall_appends(false);
    first.await.unwrap().unwrap();
    let mut turns = node.turns();
    while !node.resting().unwrap().idle {
        turns.changed().await.unwrap();
    }
    assert_eq!(world.refold(Source).await.0.state().rang, 1);
}
