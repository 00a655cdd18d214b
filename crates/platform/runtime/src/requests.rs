//! The request table: which requests were answered, and how, so that a repetition gets the same answer.

use std::collections::{BTreeMap, VecDeque};

use event_log::Seq;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// How long an answer is kept, in event time.
pub const KEPT_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// How many answers a partition keeps.
pub const KEPT_MAX: usize = 1_000_000;

/// A request's key: the first 16 bytes of BLAKE3 over workspace, method and request id.
pub(crate) type Key = [u8; 16];

/// The key of a request.
pub(crate) fn key(workspace: &str, method: &str, request_id: &str) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in [workspace, method, request_id] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let mut key = Key::default();
    hasher.finalize_xof().fill(&mut key);
    key
}

/// A request's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The record that holds what it changed.
    pub(crate) seq: Seq,
    /// The hash of its content.
    pub(crate) hash: u64,
    /// The encoded reply.
    pub(crate) reply: Box<[u8]>,
}

/// The table. Deterministic: it is part of the state hash.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Requests {
    #[serde(deserialize_with = "kernel::in_order::map")]
    answers: BTreeMap<Key, Answer>,
    order: VecDeque<(Timestamp, Key)>,
    /// Everything answered before this instant may be forgotten.
    forgotten_until: Timestamp,
}

impl Requests {
    pub(crate) fn get(&self, key: &Key) -> Option<&Answer> {
        self.answers.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    /// The instant before which a request may have been forgotten.
    pub(crate) fn horizon(&self) -> Timestamp {
        self.forgotten_until
    }

    /// The instant of the oldest answer that is kept.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.order.front().map(|(at, _)| *at)
    }

    /// Remembers an answer and forgets those that are too old or too many.
    pub(crate) fn insert(&mut self, at: Timestamp, key: Key, answer: Answer) {
        if self.answers.insert(key, answer).is_none() {
            self.order.push_back((at, key));
        }
        let horizon = at.minus_millis(KEPT_MILLIS);
        while let Some((answered_at, key)) = self.order.front() {
            if self.order.len() <= KEPT_MAX && *answered_at >= horizon {
                break;
            }
            self.forgotten_until = self.forgotten_until.max(answered_at.plus_millis(1));
            self.answers.remove(key);
            self.order.pop_front();
        }
    }
}

/// The instant inside a UUIDv7; `None` for any other text.
pub(crate) fn uuid_v7_instant(request_id: &str) -> Option<Timestamp> {
    let uuid = uuid::Uuid::try_parse(request_id).ok()?;
    if uuid.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    let millis = seconds.checked_mul(1000)?.checked_add(u64::from(nanos / 1_000_000))?;
    Some(Timestamp::from_millis(i64::try_from(millis).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer { seq: 2, hash: 3, reply: Box::default() }
    }

    #[test]
    fn answers_are_forgotten_by_event_time() {
        let mut requests = Requests::default();
        let first = Timestamp::from_millis(1_000);
        requests.insert(first, [1; 16], answer());
        requests.insert(first.plus_millis(KEPT_MILLIS), [2; 16], answer());
        assert!(requests.get(&[1; 16]).is_some(), "exactly 24 h old is kept");
        requests.insert(first.plus_millis(KEPT_MILLIS + 1), [3; 16], answer());
        assert!(requests.get(&[1; 16]).is_none());
        assert_eq!(requests.horizon(), first.plus_millis(1));
        assert_eq!(requests.len(), 2);
    }

    #[test]
    fn only_a_uuid_v7_has_an_instant() {
        let id = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_700_000_000, 0));
        assert_eq!(
            uuid_v7_instant(&id.to_string()),
            Some(Timestamp::from_millis(1_700_000_000_000))
        );
        assert_eq!(uuid_v7_instant("order-17"), None);
        assert_eq!(uuid_v7_instant("0193d0a0-0000-4000-8000-000000000000"), None);
    }
}
