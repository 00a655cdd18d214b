//! The verdict: what clients were told against what the logs hold. Each record and each call is looked at once.

mod across;
mod effects;
mod order;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ::tests::receiver::Received;
use invariants::LogWalk;
use runtime::{ServiceId, open_record};
use wire::events::v1::Commit;

use crate::chaos::history::History;
use crate::chaos::logs::{Log, Logs, Marks};

/// One log by its service and partition.
type Place = (ServiceId, u32);

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Acknowledged and not in the log.
    pub(crate) lost: usize,
    /// In the log more than once.
    pub(crate) doubled: usize,
    /// All that must never be, the lost and the doubled among them.
    pub(crate) violations: Vec<String>,
    /// Records in all logs.
    pub(crate) records: usize,
    /// The most terms that any partition has seen.
    pub(crate) epochs: u64,
}

impl Verdict {
    fn broken(&mut self, what: String) {
        self.violations.push(what);
    }

    fn lost(&mut self, what: &str) {
        self.lost += 1;
        self.broken(format!("I1: lost: {what}"));
    }

    fn doubled(&mut self, what: &str) {
        self.doubled += 1;
        self.broken(format!("I3: doubled: {what}"));
    }
}

/// The logs, walked and decoded.
#[derive(Debug, Default)]
struct Walked {
    walks: BTreeMap<Place, LogWalk>,
    commits: BTreeMap<Place, Vec<Commit>>,
}

/// Judges a history by the logs. `before`: what they held when it began; `received`: what webhooks brought, if they
/// were looked at.
pub(crate) fn judge(
    history: &History,
    logs: &Logs,
    before: &Marks,
    received: Option<&Received>,
) -> Verdict {
    let mut verdict = Verdict { violations: history.violations.clone(), ..Verdict::default() };
    let walked = walk(logs, &mut verdict);
    requests::check(history, &walked, before, &mut verdict);
    effects::check(history, &walked, before, &mut verdict);
    order::check(history, &mut verdict);
    across::check(walked, received, &mut verdict);
    verdict
}

/// Walks every log with the invariants that it shows by itself, at each record and at rest.
fn walk(logs: &Logs, verdict: &mut Verdict) -> Walked {
    let mut walked = Walked::default();
    for log in &logs.0 {
        let Log { service, partition, records } = log;
        let first = records.first().and_then(|record| open_record(record).ok());
        let born = first.and_then(|first| <[u8; 16]>::try_from(first.log_id.as_slice()).ok());
        let Some(log_id) = born else {
            verdict.broken(format!("I6: {service}.{partition} has no first record"));
            continue;
        };
        let mut walk = LogWalk::new(*service, log_id);
        let mut commits = Vec::with_capacity(records.len());
        for record in records {
            let (commit, found) = walk.take(record);
            let found = found.into_iter().map(|one| format!("partition {partition}: {one}"));
            verdict.violations.extend(found);
            commits.extend(commit);
        }
        let found = walk.at_rest().into_iter();
        let found = found.map(|one| format!("at rest, partition {partition}: {one}"));
        verdict.violations.extend(found);
        verdict.records += records.len();
        let epoch = commits.last().map_or(0, |last| last.epoch);
        verdict.epochs = verdict.epochs.max(epoch);
        walked.walks.insert((*service, *partition), walk);
        walked.commits.insert((*service, *partition), commits);
    }
    walked
}
