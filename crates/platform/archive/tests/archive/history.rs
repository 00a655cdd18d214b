//! Records of logs as they could be.

use event_log::Record;
use runtime::{ChainReader, LogId, ServiceId, genesis};

/// A log of intake's: its birth, and then a new identity with every record, as if it had been restored again and again.
pub(crate) fn history(count: usize) -> Vec<Record> {
    of_log([7; 16], count)
}

/// Another log of the same name.
pub(crate) fn other(count: usize) -> Vec<Record> {
    of_log([8; 16], count)
}

fn of_log(log_id: LogId, count: usize) -> Vec<Record> {
    let bytes = genesis(ServiceId::Intake, 0, 4, log_id);
    let mut records = vec![Record { seq: 1, bytes }];
    let mut reader = ChainReader::at_start(log_id);
    reader.take(&records[0]).unwrap();
    for seq in 2..=count as u64 {
        let mut next: LogId = log_id;
        next[..8].copy_from_slice(&seq.to_be_bytes());
        let record = Record { seq, bytes: reader.restored(next, 2, "a test", seq) };
        reader.take(&record).unwrap();
        records.push(record);
    }
    records
}
