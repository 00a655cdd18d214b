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
