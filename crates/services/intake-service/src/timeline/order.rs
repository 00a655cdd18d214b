//! The order of a story: by time, and within one instant a cause before what it caused.
//!
//! Services take each other's times over (a ticket is resolved at the instant at which its work was done), so ties are
//! the rule.

use std::collections::{BTreeMap, HashSet, VecDeque};

use runtime::ServiceId;

use super::Place;

/// What a fact's order depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) at_ms: i64,
    pub(super) place: Place,
    /// The fact of another log that caused it.
    pub(super) cause: Option<Place>,
}

/// Orders by instant, then cause before effect, then service, record and index.
pub(super) fn ordered(mut keys: Vec<Key>) -> Vec<Place> {
    keys.sort_by_key(|key| (key.at_ms, key.place));
    let instants = keys.chunk_by(|one, other| one.at_ms == other.at_ms);
    instants.flat_map(untangled).collect()
}

/// Orders facts of one instant. Each log's own order stays.
fn untangled(keys: &[Key]) -> Vec<Place> {
    let mut waiting: HashSet<Place> = keys.iter().map(|key| key.place).collect();
    let mut logs: BTreeMap<ServiceId, VecDeque<Key>> = BTreeMap::new();
    for key in keys {
        logs.entry(key.place.service).or_default().push_back(*key);
    }
    let mut ordered = Vec::with_capacity(keys.len());
    while let Some(service) = next(&logs, &waiting) {
        if let Some(key) = logs.get_mut(&service).and_then(VecDeque::pop_front) {
            waiting.remove(&key.place);
            ordered.push(key.place);
        }
    }
    ordered
}

/// The first log whose next fact has no cause left waiting. Facts that wait for each other can't be, but would not stop
/// us.
fn next(logs: &BTreeMap<ServiceId, VecDeque<Key>>, waiting: &HashSet<Place>) -> Option<ServiceId> {
    let heads = || logs.iter().filter_map(|(service, keys)| Some((*service, keys.front()?)));
    let free = |key: &Key| key.cause.is_none_or(|cause| !waiting.contains(&cause));
    heads().find(|(_, key)| free(key)).or_else(|| heads().next()).map(|(service, _)| service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(service: ServiceId, seq: u64) -> Place {
        Place { service, seq, index: 0 }
    }

    fn key(at_ms: i64, place: Place, cause: Option<Place>) -> Key {
        Key { at_ms, place, cause }
    }

    #[test]
    fn what_happened_later_comes_later() {
        let (early, late) = (place(ServiceId::Notify, 9), place(ServiceId::Intake, 1));
        assert_eq!(ordered(vec![key(2, late, None), key(1, early, None)]), [early, late]);
    }

    #[test]
    fn a_cause_comes_before_what_it_caused_in_the_same_instant() {
        let opened = place(ServiceId::Intake, 1);
        let queued = place(ServiceId::Routing, 1);
        let done = place(ServiceId::Routing, 2);
        let resolved = place(ServiceId::Intake, 2);
        let met = place(ServiceId::Sla, 1);
        let keys = vec![
            key(7, met, Some(resolved)),
            key(7, resolved, Some(done)),
            key(7, opened, None),
            key(7, done, None),
            key(7, queued, Some(opened)),
        ];
        assert_eq!(ordered(keys), [opened, queued, done, resolved, met]);
    }

    #[test]
    fn nothing_is_lost_where_causes_go_round() {
        let (one, other) = (place(ServiceId::Intake, 1), place(ServiceId::Routing, 1));
        let keys = vec![key(7, one, Some(other)), key(7, other, Some(one))];
        assert_eq!(ordered(keys), [one, other]);
    }
}
