//! The pump over a made-up log.

use std::sync::Arc;

use futures::stream;
use runtime::ServiceId;
use tonic_types::StatusExt;

use super::*;

fn at(seq: u64) -> Position {
    Position { service: ServiceId::Intake, partition: 0, log_id: [5; 16], seq }
}

/// Record `seq` with events of these types.
#[expect(clippy::unnecessary_wraps, reason = "what a log yields may be an error")]
fn commit(seq: u64, types: &[&str]) -> Result<(Position, Arc<Commit>), LogError> {
    let event = |name: &&str| Event { r#type: (*name).into(), ..Default::default() };
    let events = types.iter().map(event).collect();
    Ok((at(seq), Arc::new(Commit { seq, events, ..Default::default() })))
}

type Message = (String, Item<String, &'static str>);
type Change = fn(Position, &Event) -> Option<String>;
type Join = fn(String, Item<String, &'static str>) -> Message;

/// Lets through what begins with `a`.
fn pump(cursor: Cursor, room: usize) -> (Pump<Change, Join, Message>, mpsc::Receiver<Message>) {
    let (sender, receiver) = mpsc::channel(room);
    let change: Change = |_, event| event.r#type.starts_with('a').then(|| event.r#type.clone());
    let message: Join = |token, item| (token, item);
    let every = Duration::from_secs(15);
    (Pump { cursor, binding: 7, every, change, message, sender }, receiver)
}

fn token(seq: u64, events: u32) -> String {
    Cursor { position: at(seq), events }.token(7, false)
}

#[tokio::test(start_paused = true)]
async fn changes_come_in_order_each_with_a_token_to_go_on_from() {
    let log = || [commit(3, &["a1", "b", "a2"]), commit(4, &["b"]), commit(5, &["a3"])];
    let (mut pump_, mut messages) = pump(Cursor::at(at(2)), 16);
    let stop = pump_.run(None, stream::iter(log()).boxed()).await.unwrap();
    assert_eq!(stop.get_error_details().error_info().unwrap().reason, "SERVER_DRAINING");
    drop(pump_);
    let mut seen = Vec::new();
    while let Some((token, item)) = messages.recv().await {
        seen.push((token, item));
    }
    let change = |name: &str| Item::Change(name.to_owned());
    assert_eq!(
        seen,
        [(token(2, 1), change("a1")), (token(2, 3), change("a2")), (token(4, 1), change("a3"))]
    );

    // Resumed in the midst of a commit, it goes on with the rest of it.
    let (mut pump_, mut messages) = pump(Cursor { position: at(2), events: 1 }, 16);
    pump_.run(None, stream::iter(log()).boxed()).await;
    assert_eq!(messages.recv().await.unwrap().1, change("a2"));
    assert_eq!(messages.recv().await.unwrap().1, change("a3"));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_gives_a_sign_of_life_that_is_never_ahead() {
    let (mut pump_, mut messages) = pump(Cursor::at(at(2)), 16);
    let log = stream::iter([commit(3, &["b"])]).chain(stream::pending()).boxed();
    let running = tokio::spawn(async move { pump_.run(None, log).await });
    for _ in 0..2 {
        let (sent, item) = messages.recv().await.unwrap();
        assert_eq!(sent, token(3, 0));
        assert_eq!(item, Item::Checkpoint(Checkpoint { position: Some(at(3).to_wire()) }));
    }
    drop(messages);
    assert!(running.await.unwrap().is_none(), "the reader has gone");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_comes_first_and_can_only_be_had_whole() {
    let (mut pump_, mut messages) = pump(Cursor::at(at(2)), 16);
    pump_.run(Some(vec!["x", "y"]), stream::empty().boxed()).await;
    let within = Cursor::at(at(2)).token(7, true);
    assert_eq!(messages.recv().await.unwrap(), (within.clone(), Item::Snapshot("x")));
    assert_eq!(messages.recv().await.unwrap(), (within, Item::Snapshot("y")));
    assert_eq!(messages.recv().await.unwrap(), (token(2, 0), Item::SnapshotComplete));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_ended_not_skipped() {
    let (mut pump_, mut messages) = pump(Cursor::at(at(0)), 1);
    let log = stream::iter([commit(1, &["a1"]), commit(2, &["a2"])]).chain(stream::pending());
    let stop = pump_.run(None, log.boxed()).await.unwrap();
    assert_eq!(stop.get_error_details().error_info().unwrap().reason, "SLOW_CONSUMER");
    drop(pump_);
    let (last, _) = messages.recv().await.unwrap();
    assert_eq!(last, token(0, 1));
    assert!(messages.recv().await.is_none());
}

#[tokio::test]
async fn a_log_in_doubt_ends_the_watch() {
    let (mut pump_, _messages) = pump(Cursor::at(at(0)), 1);
    let log = stream::iter([Err(LogError::Gap { expected: 1, found: 2 })]).boxed();
    let stop = pump_.run(None, log).await.unwrap();
    assert_eq!(stop.get_error_details().error_info().unwrap().reason, "PARTITION_HALTED");
}
