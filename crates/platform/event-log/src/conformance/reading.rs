//! Cases about reading and trimming.

use super::{Act, Bench, Outcome, Stop, ensure, ensure_numbered, fill, numbered, read_all, suite};
use crate::{LogError, Seq, Tail};

suite![
    reading_the_next_number_is_empty,
    reading_beyond_the_end_fails,
    reading_zero_fails,
    a_small_limit_still_gives_one,
    a_limit_bounds_what_is_read,
    reading_starts_in_the_middle,
    small_reads_add_up_to_the_log,
    trimming_moves_the_beginning,
    reading_what_was_trimmed_fails,
    trimming_all_keeps_the_count,
    trimming_twice_does_nothing,
    trimming_beyond_the_end_fails,
    trimming_survives_a_crash,
    reading_while_it_is_trimmed_finds_no_hole,
];

async fn reading_the_next_number_is_empty(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    let read = log.read(4, 1000).await?;
    ensure(read.is_empty(), || format!("{read:?}"))
}

async fn reading_beyond_the_end_fails(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    for from in [5, 1000] {
        let read = log.read(from, 1000).await;
        ensure(matches!(read, Err(LogError::Beyond { last: 3 })), || format!("{from}: {read:?}"))?;
    }
    Ok(())
}

async fn reading_zero_fails(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    let read = log.read(0, 1000).await;
    ensure(matches!(read, Err(LogError::Trimmed { first: 1 })), || format!("{read:?}"))
}

async fn a_small_limit_still_gives_one(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    for limit in [0, 1] {
        ensure_numbered(&log.read(2, limit).await?, 2, 2)?;
    }
    Ok(())
}

async fn a_limit_bounds_what_is_read(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(200).await?;
    let read = log.read(1, 500).await?;
    let bytes: usize = read.iter().map(|record| record.bytes.len()).sum();
    ensure(bytes <= 500 && !read.is_empty(), || format!("{bytes} bytes came back"))
}

async fn reading_starts_in_the_middle(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(20).await?;
    ensure_numbered(&read_all(log.as_ref(), 11, 100_000).await?, 11, 20)
}

async fn small_reads_add_up_to_the_log(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(40).await?;
    ensure_numbered(&read_all(log.as_ref(), 1, 25).await?, 1, 40)
}

async fn trimming_moves_the_beginning(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    log.trim(4).await?;
    let tail = log.tail().await?;
    ensure(tail == Tail { first: 5, last: 10 }, || format!("{tail:?}"))?;
    ensure_numbered(&read_all(log.as_ref(), 5, 1000).await?, 5, 10)?;
    fill(log.as_ref(), 10, 12).await
}

async fn reading_what_was_trimmed_fails(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    log.trim(4).await?;
    for from in [1, 4] {
        let read = log.read(from, 1000).await;
        ensure(matches!(read, Err(LogError::Trimmed { first: 5 })), || {
            format!("{from}: {read:?}")
        })?;
    }
    Ok(())
}

async fn trimming_all_keeps_the_count(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    log.trim(10).await?;
    let tail = log.tail().await?;
    ensure(tail == Tail { first: 11, last: 10 }, || format!("{tail:?}"))?;
    let seq = log.append(10, numbered(11)).await?;
    ensure(seq == 11, || format!("the next record became {seq}"))?;
    ensure_numbered(&read_all(log.as_ref(), 11, 1000).await?, 11, 11)
}

async fn trimming_twice_does_nothing(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    for upto in [4, 4, 2, 0] {
        log.trim(upto).await?;
        let tail = log.tail().await?;
        ensure(tail.first == 5, || format!("after {upto}: {tail:?}"))?;
    }
    Ok(())
}

async fn trimming_survives_a_crash(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(10).await?;
    log.trim(4).await?;
    drop(log);
    bench.act(Act::Crash).await?;
    let log = bench.open().await?;
    let tail = log.tail().await?;
    ensure(tail == Tail { first: 5, last: 10 }, || format!("{tail:?}"))?;
    ensure_numbered(&read_all(log.as_ref(), 5, 1000).await?, 5, 10)?;
    fill(log.as_ref(), 10, 12).await
}

/// Whoever reads while it happens gets records without a hole, or hears that they are gone.
async fn reading_while_it_is_trimmed_finds_no_hole(bench: &Bench<'_>) -> Outcome {
    const LAST: Seq = 400;
    let log = bench.filled(LAST).await?;
    let trimming = async {
        for upto in (20..LAST).step_by(20) {
            log.trim(upto).await?;
        }
        Ok::<_, Stop>(())
    };
    let reading = async {
        let mut next = 1;
        while next < LAST {
            match log.read(next, 100).await {
                Ok(records) => {
                    let last = records.last().map_or(next, |record| record.seq);
                    ensure_numbered(&records, next, last)?;
                    next = last + 1;
                }
                Err(LogError::Trimmed { first }) => {
                    ensure(first > next, || {
                        format!("{next} is trimmed, yet it begins at {first}")
                    })?;
                    next = first;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok::<_, Stop>(())
    };
    let (trimmed, read) = futures::join!(trimming, reading);
    trimmed.and(read)
}

async fn trimming_beyond_the_end_fails(bench: &Bench<'_>) -> Outcome {
    let log = bench.filled(3).await?;
    let trimmed = log.trim(4).await;
    ensure(matches!(trimmed, Err(LogError::Beyond { last: 3 })), || format!("{trimmed:?}"))?;
    ensure_numbered(&read_all(log.as_ref(), 1, 1000).await?, 1, 3)
}
