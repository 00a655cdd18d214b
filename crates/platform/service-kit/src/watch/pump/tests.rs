//! The pump over a made-up log.

use futures::stream;
use runtime::ServiceId;
use tonic_types::StatusExt;

use super::*;
use crate::readers::Readers;
use crate::{Drain, EdgeMetrics, Limits};

fn at(seq: u64) -> Position {
    Position { service: ServiceId::Intake, partition: 0, log_id: [5; 16], seq }
}

type Read = Result<(CommittedRecords, Option<Unsent>), LogError>;

/// Record `seq` with events of these types, as a step of its own.
#[expect(clippy::unnecessary_wraps, reason = "what a log yields may be an error")]
fn commit(seq: u64, types: &[&str]) -> Read {
    let event = |name: &&str| Event { r#type: (*name).into(), ..Default::default() };
    let events = types.iter().map(event).collect();
    let commit = Arc::new(Commit { seq, events, ..Default::default() });
    Ok((CommittedRecords { records: vec![(at(seq), commit)], bytes: 100 }, None))
}

type Told = Message<String, &'static str>;
type Change = fn(Position, &Event) -> Option<String>;
type Render = fn(Told) -> Told;

/// Lets through what begins with `a`.
fn pump(
    cursor: Cursor,
    commits: Vec<Read>,
    watcher: &Watcher,
) -> BoxStream<'static, Result<Told, Status>> {
    with_snapshot(cursor, commits, watcher, None)
}

fn with_snapshot(
    cursor: Cursor,
    commits: Vec<Read>,
    watcher: &Watcher,
    snapshot: Option<Items<&'static str>>,
) -> BoxStream<'static, Result<Told, Status>> {
    let change: Change = |_, event| event.r#type.starts_with('a').then(|| event.r#type.clone());
    let render: Render = |message| message;
    let pump = Pump {
        commits: stream::iter(commits).chain(stream::pending()).boxed(),
        ends: watcher.clone(),
        cursor,
        binding: 7,
        every: Duration::from_secs(15),
        change,
        render,
        snapshot,
        shown_at: cursor.position,
        step: Step::default(),
        quiet_until: None,
        ended: false,
    };
    stream::unfold(pump, Pump::next).boxed()
}

fn until_drained() -> (Drain, Watcher) {
    let drain = Drain::new();
    let watcher = Watcher::until(&drain);
    (drain, watcher)
}

fn token(seq: u64, events: u32) -> String {
    Cursor { events, ..Cursor::at(at(seq)) }.token(7)
}

fn told(resume_token: String, seq: u64, item: Item<String, &'static str>) -> Told {
    Message { resume_token, position: at(seq).to_wire(), item }
}

fn change(name: &str) -> Item<String, &'static str> {
    Item::Change(name.to_owned())
}

#[tokio::test(start_paused = true)]
async fn changes_come_in_order_each_with_a_token_to_go_on_from() {
    let log = || vec![commit(3, &["a1", "b", "a2"]), commit(4, &["b"]), commit(5, &["a3"])];
    let (drain, watcher) = until_drained();
    let mut messages = pump(Cursor::at(at(2)), log(), &watcher);
    for expected in [
        told(token(2, 1), 3, change("a1")),
        told(token(2, 3), 3, change("a2")),
        told(token(4, 1), 5, change("a3")),
    ] {
        assert_eq!(messages.next().await.unwrap().unwrap(), expected);
    }
    drain.start();
    let end = messages.next().await.unwrap().unwrap_err();
    let details = end.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, "SERVER_DRAINING");
    assert_eq!(info.metadata["resume_token"], token(4, 1), "whoever is ended goes on from there");
    assert!(messages.next().await.is_none());

    // Resumed in the midst of a commit, it goes on with the rest of it.
    let (_drain, watcher) = until_drained();
    let mut messages = pump(Cursor { events: 1, ..Cursor::at(at(2)) }, log(), &watcher);
    assert_eq!(messages.next().await.unwrap().unwrap().item, change("a2"));
    assert_eq!(messages.next().await.unwrap().unwrap().item, change("a3"));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_gives_a_sign_of_life_that_is_never_ahead() {
    let (_drain, watcher) = until_drained();
    let mut messages = pump(Cursor::at(at(2)), vec![commit(3, &["b"])], &watcher);
    for _ in 0..2 {
        let checkpoint = Item::Checkpoint(Checkpoint { position: Some(at(3).to_wire()) });
        assert_eq!(messages.next().await.unwrap().unwrap(), told(token(3, 0), 3, checkpoint));
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_comes_first_and_goes_on_where_it_was() {
    let items = || stream::iter([Ok((9, at(2), "x")), Ok((8, at(4), "y"))]).boxed();
    let log = || vec![commit(3, &["a1"])];
    let (_drain, watcher) = until_drained();
    let mut messages = with_snapshot(Cursor::at(at(2)), log(), &watcher, Some(items()));
    let within = |shown| Cursor { shown: Some(shown), ..Cursor::at(at(2)) }.token(7);
    for expected in [
        told(within(9), 2, Item::Snapshot("x")),
        told(within(8), 4, Item::Snapshot("y")),
        // Changes go on from the first page, whatever later pages have seen.
        told(token(2, 0), 4, Item::SnapshotComplete),
        told(token(2, 1), 3, change("a1")),
    ] {
        assert_eq!(messages.next().await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_log_in_doubt_ends_the_watch() {
    let (_drain, watcher) = until_drained();
    let log = vec![Err(LogError::Gap { expected: 1, found: 2 })];
    let stop = pump(Cursor::at(at(0)), log, &watcher).next().await.unwrap().unwrap_err();
    assert_eq!(stop.get_error_details().error_info().unwrap().reason, "PARTITION_HALTED");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_ended_with_a_token() {
    let readers = Readers::new(Limits::default(), EdgeMetrics::default());
    let reader = readers.admit_answer();
    let watcher = Watcher { drain: Drain::new(), reader: Some(Arc::clone(&reader)) };
    let log = vec![commit(1, &["a1"]), commit(2, &["a2"])];
    let mut messages = pump(Cursor::at(at(0)), log, &watcher);
    assert_eq!(messages.next().await.unwrap().unwrap().item, change("a1"));
    tokio::time::advance(Duration::from_secs(3600)).await;
    reader.tell_too_slow(0);
    let end = messages.next().await.unwrap().unwrap_err();
    let details = end.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), &info.metadata["resume_token"]),
        ("SLOW_CONSUMER", &token(0, 1))
    );
    assert!(messages.next().await.is_none());
}
