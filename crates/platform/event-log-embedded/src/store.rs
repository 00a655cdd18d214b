//! The redb file: what its tables hold, and every read and write of them.

use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
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

/// What the names of logs begin with that were given up.
const GIVEN_UP: &str = "given up ";

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
    Name {
        name: &'a LogName,
        id: u32,
    },
    Record {
        id: u32,
        seq: Seq,
        bytes: &'a Bytes,
    },
    Trim {
        id: u32,
        upto: Seq,
    },
    /// The log is no log any more. Its records stay where they are, damaged or not, out of everybody's way.
    GiveUp {
        name: &'a LogName,
        id: u32,
    },
}

/// Returns the path of the file within the directory.
pub(crate) fn file_of(directory: &Path) -> PathBuf {
    directory.join("log.redb")
}

/// One log of the file.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: LogName,
    pub(crate) id: u32,
    /// What it holds, or why that can't be read: then this log alone is of no use.
    pub(crate) tail: Result<Tail, String>,
}

impl Store {
    pub(crate) fn open(directory: &Path, limit: &Arc<AtomicU64>) -> Result<Self, redb::Error> {
        guarded(|| Self::open_file(directory, limit))
    }

    fn open_file(directory: &Path, limit: &Arc<AtomicU64>) -> Result<Self, redb::Error> {
        let file = private_files::options()
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
        guarded(|| {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            apply(&transaction, changes)?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// Names every log, with its number in this file and what it holds; and the highest number that any log has or had.
    pub(crate) fn heads(&self) -> Result<(Vec<Found>, u32), redb::Error> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let (mut heads, mut highest) = (Vec::new(), 0);
            for entry in transaction.open_table(NAMES)?.iter()? {
                let (name, id) = entry?;
                let id = id.value();
                highest = highest.max(id);
                if name.value().starts_with(GIVEN_UP) {
                    continue;
                }
                let Some(name) = parse(name.value()) else {
                    return Err(redb::Error::Corrupted("a log's name can't be read".to_owned()));
                };
                let tail = self.tail(id).map_err(|error| error.to_string());
                heads.push(Found { name, id, tail });
            }
            Ok((heads, highest))
        })
    }

    /// Says what one log holds, from the file.
    pub(crate) fn tail(&self, id: u32) -> Result<Tail, redb::Error> {
        guarded(|| self.tail_of(id))
    }

    fn tail_of(&self, id: u32) -> Result<Tail, redb::Error> {
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
        match guarded(|| Ok(self.read_some(id, from, last, max_bytes))) {
            Ok(read) => read,
            Err(error) => Err(failed(from, error)),
        }
    }

    fn read_some(
        &self,
        id: u32,
        from: Seq,
        last: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let failed = |error: redb::Error| failed(from, error);
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
        Some(Err(error)) => failed(expected, error.into()),
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
            Change::GiveUp { name, id } => {
                let mut names = transaction.open_table(NAMES)?;
                names.remove(name.to_string().as_str())?;
                names.insert(format!("{GIVEN_UP}{id} {name}").as_str(), *id)?;
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

/// Runs what reads or writes the file. Damage that redb meets as what can't be is an error like any other, and ends no
/// thread.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(redb::Error::Corrupted("a page of it can't be what it is".into())))
}

/// Whether the file isn't what was written to it.
pub(crate) fn is_damage(error: &redb::Error) -> bool {
    if let redb::Error::Io(error) = error {
        return error.kind() == ErrorKind::InvalidData;
    }
    matches!(error, redb::Error::Corrupted(_))
}

/// A part of the file that is damaged stays so; whatever else fails may work again.
fn failed(seq: Seq, error: redb::Error) -> LogError {
    if is_damage(&error) {
        return LogError::Corrupt { seq, reason: error.to_string() };
    }
    LogError::Unavailable(error.into())
}

/// Why the file as a whole can't be used.
pub(crate) fn unusable(directory: &Path, error: redb::Error) -> OpenError {
    if is_damage(&error) {
        let what = file_of(directory).display().to_string();
        return OpenError::Damaged { what, reason: error.to_string() };
    }
    OpenError::Unavailable(error.into())
}
