//! Harm done to a closed directory of an embedded log, so that tests can see it noticed.
//!
//! The tables are told here once more, so that the product has no means to harm its own files.

use std::path::Path;

use event_log::{LogName, Seq};
use redb::{Database, ReadableTable, TableDefinition};

/// Log name (`service/partition`) to the log's number in the file.
const NAMES: TableDefinition<'_, &str, u32> = TableDefinition::new("names");
/// (log, record number) to checksum and record.
const RECORDS: TableDefinition<'_, (u32, Seq), &[u8]> = TableDefinition::new("records");

/// Takes one record away, leaving a hole.
pub fn remove(directory: &Path, name: &LogName, seq: Seq) -> Result<(), redb::Error> {
    change(directory, name, |_, found| (found == seq).then(Vec::new))
}

/// Changes one bit of a record.
pub fn flip_bit(directory: &Path, name: &LogName, seq: Seq) -> Result<(), redb::Error> {
    change(directory, name, |value, found| {
        if found != seq {
            return None;
        }
        let mut value = value.to_vec();
        if let Some(byte) = value.last_mut() {
            *byte ^= 1;
        }
        Some(value)
    })
}

/// Takes every record after `last` away: the log goes backwards.
pub fn drop_after(directory: &Path, name: &LogName, last: Seq) -> Result<(), redb::Error> {
    change(directory, name, |_, found| (found > last).then(Vec::new))
}

/// Replaces the records for which `edit` gives a value; an empty one removes the record.
fn change(
    directory: &Path,
    name: &LogName,
    edit: impl Fn(&[u8], Seq) -> Option<Vec<u8>>,
) -> Result<(), redb::Error> {
    let database = Database::open(directory.join("log.redb"))?;
    let transaction = database.begin_write()?;
    {
        let names = transaction.open_table(NAMES)?;
        let id = names.get(name.to_string().as_str())?.map_or(0, |id| id.value());
        let mut records = transaction.open_table(RECORDS)?;
        let mut edits = Vec::new();
        for entry in records.range((id, 0)..=(id, Seq::MAX))? {
            let (key, value) = entry?;
            if let Some(value) = edit(value.value(), key.value().1) {
                edits.push((key.value(), value));
            }
        }
        for (key, value) in edits {
            if value.is_empty() {
                records.remove(key)?;
            } else {
                records.insert(key, value.as_slice())?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
