//! Cases about opening, creating and naming logs.

use std::sync::Arc;

use bytes::Bytes;

use super::{Act, Bench, Outcome, ensure, ensure_numbered, fill, numbered, read_all, suite};
use crate::{LogName, OpenError, RECORD_MAX_BYTES, Tail};

suite![
    a_missing_log_is_not_opened,
    opening_never_creates,
    a_new_log_holds_its_genesis,
    creating_twice_keeps_the_first,
    racing_creators_get_the_same_log,
    an_oversized_genesis_is_refused,
    a_bad_name_is_refused,
    every_log_is_listed,
    logs_do_not_share_records,
    a_restart_keeps_everything,
    a_crash_keeps_everything_answered,
    the_tail_is_right_after_a_restart,
    an_old_fence_is_refused_after_a_restart,
];

async fn a_missing_log_is_not_opened(bench: &Bench<'_>) -> Outcome {
    let opened = bench.harness.provider().await.open(&bench.log).await;
    ensure(matches!(opened, Err(OpenError::Missing { .. })), || format!("got {opened:?}"))
}

async fn opening_never_creates(bench: &Bench<'_>) -> Outcome {
    let provider = bench.harness.provider().await;
    for _ in 0..2 {
        let opened = provider.open(&bench.log).await;
        ensure(matches!(opened, Err(OpenError::Missing { .. })), || format!("got {opened:?}"))?;
    }
    let names = provider.list().await?;
    ensure(!names.contains(&bench.log), || "it is listed all the same".to_owned())
}

async fn a_new_log_holds_its_genesis(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let tail = log.tail().await?;
    ensure(tail == Tail { first: 1, last: 1 }, || format!("tail {tail:?}"))?;
    ensure_numbered(&log.read(1, 1000).await?, 1, 1)
}

async fn creating_twice_keeps_the_first(bench: &Bench<'_>) -> Outcome {
    let provider = bench.harness.provider().await;
    fill(provider.create(&bench.log, numbered(1)).await?.as_ref(), 1, 3).await?;
    let log = provider.create(&bench.log, Bytes::from_static(b"another")).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 3)
}

async fn racing_creators_get_the_same_log(bench: &Bench<'_>) -> Outcome {
    let (one, two) = (bench.harness.provider().await, bench.harness.rival().await);
    let (one, two) = tokio::join!(
        one.create(&bench.log, Bytes::from_static(b"one")),
        two.create(&bench.log, Bytes::from_static(b"two")),
    );
    let (one, two) = (one?.read(1, 100).await?, two?.read(1, 100).await?);
    ensure(one == two && one.len() == 1, || format!("{one:?} and {two:?}"))
}

async fn an_oversized_genesis_is_refused(bench: &Bench<'_>) -> Outcome {
    let genesis = Bytes::from(vec![1; RECORD_MAX_BYTES + 1]);
    let created = bench.harness.provider().await.create(&bench.log, genesis).await;
    ensure(matches!(created, Err(OpenError::TooLarge { .. })), || format!("got {created:?}"))
}

async fn a_bad_name_is_refused(bench: &Bench<'_>) -> Outcome {
    let provider = bench.harness.provider().await;
    for service in ["", "Upper", "a.b", "a*", "a>", "a b", "../a", "a/b", "1a", "ä"] {
        let name = LogName::new(service, 0);
        for opened in [provider.open(&name).await, provider.create(&name, numbered(1)).await] {
            ensure(matches!(opened, Err(OpenError::BadName { .. })), || {
                format!("{service:?} got {opened:?}")
            })?;
        }
    }
    Ok(())
}

async fn every_log_is_listed(bench: &Bench<'_>) -> Outcome {
    let provider = bench.harness.provider().await;
    let before = provider.list().await?;
    bench.create().await?;
    let after = provider.list().await?;
    let sorted = after.is_sorted();
    ensure(sorted && after.contains(&bench.log) && after.len() == before.len() + 1, || {
        format!("{before:?} became {after:?}")
    })
}

async fn logs_do_not_share_records(bench: &Bench<'_>) -> Outcome {
    let provider = bench.harness.provider().await;
    let other = LogName::new("conformancetwin", bench.log.partition);
    let (log, twin) =
        (bench.create().await?, provider.create(&other, Bytes::from_static(b"twin")).await?);
    fill(log.as_ref(), 1, 5).await?;
    let records = read_all(twin.as_ref(), 1, 1000).await?;
    ensure(records.len() == 1, || format!("the twin has {records:?}"))
}

async fn a_restart_keeps_everything(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(50).await?);
    bench.act(Act::Restart).await?;
    let log = bench.open().await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 10_000).await?, 1, 50)?;
    fill(log.as_ref(), 50, 52).await
}

async fn a_crash_keeps_everything_answered(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(50).await?);
    bench.act(Act::Crash).await?;
    let log = bench.open().await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 10_000).await?, 1, 50)?;
    fill(log.as_ref(), 50, 52).await
}

async fn the_tail_is_right_after_a_restart(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(9).await?;
    log.trim(4).await?;
    drop(log);
    bench.act(Act::Restart).await?;
    let log: Arc<_> = bench.open().await?;
    let tail = log.tail().await?;
    ensure(tail == Tail { first: 5, last: 9 }, || format!("tail {tail:?}"))
}

async fn an_old_fence_is_refused_after_a_restart(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(5).await?);
    bench.act(Act::Restart).await?;
    let log = bench.open().await?;
    let appended = log.append(3, numbered(4)).await;
    let fenced = matches!(appended, Err(crate::AppendError::Fenced { last: 5 }));
    ensure(fenced, || format!("got {appended:?}"))
}
