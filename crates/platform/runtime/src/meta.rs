//! What the runtime itself remembers of a log, beside the service's state; a fold of the same records.

use std::collections::BTreeMap;

use event_log::Seq;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use wire::events::v1::{Commit, Consumed, InputsReleased, Note, note::Kind};

use crate::commit::Chain;
use crate::requests::{Answer, Key, Requests};
use crate::{LogId, ServiceId};

/// The version of [`Meta`]'s layout, of [`Meta::apply`] and of a snapshot's bytes. Raise it when either changes; see [`crate::Fold::LAYOUT`].
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

impl Meta {
    /// Takes a commit in. `events` is how many it has, `record_bytes` its stored length.
    pub(crate) fn apply(&mut self, commit: &Commit, events: usize, record_bytes: usize) {
        self.time_ns = self.time_ns.max(commit.time_ns);
        self.epoch = self.epoch.max(commit.epoch);
        self.events += u64::try_from(events).unwrap_or(0);
        self.bytes += u64::try_from(record_bytes).unwrap_or(0);
        for consumed in &commit.consumed {
            let handled = Handled {
                log_id: LogId::try_from(consumed.log_id.as_slice()).unwrap_or_default(),
                seq: consumed.seq,
                events_of_next: consumed.events_of_next,
                chain: Chain::try_from(consumed.chain.as_slice()).unwrap_or_default(),
            };
            self.consumed.insert(consumed.service, handled);
        }
        for answered in &commit.answered {
            let key = Key::try_from(answered.key.as_slice()).unwrap_or_default();
            let reply = answered.result.clone().into_boxed_slice();
            let answer = Answer { seq: commit.seq, hash: answered.request_hash, reply };
            self.requests.insert(self.time(), key, answer);
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
            Some(Kind::Genesis(_) | Kind::Restored(_) | Kind::Origin(_)) | None => {}
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
