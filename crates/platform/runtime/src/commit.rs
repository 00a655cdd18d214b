//! The envelope: how a commit becomes a record, and how a record is trusted.
//!
//! A record is an encoded `switchyard.events.v1.Commit` whose last field is the CRC-32C of all bytes before it. Each
//! names the chain value of the record before; the chain value of a record is the first 16 bytes of BLAKE3 over that
//! name and its bytes. So a record that is missing, foreign, changed or out of its order is noticed by whoever reads
//! on.

use bytes::{BufMut, Bytes, BytesMut};
use event_log::{Record, Seq};
use kernel::Timestamp;
use prost::Message;
use wire::events::v1::{Commit, Consumed, Genesis, Note, Origin, Restored, Supersedes, note::Kind};
use wire::lent::events::v1 as lent;

use crate::{LogId, ServiceId};

/// A chain value: what the next record names as the one before.
pub type Chain = [u8; 16];

/// The envelope's version.
pub const FORMAT: u32 = 1;

/// What this build can read: a record whose `min_reader` is higher stops it.
pub const READER: u32 = 2;

/// What every reader so far can read.
const READER_FIRST: u32 = 1;

/// Field 15, wire type fixed32.
const CRC_TAG: u8 = 15 << 3 | 5;
const CRC_BYTES: usize = 5;

/// Why a record can't be trusted. The partition stops: doubt halts, it never guesses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The checksum is wrong or missing.
    #[error("record {seq}: the checksum does not match")]
    Checksum {
        /// The record.
        seq: Seq,
    },
    /// It is no commit.
    #[error("record {seq}: not a commit: {error}")]
    Malformed {
        /// The record.
        seq: Seq,
        /// What the decoder said.
        error: String,
    },
    /// It belongs to another place.
    #[error("record {seq}: it was written as record {found}")]
    Sequence {
        /// The record.
        seq: Seq,
        /// What it says of itself.
        found: Seq,
    },
    /// It belongs to another log.
    #[error("record {seq}: it belongs to another log")]
    Identity {
        /// The record.
        seq: Seq,
    },
    /// The record before isn't the one that its writer saw.
    #[error("record {seq}: the chain is broken")]
    Chain {
        /// The record.
        seq: Seq,
    },
    /// Its writer's epoch was over.
    #[error("record {seq}: epoch {found} after epoch {epoch}")]
    Epoch {
        /// The record.
        seq: Seq,
        /// Its epoch.
        found: u64,
        /// The highest epoch before.
        epoch: u64,
    },
    /// It needs a newer program.
    #[error("record {seq}: it needs reader {needed}, this is reader {READER}")]
    NewerReader {
        /// The record.
        seq: Seq,
        /// What it needs.
        needed: u32,
    },
    /// Its first record is no genesis, or one of another service or partition.
    #[error("the log's genesis is not the expected one: {reason}")]
    Genesis {
        /// What differs.
        reason: String,
    },
    /// An event of our own that this build doesn't know.
    #[error("record {seq}: event {event_type} can't be read: {error}")]
    Event {
        /// The record.
        seq: Seq,
        /// The event's type.
        event_type: String,
        /// Why.
        error: String,
    },
}

/// The oldest reader that understands all of a record's notes: one that doesn't must stop, since it would pass over
/// them.
pub(crate) fn reader_of(notes: &[Note]) -> u32 {
    let needed = notes.iter().map(|note| match &note.kind {
        Some(
            Kind::InputsRetried(_)
            | Kind::InputsDropped(_)
            | Kind::Restored(_)
            | Kind::Supersedes(_),
        ) => READER,
        Some(Kind::Genesis(_) | Kind::LeaderClaimed(_) | Kind::StateHash(_) | Kind::Origin(_))
        | None => READER_FIRST,
    });
    needed.max().unwrap_or(READER_FIRST)
}

/// Encodes a commit and puts its checksum behind.
pub(crate) fn seal(commit: &Commit) -> Bytes {
    let mut bytes = BytesMut::with_capacity(commit.encoded_len() + CRC_BYTES);
    commit.encode_raw(&mut bytes);
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u8(CRC_TAG);
    bytes.put_u32_le(crc);
    bytes.freeze()
}

/// The chain value after a record.
pub(crate) fn chain_after(prev: &[u8], bytes: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prev).update(bytes);
    let mut chain = Chain::default();
    hasher.finalize_xof().fill(&mut chain);
    chain
}

/// Decodes a record on its own: checksum, form, reader and number; not yet its place in the chain.
pub fn open_record(record: &Record) -> Result<Commit, Doubt> {
    let commit: Commit = decode(record)?;
    check_head(record.seq, commit.seq, commit.min_reader)?;
    Ok(commit)
}

/// When a record was written, by its writer's clock, in whole milliseconds.
pub(crate) fn written_at(commit: &Commit) -> Timestamp {
    // Nanoseconds of 64 bits are fewer milliseconds than any `i64` holds.
    Timestamp::from_millis(i64::try_from(commit.time_ns / 1_000_000).unwrap_or(i64::MAX))
}

/// The same for who reads many: the events apart, and as they stand in the record.
fn open_lent(record: &Record) -> Result<(Commit, Vec<Bytes>), Doubt> {
    let lent: lent::Commit = decode(record)?;
    check_head(record.seq, lent.seq, lent.min_reader)?;
    let commit = Commit {
        format: lent.format,
        min_reader: lent.min_reader,
        log_id: lent.log_id.into(),
        seq: lent.seq,
        epoch: lent.epoch,
        writer: lent.writer.into(),
        prev: lent.prev.into(),
        time_ns: lent.time_ns,
        consumed: lent.consumed,
        events: Vec::new(),
        answered: lent.answered,
        parked: lent.parked,
        notes: lent.notes,
        crc32c: lent.crc32c,
    };
    Ok((commit, lent.events))
}

/// Decodes a record whose checksum holds.
fn decode<M: Message + Default>(record: &Record) -> Result<M, Doubt> {
    let seq = record.seq;
    let body = record.bytes.len().checked_sub(CRC_BYTES).ok_or(Doubt::Checksum { seq })?;
    let (content, tail) = record.bytes.split_at(body);
    let stored = match tail {
        [CRC_TAG, a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => return Err(Doubt::Checksum { seq }),
    };
    if crc32c::crc32c(content) != stored {
        return Err(Doubt::Checksum { seq });
    }
    M::decode(record.bytes.clone())
        .map_err(|error| Doubt::Malformed { seq, error: error.to_string() })
}

/// Whether a record may be read here, and says of itself what it is.
fn check_head(seq: Seq, found: Seq, needed: u32) -> Result<(), Doubt> {
    if needed > READER {
        return Err(Doubt::NewerReader { seq, needed });
    }
    if found == seq { Ok(()) } else { Err(Doubt::Sequence { seq, found }) }
}

/// The note that a log was restored before this commit, if it carries one.
pub fn restored_in(commit: &Commit) -> Option<&Restored> {
    commit.notes.iter().find_map(|note| {
        let Some(Kind::Restored(restored)) = &note.kind else { return None };
        Some(restored)
    })
}

/// What a commit says of what came before it, if a log may begin with it.
pub fn origin_in(commit: &Commit) -> Option<&Origin> {
    commit.notes.iter().find_map(|note| {
        let Some(Kind::Origin(origin)) = &note.kind else { return None };
        Some(origin)
    })
}

/// What a log's first commit says of the log that was given up for it, if it is such a one.
pub fn supersedes_in(commit: &Commit) -> Option<&Supersedes> {
    commit.notes.iter().find_map(|note| {
        let Some(Kind::Supersedes(supersedes)) = &note.kind else { return None };
        Some(supersedes)
    })
}

/// The identity that a record says it is of, if it is a whole commit of that place. Its place in the chain is not
/// checked: who reads up to it will.
pub(crate) fn identity_of(record: &Record) -> Option<LogId> {
    LogId::try_from(open_record(record).ok()?.log_id).ok()
}

/// Where a reader of one log stands, and what the next record must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReader {
    /// The log's identity at the last record read. It changes where the log was restored from a backup.
    pub log_id: LogId,
    /// The last record read; 0 before the first.
    pub seq: Seq,
    /// The chain value after it.
    pub chain: Chain,
    /// The highest epoch so far.
    pub epoch: u64,
}

impl ChainReader {
    /// A reader that has read nothing.
    pub fn at_start(log_id: LogId) -> Self {
        Self { log_id, seq: 0, chain: Chain::default(), epoch: 0 }
    }

    /// A reader that has read everything up to this record, which must be one of the log `log_id`.
    pub fn after(log_id: LogId, record: &Record) -> Result<Self, Doubt> {
        let commit = open_record(record)?;
        if commit.log_id != log_id {
            return Err(Doubt::Identity { seq: record.seq });
        }
        let chain = chain_after(&commit.prev, &record.bytes);
        Ok(Self { log_id, seq: record.seq, chain, epoch: commit.epoch })
    }

    /// The chain value after the last record read.
    pub fn chain(&self) -> [u8; 16] {
        self.chain
    }

    /// Takes the next record, or says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Result<Commit, Doubt> {
        let commit = open_record(record)?;
        self.pass(&commit, record)?;
        Ok(commit)
    }

    /// Takes the next record, its events apart and as they stand in it.
    pub(crate) fn take_lent(&mut self, record: &Record) -> Result<(Commit, Vec<Bytes>), Doubt> {
        let (commit, events) = open_lent(record)?;
        self.pass(&commit, record)?;
        Ok((commit, events))
    }

    /// Moves on to a record, if it is the next one.
    fn pass(&mut self, commit: &Commit, record: &Record) -> Result<(), Doubt> {
        let seq = record.seq;
        let log_id = self.identity_at(commit).ok_or(Doubt::Identity { seq })?;
        if self.seq.checked_add(1) != Some(seq) || commit.prev != self.chain {
            return Err(Doubt::Chain { seq });
        }
        if commit.epoch < self.epoch {
            return Err(Doubt::Epoch { seq, found: commit.epoch, epoch: self.epoch });
        }
        self.log_id = log_id;
        self.chain = chain_after(&commit.prev, &record.bytes);
        self.epoch = commit.epoch;
        self.seq = seq;
        Ok(())
    }

    /// The identity that the next record has, if it may have it: the same as before, or a new one where the log was
    /// restored.
    fn identity_at(&self, commit: &Commit) -> Option<LogId> {
        if commit.log_id == self.log_id {
            return Some(self.log_id);
        }
        let restored = restored_in(commit)?;
        let goes_on = restored.log_id == commit.log_id
            && restored.previous_log_id == self.log_id
            && restored.from_seq == self.seq;
        if goes_on { LogId::try_from(commit.log_id.as_slice()).ok() } else { None }
    }

    /// The record with which a log goes on that was restored up to here: it carries the new identity, and the last
    /// commit's epoch.
    pub fn restored(&self, log_id: LogId, generation: u32, backup: &str, time_ns: u64) -> Bytes {
        let restored = Restored {
            log_id: log_id.to_vec(),
            previous_log_id: self.log_id.to_vec(),
            generation,
            from_seq: self.seq,
            backup: backup.to_owned(),
        };
        seal(&Commit {
            format: FORMAT,
            min_reader: READER,
            log_id: log_id.to_vec(),
            seq: self.seq + 1,
            epoch: self.epoch,
            prev: self.chain.to_vec(),
            time_ns,
            notes: vec![Note { kind: Some(Kind::Restored(restored)) }],
            ..Commit::default()
        })
    }
}

/// A log's first record.
pub fn genesis(service: ServiceId, partition: u16, partitions: u16, log_id: LogId) -> Bytes {
    birth(service, partition, partitions, log_id, None)
}

/// The first record of a log that takes the place of a lost one.
pub fn genesis_superseding(
    service: ServiceId,
    partition: u16,
    partitions: u16,
    log_id: LogId,
    supersedes: Supersedes,
) -> Bytes {
    birth(service, partition, partitions, log_id, Some(supersedes))
}

fn birth(
    service: ServiceId,
    partition: u16,
    partitions: u16,
    log_id: LogId,
    supersedes: Option<Supersedes>,
) -> Bytes {
    let genesis = Genesis {
        service: service.number(),
        partition: partition.into(),
        partitions: partitions.into(),
        partition_hash: "fnv1a32 mod P".into(),
        created_by: concat!("switchyard ", env!("CARGO_PKG_VERSION")).into(),
    };
    let kinds = [Some(Kind::Genesis(genesis)), supersedes.map(Kind::Supersedes)];
    let notes: Vec<Note> = kinds.into_iter().flatten().map(|it| Note { kind: Some(it) }).collect();
    seal(&Commit {
        format: FORMAT,
        min_reader: reader_of(&notes),
        log_id: log_id.to_vec(),
        seq: 1,
        prev: Chain::default().to_vec(),
        notes,
        ..Commit::default()
    })
}

/// The note from which a reader may begin, once the records before it are gone.
pub(crate) fn origin(
    service: ServiceId,
    partition: u16,
    partitions: u16,
    consumed: Vec<Consumed>,
) -> Note {
    let origin = Origin {
        service: service.number(),
        partition: partition.into(),
        partitions: partitions.into(),
        consumed,
    };
    Note { kind: Some(Kind::Origin(origin)) }
}

/// Whether a reader may begin at this commit, once the records before it are gone.
pub fn is_origin(commit: &Commit) -> bool {
    origin_in(commit).is_some()
}

/// What the first record that a log still has says: its identity there and the number of partitions. It must be the
/// genesis of this service's partition or, where records were trimmed away, one that says again what the genesis said.
pub fn read_first(
    record: &Record,
    service: ServiceId,
    partition: u16,
) -> Result<(LogId, u16), Doubt> {
    let wrong = |reason: &str| Doubt::Genesis { reason: reason.to_owned() };
    let commit = open_record(record)?;
    let log_id =
        LogId::try_from(commit.log_id.as_slice()).map_err(|_| wrong("its identity is odd"))?;
    let born = commit.notes.iter().find_map(|note| match &note.kind {
        Some(Kind::Genesis(born)) if record.seq == 1 => {
            Some((born.service, born.partition, born.partitions))
        }
        Some(Kind::Origin(born)) if record.seq > 1 => {
            Some((born.service, born.partition, born.partitions))
        }
        Some(
            Kind::Genesis(_)
            | Kind::Origin(_)
            | Kind::LeaderClaimed(_)
            | Kind::StateHash(_)
            | Kind::InputsRetried(_)
            | Kind::InputsDropped(_)
            | Kind::Restored(_)
            | Kind::Supersedes(_),
        )
        | None => None,
    });
    let Some((of_service, of_partition, partitions)) = born else {
        return Err(wrong("its first record does not say whose it is"));
    };
    if of_service != service.number() || of_partition != u32::from(partition) {
        return Err(wrong("it is of another service or partition"));
    }
    match u16::try_from(partitions) {
        Ok(partitions) if partitions > partition => Ok((log_id, partitions)),
        Ok(_) | Err(_) => Err(wrong("its number of partitions is odd")),
    }
}

#[cfg(test)]
mod foreign;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: Seq, bytes: Bytes) -> Record {
        Record { seq, bytes }
    }

    fn second(log_id: LogId, prev: Chain) -> Bytes {
        seal(&Commit {
            format: FORMAT,
            log_id: log_id.to_vec(),
            seq: 2,
            epoch: 1,
            prev: prev.to_vec(),
            ..Commit::default()
        })
    }

    #[test]
    fn a_genesis_says_whose_it_is() {
        let first = record(1, genesis(ServiceId::Sla, 2, 4, [9; 16]));
        assert_eq!(read_first(&first, ServiceId::Sla, 2), Ok(([9; 16], 4)));
        assert!(read_first(&first, ServiceId::Sla, 1).is_err());
        assert!(read_first(&first, ServiceId::Intake, 2).is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let first = genesis(ServiceId::Intake, 0, 4, [3; 16]);
        for bit in 0..first.len() * 8 {
            let mut bytes = first.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut reader = ChainReader::at_start([3; 16]);
            assert!(reader.take(&record(1, bytes.into())).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_chain_notices_a_record_of_another_history() {
        let first = record(1, genesis(ServiceId::Intake, 0, 4, [3; 16]));
        let mut reader = ChainReader::at_start([3; 16]);
        reader.take(&first).unwrap();
        let good = record(2, second([3; 16], reader.chain));
        assert!(reader.clone().take(&good).is_ok());
        assert_eq!(
            reader.clone().take(&record(2, second([3; 16], [1; 16]))),
            Err(Doubt::Chain { seq: 2 })
        );
        assert_eq!(
            reader.clone().take(&record(2, second([4; 16], reader.chain))),
            Err(Doubt::Identity { seq: 2 })
        );
        assert_eq!(reader.take(&record(3, good.bytes)), Err(Doubt::Sequence { seq: 3, found: 2 }));
    }

    #[test]
    fn a_restored_log_goes_on_under_its_new_identity() {
        let first = record(1, genesis(ServiceId::Intake, 0, 4, [3; 16]));
        let mut reader = ChainReader::at_start([3; 16]);
        reader.take(&first).unwrap();
        let restored = record(2, reader.restored([4; 16], 2, "a backup", 9));
        // Not for who stands elsewhere, or knows another log.
        let elsewhere = ChainReader { seq: 2, ..reader.clone() };
        assert!(elsewhere.clone().take(&restored).is_err());
        let foreign = ChainReader { log_id: [5; 16], ..reader.clone() };
        assert_eq!(foreign.clone().take(&restored), Err(Doubt::Identity { seq: 2 }));

        let before = reader.clone();
        reader.take(&restored).unwrap();
        assert_eq!((reader.log_id, reader.seq), ([4; 16], 2));
        let next = |log_id: LogId| {
            let commit = Commit { seq: 3, log_id: log_id.to_vec(), ..Commit::default() };
            record(3, seal(&Commit { prev: reader.chain.to_vec(), ..commit }))
        };
        assert!(reader.clone().take(&next([4; 16])).is_ok());
        assert_eq!(reader.clone().take(&next([3; 16])), Err(Doubt::Identity { seq: 3 }));
        // The new identity alone, without the note, is another log's.
        let silent = second([4; 16], before.chain);
        assert_eq!(before.clone().take(&record(2, silent)), Err(Doubt::Identity { seq: 2 }));
    }

    #[test]
    fn a_trimmed_log_says_whose_it_is_by_its_origin() {
        let notes = vec![origin(ServiceId::Sla, 2, 4, Vec::new())];
        let commit = Commit { seq: 9, log_id: vec![9; 16], notes, ..Commit::default() };
        let first = record(9, seal(&commit));
        assert_eq!(read_first(&first, ServiceId::Sla, 2), Ok(([9; 16], 4)));
        assert!(read_first(&first, ServiceId::Sla, 1).is_err());
        assert!(read_first(&record(2, second([9; 16], [0; 16])), ServiceId::Sla, 2).is_err());
    }

    #[test]
    fn a_newer_record_stops_the_reader() {
        let bytes = seal(&Commit { seq: 1, min_reader: READER + 1, ..Commit::default() });
        assert_eq!(
            open_record(&record(1, bytes)),
            Err(Doubt::NewerReader { seq: 1, needed: READER + 1 })
        );
    }
}
