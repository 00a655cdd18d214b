//! The store on real files, whole and damaged.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;

fn key() -> SnapshotKey {
    SnapshotKey::new("intake", 3)
}

/// A state of 2.5 chunks that no compression makes small.
fn snapshot(seq: u64) -> Snapshot {
    let mut bytes = vec![0; (5 << 20) / 2];
    blake3::Hasher::new().update(&seq.to_be_bytes()).finalize_xof().fill(&mut bytes);
    Snapshot { version: 2, log_id: [7; 16], seq, chain: [9; 16], bytes: Bytes::from(bytes) }
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
async fn a_snapshot_survives_a_restart_and_keeps_to_its_key() {
    let place = tempfile::tempdir().unwrap();
    let store = SledSnapshots::open(place.path()).unwrap();
    assert_eq!(store.load(&key()).await, None);
    store.save(&key(), snapshot(5)).await.unwrap();
    store.close().await.unwrap();
    let store = SledSnapshots::open(place.path()).unwrap();
    assert_eq!(store.load(&key()).await, Some(snapshot(5)));
    assert_eq!(store.load(&SnapshotKey::new("intake", 4)).await, None);
    assert_eq!(store.load(&SnapshotKey::new("sla", 3)).await, None);
    store.discard(&key(), 4).await.unwrap();
    assert_eq!(store.load(&key()).await, Some(snapshot(5)), "only what was named is forgotten");
    store.discard(&key(), 5).await.unwrap();
    assert_eq!(store.load(&key()).await, None);
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_newest_is_loaded_and_two_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("database");
    let database = database::Database::open(&path).unwrap();
    for seq in 1..=4 {
        database.save(&key(), &snapshot(seq)).unwrap();
    }
    assert_eq!(database.load(&key()).unwrap(), Some(snapshot(4)));
    assert_eq!(database.generation_count(&key()), 2);
    // A newest one with a wrong byte gives way to the one before.
    database.damage(&key());
    assert_eq!(database.load(&key()).unwrap(), Some(snapshot(3)));
    database.close();
}

#[tokio::test]
async fn a_flipped_bit_in_the_files_never_gives_wrong_data() {
    let place = tempfile::tempdir().unwrap();
    let store = SledSnapshots::open(place.path()).unwrap();
    store.save(&key(), snapshot(1)).await.unwrap();
    store.save(&key(), snapshot(2)).await.unwrap();
    store.close().await.unwrap();
    let whole: Vec<_> = files(place.path())
        .into_iter()
        .map(|file| (file.clone(), std::fs::read(file).unwrap()))
        .collect();
    let mut outcomes = [0, 0];
    for (number, part) in (0..4_u64).flat_map(|part| (0..whole.len()).map(move |file| (file, part)))
    {
        let damaged = tempfile::tempdir().unwrap();
        for (index, (file, bytes)) in whole.iter().enumerate() {
            let copy = damaged.path().join(file.strip_prefix(place.path()).unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            let mut bytes = bytes.clone();
            if index == number && !bytes.is_empty() {
                let at = bytes.len() * usize::try_from(part).unwrap() / 4;
                bytes[at] ^= 0x10;
            }
            std::fs::write(copy, bytes).unwrap();
        }
        let store = SledSnapshots::open(damaged.path()).unwrap();
        let loaded = store.load(&key()).await;
        assert!(
            loaded.is_none() || loaded == Some(snapshot(1)) || loaded == Some(snapshot(2)),
            "wrong data after a flip in {:?}",
            whole[number].0
        );
        outcomes[usize::from(loaded.is_some())] += 1;
        // Whatever happened, the store goes on.
        store
            .save(&key(), snapshot(3))
            .await
            .or_else(|error| match error {
                StoreError::SetAside(_) => Ok(()),
                StoreError::Open(_) | StoreError::Dead => Err(error),
            })
            .unwrap();
        store.save(&key(), snapshot(3)).await.unwrap();
        assert_eq!(store.load(&key()).await, Some(snapshot(3)));
        store.close().await.unwrap();
    }
    assert!(outcomes[1] > 0, "some flips hit nothing that matters");
}

#[tokio::test]
async fn rubbish_is_set_aside_and_the_oldest_rubbish_removed() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("sled-0.1.0-v1")).unwrap();
    for _ in 0..5 {
        let current = place.path().join(owner::CURRENT);
        if current.exists() {
            std::fs::remove_dir_all(&current).unwrap();
        }
        std::fs::write(current, "rubbish").unwrap();
        SledSnapshots::open(place.path()).unwrap().close().await.unwrap();
    }
    let mut names: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["LOCK", "quarantine-3", "quarantine-4", "quarantine-5", owner::CURRENT]);
}
