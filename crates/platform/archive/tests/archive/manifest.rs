//! Manifests as nobody wrote them.

use archive::{Archive, CopiedLog, MANIFEST, Manifest};
use event_log::LogName;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::history::history;

/// An archive of one log with its manifest, and the manifest's bytes.
fn backup() -> (tempfile::TempDir, Archive, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    let mut log = archive.log(&LogName::new("intake", 0)).unwrap();
    for record in history(3) {
        log.push(&record).unwrap();
    }
    log.flush().unwrap();
    let end = log.end().unwrap().clone();
    let copied = CopiedLog {
        service: "intake".to_owned(),
        partition: 0,
        log_id: hex::encode(end.log_id),
        generation: 2,
        last: end.seq,
        chain: hex::encode(end.chain),
        state_hash: "00".repeat(32),
        state_version: 1,
    };
    let made_at = "2026-01-05T09:00:00Z".to_owned();
    Manifest::new("a backup".to_owned(), made_at, 4, vec![copied]).write(&archive).unwrap();
    let bytes = std::fs::read(folder.path().join(MANIFEST)).unwrap();
    (folder, archive, bytes)
}

/// Space between its words means nothing; whatever else is changed is noticed.
#[test]
fn a_harmed_manifest_is_refused_or_says_the_same() {
    let (folder, archive, whole) = backup();
    let good = Manifest::read(&archive).unwrap();
    proptest!(|(
        flips in vec((any::<Index>(), 0..8_u8), 1..3), cut in proptest::option::of(any::<Index>()),
    )| {
        let mut bytes = whole.clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        std::fs::write(folder.path().join(MANIFEST), bytes).unwrap();
        if let Ok(read) = Manifest::read(&archive) {
            prop_assert_eq!(&read, &good);
        }
    });
}

#[test]
fn bytes_of_anybody_are_no_manifest() {
    let (folder, archive, _) = backup();
    proptest!(|(bytes in vec(any::<u8>(), 0..300), nested in 0..3_000_usize)| {
        for content in [bytes, "[".repeat(nested).into_bytes()] {
            std::fs::write(folder.path().join(MANIFEST), content).unwrap();
            prop_assert!(Manifest::read(&archive).is_err());
        }
    });
}
