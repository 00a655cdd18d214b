//! How far logs can be taken together, so that none has read more of another than is there.

use std::collections::BTreeMap;

use event_log::Seq;
use runtime::ServiceId;
use wire::events::v1::Commit;

/// A record that says how far its service had read another's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The record that says so.
    pub at: Seq,
    /// Whose log was read.
    pub of: ServiceId,
    /// The last record of it that was read, be it in part.
    pub upto: Seq,
}

impl Need {
    /// What a record says. A service that this build doesn't know is none of its business.
    pub fn all_of(commit: &Commit) -> impl Iterator<Item = Self> + '_ {
        commit.consumed.iter().filter_map(|consumed| {
            let of = ServiceId::from_number(consumed.service)?;
            let partly = u64::from(consumed.events_of_next > 0);
            Some(Self { at: commit.seq, of, upto: consumed.seq.saturating_add(partly) })
        })
    }
}

/// The longest beginnings of the logs of one partition, each at most to its head, in which no record has read beyond
/// the end of another's. `needs` are in order within each log. There is one such cut that holds all others, so the
/// order of cutting is no matter.
pub fn closed(
    heads: &BTreeMap<ServiceId, Seq>,
    needs: &BTreeMap<ServiceId, Vec<Need>>,
) -> BTreeMap<ServiceId, Seq> {
    let mut ends = heads.clone();
    loop {
        let mut shorter = ends.clone();
        for (service, end) in &mut shorter {
            let all = needs.get(service).map(Vec::as_slice).unwrap_or_default();
            let beyond = |need: &&Need| {
                need.at <= *end && ends.get(&need.of).is_none_or(|last| need.upto > *last)
            };
            if let Some(first) = all.iter().find(beyond) {
                *end = first.at.saturating_sub(1);
            }
        }
        if shorter == ends {
            return ends;
        }
        ends = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use ServiceId::{Intake, Routing};

    fn need(at: Seq, of: ServiceId, upto: Seq) -> Need {
        Need { at, of, upto }
    }

    #[test]
    fn two_that_read_each_other_are_cut_until_neither_is_ahead() {
        let heads = BTreeMap::from([(Intake, 5), (Routing, 9)]);
        let intake = vec![need(3, Routing, 4), need(5, Routing, 8)];
        let routing = vec![need(2, Intake, 1), need(6, Intake, 5), need(9, Intake, 6)];
        let needs = BTreeMap::from([(Intake, intake), (Routing, routing)]);
        // Routing 9 needs intake 6, which is not there. All else fits.
        assert_eq!(closed(&heads, &needs), BTreeMap::from([(Intake, 5), (Routing, 8)]));
        // Without intake 5, routing can't keep 6, and so on down.
        let heads = BTreeMap::from([(Intake, 4), (Routing, 9)]);
        assert_eq!(closed(&heads, &needs), BTreeMap::from([(Intake, 4), (Routing, 5)]));
    }

    proptest! {
        /// Whatever was read: the cut is closed, and one record more of any log would not be.
        #[test]
        fn the_cut_is_closed_and_none_is_longer(
            heads in proptest::collection::vec(1..30_u64, 4),
            steps in proptest::collection::vec((0..4_usize, 1..30_u64, 0..4_usize, 0..5_u64), 0..60),
        ) {
            let all = ServiceId::ALL;
            let mut needs: BTreeMap<ServiceId, Vec<Need>> = BTreeMap::new();
            for (service, at, of, ahead) in steps {
                if service != of {
                    // As logs are read: about as far as the reader is.
                    needs.entry(all[service]).or_default().push(need(at, all[of], at + ahead));
                }
            }
            for needs in needs.values_mut() {
                needs.sort_by_key(|need| need.at);
            }
            let heads: BTreeMap<_, _> = all.into_iter().zip(heads).collect();
            let is_closed = |ends: &BTreeMap<ServiceId, Seq>| {
                ends.iter().all(|(service, end)| {
                    needs.get(service).into_iter().flatten()
                        .filter(|need| need.at <= *end)
                        .all(|need| need.upto <= ends[&need.of])
                })
            };
            let ends = closed(&heads, &needs);
            prop_assert!(is_closed(&ends));
            // Every closed cut lies within it: try all that are one log longer, completed by the others' heads.
            for service in all {
                if ends[&service] == heads[&service] {
                    continue;
                }
                let mut longer = heads.clone();
                longer.insert(service, ends[&service] + 1);
                let again = closed(&longer, &needs);
                prop_assert_eq!(again[&service], ends[&service]);
            }
        }
    }
}
