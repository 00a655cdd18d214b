//! Segments as nobody wrote them: bits flipped, ends cut off, numbers at their limits, with a hash that holds or
//! without.

use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use runtime::{ServiceId, genesis};
use tempfile::TempDir;

use super::*;

const BORN: LogId = [7; 16];

fn name() -> LogName {
    LogName::new("intake", 0)
}

/// So many records: a birth, and then a new identity with each, as if the log had been restored again and again.
fn records(count: u64) -> Vec<Record> {
    let mut reader = ChainReader::at_start(BORN);
    let mut records = Vec::new();
    for seq in 1..=count {
        let bytes = match seq {
            1 => genesis(ServiceId::Intake, 0, 4, BORN),
            _ => reader.restored([u8::try_from(seq).unwrap(); 16], 2, "a test", seq),
        };
        let record = Record { seq, bytes };
        reader.take(&record).unwrap();
        records.push(record);
    }
    records
}

/// A segment of 9 records.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = Draft::new(ChainReader::at_start(BORN));
    for record in records(9) {
        draft.push(&record).unwrap();
    }
    draft.write(folder.path(), &name()).unwrap();
    fs::read(folder.path().join(file_name(1))).unwrap()
});

/// A folder with that segment in it, and its bytes.
fn written() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name(1));
    (folder, path, GOOD.clone())
}

/// The same content with a hash that holds.
fn hashed(mut content: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&content);
    content.extend(hash.as_bytes());
    content
}

/// Reads it in both ways. Neither panics, and what is taken for records follows in one chain.
fn read_both(path: &Path, bytes: &[u8]) -> Result<(), TestCaseError> {
    fs::write(path, bytes).unwrap();
    let header = read_header(path, &name());
    if let Ok(records) = read(path, &name()) {
        let segment = header.expect("what is read whole has a first line");
        prop_assert_eq!(records.first().map(|it| it.seq), Some(segment.first));
        prop_assert_eq!(records.last().map(|it| it.seq), Some(segment.last));
        let mut reader = segment.before;
        for record in &records {
            prop_assert!(reader.take(record).is_ok());
        }
        prop_assert_eq!(reader, segment.after);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_harmed_segment_is_refused(
        flips in vec((any::<Index>(), 0..8_u8), 1..4), cut in proptest::option::of(any::<Index>()), more in vec(any::<u8>(), 0..9),
    ) {
        let (_folder, path, good) = written();
        let mut bytes = good.clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        bytes.extend(more);
        prop_assume!(bytes != good);
        read_both(&path, &bytes)?;
        prop_assert!(read(&path, &name()).is_err());
    }

    /// A hash keeps out accidents alone: what it holds for may still be anything.
    #[test]
    fn a_forged_segment_is_read_or_refused(flips in vec((any::<Index>(), 0..8_u8), 0..4), cut in proptest::option::of(any::<Index>())) {
        let (_folder, path, mut bytes) = written();
        bytes.truncate(bytes.len() - HASH_BYTES);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        read_both(&path, &hashed(bytes))?;
    }

    #[test]
    fn bytes_of_anybody_are_refused(bytes in vec(any::<u8>(), 0..400), line in any::<bool>(), with_hash in any::<bool>()) {
        let (_folder, path, _) = written();
        let mut content = if line { b"{}\n".to_vec() } else { Vec::new() };
        content.extend(bytes);
        let content = if with_hash { hashed(content) } else { content };
        read_both(&path, &content)?;
        prop_assert!(read(&path, &name()).is_err());
    }

    /// A first line whose numbers are at their limits, before a body that doesn't care.
    #[test]
    fn a_first_line_of_any_numbers_is_read_or_refused(
        numbers in vec(select(vec![0, 1, 2, 9, 10, 10_000, 10_001, u64::MAX - 1, u64::MAX, 1 << 63, 1 << 40]), 7),
        fitting in any::<bool>(), body in vec(any::<u8>(), 0..40),
    ) {
        let (_folder, path, _) = written();
        let [mut first, mut last, mut records, bytes, before, after, epoch] = numbers.try_into().unwrap();
        if fitting {
            (first, last, records) = (before.wrapping_add(1), after, after.wrapping_sub(before));
        }
        let joint = |seq: u64| serde_json::json!({
            "log_id": hex::encode(BORN), "seq": seq, "chain": "00".repeat(16), "epoch": epoch,
        });
        let line = serde_json::json!({
            "format": FORMAT, "service": "intake", "partition": 0, "first": first, "last": last, "records": records,
            "bytes": bytes, "before": joint(before), "after": joint(after),
        });
        let mut content = line.to_string().into_bytes();
        content.push(b'\n');
        content.extend(body);
        read_both(&path, &hashed(content))?;
    }

    #[test]
    fn a_file_s_name_is_its_first_record_s_or_none(text in "[0-9+ -]{0,22}(\\.segment)?", seq in any::<u64>()) {
        prop_assert_eq!(first_of(&file_name(seq)), Some(seq));
        if let Some(first) = first_of(&text) {
            prop_assert_eq!(file_name(first), text);
        }
    }
}

#[test]
fn a_sign_is_no_digit() {
    assert_eq!(first_of("00000000000000000001.segment"), Some(1));
    assert_eq!(first_of("+0000000000000000001.segment"), None);
}

/// What a body says that it holds, or does hold, is no reason to make room for it.
#[test]
fn a_body_larger_than_it_says_is_refused() {
    let (_folder, path, good) = written();
    let end = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let bomb = zstd::bulk::compress(&vec![0; 256 * 1024 * 1024], COMPRESSION).unwrap();
    assert!(bomb.len() < 64 * 1024);
    let mut content = good[..end].to_vec();
    content.extend(bomb);
    fs::write(&path, hashed(content)).unwrap();
    assert!(read(&path, &name()).is_err());
}
