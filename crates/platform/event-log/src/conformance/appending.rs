//! Cases about appending: the fence, the limits, and appends whose outcome isn't known.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::{
    Act, Bench, Outcome, Stop, append_surely, ensure, ensure_numbered, fill, numbered, read_all,
    resolve, suite,
};
use crate::{AppendError, EventLog, RECORD_MAX_BYTES, Seq};

suite![
    a_right_fence_is_accepted,
    a_stale_fence_is_refused,
    a_fence_ahead_is_refused,
    a_refused_append_leaves_no_trace,
    two_writers_never_win_the_same_number,
    of_many_same_fences_one_wins,
    predicted_fences_keep_their_order,
    an_answered_append_is_read_at_once,
    the_same_append_twice_is_written_once,
    a_lost_ack_is_resolved_by_reading,
    a_lost_ack_is_refused_when_sent_again,
    a_late_write_loses_to_another,
    a_late_write_arrives_if_no_one_else_wrote,
    an_unreachable_log_never_says_yes,
    a_log_that_comes_back_takes_appends,
    the_largest_record_is_kept,
    a_larger_record_is_refused,
    bytes_come_back_exactly,
    an_empty_record_is_kept,
    a_full_log_says_so,
    a_full_log_still_reads,
    a_thousand_appends_are_contiguous,
];

fn ensure_fenced(appended: &Result<Seq, AppendError>, at: Seq) -> Outcome {
    let fenced = matches!(appended, Err(AppendError::Fenced { last }) if *last == at);
    ensure(fenced, || format!("wanted a refusal at {at}, got {appended:?}"))
}

fn ensure_unknown(appended: &Result<Seq, AppendError>) -> Outcome {
    let unknown = matches!(appended, Err(AppendError::Unknown(_)));
    ensure(unknown, || format!("wanted an unknown outcome, got {appended:?}"))
}

async fn a_right_fence_is_accepted(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    for fence in 1..=5 {
        let seq = log.append(fence, numbered(fence + 1)).await?;
        ensure(seq == fence + 1, || format!("fence {fence} gave {seq}"))?;
    }
    Ok(())
}

async fn a_stale_fence_is_refused(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(5).await?;
    for fence in [0, 1, 4] {
        ensure_fenced(&log.append(fence, numbered(99)).await, 5)?;
    }
    Ok(())
}

async fn a_fence_ahead_is_refused(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(5).await?;
    for fence in [6, 7, 1000] {
        ensure_fenced(&log.append(fence, numbered(99)).await, 5)?;
    }
    Ok(())
}

async fn a_refused_append_leaves_no_trace(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    for fence in [0, 2, 4] {
        ensure_fenced(&log.append(fence, numbered(99)).await, 3)?;
    }
    fill(log.as_ref(), 3, 5).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 5)
}

/// Each of two writers tries for a hundred numbers, and gets those that the other doesn't.
async fn two_writers_never_win_the_same_number(bench: &Bench<'_>) -> Outcome {
    const LAST: Seq = 101;
    bench.create().await?;
    let one = bench.open().await?;
    let two = bench.harness.rival().await.open(&bench.log).await?;
    let (a, b) = tokio::join!(contend(one.as_ref(), "a", LAST), contend(two.as_ref(), "b", LAST),);
    let (a, b) = (a?, b?);
    let both: BTreeSet<_> = a.union(&b).copied().collect();
    let fair = a.is_disjoint(&b) && both == (2..=LAST).collect();
    ensure(fair, || format!("one won {a:?}, the other {b:?}"))?;
    for record in read_all(one.as_ref(), 2, 10_000).await? {
        let author = if a.contains(&record.seq) { "a" } else { "b" };
        ensure(record.bytes == format!("{author}{}", record.seq), || format!("{record:?}"))?;
    }
    Ok(())
}

async fn contend(log: &dyn EventLog, author: &str, last: Seq) -> Result<BTreeSet<Seq>, Stop> {
    let mut won = BTreeSet::new();
    let mut fence = log.tail().await?.last;
    while fence < last {
        match log.append(fence, Bytes::from(format!("{author}{}", fence + 1))).await {
            Ok(seq) => {
                won.insert(seq);
                fence = seq;
            }
            Err(AppendError::Fenced { last }) => fence = last,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(won)
}

async fn of_many_same_fences_one_wins(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let attempts = (0..20u8).map(|author| log.append(1, Bytes::from(vec![author])));
    let answers = join_all(attempts).await;
    let won = answers.iter().filter(|answer| matches!(answer, Ok(2))).count();
    let fenced =
        answers.iter().filter(|answer| matches!(answer, Err(AppendError::Fenced { .. }))).count();
    ensure(won == 1 && fenced == 19, || format!("{answers:?}"))
}

/// A writer with several appends on their way predicts their fences. They are sent in order, and
/// each builds on the one before.
async fn predicted_fences_keep_their_order(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let answers = join_all((1..=20).map(|fence| log.append(fence, numbered(fence + 1)))).await;
    for (fence, answer) in (1..).zip(answers) {
        ensure(matches!(answer, Ok(seq) if seq == fence + 1), || format!("{fence}: {answer:?}"))?;
    }
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 21)
}

async fn an_answered_append_is_read_at_once(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let rival = bench.harness.rival().await.open(&bench.log).await?;
    for fence in 1..=30 {
        log.append(fence, numbered(fence + 1)).await?;
        ensure_numbered(&rival.read(fence + 1, 1000).await?, fence + 1, fence + 1)?;
        let tail = rival.tail().await?;
        ensure(tail.last == fence + 1, || format!("after {}: {tail:?}", fence + 1))?;
    }
    Ok(())
}

async fn the_same_append_twice_is_written_once(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    log.append(1, numbered(2)).await?;
    ensure_fenced(&log.append(1, numbered(2)).await, 2)
}

async fn a_lost_ack_is_resolved_by_reading(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::LoseNextAck).await?;
    ensure_unknown(&log.append(3, numbered(4)).await)?;
    bench.act(Act::Heal).await?;
    let found = resolve(log.as_ref(), 3, &numbered(4)).await?;
    ensure(found == Some(true), || format!("the record is not there: {found:?}"))?;
    fill(log.as_ref(), 4, 6).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 6)
}

async fn a_lost_ack_is_refused_when_sent_again(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::LoseNextAck).await?;
    ensure_unknown(&log.append(3, numbered(4)).await)?;
    bench.act(Act::Heal).await?;
    append_surely(log.as_ref(), 3, numbered(4)).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 4)
}

async fn a_late_write_loses_to_another(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    let rival = bench.harness.rival().await.open(&bench.log).await?;
    bench.act(Act::HoldNextAppend).await?;
    ensure_unknown(&log.append(3, Bytes::from_static(b"late")).await)?;
    append_surely(rival.as_ref(), 3, numbered(4)).await?;
    bench.act(Act::Heal).await?;
    fill(log.as_ref(), 4, 6).await?;
    ensure_numbered(&read_all(rival.as_ref(), 1, 1000).await?, 1, 6)
}

async fn a_late_write_arrives_if_no_one_else_wrote(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::HoldNextAppend).await?;
    ensure_unknown(&log.append(3, numbered(4)).await)?;
    bench.act(Act::Heal).await?;
    // Sending it again is right whether or not the first one has arrived by now.
    append_surely(log.as_ref(), 3, numbered(4)).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 4)
}

async fn an_unreachable_log_never_says_yes(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::Cut).await?;
    for _ in 0..2 {
        let appended = log.append(3, numbered(4)).await;
        let honest = matches!(appended, Err(AppendError::Unknown(_) | AppendError::Unavailable(_)));
        ensure(honest, || format!("got {appended:?}"))?;
    }
    let read = log.read(1, 1000).await;
    ensure(matches!(read, Err(crate::LogError::Unavailable(_))), || format!("got {read:?}"))?;
    bench.act(Act::Heal).await
}

async fn a_log_that_comes_back_takes_appends(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::Cut).await?;
    let while_away = log.append(3, numbered(4)).await;
    ensure(while_away.is_err(), || format!("got {while_away:?}"))?;
    bench.act(Act::Heal).await?;
    append_surely(log.as_ref(), 3, numbered(4)).await?;
    fill(log.as_ref(), 4, 8).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 8)
}

async fn the_largest_record_is_kept(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let record: Bytes = (0..=250u8).cycle().take(RECORD_MAX_BYTES).collect();
    log.append(1, record.clone()).await?;
    log.append(2, numbered(3)).await?;
    let records = read_all(log.as_ref(), 2, 10).await?;
    let kept = records.first().is_some_and(|found| found.bytes == record);
    ensure(kept && records.len() == 2, || format!("{} records came back", records.len()))?;
    let followed = super::take(&mut log.follow(2), 2).await?;
    ensure(followed == records, || "a follower got something else".to_owned())
}

async fn a_larger_record_is_refused(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let appended = log.append(1, Bytes::from(vec![0; RECORD_MAX_BYTES + 1])).await;
    let refused = matches!(appended, Err(AppendError::TooLarge { .. }));
    ensure(refused, || format!("got {appended:?}"))?;
    fill(log.as_ref(), 1, 2).await
}

async fn bytes_come_back_exactly(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    let record: Bytes = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
    log.append(1, record.clone()).await?;
    let read = log.read(2, 10_000).await?;
    ensure(read.first().is_some_and(|found| found.bytes == record), || format!("{read:?}"))?;
    let followed = super::take(&mut log.follow(2), 1).await?;
    ensure(followed == read, || format!("{followed:?}"))
}

async fn an_empty_record_is_kept(bench: &Bench<'_>) -> Outcome {
    let log = bench.create().await?;
    log.append(1, Bytes::new()).await?;
    log.append(2, numbered(3)).await?;
    let read = read_all(log.as_ref(), 1, 10_000).await?;
    let lengths: Vec<usize> = read.iter().map(|record| record.bytes.len()).collect();
    ensure(lengths == [8, 0, 8], || format!("lengths {lengths:?}"))?;
    let single = log.read(2, 1).await?;
    ensure(single.first().is_some_and(|record| record.bytes.is_empty()), || format!("{single:?}"))?;
    let followed = super::take(&mut log.follow(1), 3).await?;
    ensure(followed == read, || format!("{followed:?}"))
}

/// Appends until the log is full, and returns its last number.
async fn until_full(log: &dyn EventLog) -> Result<Seq, Stop> {
    let record = Bytes::from(vec![7; 256 * 1024]);
    let mut fence = log.tail().await?.last;
    for _ in 0..100 {
        match log.append(fence, record.clone()).await {
            Ok(seq) => fence = seq,
            Err(AppendError::Full) => return Ok(fence),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Stop::Failed("100 appends found room in a full log".to_owned()))
}

async fn a_full_log_says_so(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::FillUp).await?;
    let last = until_full(log.as_ref()).await?;
    let again = log.append(last, Bytes::from(vec![7; 256 * 1024])).await;
    ensure(matches!(again, Err(AppendError::Full)), || format!("got {again:?}"))?;
    bench.act(Act::MakeRoom).await?;
    let seq = append_surely(log.as_ref(), last, numbered(last + 1)).await?;
    ensure(seq == last + 1, || format!("record {} became {seq}", last + 1))
}

async fn a_full_log_still_reads(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    bench.act(Act::FillUp).await?;
    let last = until_full(log.as_ref()).await?;
    let read = read_all(log.as_ref(), 1, 10_000_000).await?;
    let first = read.get(..3).unwrap_or(&[]);
    ensure_numbered(first, 1, 3)?;
    let followed = super::take(&mut log.follow(1), read.len()).await?;
    ensure(followed == read, || "a follower got something else".to_owned())?;
    let tail = log.tail().await?;
    ensure(tail.last == last, || format!("{tail:?}"))?;
    bench.act(Act::MakeRoom).await
}

async fn a_thousand_appends_are_contiguous(bench: &Bench<'_>) -> Outcome {
    let log: Arc<dyn EventLog> = bench.create().await?;
    fill(log.as_ref(), 1, 1001).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 4096).await?, 1, 1001)
}
