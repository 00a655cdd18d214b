//! What goes wrong with writing.

use std::time::Duration;

use runtime::{Failure, Health, ServiceId};
use tests::proxy::Mode;

use crate::failure_modes::rig::{
    Answer, Rig, halted, is_not_led, stream, sum, surely_add, until, until_ready, until_sum,
};
use crate::failure_modes::toy::{Copier, Source, add, with_id};

#[tokio::test(flavor = "multi_thread")]
async fn f01_an_append_without_an_answer_is_resolved_by_reading() {
    let rig = Rig::start().await;
    let node = rig.node(Source).await;
    rig.set(Mode::Swallow);
    let asking = tokio::spawn({
        let node = node.clone();
        async move { node.execute(with_id(add("w", 5), "r", 5)).await }
    });
    until(&node, |health| *health == Health::LogUnavailable).await;
    rig.set(Mode::Pass);
    let answer: Answer<Source> = asking.await.unwrap();
    assert!(matches!(answer, Ok(_) | Err(Failure::OutcomeUnknown)), "{answer:?}");
    surely_add(&node, 5, "r").await;
    assert_eq!((sum(&node).await, rig.times_added(5).await), (5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn f02_a_writer_that_was_overtaken_steps_down() {
    let rig = Rig::start().await;
    let old = rig.node(Source).await;
    old.execute(add("w", 1)).await.unwrap();
    let new = rig.rival(Source).await;
    let refused = old.execute(add("w", 5)).await.unwrap_err();
    assert!(is_not_led(&refused), "{refused:?}");
    new.execute(add("w", 2)).await.unwrap();
    assert_eq!((sum(&new).await, rig.times_added(5).await), (3, 0));
    assert!(!old.partitions()[0].health().is_ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_a_zombie_s_append_is_refused_and_it_steps_down() {
    let rig = Rig::start().await;
    let zombie = rig.node(Source).await;
    zombie.execute(add("w", 1)).await.unwrap();
    // Its append is on its way while another takes over.
    rig.set(Mode::Hold);
    let asking = tokio::spawn({
        let zombie = zombie.clone();
        async move { zombie.execute(add("w", 5)).await }
    });
    until(&zombie, |health| *health == Health::LogUnavailable).await;
    let new = rig.rival(Source).await;
    new.execute(add("w", 2)).await.unwrap();
    rig.set(Mode::Pass);
    let answer: Answer<Source> = asking.await.unwrap();
    assert!(answer.as_ref().is_err_and(is_not_led), "{answer:?}");
    until(&zombie, |health| matches!(health, Health::SteppedDown | Health::Standby { .. })).await;
    assert_eq!((sum(&new).await, rig.times_added(5).await), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_publish_that_arrives_late_is_not_written_twice() {
    let rig = Rig::start().await;
    let node = rig.node(Source).await;
    rig.set(Mode::Hold);
    let asking = tokio::spawn({
        let node = node.clone();
        async move { node.execute(with_id(add("w", 5), "r", 5)).await }
    });
    until(&node, |health| *health == Health::LogUnavailable).await;
    rig.set(Mode::Pass);
    let answer: Answer<Source> = asking.await.unwrap();
    assert!(matches!(answer, Ok(_) | Err(Failure::OutcomeUnknown)), "{answer:?}");
    surely_add(&node, 5, "r").await;
    node.execute(add("w", 1)).await.unwrap();
    assert_eq!((sum(&node).await, rig.times_added(5).await), (6, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_full_log_refuses_calls_and_is_read_on() {
    let rig = Rig::start().await;
    let node = rig.node(Source).await;
    node.execute(add("w", 1)).await.unwrap();
    let limit = async |full: bool| {
        let kept = rig.admin.get_stream(stream(ServiceId::Intake)).await.unwrap();
        let info = kept.cached_info();
        let mut config = info.config.clone();
        config.max_bytes = if full { i64::try_from(info.state.bytes).unwrap() + 100 } else { -1 };
        rig.admin.update_stream(config).await.unwrap();
    };
    limit(true).await;
    assert_eq!(node.execute(add("w", 5)).await, Err(Failure::LogFull));
    limit(false).await;
    until_ready(&node).await;
    assert_eq!(sum(&node).await, 1);
    surely_add(&node, 7, "r").await;
    assert_eq!((sum(&node).await, rig.times_added(5).await), (8, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_without_a_quorum_calls_fail_and_then_go_on() {
    let mut rig = Rig::cluster().await;
    let node = rig.node(Source).await;
    node.execute(add("w", 1)).await.unwrap();
    rig.nats.kill(1).unwrap();
    rig.nats.kill(2).unwrap();
    let refused = node.execute(with_id(add("w", 5), "r", 5)).await;
    let known = matches!(refused, Err(Failure::OutcomeUnknown | Failure::LogUnavailable));
    assert!(known, "{refused:?}");
    rig.nats.start_again(1).unwrap();
    rig.nats.start_again(2).unwrap();
    rig.nats.ready().await.unwrap();
    surely_add(&node, 5, "r").await;
    assert_eq!((sum(&node).await, rig.times_added(5).await), (6, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_message_that_no_leader_wrote_stops_the_partition() {
    let rig = Rig::start().await;
    let (source, copier) = (rig.node(Source).await, rig.node(Copier).await);
    source.execute(add("w", 1)).await.unwrap();
    until_sum(&copier, 1).await;
    let garbage = rig.admin.publish("sy.v1.intake.00", "not a commit".into());
    garbage.await.unwrap().await.unwrap();
    // Nobody calls the leader: its watchdog finds what it has not written.
    let why = halted(&source).await;
    assert!(why.contains("somebody else has written"), "{why}");
    let why = halted(&copier).await;
    assert!(why.contains("intake/0 is in doubt"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_leader_that_meets_it_first_stops_as_well() {
    let rig = Rig::start().await;
    let source = rig.node(Source).await;
    source.execute(add("w", 1)).await.unwrap();
    let garbage = rig.admin.publish("sy.v1.intake.00", "not a commit".into());
    garbage.await.unwrap().await.unwrap();
    let refused = source.execute(add("w", 2)).await;
    assert!(
        matches!(&refused, Err(Failure::Halted(why)) if why.contains("somebody else")),
        "{refused:?}"
    );
    tokio::time::timeout(Duration::from_secs(60), halted(&source)).await.unwrap();
}
