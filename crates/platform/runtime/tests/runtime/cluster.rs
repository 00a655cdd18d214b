//! Several instances of one service on one log: who leads, what happens when that changes, and that nobody is ever told
//! what is no longer so. Time is paused, so the seconds of these tests are exact and cost nothing.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what surrounds a test fails like the test itself"
)]

mod churn;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::toy::{Source, add, with_id};
use event_log::NOTICE_STANDS;
use futures::StreamExt;
use runtime::{Failure, Health, ServiceId};
use tokio::time::{Instant, sleep};
use world::{World, persist, until, within};

#[tokio::test(start_paused = true)]
async fn the_partitions_spread_over_the_instances_and_each_has_one_leader() {
    let world = World::new(12).await;
    let one = world.ready("i1").await;
    assert!((0..12).all(|partition| one.leads(partition)), "alone it leads all");
    let all = [one, world.ready("i2").await, world.ready("i3").await];
    let led = |partition| all.iter().filter(|one| one.leads(partition)).count();
    let count = |one: &world::Instance| (0..12).filter(|number| one.leads(*number)).count();
    let spread = || (0..12).all(|number| led(number) == 1) && all.iter().all(|one| count(one) > 0);
    within("they spread", until(spread)).await;
    sleep(Duration::from_secs(10)).await;
    let epochs =
        |partition: usize| all.iter().map(|one| one.node.partitions()[partition].epoch()).max();
    let before: Vec<_> = (0..12).map(epochs).collect();
    sleep(Duration::from_secs(60)).await;
    assert!(spread());
    assert_eq!(before, (0..12).map(epochs).collect::<Vec<_>>(), "nothing moves any more");
    for partition in 0..12 {
        let leader = all.iter().find(|one| one.leads(partition)).unwrap();
        for other in all.iter().filter(|one| !one.leads(partition)) {
            other.follows(partition, leader).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_dies_without_a_word_the_standby_takes_over() {
    let (world, leader, standby) = World::pair().await;
    for number in 0..20 {
        persist(std::slice::from_ref(&leader), "w", &format!("r{number}")).await;
    }
    leader.crash();
    let died = Instant::now();
    standby.led(0).await;
    let gap = died.elapsed();
    assert!(gap <= NOTICE_STANDS + Duration::from_secs(3), "{gap:?}");
    assert_eq!(standby.sum("w").await, Ok(20));
    // The answers are remembered by whoever leads.
    let again = standby.node.execute(with_id(add("w", 1), "r3", 1)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(standby.sum("w").await, Ok(20));
    assert_eq!(world.refold(0).await.0.state().sums["w"], 20);
}

#[tokio::test(start_paused = true)]
async fn a_planned_hand_over_loses_and_doubles_nothing_and_takes_no_time() {
    let (world, leader, standby) = World::pair().await;
    let both = [leader.clone(), standby.clone()];
    let clients: Vec<_> = (0..20)
        .map(|client| {
            let both = both.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    persist(&both, "w", &format!("c{client}-{number}")).await;
                    sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    leader.node.retire(Duration::from_secs(5)).await;
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(standby.leads(0));
    leader.follows(0, &standby).await;
    for client in clients {
        within("the client is done", client).await.unwrap();
    }
    leader.node.shutdown().await;
    assert_eq!(standby.sum("w").await, Ok(1000));
    let (fold, epochs) = world.refold(0).await;
    assert_eq!((fold.state().sums["w"], fold.events()), (1000, 1000));
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_instance_leaves_the_log_in_order() {
    let (world, leader, standby) = World::pair().await;
    persist(std::slice::from_ref(&leader), "w", "r").await;
    leader.node.shutdown().await;
    standby.led(0).await;
    standby.node.shutdown().await;
    let hashed = world.hashes(0).await;
    assert!(hashed > 0, "nobody goes on, so the state's hash is written");
    let third = world.ready("i3").await;
    third.led(0).await;
    assert_eq!(third.sum("w").await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_board_that_nobody_reaches_changes_nothing() {
    let (_world, leader, standby) = World::pair().await;
    let epoch = leader.node.partitions()[0].epoch();
    leader.board.set_unreachable(true);
    standby.board.set_unreachable(true);
    sleep(Duration::from_secs(60)).await;
    let alone = std::slice::from_ref(&leader);
    persist(alone, "w", "r1").await;
    assert_eq!(leader.sum("w").await, Ok(1));
    assert!(!standby.leads(0));
    leader.board.set_unreachable(false);
    standby.board.set_unreachable(false);
    sleep(Duration::from_secs(60)).await;
    persist(alone, "w", "r2").await;
    assert_eq!(leader.node.partitions()[0].epoch(), epoch);
}

#[tokio::test(start_paused = true)]
async fn a_board_that_lost_its_memory_changes_nothing() {
    let (world, leader, standby) = World::pair().await;
    let epoch = leader.node.partitions()[0].epoch();
    for _ in 0..20 {
        world.board.forget_all();
        sleep(Duration::from_millis(1700)).await;
    }
    assert!(leader.leads(0) && !standby.leads(0));
    assert_eq!(leader.node.partitions()[0].epoch(), epoch);
}

#[tokio::test(start_paused = true)]
async fn who_sees_the_board_as_it_was_claims_nothing_though_its_own_notices_get_through() {
    let (world, leader, standby) = World::pair().await;
    let epoch = leader.node.partitions()[0].epoch();
    // The last that the standby sees is a board without a leader.
    world.board.forget_all();
    sleep(Duration::from_millis(1)).await;
    standby.board.stall_view(true);
    sleep(Duration::from_secs(60)).await;
    assert!(leader.leads(0) && !standby.leads(0));
    assert_eq!(leader.node.partitions()[0].epoch(), epoch);
    standby.board.stall_view(false);
    leader.crash();
    standby.led(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_from_the_board_is_replaced_and_never_shows_what_is_old() {
    let (_world, old, new) = World::pair().await;
    persist(std::slice::from_ref(&old), "w", "r1").await;
    old.board.set_unreachable(true);
    new.led(0).await;
    persist(std::slice::from_ref(&new), "w", "r2").await;
    // The old one hasn't heard of it, and nothing of its own has failed yet.
    assert!(old.leads(0));
    assert_eq!(old.sum("w").await, Err(Failure::NotLeader { leader: None }));
    let refused = old.node.execute(with_id(add("w", 1), "r3", 1)).await;
    assert_eq!(refused, Err(Failure::NotLeader { leader: None }));
    old.board.set_unreachable(false);
    old.follows(0, &new).await;
    assert_eq!(new.sum("w").await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_from_the_log_is_replaced() {
    let (world, old, new) = World::pair().await;
    persist(std::slice::from_ref(&old), "w", "r1").await;
    old.link.cut(true);
    let lost = old.node.execute(with_id(add("w", 1), "r2", 1)).await;
    assert_eq!(lost, Err(Failure::OutcomeUnknown));
    new.led(0).await;
    persist(std::slice::from_ref(&new), "w", "r2").await;
    assert!(matches!(old.sum("w").await, Err(Failure::LogUnavailable)));
    old.link.cut(false);
    // It is the one who should lead, so it gets the partition back as soon as it has caught up.
    old.led(0).await;
    new.follows(0, &old).await;
    // What it couldn't write, it never will.
    assert_eq!(world.refold(0).await.0.state().sums["w"], 2);
    assert_eq!(old.sum("w").await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_zombie_is_fenced_and_steps_down() {
    let (world, zombie, new) = World::pair().await;
    persist(std::slice::from_ref(&zombie), "w", "r1").await;
    zombie.board.set_unreachable(true);
    zombie.link.hold_appends(true);
    let node = zombie.node.clone();
    let late = tokio::spawn(async move { node.execute(with_id(add("w", 1), "r2", 1)).await });
    new.led(0).await;
    persist(std::slice::from_ref(&new), "w", "r2").await;
    assert!(!late.is_finished());
    zombie.link.hold_appends(false);
    assert_eq!(late.await.unwrap(), Err(Failure::NotLeader { leader: None }));
    assert_eq!(zombie.sum("w").await, Err(Failure::NotLeader { leader: None }));
    zombie.board.set_unreachable(false);
    zombie.follows(0, &new).await;
    let (fold, epochs) = world.refold(0).await;
    assert_eq!((fold.state().sums["w"], fold.events()), (2, 2));
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    // It isn't worse off for it.
    new.crash();
    zombie.led(0).await;
    assert_eq!(zombie.sum("w").await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn two_claims_at_once_leave_one_leader() {
    let world = World::new(4).await;
    let all = [world.join("i1").await, world.join("i2").await, world.join("i3").await];
    let led = |partition| all.iter().filter(|one| one.leads(partition)).count() == 1;
    within("each has one", until(|| (0..4).all(led))).await;
    for partition in 0..4 {
        let workspace = world.workspace(partition);
        persist(&all, &workspace, "r").await;
        let (fold, epochs) = world.refold(partition).await;
        assert_eq!(fold.state().sums[workspace.as_str()], 1);
        assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_starts_again_at_its_own_address_need_not_wait_for_its_own_notice() {
    let world = World::new(1).await;
    let first = world.ready("i1").await;
    first.led(0).await;
    first.crash();
    let died = Instant::now();
    let membership = |name: &str| runtime::Membership {
        instance: name.into(),
        address: first.address.clone(),
        board: std::sync::Arc::new(world.board.join()),
    };
    let config = runtime::NodeConfig {
        provider: std::sync::Arc::<event_log::memory::MemoryProvider>::clone(&world.provider),
        snapshots: std::sync::Arc::new(snapshots::NoSnapshots),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: world.clock.clone(),
        cluster: Some(membership("i1-again")),
    };
    let node = runtime::Node::start(Source, config).await.unwrap();
    within("it leads", async { node.ready().await.unwrap() }).await;
    assert_eq!(node.partitions()[0].health(), Health::Ready);
    assert!(died.elapsed() < NOTICE_STANDS, "{:?}", died.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_an_instance_misses_nothing_when_leadership_moves() {
    let (world, first, second) = World::pair().await;
    let both = [first.clone(), second.clone()];
    let mut followed = first.node.partitions()[0].follow(1);
    let mut seen = BTreeMap::new();
    for round in 0..4 {
        for number in 0..30 {
            persist(&both, "w", &format!("r{round}-{number}")).await;
        }
        let (leader, other) = if first.leads(0) { (&first, &second) } else { (&second, &first) };
        // Back and forth, by a leader whose notice doesn't get through.
        leader.board.set_unreachable(true);
        other.led(0).await;
        leader.board.set_unreachable(false);
        persist(&both, "w", &format!("r{round}-last")).await;
        within("it stands by again", until(|| !leader.leads(0) || !other.leads(0))).await;
    }
    let head = world.refold(0).await.0.seq();
    for seq in 1..=head {
        let (position, commit) = within("it comes", followed.next()).await.unwrap().unwrap();
        assert_eq!((position.seq, commit.seq), (seq, seq));
        seen.insert(seq, commit.events.len());
    }
    assert_eq!(seen.values().sum::<usize>(), 4 * 31);
}

#[tokio::test(start_paused = true)]
async fn a_standby_holds_what_the_leader_holds() {
    let (_world, leader, standby) = World::pair().await;
    for number in 0..50 {
        persist(std::slice::from_ref(&leader), "w", &format!("r{number}")).await;
    }
    let head = leader.node.partitions()[0].head();
    let caught_up = || standby.node.partitions()[0].head() == head;
    within("it catches up", until(caught_up)).await;
    let hash = |node: &runtime::Node<Source>| {
        let partition = node.partitions()[0].clone();
        async move { partition.glance(|view| (view.head, view.state_hash().unwrap())).await.unwrap() }
    };
    assert_eq!(hash(&leader.node).await, hash(&standby.node).await);
    assert_eq!(standby.node.partitions()[0].behind(), 0);
    assert_eq!(standby.node.partitions()[0].leader(), Some(leader.address.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_standby_whose_reader_hears_nothing_still_notices_that_history_was_lost() {
    let (world, leader, standby) = World::pair().await;
    for number in 0..5 {
        persist(std::slice::from_ref(&leader), "w", &format!("r{number}")).await;
    }
    let head = leader.node.partitions()[0].head().seq;
    within("it has read all", until(|| standby.node.partitions()[0].head().seq == head)).await;
    let faults = world.provider.faults(&ServiceId::Intake.log(0)).unwrap();
    faults.stall_followers(true);
    faults.drop_after(head - 2);
    for instance in [&standby, &leader] {
        let mut health = instance.node.partitions()[0].watch_health();
        let halted = health.wait_for(|health| matches!(health, Health::Halted(_)));
        let why = within("it halts", halted).await.unwrap().reason();
        assert!(why.contains("went backwards"), "{why}");
    }
}
