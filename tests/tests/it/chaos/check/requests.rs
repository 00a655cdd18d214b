//! By request: what was acknowledged is answered once in the log that it belongs to, where the client was told, with
//! the content that it had; what was refused is not, what nobody knows of is at most once; and nothing is there that
//! nobody asked for.

use std::collections::HashMap;

use ::tests::cluster::PARTITIONS;
use ::tests::proof::request_key;
use runtime::partition_of;

use super::{Place, Verdict, Walked};
use crate::chaos::history::{Change, History, Outcome};
use crate::chaos::logs::Marks;

/// Where a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answered {
    place: Place,
    log_id: [u8; 16],
    seq: u64,
    hash: u64,
}

pub(super) fn check(history: &History, walked: &Walked, before: &Marks, verdict: &mut Verdict) {
    let mut answered: HashMap<Vec<u8>, Vec<Answered>> = HashMap::new();
    for (place, commits) in &walked.commits {
        let since = before.get(place).copied().unwrap_or(0);
        for commit in commits.iter().filter(|commit| commit.seq > since) {
            let log_id = commit.log_id.as_slice().try_into().unwrap_or_default();
            for one in &commit.answered {
                let hash = one.request_hash;
                let found = Answered { place: *place, log_id, seq: commit.seq, hash };
                answered.entry(one.key.clone()).or_default().push(found);
            }
        }
    }
    for change in &history.changes {
        let key = request_key(&change.workspace, change.method, &change.request_id);
        let found = answered.remove(&key).unwrap_or_default();
        judge(change, &found, verdict);
    }
    for found in answered.into_values().flatten() {
        let Answered { place: (service, partition), seq, .. } = found;
        verdict.broken(format!("I2: {service}.{partition} {seq} answers what nobody asked for"));
    }
}

fn judge(change: &Change, found: &[Answered], verdict: &mut Verdict) {
    let name = format!("{} {} of {}", change.method, change.request_id, change.workspace);
    let partitions = u16::try_from(PARTITIONS).unwrap_or(u16::MAX);
    let partition = u32::from(partition_of(&change.workspace, partitions));
    if found.len() > 1 {
        verdict.doubled(&format!("{name} is answered {} times", found.len()));
    }
    if let Some(one) = found.iter().find(|one| one.place != (change.service, partition)) {
        verdict.broken(format!("I2: {name} is answered in {:?}", one.place));
    }
    if found.iter().any(|one| one.hash != change.hash) {
        verdict.broken(format!("I3: {name} is answered with another content"));
    }
    match &change.outcome {
        Outcome::Acknowledged { position, .. } => {
            if change.is_wrong {
                verdict.broken(format!("I2: {name} is against the rules and was acknowledged"));
            }
            let told = (position.log_id, position.seq);
            match found.first() {
                None => verdict.lost(&format!("{name}, acknowledged at {}", position.seq)),
                Some(one) if (one.log_id, one.seq) != told => {
                    let (seq, told) = (one.seq, position.seq);
                    verdict.broken(format!("I1: {name} is in {seq} and was told to be in {told}"));
                }
                Some(_) => {}
            }
        }
        Outcome::Refused { reason } => {
            if let Some(one) = found.first() {
                let seq = one.seq;
                verdict.broken(format!("I2: {name} was refused ({reason}) and is in {seq}"));
            }
        }
        Outcome::Unknown => {
            if change.is_wrong && !found.is_empty() {
                verdict.broken(format!("I2: {name} is against the rules and was done"));
            }
        }
    }
}
