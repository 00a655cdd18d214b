//! What an archive promises: segments that never change, one history, nothing damaged handed out, and a past that joins
//! its log.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "what surrounds a test fails like the test itself"
)]

mod history;
mod joined;
mod manifest;

use std::fs;
use std::path::{Path, PathBuf};

use archive::{Archive, ArchiveError, ArchivedLog, SEGMENT_RECORDS_MAX};
use event_log::LogName;
use history::{history, other};
use runtime::ServiceId;
use tempfile::TempDir;

fn name() -> LogName {
    ServiceId::Intake.log(0)
}

fn place() -> (TempDir, Archive) {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::create(directory.path().join("archive")).unwrap();
    (directory, archive)
}

/// The archived log with these records more, all of them on disk.
fn gone_on(archive: &Archive, records: &[event_log::Record]) -> ArchivedLog {
    let mut log = archive.log(&name()).unwrap();
    for record in records {
        log.push(record).unwrap();
    }
    log.flush().unwrap();
    log
}

fn files(archive: &Archive) -> Vec<PathBuf> {
    let folder = archive.directory().join("intake/00");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Whether the archive can be opened and read to its end.
fn read(archive: &Archive) -> Result<u64, ArchiveError> {
    archive.log(&name())?.verify()
}

#[test]
fn a_segment_that_is_written_never_changes() {
    let (_directory, archive) = place();
    let records = history(9);
    gone_on(&archive, &records[..4]);
    let [first] = &files(&archive)[..] else { panic!("{:?}", files(&archive)) };
    let (before, at) = (fs::read(first).unwrap(), fs::metadata(first).unwrap().modified().unwrap());
    let log = gone_on(&archive, &records[4..]);
    assert_eq!((log.last(), log.segments(), files(&archive).len()), (9, 2, 2));
    assert_eq!(fs::read(first).unwrap(), before);
    assert_eq!(fs::metadata(first).unwrap().modified().unwrap(), at);
    // Nothing new is nothing written.
    assert_eq!(gone_on(&archive, &[]).segments(), 2);
    assert_eq!(read(&archive).unwrap(), 9);
    assert_eq!(archive.log(&name()).unwrap().read(6).unwrap(), records[4..]);
}

#[test]
fn a_full_segment_is_written_on_the_way() {
    let (_directory, archive) = place();
    let records = history(SEGMENT_RECORDS_MAX + 3);
    let mut log = archive.log(&name()).unwrap();
    for record in &records {
        log.push(record).unwrap();
    }
    // The rest is lost with whoever has not flushed it; what is written is whole.
    drop(log);
    assert_eq!(read(&archive).unwrap(), SEGMENT_RECORDS_MAX as u64);
    let log = gone_on(&archive, &records[SEGMENT_RECORDS_MAX..]);
    assert_eq!((log.last(), log.segments()), (records.len() as u64, 2));
}

#[test]
fn any_byte_that_differs_is_noticed() {
    let (_directory, archive) = place();
    gone_on(&archive, &history(5));
    let [file] = &files(&archive)[..] else { panic!("{:?}", files(&archive)) };
    let whole = fs::read(file).unwrap();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(file, &bad).unwrap();
        assert!(read(&archive).is_err(), "byte {at}");
    }
    fs::write(file, &whole).unwrap();
    assert_eq!(read(&archive).unwrap(), 5);
}

#[test]
fn a_segment_that_is_cut_off_or_goes_on_is_refused() {
    let (_directory, archive) = place();
    gone_on(&archive, &history(5));
    let [file] = &files(&archive)[..] else { panic!("{:?}", files(&archive)) };
    let whole = fs::read(file).unwrap();
    for end in 0..whole.len() {
        fs::write(file, &whole[..end]).unwrap();
        assert!(read(&archive).is_err(), "cut at {end}");
    }
    fs::write(file, [&whole[..], &[0]].concat()).unwrap();
    assert!(read(&archive).is_err(), "a byte more");
}

#[test]
fn a_segment_of_another_place_or_history_is_refused() {
    let (_directory, archive) = place();
    let records = history(6);
    gone_on(&archive, &records[..3]);
    gone_on(&archive, &records[3..]);
    let [first, second] = &files(&archive)[..] else { panic!("{:?}", files(&archive)) };
    let good = fs::read(second).unwrap();
    // Another history's second half, whole in itself.
    let (_elsewhere, foreign) = place();
    let others = other(6);
    gone_on(&foreign, &others[..3]);
    gone_on(&foreign, &others[3..]);
    fs::copy(&files(&foreign)[1], second).unwrap();
    let error = read(&archive).unwrap_err();
    assert!(matches!(error, ArchiveError::Broken { .. }), "{error}");
    // The right records under a wrong name, and another partition's.
    fs::write(second, &good).unwrap();
    let wrong = second.with_file_name(format!("{:020}.segment", 5));
    fs::rename(second, &wrong).unwrap();
    assert!(matches!(read(&archive).unwrap_err(), ArchiveError::Broken { .. }));
    fs::rename(&wrong, second).unwrap();
    let beside = archive.directory().join("intake/01");
    fs::create_dir(&beside).unwrap();
    fs::copy(first, beside.join(first.file_name().unwrap())).unwrap();
    let error = archive.log(&ServiceId::Intake.log(1)).unwrap_err();
    assert!(error.to_string().contains("another partition"), "{error}");
    // A gap at the beginning.
    fs::remove_file(first).unwrap();
    assert!(matches!(read(&archive).unwrap_err(), ArchiveError::Broken { .. }));
}

#[test]
fn two_histories_are_never_in_one_archive() {
    let (_directory, archive) = place();
    let (records, others) = (history(6), other(6));
    gone_on(&archive, &records[..3]);
    let mut log = archive.log(&name()).unwrap();
    let not_the_next = [&others[3], &records[4], &records[2], &others[0]];
    for record in not_the_next {
        let error = log.push(record).unwrap_err();
        assert!(matches!(error, ArchiveError::OtherHistory { end: 3, .. }), "{error}");
    }
    // What was refused has changed nothing.
    log.flush().unwrap();
    assert_eq!((log.last(), log.segments()), (3, 1));
    assert_eq!(gone_on(&archive, &records[3..]).last(), 6);
    assert_eq!(read(&archive).unwrap(), 6);
}

#[test]
fn an_archive_that_was_killed_in_the_middle_of_a_write_goes_on() {
    let (_directory, archive) = place();
    let records = history(8);
    gone_on(&archive, &records[..3]);
    // What the next segment looks like once it is there.
    let (_elsewhere, whole) = place();
    gone_on(&whole, &records[..3]);
    gone_on(&whole, &records[3..6]);
    let written = fs::read(&files(&whole)[1]).unwrap();
    let partial = archive.directory().join("intake/00").join(format!("{:020}.partial", 4));
    for end in [0, 1, written.len() / 2, written.len()] {
        fs::write(&partial, &written[..end]).unwrap();
        assert_eq!(read(&archive).unwrap(), 3, "killed after {end} bytes");
    }
    let log = gone_on(&archive, &records[3..]);
    assert_eq!((log.last(), log.segments()), (8, 2));
    assert!(!partial.exists());
    assert_eq!(read(&archive).unwrap(), 8);
}

#[test]
fn what_was_taken_in_can_be_taken_back() {
    let (_directory, archive) = place();
    let records = history(9);
    gone_on(&archive, &records[..3]);
    let mut log = gone_on(&archive, &records[3..]);
    log.cut_back(5).unwrap();
    assert_eq!((log.last(), read(&archive).unwrap()), (5, 5));
    assert_eq!(gone_on(&archive, &records[5..]).last(), 9);
    log = archive.log(&name()).unwrap();
    log.cut_back(0).unwrap();
    assert_eq!((log.last(), files(&archive)), (0, Vec::new()));
}

#[test]
fn a_disk_that_takes_nothing_is_said_so_and_nothing_is_named() {
    let (_directory, archive) = place();
    fs::write(archive.directory().join("intake"), "in the way").unwrap();
    let mut log = archive.log(&name()).unwrap();
    log.push(&history(1)[0]).unwrap();
    let error = log.flush().unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error}");
    assert!(!Path::new(&archive.directory().join("intake/00")).exists());
}
