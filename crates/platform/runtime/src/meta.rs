//! What the runtime itself remembers of a log, beside the service's state; a fold of the same records.

use std::collections::BTreeMap;

use event_log::Seq;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use wire::events::v1::{Answered, Commit, Consumed, InputsReleased, Note, note::Kind};

use crate::commit::{Chain, Doubt};
use crate::requests::{Answer, Key, Requests};
use crate::{LogId, ServiceId};

/// The version of [`Meta`]'s layout, of [`Meta::apply`] and of a snapshot's bytes. Raise it when either changes; see
/// [`crate::Fold::LAYOUT`].
pub(crate) const META_VERSION: u32 = 3;

/// How far an input is handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handled {
    /// The input log's identity.
    pub(crate) log_id: LogId,
    /// The last record handled completely.
    pub(crate) seq: Seq,
    /// How many events of the record after it are handled too.
    pub(crate) events_of_next: u32,
    /// The chain value after record `seq`; zeros before the first record.
    pub(crate) chain: Chain,
}

/// (service, workspace, entity)
pub(crate) type ParkedKey = (u32, String, String);

/// An entity's inputs that are set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkedInputs {
    /// Why the first one can't be applied.
    pub(crate) error: String,
    /// When the first one was set aside.
    pub(crate) since: Timestamp,
    /// Their records and places, in their order.
    pub(crate) places: Vec<(Seq, u32)>,
}

/// The runtime's own state. Deterministic: it is part of the state hash.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The last commit's time.
    pub(crate) time_ns: u64,
    /// The leader's epoch.
    pub(crate) epoch: u64,
    /// How far each input is handled, by the service's number.
    pub(crate) consumed: BTreeMap<u32, Handled>,
    /// The answered requests.
    pub(crate) requests: Requests,
    /// The inputs set aside, by service, workspace and entity.
    pub(crate) parked: BTreeMap<ParkedKey, ParkedInputs>,
    /// How many inputs are set aside.
    pub(crate) parked_count: u64,
    /// Events in all.
    pub(crate) events: u64,
    /// Bytes in all.
    pub(crate) bytes: u64,
    /// The record that the last state hash is about.
    pub(crate) hashed_at: Seq,
}

/// A state's hash as a leader wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenHash {
    /// The record that it is about.
    pub(crate) seq: Seq,
    pub(crate) hash: [u8; 32],
    /// The layout of the state that was hashed.
    pub(crate) state_version: u32,
}

/// What a commit says beside its events, its identities, keys and hashes read. A commit in which one of them has
/// another length than it must have is not read at all: a value made up in its place would be compared as if it were
/// true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bookkeeping {
    /// Who wrote it; zeros for a record that no leader wrote, such as a genesis.
    pub(crate) writer: [u8; 16],
    consumed: Vec<(u32, Handled)>,
    /// The keys of the requests that it answers, in their order.
    keys: Vec<Key>,
    /// The hash of the state before it, if it carries one.
    pub(crate) state_hash: Option<WrittenHash>,
}

impl Bookkeeping {
    /// Reads a commit's, or says which part is malformed.
    pub(crate) fn of(commit: &Commit) -> Result<Self, Doubt> {
        let seq = commit.seq;
        let mut consumed = Vec::with_capacity(commit.consumed.len());
        for stored in &commit.consumed {
            let handled = Handled {
                log_id: exactly(seq, "the identity of an input's log", &stored.log_id)?,
                seq: stored.seq,
                events_of_next: stored.events_of_next,
                chain: or_none(seq, "the chain value of an input", &stored.chain)?,
            };
            consumed.push((stored.service, handled));
        }
        let key = |answered: &Answered| exactly(seq, "the key of a request", &answered.key);
        let mut state_hash = None;
        for note in &commit.notes {
            let Some(Kind::StateHash(stored)) = &note.kind else { continue };
            let hash = exactly(seq, "a state's hash", &stored.hash)?;
            let state_version = stored.state_version;
            state_hash = Some(WrittenHash { seq: stored.seq, hash, state_version });
        }
        Ok(Self {
            writer: or_none(seq, "the writer", &commit.writer)?,
            consumed,
            keys: commit.answered.iter().map(key).collect::<Result<_, _>>()?,
            state_hash,
        })
    }
}

/// Bytes of which there must be so many.
fn exactly<const N: usize>(seq: Seq, what: &str, bytes: &[u8]) -> Result<[u8; N], Doubt> {
    bytes.try_into().map_err(|_| {
        let error = format!("{what} has {} bytes and not {N}", bytes.len());
        Doubt::Malformed { seq, error }
    })
}

/// The same where none at all mean that there is no such thing: zeros.
fn or_none<const N: usize>(seq: Seq, what: &str, bytes: &[u8]) -> Result<[u8; N], Doubt> {
    if bytes.is_empty() { Ok([0; N]) } else { exactly(seq, what, bytes) }
}

impl Meta {
    /// Takes a commit in. `events` is how many it has, `record_bytes` its stored length.
    pub(crate) fn apply(
        &mut self,
        commit: &Commit,
        read: &Bookkeeping,
        events: usize,
        record_bytes: usize,
    ) {
        self.time_ns = self.time_ns.max(commit.time_ns);
        self.epoch = self.epoch.max(commit.epoch);
        self.events += u64::try_from(events).unwrap_or(0);
        self.bytes += u64::try_from(record_bytes).unwrap_or(0);
        self.consumed.extend(read.consumed.iter().copied());
        for (answered, key) in commit.answered.iter().zip(&read.keys) {
            let reply = answered.result.clone().into_boxed_slice();
            let answer = Answer { seq: commit.seq, hash: answered.request_hash, reply };
            self.requests.insert(self.time(), *key, answer);
        }
        // Before what is set aside now: that stands behind what is left.
        for note in &commit.notes {
            self.note(note);
        }
        for parked in &commit.parked {
            let Some(input) = &parked.input else { continue };
            let entity = (input.service, parked.workspace.clone(), parked.entity.clone());
            let since = self.time();
            let of_entity = self.parked.entry(entity).or_insert_with(|| ParkedInputs {
                error: parked.error.clone(),
                since,
                places: Vec::new(),
            });
            of_entity.places.push((input.seq, input.index));
            self.parked_count += 1;
        }
    }

    fn note(&mut self, note: &Note) {
        match &note.kind {
            Some(Kind::LeaderClaimed(claim)) => self.epoch = self.epoch.max(claim.epoch),
            Some(Kind::StateHash(hash)) => self.hashed_at = hash.seq,
            Some(Kind::InputsRetried(released) | Kind::InputsDropped(released)) => {
                self.release(released);
            }
            Some(Kind::Genesis(_) | Kind::Restored(_) | Kind::Origin(_) | Kind::Supersedes(_))
            | None => {}
        }
    }

    /// Inputs that were set aside are so no more.
    fn release(&mut self, released: &InputsReleased) {
        let key = (released.service, released.workspace.clone(), released.entity.clone());
        let Some(parked) = self.parked.get_mut(&key) else { return };
        let wanted = usize::try_from(released.count).unwrap_or(usize::MAX);
        let count = parked.places.drain(..wanted.min(parked.places.len())).count();
        self.parked_count = self.parked_count.saturating_sub(u64::try_from(count).unwrap_or(0));
        if parked.places.is_empty() {
            self.parked.remove(&key);
        } else if !released.error.is_empty() {
            parked.error.clone_from(&released.error);
        }
    }

    /// The last commit's time, in whole milliseconds.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.time_ns / 1_000_000).unwrap_or(i64::MAX))
    }

    /// How far every input is handled, as records say it.
    pub(crate) fn consumed_list(&self) -> Vec<Consumed> {
        let of = |(service, handled): (&u32, &Handled)| Consumed {
            service: *service,
            log_id: handled.log_id.to_vec(),
            seq: handled.seq,
            events_of_next: handled.events_of_next,
            chain: handled.chain.to_vec(),
        };
        self.consumed.iter().map(of).collect()
    }

    /// How far an input is handled; `None`: nothing of it yet.
    pub(crate) fn consumed(&self, service: ServiceId) -> Option<Handled> {
        self.consumed.get(&service.number()).copied()
    }

    /// Whether inputs of this entity are set aside.
    pub(crate) fn is_parked(&self, service: ServiceId, workspace: &str, entity: &str) -> bool {
        !self.parked.is_empty()
            && self.parked.contains_key(&(
                service.number(),
                workspace.to_owned(),
                entity.to_owned(),
            ))
    }
}

#[cfg(test)]
mod tests {
    use wire::events::v1::StateHash;

    use super::*;

    fn whole() -> Commit {
        let consumed = Consumed {
            service: 2,
            log_id: vec![1; 16],
            seq: 7,
            events_of_next: 0,
            chain: vec![2; 16],
        };
        let hash = StateHash { seq: 8, hash: vec![3; 32], state_version: 1 };
        Commit {
            seq: 9,
            writer: vec![4; 16],
            consumed: vec![consumed],
            answered: vec![Answered { key: vec![5; 16], request_hash: 1, result: vec![6] }],
            notes: vec![Note { kind: Some(Kind::StateHash(hash)) }],
            ..Commit::default()
        }
    }

    #[test]
    fn a_whole_commit_is_read_as_it_stands() {
        let read = Bookkeeping::of(&whole()).unwrap();
        assert_eq!((read.writer, read.keys.as_slice()), ([4; 16], [[5; 16]].as_slice()));
        let handled = Handled { log_id: [1; 16], seq: 7, events_of_next: 0, chain: [2; 16] };
        assert_eq!(read.consumed, [(2, handled)]);
        let hash = WrittenHash { seq: 8, hash: [3; 32], state_version: 1 };
        assert_eq!(read.state_hash, Some(hash));
    }

    /// Each of these used to become zeros, which another malformed one then equalled.
    #[test]
    fn what_has_a_wrong_length_is_malformed_and_never_zeros() {
        fn hash_of(commit: &mut Commit) -> &mut Vec<u8> {
            match commit.notes.first_mut().and_then(|note| note.kind.as_mut()) {
                Some(Kind::StateHash(hash)) => &mut hash.hash,
                other => panic!("{other:?}"),
            }
        }
        type Part = fn(&mut Commit) -> &mut Vec<u8>;
        let parts: [(&str, Part); 5] = [
            ("the writer", |commit| &mut commit.writer),
            ("the identity of an input's log", |commit| &mut commit.consumed[0].log_id),
            ("the chain value of an input", |commit| &mut commit.consumed[0].chain),
            ("the key of a request", |commit| &mut commit.answered[0].key),
            ("a state's hash", hash_of),
        ];
        for (what, part) in parts {
            for change in
                [|bytes: &mut Vec<u8>| bytes.truncate(3), |bytes: &mut Vec<u8>| bytes.push(0)]
            {
                let mut bad = whole();
                change(part(&mut bad));
                match Bookkeeping::of(&bad) {
                    Err(Doubt::Malformed { seq: 9, error }) => {
                        assert!(error.starts_with(what), "{error}");
                    }
                    other => panic!("{what}: {other:?}"),
                }
            }
        }
    }

    /// A genesis has no writer, and a record of before places were kept with their chain has none.
    #[test]
    fn what_may_be_missing_is_nothing() {
        let mut commit = whole();
        commit.writer.clear();
        commit.consumed[0].chain.clear();
        let read = Bookkeeping::of(&commit).unwrap();
        assert_eq!((read.writer, read.consumed[0].1.chain), ([0; 16], Chain::default()));
        for clear in [
            |commit: &mut Commit| commit.consumed[0].log_id.clear(),
            |commit: &mut Commit| {
                commit.answered[0].key.clear();
            },
        ] {
            let mut commit = whole();
            clear(&mut commit);
            assert!(matches!(Bookkeeping::of(&commit), Err(Doubt::Malformed { .. })));
        }
    }
}
