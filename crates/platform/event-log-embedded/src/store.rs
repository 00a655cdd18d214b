//! The redb file: what its tables hold, and every read and write of them.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use event_log::{LogError, LogName, OpenError, Record, Seq, Tail};
use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use crate::backend::LimitedFile;

/// Log name (`service/partition`) to the log's number in this file.
const NAMES: TableDefinition<'_, &str, u32> = TableDefinition::new("names");
/// (log, record number) to CRC-32C, 4 bytes little-endian, and the record.
const RECORDS: TableDefinition<'_, (u32, Seq), &[u8]> = TableDefinition::new("records");
/// Log to the last number that was trimmed away.
const TRIMMED: TableDefinition<'_, u32, Seq> = TableDefinition::new("trimmed");

/// What redb may keep of the file in memory, in bytes.
const CACHE_MAX_BYTES: usize = 32 * 1024 * 1024;
const CRC_BYTES: usize = 4;

/// The open file.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
}

/// One change of a group.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    Name { name: &'a LogName, id: u32 },
    Record { id: u32, seq: Seq, bytes: &'a Bytes },
    Trim { id: u32, upto: Seq },
}

/// Returns the path of the file within the directory.
pub(crate) fn file_of(directory: &Path) -> PathBuf {
    directory.join("log.redb")
}

impl Store {
    pub(crate) fn open(directory: &Path, limit: &Arc<AtomicU64>) -> Result<Self, redb::Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(file_of(directory))
            .map_err(redb::Error::Io)?;
        let backend = LimitedFile::new(FileBackend::new(file)?, Arc::clone(limit));
        let database =
            Database::builder().set_cache_size(CACHE_MAX_BYTES).create_with_backend(backend)?;
        let store = Self { database };
        store.make_tables()?;
        Ok(store)
    }

    /// Makes the tables of a new file, so that reading never meets their absence.
    fn make_tables(&self) -> Result<(), redb::Error> {
        if self.database.begin_read()?.list_tables()?.next().is_some() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        transaction.open_table(NAMES)?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(TRIMMED)?;
        transaction.commit()?;
        Ok(())
    }

    /// Makes all changes in one durable commit, or none.
    pub(crate) fn commit(&self, changes: &[Change<'_>]) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        apply(&transaction, changes)?;
        transaction.commit()?;
        Ok(())
    }

    /// Names every log, with its number in this file and what it holds.
    pub(crate) fn heads(&self) -> Result<Vec<(LogName, u32, Tail)>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let mut heads = Vec::new();
        for entry in transaction.open_table(NAMES)?.iter()? {
            let (name, id) = entry?;
            let Some(name) = parse(name.value()) else {
                return Err(redb::Error::Corrupted("a log's name can't be read".to_owned()));
            };
            let id = id.value();
            heads.push((name, id, self.tail(id)?));
        }
        Ok(heads)
    }

    /// Says what one log holds, from the file.
    pub(crate) fn tail(&self, id: u32) -> Result<Tail, redb::Error> {
        let transaction = self.database.begin_read()?;
        let trimmed = transaction.open_table(TRIMMED)?.get(id)?.map_or(0, |upto| upto.value());
        let records = transaction.open_table(RECORDS)?;
        let highest = records.range((id, 0)..=(id, Seq::MAX))?.next_back().transpose()?;
        let last = highest.map_or(trimmed, |(key, _)| key.value().1.max(trimmed));
        Ok(Tail { first: trimmed.saturating_add(1), last })
    }

    /// Reads records from `from`, which must exist, to `last` at most.
    pub(crate) fn read(
        &self,
        id: u32,
        from: Seq,
        last: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let failed = |error: redb::Error| LogError::Unavailable(error.into());
        let transaction = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let table = transaction.open_table(RECORDS).map_err(|error| failed(error.into()))?;
        let range = table.range((id, from)..=(id, last)).map_err(|error| failed(error.into()))?;
        let mut records: Vec<Record> = Vec::new();
        let mut expected = from;
        let mut bytes = 0;
        for entry in range {
            let (key, value) = entry.map_err(|error| failed(error.into()))?;
            let (_, found) = key.value();
            if found != expected {
                break;
            }
            let record = match check(id, found, value.value()) {
                Ok(record) => record,
                Err(error) if records.is_empty() => return Err(error),
                // What comes before is good; the next read reports this one.
                Err(_) => return Ok(records),
            };
            bytes += record.len();
            if bytes > max_bytes && !records.is_empty() {
                return Ok(records);
            }
            records.push(Record { seq: found, bytes: record });
            expected = expected.saturating_add(1);
        }
        if records.is_empty() && from <= last {
            // Trimmed since the caller looked: this transaction sees both or neither.
            let trimmed = transaction.open_table(TRIMMED).map_err(|error| failed(error.into()))?;
            let upto = trimmed.get(id).map_err(|error| failed(error.into()))?;
            return Err(match upto.map(|upto| upto.value()) {
                Some(upto) if from <= upto => LogError::Trimmed { first: upto.saturating_add(1) },
                Some(_) | None => gap(&table, id, from, last),
            });
        }
        Ok(records)
    }
}

fn gap(
    table: &impl ReadableTable<(u32, Seq), &'static [u8]>,
    id: u32,
    expected: Seq,
    last: Seq,
) -> LogError {
    let next = table.range((id, expected)..=(id, last)).ok().and_then(|mut range| range.next());
    match next {
        Some(Ok((key, _))) => LogError::Gap { expected, found: key.value().1 },
        Some(Err(error)) => LogError::Unavailable(error.into()),
        None => LogError::Gap { expected, found: last.saturating_add(1) },
    }
}

/// Opens no table that isn't written to: each costs the commit a page.
fn apply(transaction: &WriteTransaction, changes: &[Change<'_>]) -> Result<(), redb::Error> {
    let mut records = transaction.open_table(RECORDS)?;
    let mut value = Vec::new();
    for change in changes {
        match change {
            Change::Name { name, id } => {
                transaction.open_table(NAMES)?.insert(name.to_string().as_str(), *id)?;
            }
            Change::Record { id, seq, bytes } => {
                value.clear();
                value.extend_from_slice(&checksum(*id, *seq, bytes).to_le_bytes());
                value.extend_from_slice(bytes);
                records.insert((*id, *seq), value.as_slice())?;
            }
            Change::Trim { id, upto } => {
                records.retain_in((*id, 0)..=(*id, *upto), |_, _| false)?;
                transaction.open_table(TRIMMED)?.insert(*id, *upto)?;
            }
        }
    }
    Ok(())
}

/// Covers the record's place as well, so that a record in another's place is noticed too.
fn checksum(id: u32, seq: Seq, bytes: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&id.to_le_bytes()), &seq.to_le_bytes());
    crc32c::crc32c_append(place, bytes)
}

fn check(id: u32, seq: Seq, stored: &[u8]) -> Result<Bytes, LogError> {
    let corrupt = |reason: &str| LogError::Corrupt { seq, reason: reason.to_owned() };
    let Some((crc, bytes)) = stored.split_first_chunk::<CRC_BYTES>() else {
        return Err(corrupt("too short to hold its checksum"));
    };
    if u32::from_le_bytes(*crc) != checksum(id, seq, bytes) {
        return Err(corrupt("its checksum does not match"));
    }
    Ok(Bytes::copy_from_slice(bytes))
}

fn parse(name: &str) -> Option<LogName> {
    let (service, partition) = name.split_once('/')?;
    Some(LogName::new(service.to_owned(), partition.parse().ok()?))
}

pub(crate) fn unavailable(error: redb::Error) -> OpenError {
    OpenError::Unavailable(error.into())
}
