//! Records as nobody wrote them: arbitrary bytes, and good records with bits flipped, ends cut off, pieces of others
//! put in.

use event_log::{Record, Seq};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::events::v1::{Answered, Cause, Event, InputsReleased, LeaderClaimed, Parked, StateHash};

use super::*;
use crate::lent_event::LentEvent;

prop_compose! {
    fn event()(
        texts in vec("[a-zA-Z0-9äß]{0,12}", 4),
        numbers in any::<(u32, u64, i64)>(),
        trace in vec(any::<u8>(), 0..26),
        cause in proptest::option::of(any::<(u32, u64, u32)>()),
        data in vec(any::<u8>(), 0..200),
    ) -> Event {
        let [r#type, workspace, entity, actor] = texts.try_into().unwrap();
        let (version, revision, occurred_at_ms) = numbers;
        let cause = cause.map(|(service, seq, index)| Cause { service, seq, index });
        Event {
            r#type, version, workspace, entity, revision, occurred_at_ms, trace, actor, cause, data: data.into(),
        }
    }
}

fn note() -> impl Strategy<Value = Note> {
    let kind = prop_oneof![
        any::<u64>().prop_map(|epoch| Kind::LeaderClaimed(LeaderClaimed { epoch })),
        any::<(u64, [u8; 32], u32)>().prop_map(|(seq, hash, state_version)| {
            Kind::StateHash(StateHash { seq, hash: hash.to_vec(), state_version })
        }),
        any::<(u32, u64)>().prop_map(|(service, count)| {
            Kind::InputsRetried(InputsReleased { service, count, ..Default::default() })
        }),
        any::<(u32, u32, u32)>().prop_map(|(service, partition, partitions)| {
            Kind::Origin(Origin { service, partition, partitions, consumed: Vec::new() })
        }),
        any::<([u8; 16], [u8; 16], u32, u64)>().prop_map(|(new, old, generation, from_seq)| {
            let (log_id, previous_log_id) = (new.to_vec(), old.to_vec());
            let backup = "b".to_owned();
            Kind::Restored(Restored { log_id, previous_log_id, generation, from_seq, backup })
        }),
    ];
    proptest::option::of(kind).prop_map(|kind| Note { kind })
}

prop_compose! {
    /// A commit that says it is record `seq` of the log `[7; 16]`, after the chain value `[0; 16]`.
    fn commit(seq: Seq)(
        head in any::<(u64, u64)>(),
        events in vec(event(), 0..6),
        consumed in vec(any::<(u32, [u8; 16], u64, u32, [u8; 16])>(), 0..4),
        answered in vec(any::<([u8; 16], u64, [u8; 7])>(), 0..4),
        parked in vec("[a-z]{0,9}", 0..3),
        notes in vec(note(), 0..3),
    ) -> Commit {
        let consumed = consumed.into_iter().map(|(service, log_id, seq, events_of_next, chain)| Consumed {
            service, log_id: log_id.to_vec(), seq, events_of_next, chain: chain.to_vec(),
        });
        let answered = answered.into_iter().map(|(key, request_hash, result)| Answered {
            key: key.to_vec(), request_hash, result: result.to_vec(),
        });
        let parked = parked.into_iter().map(|text| Parked {
            input: None, workspace: text.clone(), entity: text.clone(), error: text,
        });
        Commit {
            format: FORMAT,
            min_reader: reader_of(&notes),
            log_id: vec![7; 16],
            seq,
            epoch: head.0,
            prev: vec![0; 16],
            time_ns: head.1,
            consumed: consumed.collect(),
            events,
            answered: answered.collect(),
            parked: parked.collect(),
            notes,
            ..Commit::default()
        }
    }
}

/// What may happen to bytes.
#[derive(Debug, Clone)]
enum Harm {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Twice(Index, Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        1 => any::<Index>().prop_map(Harm::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..12)).prop_map(|(at, more)| Harm::Insert(at, more)),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Harm::Remove(from, to)),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Harm::Twice(from, to)),
    ]
}

fn do_harm(bytes: &mut Vec<u8>, harm: &Harm) {
    let part = |one: &Index, other: &Index, length: usize| {
        let (one, other) = (one.index(length + 1), other.index(length + 1));
        one.min(other)..one.max(other)
    };
    match harm {
        Harm::Flip(at, bit) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Harm::Flip(..) => {}
        Harm::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Harm::Insert(at, more) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, more.iter().copied());
        }
        Harm::Remove(one, other) => drop(bytes.drain(part(one, other, bytes.len()))),
        Harm::Twice(one, other) => bytes.extend_from_within(part(one, other, bytes.len())),
    }
}

/// The same bytes as their writer would have sealed them: with a checksum that holds.
fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32c::crc32c(&bytes);
    bytes.push(CRC_TAG);
    bytes.extend(crc.to_le_bytes());
    bytes.into()
}

/// Everything that reads a record reads this one: none panics, and the two forms in which it is read agree.
fn read_by_all(record: &Record) -> Result<(), TestCaseError> {
    let (whole, lent) = (open_record(record), open_lent(record));
    drop((read_first(record, ServiceId::Intake, 0), identity_of(record)));
    drop(ChainReader::after([7; 16], record));
    let Ok(whole) = whole else { return Ok(()) };
    let (commit, events) = lent.expect("what is read whole is read in parts");
    prop_assert_eq!(&Commit { events: whole.events.clone(), ..commit }, &whole);
    prop_assert_eq!(events.len(), whole.events.len());
    for (lent, event) in events.iter().zip(&whole.events) {
        let lent = LentEvent::read(lent).expect("an event that is read whole is read in parts");
        prop_assert_eq!(lent.event_type, event.r#type.as_bytes());
        prop_assert_eq!(lent.entity, event.entity.as_bytes());
        prop_assert_eq!((lent.version, lent.revision), (event.version, event.revision));
        prop_assert_eq!(lent.data, &*event.data);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(commit in commit(9)) {
        let record = Record { seq: 9, bytes: seal(&commit) };
        let read = open_record(&record).unwrap();
        prop_assert_eq!(&Commit { crc32c: 0, ..read }, &commit);
        read_by_all(&record)?;
    }

    /// The checksum is at the end and covers the rest, so nothing that was changed is taken for a record.
    #[test]
    fn a_harmed_record_is_refused(commit in commit(9), harms in vec(harm(), 1..4)) {
        let good = seal(&commit);
        let mut bytes = good.to_vec();
        for harm in &harms {
            do_harm(&mut bytes, harm);
        }
        prop_assume!(bytes != good);
        let record = Record { seq: 9, bytes: bytes.into() };
        prop_assert!(open_record(&record).is_err());
        prop_assert!(open_lent(&record).is_err());
        read_by_all(&record)?;
    }

    #[test]
    fn bytes_of_anybody_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..600), seq in prop_oneof![0..3_u64, any::<u64>()], seal in any::<bool>(),
    ) {
        let bytes = if seal { sealed(bytes) } else { bytes.into() };
        read_by_all(&Record { seq, bytes })?;
    }

    /// A checksum keeps out accidents alone. Who can make one gets no further than the chain: what isn't the record
    /// that was written is refused, or the one after it is.
    #[test]
    fn a_forged_record_breaks_the_chain(
        commits in (commit(1), commit(2)), harms in vec(harm(), 1..4), epoch in 0..3_u64,
    ) {
        let (mut first, mut second) = commits;
        (first.epoch, second.epoch) = (0, epoch);
        // Other identities are another test's.
        first.notes.retain(|note| !matches!(note.kind, Some(Kind::Restored(_))));
        let good = Record { seq: 1, bytes: seal(&first) };
        let mut reader = ChainReader::at_start([7; 16]);
        reader.take(&good).unwrap();
        second.prev = reader.chain.to_vec();
        let next = Record { seq: 2, bytes: seal(&second) };
        prop_assert!(reader.take(&next).is_ok());

        let mut bytes = good.bytes[..good.bytes.len() - CRC_BYTES].to_vec();
        for harm in &harms {
            do_harm(&mut bytes, harm);
        }
        let forged = Record { seq: 1, bytes: sealed(bytes) };
        prop_assume!(forged != good);
        read_by_all(&forged)?;
        let mut reader = ChainReader::at_start([7; 16]);
        if reader.take(&forged).is_ok() {
            prop_assert!(reader.take(&next).is_err());
        }
    }
}

/// A length is checked against what is there before anything is made of that size: these say 4 EiB and 4 GiB.
#[test]
fn what_a_length_says_is_not_believed() {
    for tag in [3_u8, 6, 7, 9, 10, 11, 12, 13].map(|field| field << 3 | 2) {
        for length in [[0xff; 9].as_slice(), &[0xff, 0xff, 0xff, 0xff], &[0x80; 8]] {
            let bytes = [&[tag], length, &[0x0f, 1, 2, 3]].concat();
            let record = Record { seq: 1, bytes: sealed(bytes) };
            assert!(open_record(&record).is_err(), "{tag}");
            assert!(open_lent(&record).is_err(), "{tag}");
        }
    }
}
