//! Records that no release of today writes, as a later one might.

use bytes::{BufMut as _, Bytes};
use event_log::Record;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use runtime::open_record;
use wire::events::v1::{Commit, Event};

/// The number of a field that no message has.
const NOBODY_S: u32 = 1_000;
/// The number of a commit's events.
const EVENTS: u32 = 10;
/// Field 15, wire type fixed32.
const CRC_TAG: u8 = 15 << 3 | 5;

/// The commit behind a record, by the same leader, that says nothing yet.
pub fn after(last: &Record) -> anyhow::Result<Commit> {
    let before = open_record(last)?;
    let mut chain = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.prev).update(&last.bytes);
    hasher.finalize_xof().fill(&mut chain);
    Ok(Commit {
        seq: before.seq + 1,
        prev: chain.to_vec(),
        time_ns: before.time_ns + 1,
        min_reader: 1,
        crc32c: 0,
        consumed: Vec::new(),
        events: Vec::new(),
        answered: Vec::new(),
        parked: Vec::new(),
        notes: Vec::new(),
        ..before
    })
}

/// A commit as a record.
pub fn record(commit: &Commit) -> Bytes {
    sealed(commit.encode_to_vec())
}

/// A commit of one event as a record, with unknown fields in the commit and in the event.
pub fn record_with_unknown_fields(commit: &Commit, event: &Event) -> Bytes {
    let mut bytes = commit.encode_to_vec();
    let event = with_unknown_field(event);
    encode_key(EVENTS, WireType::LengthDelimited, &mut bytes);
    encode_varint(u64::try_from(event.len()).unwrap_or(u64::MAX), &mut bytes);
    bytes.extend(event);
    unknown_field(&mut bytes);
    sealed(bytes)
}

/// A message with a field that nobody knows.
pub fn with_unknown_field(message: &impl Message) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    unknown_field(&mut bytes);
    bytes
}

fn unknown_field(bytes: &mut Vec<u8>) {
    let text = b"from a later release";
    encode_key(NOBODY_S, WireType::LengthDelimited, bytes);
    encode_varint(u64::try_from(text.len()).unwrap_or(u64::MAX), bytes);
    bytes.extend(text);
}

fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u8(CRC_TAG);
    bytes.put_u32_le(crc);
    bytes.into()
}
