//! What a log in memory holds, and the faults that are planned for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{AppendError, LogError, Record, Seq, Tail};

/// What happens to the next append.
#[derive(Debug)]
pub(super) enum Plan {
    Write,
    WriteAndLoseAck,
    Hold,
    Unavailable,
}

/// What a follower does next.
#[derive(Debug)]
pub(super) enum Step {
    Deliver(Record),
    Fail(LogError),
    Wait,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a test double")]
pub(super) struct State {
    records: BTreeMap<Seq, Bytes>,
    last: Seq,
    trimmed: Seq,
    /// Where the log ended after each loss of a suffix, oldest first.
    pub(super) truncations: Vec<Seq>,
    pub(super) hidden: BTreeSet<Seq>,
    pub(super) held: Vec<(Seq, Bytes)>,
    pub(super) lose_next_ack: bool,
    pub(super) hold_next: bool,
    pub(super) unavailable: bool,
    pub(super) unavailable_appends: u32,
    pub(super) full: bool,
    pub(super) appends_stalled: bool,
    pub(super) followers_stalled: bool,
}

impl State {
    pub(super) fn tail(&self) -> Tail {
        Tail { first: self.trimmed.saturating_add(1), last: self.last }
    }

    pub(super) fn reachable(&self) -> Result<(), LogError> {
        if self.unavailable { Err(LogError::Unavailable("injected".into())) } else { Ok(()) }
    }

    pub(super) fn plan(&mut self) -> Plan {
        if self.unavailable {
            return Plan::Unavailable;
        }
        if let Some(left) = self.unavailable_appends.checked_sub(1) {
            self.unavailable_appends = left;
            return Plan::Unavailable;
        }
        if std::mem::take(&mut self.lose_next_ack) {
            return Plan::WriteAndLoseAck;
        }
        if std::mem::take(&mut self.hold_next) { Plan::Hold } else { Plan::Write }
    }

    pub(super) fn append(&mut self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        if fence != self.last {
            return Err(AppendError::Fenced { last: self.last });
        }
        if self.full {
            return Err(AppendError::Full);
        }
        Ok(self.push(record))
    }

    pub(super) fn push(&mut self, record: Bytes) -> Seq {
        self.last = self.last.saturating_add(1);
        self.records.insert(self.last, record);
        self.last
    }

    pub(super) fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        self.reachable()?;
        self.tail().admits(from)?;
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        for seq in from..=self.last {
            match self.get(seq) {
                Some(record) => {
                    bytes += record.bytes.len();
                    if bytes > max_bytes && !records.is_empty() {
                        break;
                    }
                    records.push(record);
                }
                None if records.is_empty() => return Err(self.gap(seq)),
                // What comes before the hole is good; the next read reports the hole.
                None => break,
            }
        }
        Ok(records)
    }

    pub(super) fn step(&self, next: Seq, had: Option<Seq>, truncations: usize) -> Step {
        if self.followers_stalled || self.unavailable {
            return Step::Wait;
        }
        if let Some(had) = had {
            let lowest = self.truncations.iter().skip(truncations).min();
            if let Some(&last) = lowest.filter(|last| **last < had) {
                return Step::Fail(LogError::WentBackwards { had, last });
            }
        }
        if let Err(error) = self.tail().admits(next) {
            return Step::Fail(error);
        }
        if next > self.last {
            return Step::Wait;
        }
        self.get(next).map_or_else(|| Step::Fail(self.gap(next)), Step::Deliver)
    }

    pub(super) fn trim(&mut self, upto: Seq) -> Result<(), LogError> {
        self.reachable()?;
        if upto > self.last {
            return Err(LogError::Beyond { last: self.last });
        }
        if upto > self.trimmed {
            self.trimmed = upto;
            self.records = self.records.split_off(&upto.saturating_add(1));
        }
        Ok(())
    }

    pub(super) fn truncate(&mut self, last: Seq) {
        self.records.split_off(&last.saturating_add(1));
        self.last = self.last.min(last);
        self.truncations.push(self.last);
    }

    fn get(&self, seq: Seq) -> Option<Record> {
        if self.hidden.contains(&seq) {
            return None;
        }
        self.records.get(&seq).map(|bytes| Record { seq, bytes: bytes.clone() })
    }

    fn gap(&self, expected: Seq) -> LogError {
        let after = self.last.saturating_add(1);
        let found = (expected..=self.last).find(|seq| self.get(*seq).is_some()).unwrap_or(after);
        LogError::Gap { expected, found }
    }
}
