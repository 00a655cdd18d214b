//! Inputs set aside: listed, tried again once the cause is mended, or dropped; all of it facts of the log.

use std::sync::atomic::Ordering;

use runtime::{
    Fold, Health, Node, ParkedEntity, Positions, Release, ReleaseHow, Released, Service, ServiceId,
};

use crate::toy::{self, Mendable, Mended, Source, Toy, add};
use crate::{World, sum};

fn release(entity: &str, how: ReleaseHow) -> Release {
    Release {
        input: ServiceId::Intake,
        workspace: entity.into(),
        entity: entity.into(),
        how,
        actor: "olga".into(),
        reason: "release 2 can".into(),
    }
}

async fn parked<S: Service>(node: &Node<S>) -> Vec<ParkedEntity> {
    node.partitions()[0].view(|view| view.parked_entities(100)).await.unwrap()
}

async fn feed(source: &Node<Source>, copier: &Node<Mendable>, adds: &[(&str, u64)]) {
    let mut positions = Positions::default();
    for (workspace, by) in adds {
        positions.merge(source.execute(add(workspace, *by)).await.unwrap().position);
    }
    copier.wait_for(&positions).await.unwrap();
}

async fn state<S: Service<Decider = Toy>>(node: &Node<S>) -> toy::State {
    node.read("w", Clone::clone).await.unwrap()
}

const ADDS: [(&str, u64); 7] =
    [("a", 1), ("a", 13), ("b", 3), ("a", 2), ("c", 13), ("a", 5), ("b", 8)];

#[tokio::test]
async fn what_is_retried_after_a_fix_is_as_if_it_had_never_failed() {
    let never = {
        let world = World::new().await;
        let mended = Mended::default();
        mended.0.store(true, Ordering::SeqCst);
        let (source, copier) = (world.node(Source).await, world.node(Mendable(mended)).await);
        feed(&source, &copier, &ADDS).await;
        state(&copier).await
    };
    let world = World::new().await;
    let mended = Mended::default();
    let (source, copier) = (world.node(Source).await, world.node(Mendable(mended.clone())).await);
    feed(&source, &copier, &ADDS).await;
    let listed = parked(&copier).await;
    let counts = listed.iter().map(|one| (one.entity.as_str(), one.count)).collect::<Vec<_>>();
    assert_eq!(counts, [("a", 3), ("c", 1)]);
    assert!(listed[0].error.contains("bad luck"), "{listed:?}");

    // Not mended yet: nothing changes, and the answer says why.
    let partition = &copier.partitions()[0];
    let before = (partition.head(), state(&copier).await);
    let refused = partition.release(release("a", ReleaseHow::Retry)).await.unwrap();
    assert_eq!((refused.count, refused.left), (0, 3));
    assert!(refused.error.contains("bad luck"), "{refused:?}");
    assert_eq!((partition.head(), state(&copier).await), before);

    mended.0.store(true, Ordering::SeqCst);
    for (entity, count) in [("a", 3), ("c", 1)] {
        let done = partition.release(release(entity, ReleaseHow::Retry)).await.unwrap();
        assert_eq!(done, Released { count, left: 0, error: String::new() });
    }
    assert_eq!(parked(&copier).await, []);
    assert_eq!(state(&copier).await.sums, never.sums);
    // Again: there is nothing to do.
    let again = partition.release(release("a", ReleaseHow::Retry)).await.unwrap();
    assert_eq!(again, Released::default());
    // Later inputs of the entity are applied at once again.
    feed(&source, &copier, &[("a", 4)]).await;
    assert_eq!(sum(&copier, "a").await, 25);

    // A replay comes to the same, by a build that was never mended: it needs no reaction.
    let live = state(&copier).await;
    copier.shutdown().await;
    let (fold, checks) = world.refold(Mendable(Mended::default())).await;
    assert_eq!(*fold.state(), live);
    assert!(checks > 0);
    let copier = world.node(Mendable(Mended::default())).await;
    assert_eq!((state(&copier).await, parked(&copier).await.len()), (live, 0));
}

#[tokio::test]
async fn the_poison_alone_is_dropped_and_the_rest_retried() {
    let world = World::new().await;
    let (source, copier) =
        (world.node(Source).await, world.node(Mendable(Mended::default())).await);
    feed(&source, &copier, &ADDS).await;
    let partition = &copier.partitions()[0];
    let dropped = partition.release(release("a", ReleaseHow::Drop(1))).await.unwrap();
    assert_eq!((dropped.count, dropped.left), (1, 2));
    assert_eq!(sum(&copier, "a").await, 1, "dropping applies nothing");
    let retried = partition.release(release("a", ReleaseHow::Retry)).await.unwrap();
    assert_eq!((retried.count, retried.left), (2, 0));
    assert_eq!(sum(&copier, "a").await, 8);
    let dropped = partition.release(release("c", ReleaseHow::Drop(u64::MAX))).await.unwrap();
    assert_eq!((dropped.count, dropped.left), (1, 0));
    // Who and why stand in the log, decoded like all else.
    let records = world.records(ServiceId::Sla).await;
    let text = records.iter().map(|record| String::from_utf8_lossy(&record.bytes).into_owned());
    assert_eq!(text.filter(|text| text.contains("olga") && text.contains("release 2")).count(), 3);
    copier.shutdown().await;
    let (fold, _): (Fold<Mendable>, _) = world.refold(Mendable(Mended::default())).await;
    assert_eq!(fold.state().sums["a"], 8);
}

#[tokio::test]
async fn a_retry_stops_at_the_next_poison() {
    let world = World::new().await;
    let (source, copier) =
        (world.node(Source).await, world.node(Mendable(Mended::default())).await);
    feed(&source, &copier, &[("a", 13), ("a", 2), ("a", 13), ("a", 5)]).await;
    let partition = &copier.partitions()[0];
    partition.release(release("a", ReleaseHow::Drop(1))).await.unwrap();
    let retried = partition.release(release("a", ReleaseHow::Retry)).await.unwrap();
    assert_eq!((retried.count, retried.left), (1, 2));
    assert!(retried.error.contains("bad luck"), "{retried:?}");
    assert_eq!(sum(&copier, "a").await, 2);
    assert!(parked(&copier).await[0].error.contains("bad luck"));
}

/// More than one commit takes, while new ones come in.
#[tokio::test]
async fn many_are_retried_in_order_while_more_come_in() {
    let world = World::new().await;
    let mended = Mended::default();
    let (source, copier) = (world.node(Source).await, world.node(Mendable(mended.clone())).await);
    let adds = std::iter::once(("a", 13)).chain((1..=600).map(|by| ("a", by))).collect::<Vec<_>>();
    feed(&source, &copier, &adds).await;
    assert_eq!(parked(&copier).await[0].count, 601);
    mended.0.store(true, Ordering::SeqCst);
    let partition = copier.partitions()[0].clone();
    let retry = async {
        // New inputs may come between two commits, and are set aside behind the rest: until none is.
        while partition.release(release("a", ReleaseHow::Retry)).await.unwrap().left > 0 {}
    };
    let more = (0..50).map(|_| ("a", 1)).collect::<Vec<_>>();
    let ((), ()) = tokio::join!(retry, feed(&source, &copier, &more));
    partition.release(release("a", ReleaseHow::Retry)).await.unwrap();
    assert_eq!(parked(&copier).await, []);
    assert_eq!(sum(&copier, "a").await, 13 + 600 * 601 / 2 + 50);
    assert_eq!(world.refold(Mendable(mended)).await.0.state().sums["a"], 180_363);
}

#[tokio::test]
async fn two_operators_at_once_apply_nothing_twice() {
    let world = World::new().await;
    let mended = Mended::default();
    let (source, copier) = (world.node(Source).await, world.node(Mendable(mended.clone())).await);
    feed(&source, &copier, &ADDS).await;
    mended.0.store(true, Ordering::SeqCst);
    let partition = &copier.partitions()[0];
    let retry = || partition.release(release("a", ReleaseHow::Retry));
    let both = tokio::join!(retry(), retry());
    let released = [both.0, both.1].into_iter().flatten().map(|done| done.count).sum::<u64>();
    assert_eq!(released, 3);
    assert_eq!(sum(&copier, "a").await, 21);
    assert_eq!(partition.health(), Health::Ready);
}
