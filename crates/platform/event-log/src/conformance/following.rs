//! Cases about following a log.

use futures::{FutureExt, StreamExt};

use super::{
    Act, Bench, Outcome, append_surely, ensure, ensure_numbered, fill, numbered, suite, take,
    take_until_error,
};
use crate::{LogError, Seq};

suite![
    following_starts_at_the_beginning,
    following_starts_in_the_middle,
    following_waits_for_the_next_record,
    following_is_in_step_with_appends,
    two_followers_each_get_everything,
    following_beyond_the_end_fails,
    following_what_was_trimmed_fails,
    following_survives_a_trim_behind_it,
    a_follower_that_a_trim_overtakes_is_told,
    following_survives_a_cut,
    following_survives_a_crash,
    following_a_long_log_is_contiguous,
    a_dropped_follower_disturbs_no_one,
];

async fn following_starts_at_the_beginning(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(20).await?;
    ensure_numbered(&take(&mut log.follow(1), 20).await?, 1, 20)
}

async fn following_starts_in_the_middle(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(20).await?;
    ensure_numbered(&take(&mut log.follow(13), 8).await?, 13, 20)
}

async fn following_waits_for_the_next_record(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    let mut follower = log.follow(3);
    ensure_numbered(&take(&mut follower, 1).await?, 3, 3)?;
    let early = follower.next().now_or_never();
    ensure(early.is_none(), || format!("{early:?} came from nowhere"))?;
    let (appended, next) = tokio::join!(log.append(3, numbered(4)), take(&mut follower, 1));
    appended?;
    ensure_numbered(&next?, 4, 4)
}

async fn following_is_in_step_with_appends(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let mut follower = log.follow(2);
    for fence in 1..=100 {
        log.append(fence, numbered(fence + 1)).await?;
        ensure_numbered(&take(&mut follower, 1).await?, fence + 1, fence + 1)?;
    }
    Ok(())
}

async fn two_followers_each_get_everything(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let (mut one, mut two) = (log.follow(1), log.follow(1));
    let (filled, one, two) =
        tokio::join!(fill(log.as_ref(), 1, 300), take(&mut one, 300), take(&mut two, 300));
    filled?;
    ensure_numbered(&one?, 1, 300)?;
    ensure_numbered(&two?, 1, 300)
}

async fn following_beyond_the_end_fails(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    let (records, error) = take_until_error(&mut log.follow(6)).await?;
    let beyond = matches!(error, LogError::Beyond { last: 3 });
    ensure(beyond && records.is_empty(), || format!("{records:?}, then {error:?}"))
}

async fn following_what_was_trimmed_fails(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    log.trim(4).await?;
    let (records, error) = take_until_error(&mut log.follow(2)).await?;
    let trimmed = matches!(error, LogError::Trimmed { first: 5 });
    ensure(trimmed && records.is_empty(), || format!("{records:?}, then {error:?}"))
}

async fn following_survives_a_trim_behind_it(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    let mut follower = log.follow(1);
    ensure_numbered(&take(&mut follower, 10).await?, 1, 10)?;
    log.trim(10).await?;
    fill(log.as_ref(), 10, 15).await?;
    ensure_numbered(&take(&mut follower, 5).await?, 11, 15)
}

/// It may have got some more of them first; but what it gets has no hole, and it hears of the trim before anything that
/// lies behind it.
async fn a_follower_that_a_trim_overtakes_is_told(bench: &Bench<'_>) -> Outcome {
    const LAST: Seq = 1_500;
    let log = bench.filled(LAST).await?;
    let mut follower = log.follow(1);
    ensure_numbered(&take(&mut follower, 10).await?, 1, 10)?;
    log.trim(LAST - 5).await?;
    let mut next = 11;
    while next <= LAST {
        match follower.next().await {
            Some(Ok(record)) => ensure_numbered(&[record], next, next)?,
            Some(Err(LogError::Trimmed { first })) if first == LAST - 4 => break,
            other => return ensure(false, || format!("{other:?} came instead of record {next}")),
        }
        next += 1;
    }
    ensure_numbered(&take(&mut log.follow(LAST - 4), 5).await?, LAST - 4, LAST)
}

async fn following_survives_a_cut(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    let mut follower = log.follow(1);
    ensure_numbered(&take(&mut follower, 10).await?, 1, 10)?;
    bench.act(Act::Cut).await?;
    let early = follower.next().now_or_never();
    ensure(early.is_none(), || format!("{early:?} came through a cut"))?;
    bench.act(Act::Heal).await?;
    append_surely(log.as_ref(), 10, numbered(11)).await?;
    fill(log.as_ref(), 11, 15).await?;
    ensure_numbered(&take(&mut follower, 5).await?, 11, 15)
}

async fn following_survives_a_crash(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    let mut follower = log.follow(1);
    ensure_numbered(&take(&mut follower, 10).await?, 1, 10)?;
    drop(log);
    bench.act(Act::Crash).await?;
    let log = bench.open().await?;
    // Where the log lives in this very process, its followers end with it, and say so.
    if let Some(Some(Err(LogError::Unavailable(_)))) = follower.next().now_or_never() {
        follower = log.follow(11);
    }
    append_surely(log.as_ref(), 10, numbered(11)).await?;
    fill(log.as_ref(), 11, 15).await?;
    ensure_numbered(&take(&mut follower, 5).await?, 11, 15)
}

async fn following_a_long_log_is_contiguous(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(1500).await?;
    ensure_numbered(&take(&mut log.follow(1), 1500).await?, 1, 1500)
}

async fn a_dropped_follower_disturbs_no_one(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(20).await?;
    let mut stays = log.follow(1);
    for _ in 0..5 {
        take(&mut log.follow(1), 3).await?;
    }
    fill(log.as_ref(), 20, 30).await?;
    ensure_numbered(&take(&mut stays, 30).await?, 1, 30)
}
