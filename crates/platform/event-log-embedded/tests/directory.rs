//! The directory of an embedded log: whose it is, what it holds, and what is done about damage.

use std::path::Path;

use bytes::Bytes;
use event_log::{EventLogProvider, LogName, OpenError};
use event_log_embedded::EmbeddedProvider;

fn log() -> LogName {
    LogName::new("intake", 3)
}

/// Makes a log of 20 records and closes its directory.
#[expect(clippy::unwrap_used, reason = "a helper of the tests below")]
async fn filled(directory: &Path) {
    let provider = EmbeddedProvider::open(directory).unwrap();
    let log = provider.create(&log(), Bytes::from_static(b"genesis")).await.unwrap();
    for fence in 1..20 {
        log.append(fence, Bytes::from(vec![7; 5000])).await.unwrap();
    }
    assert_eq!(provider.last_seqs(), [(LogName::new("intake", 3), 20)]);
    provider.close().await;
}

#[tokio::test]
async fn a_directory_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedProvider::open(directory.path()).unwrap();
    let second = EmbeddedProvider::open(directory.path()).unwrap_err();
    let OpenError::InUse { place } = second else { panic!("{second:?}") };
    assert_eq!(Path::new(&place), directory.path());
    first.close().await;
    EmbeddedProvider::open(directory.path()).unwrap();
}

#[tokio::test]
async fn another_version_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    std::fs::write(directory.path().join("FORMAT"), "switchyard-log 2\n").unwrap();
    let refused = EmbeddedProvider::open(directory.path()).unwrap_err();
    let OpenError::OtherVersion { found, supported, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((found.as_str(), supported.as_str()), ("switchyard-log 2", "switchyard-log 1"));
}

#[tokio::test]
async fn a_file_without_a_mark_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    std::fs::remove_file(directory.path().join("FORMAT")).unwrap();
    let refused = EmbeddedProvider::open(directory.path()).unwrap_err();
    assert!(matches!(refused, OpenError::OtherVersion { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_closed_directory_answers_that_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let provider = EmbeddedProvider::open(directory.path()).unwrap();
    let log = provider.create(&log(), Bytes::new()).await.unwrap();
    provider.close().await;
    provider.close().await;
    let appended = log.append(1, Bytes::new()).await;
    assert!(matches!(appended, Err(event_log::AppendError::Unavailable(_))), "{appended:?}");
    let read = log.read(1, 10).await;
    assert!(matches!(read, Err(event_log::LogError::Unavailable(_))), "{read:?}");
}

/// Wherever the file is cut, it is refused or its records are right: never wrong, and no panic.
#[tokio::test]
async fn a_file_cut_short_never_gives_wrong_records() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let file = directory.path().join("log.redb");
    let whole = std::fs::read(&file).unwrap();
    for part in 0..16 {
        std::fs::write(&file, &whole[..whole.len() * part / 16]).unwrap();
        let Ok(provider) = EmbeddedProvider::open(directory.path()) else { continue };
        if let Ok(log) = provider.open(&log()).await {
            for record in log.read(1, usize::MAX).await.unwrap_or_default() {
                let wanted: &[u8] = if record.seq == 1 { b"genesis" } else { &[7; 5000] };
                assert_eq!(record.bytes, wanted);
            }
        }
        provider.close().await;
    }
}

/// What a log gives of its records: as many as can be read from the first on, each compared with what was written.
#[expect(clippy::unwrap_used, reason = "a helper of the test below")]
async fn right_records(provider: &EmbeddedProvider, name: &LogName, fill: u8) -> usize {
    let Ok(log) = provider.open(name).await else { return 0 };
    let mut count = 0;
    for seq in 1..=20 {
        let Ok(records) = log.read(seq, 1).await else { break };
        let Some(record) = records.first() else { break };
        let wanted =
            if seq == 1 { Bytes::from_static(b"genesis") } else { vec![fill; 3000].into() };
        assert_eq!((record.seq, &record.bytes), (seq, &wanted), "{name}");
        count += 1;
    }
    let tail = log.tail().await.unwrap();
    assert!(tail.last <= 20, "{name} goes to {}", tail.last);
    count
}

/// Wherever one byte of the file is another: what is read is right or isn't read, and what is damaged within one log
/// leaves the other whole.
#[tokio::test]
async fn a_flipped_byte_stops_what_it_damages_and_never_gives_wrong_records() {
    const OFFSETS: usize = 150;
    let directory = tempfile::tempdir().unwrap();
    let names = [(LogName::new("intake", 0), 3), (LogName::new("intake", 1), 4)];
    let provider = EmbeddedProvider::open(directory.path()).unwrap();
    for (name, fill) in &names {
        let log = provider.create(name, Bytes::from_static(b"genesis")).await.unwrap();
        for fence in 1..20 {
            log.append(fence, Bytes::from(vec![*fill; 3000])).await.unwrap();
        }
    }
    provider.close().await;
    let file = directory.path().join("log.redb");
    let whole = std::fs::read(&file).unwrap();
    let (mut alone, mut refused, mut unharmed) = (0, 0, 0);
    for number in 0..OFFSETS {
        let mut bytes = whole.clone();
        bytes[whole.len() * number / OFFSETS + number % 64] ^= 0x10;
        std::fs::write(&file, bytes).unwrap();
        let provider = match EmbeddedProvider::open(directory.path()) {
            Ok(provider) => provider,
            Err(OpenError::Damaged { .. } | OpenError::Unavailable(_)) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        let mut whole_logs = 0;
        for (name, fill) in &names {
            whole_logs += usize::from(right_records(&provider, name, *fill).await == 20);
        }
        match whole_logs {
            2 => unharmed += 1,
            1 => alone += 1,
            _ => refused += 1,
        }
        provider.close().await;
    }
    assert!(alone > 0, "no log was ever damaged alone: {refused} refused, {unharmed} unharmed");
    std::fs::write(&file, &whole).unwrap();
    let provider = EmbeddedProvider::open(directory.path()).unwrap();
    for (name, fill) in &names {
        assert_eq!(right_records(&provider, name, *fill).await, 20);
    }
}

#[tokio::test]
async fn a_log_that_is_given_up_makes_room_for_another_of_its_name() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let provider = EmbeddedProvider::open(directory.path()).unwrap();
    let old = provider.open(&log()).await.unwrap();
    provider.remove(&log()).await.unwrap();
    assert!(matches!(provider.open(&log()).await, Err(OpenError::Missing { .. })));
    assert!(old.read(1, 1).await.is_err(), "it is still read");
    provider.remove(&log()).await.unwrap();
    let new = provider.create(&log(), Bytes::from_static(b"another")).await.unwrap();
    assert_eq!(new.append(1, Bytes::from_static(b"second")).await.unwrap(), 2);
    provider.close().await;
    let provider = EmbeddedProvider::open(directory.path()).unwrap();
    assert_eq!(provider.last_seqs(), [(log(), 2)]);
    let records = provider.open(&log()).await.unwrap().read(1, 100).await.unwrap();
    assert_eq!(records[0].bytes, Bytes::from_static(b"another"));
}
