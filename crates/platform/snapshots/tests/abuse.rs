//! The store in a process that is killed, on a disk that is full, and over files that were cut off.
//!
//! What is killed or starved is a child: this very program, told by its environment what to be.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test and its child")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use snapshots::{SledSnapshots, Snapshot, SnapshotKey, SnapshotStore};

const PLACE: &str = "SNAPSHOTS_CHILD_PLACE";
const SAVES: &str = "SNAPSHOTS_CHILD_SAVES";

fn key() -> SnapshotKey {
    SnapshotKey::new("routing", 1)
}

/// A state of 1.5 chunks that no compression makes small, different for each record.
fn snapshot(seq: u64) -> Snapshot {
    let mut bytes = vec![0; 3 << 19];
    blake3::Hasher::new().update(&seq.to_be_bytes()).finalize_xof().fill(&mut bytes);
    Snapshot { version: 1, log_id: [7; 16], seq, chain: [9; 16], bytes: Bytes::from(bytes) }
}

/// Not a test: the process that saves one snapshot after the other, and says so.
#[tokio::test]
#[ignore = "it is the other tests' child"]
async fn child() {
    let place = std::env::var_os(PLACE).unwrap();
    let saves: u64 = std::env::var(SAVES).unwrap().parse().unwrap();
    let store = SledSnapshots::open(place).unwrap();
    let first = store.load(&key()).await.map_or(1, |newest| newest.seq + 1);
    let mut failures = 0;
    for seq in first..first.saturating_add(saves) {
        match store.save(&key(), snapshot(seq)).await {
            Ok(()) => println!("saved {seq}"),
            Err(error) => {
                println!("failed {seq} {error}");
                failures += 1;
            }
        }
        if let Some(loaded) = store.load(&key()).await {
            assert_eq!(loaded, snapshot(loaded.seq), "loaded what was never saved");
        }
        if failures == 3 {
            break;
        }
    }
    println!("serves on");
}

fn spawn(mut command: Command, place: &Path, saves: u64) -> (Child, impl Iterator<Item = String>) {
    let mut child = command
        .env(PLACE, place)
        .env(SAVES, saves.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map_while(Result::ok))
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

const AS_CHILD: [&str; 4] = ["--ignored", "--exact", "--nocapture", "child"];

#[tokio::test]
async fn a_store_killed_again_and_again_never_gives_wrong_data() {
    let place = tempfile::tempdir().unwrap();
    let mut loads = 0;
    for round in 0..12_usize {
        let mut command = Command::new(this_program());
        command.args(AS_CHILD);
        let (mut child, lines) = spawn(command, place.path(), u64::MAX);
        let saved = lines
            .filter_map(|line| line.rsplit_once("saved ")?.1.parse::<u64>().ok())
            .take(1 + round % 4)
            .last();
        // Whatever it is at: between chunks, before a manifest, in a flush.
        child.kill().unwrap();
        child.wait().unwrap();
        let store = SledSnapshots::open(place.path()).unwrap();
        if let Some(loaded) = store.load(&key()).await {
            assert_eq!(loaded, snapshot(loaded.seq), "round {round}: wrong data");
            loads += usize::from(Some(loaded.seq) >= saved);
        }
        store.close().await.unwrap();
    }
    // What was flushed is in the kernel's hands, which were not killed.
    assert!(loads >= 6, "only {loads} of 12 starts found what had been saved");
}

/// A child whose files may have so many KiB; beyond, a write fails instead of killing its process. What it said.
fn starved(place: &Path, kib: u32) -> Vec<String> {
    let mut command = Command::new("bash");
    let limited = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    command.args(["-c", &limited]);
    command.arg(this_program()).args(AS_CHILD).stderr(Stdio::null());
    let (mut child, lines) = spawn(command, place, 40);
    let said = lines.collect::<Vec<_>>();
    assert!(child.wait().unwrap().success(), "{said:?}");
    assert!(said.iter().any(|line| line.contains("failed ")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("serves on")), "{said:?}");
    said
}

#[test]
fn a_full_disk_is_an_error_and_nothing_worse() {
    let place = tempfile::tempdir().unwrap();
    let said = starved(place.path(), 4096);
    assert!(said.iter().any(|line| line.contains("saved ")), "{said:?}");
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_keeps_nobody_from_starting() {
    let place = tempfile::tempdir().unwrap();
    let said = starved(place.path(), 0);
    assert!(!said.iter().any(|line| line.contains("saved ")), "{said:?}");
    // As soon as there is room, it is used.
    let store = SledSnapshots::open(place.path()).unwrap();
    store.save(&key(), snapshot(1)).await.unwrap();
    assert_eq!(store.load(&key()).await, Some(snapshot(1)));
    store.close().await.unwrap();
}

#[test]
fn a_directory_that_cannot_be_is_an_error() {
    let place = tempfile::NamedTempFile::new().unwrap();
    assert!(SledSnapshots::open(place.path()).is_err());
}

fn files(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_file_that_was_cut_off_never_gives_wrong_data() {
    let place = tempfile::tempdir().unwrap();
    let store = SledSnapshots::open(place.path()).unwrap();
    store.save(&key(), snapshot(1)).await.unwrap();
    store.save(&key(), snapshot(2)).await.unwrap();
    store.close().await.unwrap();
    let whole: Vec<_> = files(place.path());
    for (file, eighths) in whole.iter().flat_map(|file| [0, 1, 3, 5, 7].map(|part| (file, part))) {
        let damaged = tempfile::tempdir().unwrap();
        for each in &whole {
            let copy = damaged.path().join(each.strip_prefix(place.path()).unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(each, &copy).unwrap();
            if each == file {
                let length = copy.metadata().unwrap().len() * eighths / 8;
                let copy = std::fs::OpenOptions::new().write(true).open(copy).unwrap();
                copy.set_len(length).unwrap();
            }
        }
        let store = SledSnapshots::open(damaged.path()).unwrap();
        if let Some(loaded) = store.load(&key()).await {
            assert_eq!(loaded, snapshot(loaded.seq), "{} cut to {eighths}/8", file.display());
        }
        // A failing store is set aside at once; the one in its stead takes what it is given.
        drop(store.save(&key(), snapshot(3)).await);
        store.save(&key(), snapshot(3)).await.unwrap();
        assert_eq!(store.load(&key()).await, Some(snapshot(3)));
        store.close().await.unwrap();
    }
}
