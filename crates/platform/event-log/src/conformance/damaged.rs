//! Cases about damage: what was lost or changed is always noticed, and never skipped.

use super::{
    Act, Bench, Outcome, Stop, append_surely, ensure, ensure_numbered, numbered, read_all, suite,
    take, take_until_error,
};
use crate::{EventLog, LogError, Record, Seq};

suite![
    a_torn_tail_never_shows_half_a_record,
    a_hole_is_found_by_reading,
    a_hole_is_found_by_following,
    a_hole_in_one_copy_is_filled_from_another,
    changed_bytes_are_never_returned,
    a_follower_notices_lost_history,
    a_returning_reader_notices_lost_history,
];

/// Reads from 1 until the end or an error.
async fn read_until_error(log: &dyn EventLog) -> Result<(Vec<Record>, Option<LogError>), Stop> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let next = all.last().map_or(1, |record| record.seq + 1);
        match log.read(next, 1_000_000).await {
            Ok(records) if records.is_empty() => return Ok((all, None)),
            Ok(records) => all.extend(records),
            Err(LogError::Unavailable(_)) => super::pause().await,
            Err(error) => return Ok((all, Some(error))),
        }
    }
}

/// The last record may be lost with its torn bytes, but what is shown is whole, and goes on.
async fn a_torn_tail_never_shows_half_a_record(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(10).await?);
    bench.act(Act::TearTail).await?;
    let log = bench.open().await?;
    let (records, error) = read_until_error(log.as_ref()).await?;
    let last = records.last().map_or(0, |record| record.seq);
    ensure_numbered(&records, 1, last)?;
    ensure(last >= 9, || format!("only {last} records are left"))?;
    if error.is_none() {
        append_surely(log.as_ref(), last, numbered(last + 1)).await?;
        ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, last + 1)?;
    }
    Ok(())
}

fn is_hole(error: Option<&LogError>, at: Seq) -> bool {
    let gap = matches!(error, Some(LogError::Gap { expected, .. }) if *expected == at);
    gap || matches!(error, Some(LogError::Corrupt { seq, .. }) if *seq == at)
}

async fn a_hole_is_found_by_reading(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(10).await?);
    bench.act(Act::PunchHole(6)).await?;
    let log = bench.open().await?;
    let (records, error) = read_until_error(log.as_ref()).await?;
    ensure_numbered(&records, 1, 5)?;
    ensure(is_hole(error.as_ref(), 6), || format!("got {error:?}"))
}

async fn a_hole_is_found_by_following(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(10).await?);
    bench.act(Act::PunchHole(6)).await?;
    let log = bench.open().await?;
    let (records, error) = take_until_error(&mut log.follow(1)).await?;
    ensure_numbered(&records, 1, 5)?;
    ensure(is_hole(Some(&error), 6), || format!("got {error:?}"))
}

async fn a_hole_in_one_copy_is_filled_from_another(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(10).await?);
    bench.act(Act::PunchHoleInOneCopy(6)).await?;
    let log = bench.open().await?;
    for _ in 0..6 {
        ensure_numbered(&read_all(log.as_ref(), 1, 100_000).await?, 1, 10)?;
        ensure_numbered(&take(&mut log.follow(1), 10).await?, 1, 10)?;
    }
    Ok(())
}

async fn changed_bytes_are_never_returned(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(10).await?);
    bench.act(Act::FlipBit(6)).await?;
    let log = bench.open().await?;
    let (records, error) = read_until_error(log.as_ref()).await?;
    ensure_numbered(&records, 1, 5)?;
    ensure(is_hole(error.as_ref(), 6), || format!("got {error:?}"))
}

async fn a_follower_notices_lost_history(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    let mut follower = log.follow(1);
    ensure_numbered(&take(&mut follower, 10).await?, 1, 10)?;
    bench.act(Act::DropAfter(6)).await?;
    let (records, error) = take_until_error(&mut follower).await?;
    // A log that was taken away and put back may be caught in between, as missing. One that lives in
    // this process may have ended with it, and is then opened anew: the next case.
    let noticed = match error {
        LogError::WentBackwards { had: 10, last } => last >= 6,
        LogError::Missing | LogError::Replaced | LogError::Unavailable(_) => true,
        LogError::WentBackwards { .. }
        | LogError::Gap { .. }
        | LogError::Trimmed { .. }
        | LogError::Beyond { .. }
        | LogError::Corrupt { .. } => false,
    };
    ensure(noticed && records.is_empty(), || format!("{records:?}, then {error:?}"))
}

async fn a_returning_reader_notices_lost_history(bench: &Bench<'_>) -> Outcome {
    drop(bench.filled(10).await?);
    bench.act(Act::DropAfter(6)).await?;
    let log = bench.open().await?;
    let (records, error) = take_until_error(&mut log.follow(11)).await?;
    let noticed = matches!(error, LogError::Beyond { last: 6 });
    ensure(noticed && records.is_empty(), || format!("{records:?}, then {error:?}"))?;
    let read = log.read(11, 100).await;
    ensure(matches!(read, Err(LogError::Beyond { last: 6 })), || format!("{read:?}"))
}
