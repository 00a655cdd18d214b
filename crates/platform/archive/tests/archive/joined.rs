//! An archive and its log, read as one.

use std::sync::Arc;

use archive::{Archive, ArchiveProvider, WithArchive};
use event_log::memory::MemoryProvider;
use event_log::{AppendError, EventLog, EventLogProvider, LogError, OpenError, Record, Tail};
use futures::StreamExt as _;

use super::{gone_on, history, name, other, place};

/// A log with these records.
async fn logged(records: &[Record]) -> (Arc<MemoryProvider>, Arc<dyn EventLog>) {
    let provider = Arc::new(MemoryProvider::new());
    let log = provider.create(&name(), records[0].bytes.clone()).await.unwrap();
    for record in &records[1..] {
        log.append(record.seq - 1, record.bytes.clone()).await.unwrap();
    }
    (provider, log)
}

async fn joined(
    provider: &Arc<MemoryProvider>,
    archive: &Archive,
) -> Result<Arc<dyn EventLog>, OpenError> {
    let logs: Arc<dyn EventLogProvider> = Arc::<MemoryProvider>::clone(provider);
    WithArchive::new(logs, archive.clone()).open(&name()).await
}

async fn all(log: &dyn EventLog, max_bytes: usize) -> Vec<Record> {
    let last = log.tail().await.unwrap().last;
    let mut all: Vec<Record> = Vec::new();
    while (all.len() as u64) < last {
        let some = log.read(all.len() as u64 + 1, max_bytes).await.unwrap();
        assert!(!some.is_empty());
        all.extend(some);
    }
    all
}

#[tokio::test]
async fn what_the_log_has_no_more_comes_from_the_archive() {
    let (_directory, archive) = place();
    let records = history(40);
    for some in records[..30].chunks(3) {
        gone_on(&archive, some);
    }
    let (provider, log) = logged(&records).await;
    log.trim(25).await.unwrap();
    let whole = joined(&provider, &archive).await.unwrap();
    assert_eq!(whole.tail().await.unwrap(), Tail { first: 1, last: 40 });
    for max_bytes in [0, 400, 1_000_000] {
        assert_eq!(all(&*whole, max_bytes).await, records, "by {max_bytes}");
    }
    // Followed over the seam, and on to what is written later.
    let more = history(43);
    let mut followed = whole.follow(1);
    for record in &records {
        assert_eq!(followed.next().await.unwrap().unwrap(), *record);
    }
    for record in &more[40..] {
        whole.append(record.seq - 1, record.bytes.clone()).await.unwrap();
        assert_eq!(followed.next().await.unwrap().unwrap(), *record);
    }
}

#[tokio::test]
async fn a_trim_while_it_is_open_changes_nothing_for_its_readers() {
    let (_directory, archive) = place();
    let records = history(20);
    let (provider, log) = logged(&records).await;
    // Nothing is archived yet.
    let whole = joined(&provider, &archive).await.unwrap();
    let mut followed = whole.follow(1);
    assert_eq!(followed.next().await.unwrap().unwrap(), records[0]);
    gone_on(&archive, &records[..15]);
    log.trim(12).await.unwrap();
    assert_eq!(whole.tail().await.unwrap().first, 1);
    assert_eq!(all(&*whole, 1_000_000).await, records);
    assert_eq!(whole.follow(3).next().await.unwrap().unwrap(), records[2]);
    // One that was at work is told that it has to begin again where it was, and then it can.
    let next = followed.next().await.unwrap();
    assert!(matches!(next, Ok(_) | Err(LogError::Trimmed { first: 13 })), "{next:?}");
}

#[tokio::test]
async fn what_neither_has_is_said_to_be_trimmed() {
    let (_directory, archive) = place();
    let records = history(20);
    let (provider, log) = logged(&records).await;
    gone_on(&archive, &records[..5]);
    let whole = joined(&provider, &archive).await.unwrap();
    // Somebody trims without asking the archive.
    log.trim(10).await.unwrap();
    assert_eq!(whole.tail().await.unwrap(), Tail { first: 11, last: 20 });
    let read = whole.read(7, 1000).await;
    assert!(matches!(read, Err(LogError::Trimmed { first: 11 })), "{read:?}");
    let followed = whole.follow(1).next().await.unwrap();
    assert!(matches!(followed, Err(LogError::Trimmed { first: 11 })), "{followed:?}");
    let opened = joined(&provider, &archive).await;
    assert!(matches!(opened, Err(OpenError::Misconfigured { .. })), "{opened:?}");
}

#[tokio::test]
async fn an_archive_of_another_log_is_not_joined() {
    let (_directory, archive) = place();
    gone_on(&archive, &other(5));
    for (records, trimmed) in [(history(9), 0), (history(9), 3), (history(3), 0)] {
        let (provider, log) = logged(&records).await;
        log.trim(trimmed).await.unwrap();
        let opened = joined(&provider, &archive).await;
        assert!(matches!(opened, Err(OpenError::Misconfigured { .. })), "{opened:?}");
    }
}

#[tokio::test]
async fn a_damaged_segment_is_an_error_and_never_a_record() {
    let (_directory, archive) = place();
    let records = history(10);
    gone_on(&archive, &records[..5]);
    let (provider, log) = logged(&records).await;
    log.trim(5).await.unwrap();
    let whole = joined(&provider, &archive).await.unwrap();
    let file = &super::files(&archive)[0];
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let read = whole.read(2, 1000).await;
    assert!(matches!(read, Err(LogError::Corrupt { seq: 2, .. })), "{read:?}");
    let followed = whole.follow(1).next().await.unwrap();
    assert!(matches!(followed, Err(LogError::Corrupt { .. })), "{followed:?}");
    assert_eq!(whole.read(6, 1).await.unwrap(), records[5..6]);
}

#[tokio::test]
async fn an_archive_alone_is_read_and_never_written() {
    let (_directory, archive) = place();
    let records = history(8);
    gone_on(&archive, &records);
    let provider = ArchiveProvider::new(archive);
    assert_eq!(provider.list().await.unwrap(), [name()]);
    let log = provider.open(&name()).await.unwrap();
    assert_eq!(all(&*log, 300).await, records);
    let beyond = log.read(10, 1).await;
    assert!(matches!(beyond, Err(LogError::Beyond { last: 8 })), "{beyond:?}");
    let appended = log.append(8, records[0].bytes.clone()).await;
    assert!(matches!(appended, Err(AppendError::Unavailable(_))), "{appended:?}");
    assert!(log.trim(3).await.is_err());
    let made = provider.create(&name(), records[0].bytes.clone()).await;
    assert!(matches!(made, Err(OpenError::Denied(_))), "{made:?}");
}
