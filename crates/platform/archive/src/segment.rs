//! One file of records: how it is written, and what is checked when it is read.
//!
//! ```text
//! {"format":"switchyard-segment 1","service":"intake",…}\n    what it holds, as JSON in one line
//! zstd( length as 4 bytes little-endian, record, … )
//! 32 bytes                                                    BLAKE3 of all before
//! ```

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use bytes::Bytes;
use event_log::{LogName, RECORD_MAX_BYTES, Record, Seq};
use runtime::{Chain, ChainReader, LogId};
use serde::{Deserialize, Serialize};
use wire::events::v1::Commit;

use crate::ArchiveError;

/// The most records of a segment.
pub const SEGMENT_RECORDS_MAX: usize = 10_000;
/// A segment takes no more records once it has so many bytes, before compression.
pub const SEGMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

const FORMAT: &str = "switchyard-segment 1";
/// The longest first line.
const HEADER_MAX_BYTES: u64 = 4096;
const HASH_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;
const COMPRESSION: i32 = 3;

/// A place in a log's chain, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joint {
    log_id: String,
    seq: Seq,
    chain: String,
    epoch: u64,
}

impl Joint {
    pub(crate) fn of(reader: &ChainReader) -> Self {
        Self {
            log_id: hex::encode(reader.log_id),
            seq: reader.seq,
            chain: hex::encode(reader.chain),
            epoch: reader.epoch,
        }
    }

    pub(crate) fn reader(&self) -> Option<ChainReader> {
        let mut log_id = LogId::default();
        let mut chain = Chain::default();
        hex::decode_to_slice(&self.log_id, &mut log_id).ok()?;
        hex::decode_to_slice(&self.chain, &mut chain).ok()?;
        Some(ChainReader { log_id, seq: self.seq, chain, epoch: self.epoch })
    }
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    format: String,
    service: String,
    partition: u16,
    first: Seq,
    last: Seq,
    records: usize,
    /// Before compression.
    bytes: usize,
    /// Where the chain stands before its first record ...
    before: Joint,
    /// ... and after its last.
    after: Joint,
}

impl Header {
    fn check(&self, name: &LogName) -> Result<(), &'static str> {
        let limit = SEGMENT_BYTES_MAX + RECORD_MAX_BYTES + SEGMENT_RECORDS_MAX * LENGTH_BYTES;
        let count = self.last.checked_sub(self.before.seq).and_then(|n| usize::try_from(n).ok());
        let rules = [
            (self.format == FORMAT, "it is of another format"),
            (self.service == *name.service, "it is of another service"),
            (self.partition == name.partition, "it is of another partition"),
            (
                self.before.seq.checked_add(1) == Some(self.first),
                "it begins elsewhere than it says",
            ),
            (self.last == self.after.seq, "it ends elsewhere than it says"),
            (self.records > 0 && count == Some(self.records), "its count is odd"),
            (self.records <= SEGMENT_RECORDS_MAX && self.bytes <= limit, "it is too large"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }
}

/// A segment of which only the first line was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) before: ChainReader,
    pub(crate) after: ChainReader,
}

/// The name of the file that begins with a record.
pub(crate) fn file_name(first: Seq) -> String {
    format!("{first:020}.segment")
}

/// The first record of the file of that name; `None`: it is no segment's name.
pub(crate) fn first_of(file_name: &str) -> Option<Seq> {
    let number = file_name.strip_suffix(".segment")?;
    // Digits alone: a number's other spellings name other files.
    let good = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| number.parse().ok()).flatten()
}

/// Reads what a segment says of itself.
pub(crate) fn read_header(path: &Path, name: &LogName) -> Result<Segment, ArchiveError> {
    let file = File::open(path).map_err(|error| ArchiveError::io(path, error))?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(file.take(HEADER_MAX_BYTES));
    reader.read_until(b'\n', &mut line).map_err(|error| ArchiveError::io(path, error))?;
    let (_, segment) = parse_header(path, name, &line)?;
    Ok(segment)
}

fn parse_header(
    path: &Path,
    name: &LogName,
    line: &[u8],
) -> Result<(Header, Segment), ArchiveError> {
    let header: Header = serde_json::from_slice(line)
        .map_err(|error| ArchiveError::damaged(path, error.to_string()))?;
    header.check(name).map_err(|reason| ArchiveError::damaged(path, reason))?;
    let joint = |joint: &Joint| {
        joint.reader().ok_or_else(|| ArchiveError::damaged(path, "its place in the chain is odd"))
    };
    let (before, after) = (joint(&header.before)?, joint(&header.after)?);
    let segment = Segment { first: header.first, last: header.last, before, after };
    Ok((header, segment))
}

/// Reads a segment's records and checks everything: its hash, every record, and its chain from `before` to `after`.
pub(crate) fn read(path: &Path, name: &LogName) -> Result<Vec<Record>, ArchiveError> {
    let damaged = |reason: &str| ArchiveError::damaged(path, reason);
    let stored = fs::read(path).map_err(|error| ArchiveError::io(path, error))?;
    let (content, hash) =
        stored.split_last_chunk::<HASH_BYTES>().ok_or_else(|| damaged("it is too short"))?;
    if blake3::hash(content) != *hash {
        return Err(damaged("its hash does not match"));
    }
    let end = content.iter().position(|byte| *byte == b'\n');
    let (line, body) = end
        .and_then(|end| content.split_at_checked(end + 1))
        .ok_or_else(|| damaged("it has no first line"))?;
    let (header, segment) = parse_header(path, name, line)?;
    let raw = zstd::bulk::decompress(body, header.bytes)
        .map_err(|error| ArchiveError::damaged(path, error.to_string()))?;
    if raw.len() != header.bytes {
        return Err(damaged("it is shorter than it says"));
    }
    let mut reader = segment.before;
    let mut records = Vec::with_capacity(header.records);
    let mut rest = Bytes::from(raw);
    while !rest.is_empty() {
        let record = split_record(&mut rest, reader.seq.saturating_add(1))
            .ok_or_else(|| damaged("a record is cut off"))?;
        reader.take(&record).map_err(|doubt| ArchiveError::damaged(path, doubt.to_string()))?;
        records.push(record);
    }
    if reader != segment.after {
        return Err(damaged("it ends elsewhere in the chain than it says"));
    }
    Ok(records)
}

fn split_record(rest: &mut Bytes, seq: Seq) -> Option<Record> {
    let length = rest.first_chunk::<LENGTH_BYTES>().map(|length| u32::from_le_bytes(*length))?;
    let end = usize::try_from(length).ok()?.checked_add(LENGTH_BYTES)?;
    if end > rest.len() {
        return None;
    }
    let bytes = rest.split_to(end).slice(LENGTH_BYTES..);
    Some(Record { seq, bytes })
}

/// A segment in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    before: ChainReader,
    after: ChainReader,
    records: usize,
    raw: Vec<u8>,
}

impl Draft {
    /// One that goes on from here.
    pub(crate) fn new(before: ChainReader) -> Self {
        Self { after: before.clone(), before, records: 0, raw: Vec::new() }
    }

    pub(crate) fn end(&self) -> &ChainReader {
        &self.after
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.records >= SEGMENT_RECORDS_MAX || self.raw.len() >= SEGMENT_BYTES_MAX
    }

    /// Takes the next record in; one that doesn't follow is refused and changes nothing.
    pub(crate) fn push(&mut self, record: &Record) -> Result<Commit, ArchiveError> {
        let end = self.after.seq;
        let other = |doubt| ArchiveError::OtherHistory { end, doubt };
        let commit = self.after.take(record).map_err(other)?;
        // A record is far below 4 GiB: no log takes one over its limit.
        let length = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX);
        self.raw.extend_from_slice(&length.to_le_bytes());
        self.raw.extend_from_slice(&record.bytes);
        self.records += 1;
        Ok(commit)
    }

    /// Writes it into `folder`: aside, durable, read back, and then under its name. Returns what it holds.
    pub(crate) fn write(self, folder: &Path, name: &LogName) -> Result<Segment, ArchiveError> {
        let first = self.before.seq + 1;
        let aside = folder.join(format!("{first:020}.partial"));
        let failed = |error| ArchiveError::io(&aside, error);
        let header = Header {
            format: FORMAT.to_owned(),
            service: name.service.to_string(),
            partition: name.partition,
            first,
            last: self.after.seq,
            records: self.records,
            bytes: self.raw.len(),
            before: Joint::of(&self.before),
            after: Joint::of(&self.after),
        };
        let mut content = serde_json::to_vec(&header).map_err(|error| failed(error.into()))?;
        content.push(b'\n');
        content.extend(zstd::bulk::compress(&self.raw, COMPRESSION).map_err(failed)?);
        let hash = blake3::hash(&content);
        let mut file = private_files::create(&aside).map_err(failed)?;
        file.write_all(&content).map_err(failed)?;
        file.write_all(hash.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        drop(file);
        read(&aside, name)?;
        fs::rename(&aside, folder.join(file_name(first))).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Segment { first, last: self.after.seq, before: self.before, after: self.after })
    }
}

#[cfg(test)]
mod foreign;
