//! By time: what was acknowledged before another call began stands before it in their log, and whoever looks later sees
//! it.

use std::collections::{HashMap, HashSet};

use ::tests::cluster::PARTITIONS;
use runtime::partition_of;

use super::Verdict;
use crate::chaos::history::{Change, History, Look, Outcome};

/// Something that happened to one call.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Asked(usize, &'a Change),
    Answered(usize, &'a Change),
    Looked(&'a Look),
}

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    // Moments are numbered without a gap, so the steps need no sorting.
    let mut steps: Vec<Option<Step<'_>>> = vec![None; history.moments];
    let mut put = |order: usize, step| {
        if let Some(place) = steps.get_mut(order) {
            *place = Some(step);
        }
    };
    for (index, change) in history.changes.iter().enumerate() {
        put(change.began.order, Step::Asked(index, change));
        put(change.ended.order, Step::Answered(index, change));
    }
    for look in &history.looks {
        put(look.began.order, Step::Looked(look));
    }
    let partitions = u16::try_from(PARTITIONS).unwrap_or(u16::MAX);
    // Each log's last record that anybody was told of, and that record at the time when each call was asked.
    let mut told: HashMap<_, u64> = HashMap::new();
    let mut known: Vec<Option<u64>> = vec![None; history.changes.len()];
    let mut opened: HashSet<&str> = HashSet::new();
    for step in steps.into_iter().flatten() {
        match step {
            Step::Asked(index, change) => {
                let place = (change.service, partition_of(&change.workspace, partitions));
                if let Some(known) = known.get_mut(index) {
                    *known = told.get(&place).copied();
                }
            }
            Step::Answered(index, change) => {
                let Outcome::Acknowledged { position, .. } = &change.outcome else { continue };
                let place = (position.service, position.partition);
                let before = known.get(index).copied().flatten();
                if let Some(before) = before.filter(|before| position.seq <= *before) {
                    let (method, id, seq) = (change.method, &change.request_id, position.seq);
                    verdict.broken(format!(
                        "I5: {method} {id} began when {before} was told, and stands in {seq}"
                    ));
                }
                let last = told.entry(place).or_default();
                *last = (*last).max(position.seq);
                if change.effect.event_type == "TicketOpened" {
                    opened.insert(&change.effect.mark);
                }
            }
            Step::Looked(look) => {
                if look.found == Some(false) && opened.contains(look.ticket.as_str()) {
                    let (service, ticket) = (look.service, &look.ticket);
                    let how = if look.with_position { "with" } else { "without" };
                    verdict.broken(format!(
                        "I8: {ticket} was acknowledged, and {service} did not see it, {how} its position"
                    ));
                }
            }
        }
    }
}
