//! What every log promises, whoever owns it: I3 to I6, I12 and I23.

use std::collections::BTreeMap;

use event_log::Record;
use runtime::{ChainReader, Doubt, LogId, open_record};
use wire::events::v1::{Commit, Event, note::Kind};

use crate::Findings;

/// An input's place: service, record, index.
pub type CauseKey = (u32, u64, u32);

/// What the records of one log say of themselves.
#[derive(Debug)]
pub struct Commits {
    reader: ChainReader,
    epoch: u64,
    writer: Vec<u8>,
    time_ns: u64,
    consumed: BTreeMap<u32, (u64, u32)>,
    causes: BTreeMap<CauseKey, u64>,
    answered: BTreeMap<Vec<u8>, u64>,
    revisions: BTreeMap<(String, Entity, String), u64>,
}

/// What an event's entity is; revisions count within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entity {
    Workspace,
    Ticket,
    Agent,
    Queue,
    Policy,
    Endpoint,
    Rule,
    Delivery,
    /// Of no entity's history.
    None,
}

impl Commits {
    pub(crate) fn new(log_id: LogId) -> Self {
        Self {
            reader: ChainReader::at_start(log_id),
            epoch: 0,
            writer: Vec::new(),
            time_ns: 0,
            consumed: BTreeMap::new(),
            causes: BTreeMap::new(),
            answered: BTreeMap::new(),
            revisions: BTreeMap::new(),
        }
    }

    /// The last record taken.
    pub fn seq(&self) -> u64 {
        self.reader.seq
    }

    /// The record that answered a request, by the request's key.
    pub fn answered(&self) -> &BTreeMap<Vec<u8>, u64> {
        &self.answered
    }

    /// The record that handled an input, for those that caused anything.
    pub fn causes(&self) -> &BTreeMap<CauseKey, u64> {
        &self.causes
    }

    /// How far an input is handled: its last whole record, and how many events of the next.
    pub fn consumed(&self, service: u32) -> (u64, u32) {
        self.consumed.get(&service).copied().unwrap_or_default()
    }

    pub(crate) fn take(&mut self, record: &Record, findings: &mut Findings) -> Option<Commit> {
        let commit = match self.reader.take(record) {
            Ok(commit) => commit,
            Err(doubt) => {
                let invariant = match &doubt {
                    Doubt::Epoch { .. } => "I23",
                    Doubt::NewerReader { .. } | Doubt::Event { .. } => "I15",
                    Doubt::Sequence { .. } => "I5",
                    Doubt::Checksum { .. }
                    | Doubt::Malformed { .. }
                    | Doubt::Identity { .. }
                    | Doubt::Chain { .. }
                    | Doubt::Genesis { .. } => "I6",
                };
                findings.add(invariant, doubt.to_string());
                return open_record(record).ok();
            }
        };
        self.leadership(&commit, findings);
        findings.check(commit.time_ns > self.time_ns || commit.seq == 1, "I5", || {
            format!("its time {} is not after {}", commit.time_ns, self.time_ns)
        });
        self.time_ns = self.time_ns.max(commit.time_ns);
        self.inputs(&commit, findings);
        for answered in &commit.answered {
            if let Some(first) = self.answered.insert(answered.key.clone(), commit.seq) {
                findings.add("I3", format!("a request that {first} answered is answered again"));
            }
        }
        for event in &commit.events {
            self.revision(event, findings);
        }
        Some(commit)
    }

    /// A claim raises the epoch, and nobody but who claimed it writes in it.
    fn leadership(&mut self, commit: &Commit, findings: &mut Findings) {
        let mut claims = commit.notes.iter().filter_map(|note| match &note.kind {
            Some(Kind::LeaderClaimed(claim)) => Some(claim.epoch),
            Some(_) | None => None,
        });
        if let Some(epoch) = claims.next() {
            findings.check(epoch > self.epoch, "I23", || {
                format!("epoch {epoch} is claimed after epoch {}", self.epoch)
            });
            (self.epoch, self.writer) = (epoch, commit.writer.clone());
        }
        findings.check(commit.epoch == self.epoch && commit.writer == self.writer, "I23", || {
            format!("epoch {} is written by one who did not claim it last", commit.epoch)
        });
    }

    /// Inputs are handled once, in order, and the position moves in the commit that says what they caused.
    fn inputs(&mut self, commit: &Commit, findings: &mut Findings) {
        let before = self.consumed.clone();
        for consumed in &commit.consumed {
            let now = (consumed.seq, consumed.events_of_next);
            let last = self.consumed.insert(consumed.service, now).unwrap_or_default();
            findings.check(now >= last, "I12", || {
                format!("input {} went back from {last:?} to {now:?}", consumed.service)
            });
        }
        for cause in commit.events.iter().filter_map(|event| event.cause.as_ref()) {
            let key = (cause.service, cause.seq, cause.index);
            let first = *self.causes.entry(key).or_insert(commit.seq);
            findings.check(first == commit.seq, "I12", || {
                format!("input {key:?} is handled here and was in {first}")
            });
            let at = (cause.seq, cause.index);
            let handled = |(seq, next): (u64, u32)| at.0 <= seq || (at.0 == seq + 1 && at.1 < next);
            let (was, is) = (before.get(&cause.service), self.consumed.get(&cause.service));
            findings.check(!handled(was.copied().unwrap_or_default()), "I12", || {
                format!("input {key:?} was handled already")
            });
            findings.check(handled(is.copied().unwrap_or_default()), "I7", || {
                format!("input {key:?} has an effect, but its position isn't written with it")
            });
        }
    }

    fn revision(&mut self, event: &Event, findings: &mut Findings) {
        let kind = entity(&event.r#type);
        if kind == Entity::None {
            return;
        }
        let key = (event.workspace.clone(), kind, event.entity.clone());
        let last = self.revisions.insert(key, event.revision).unwrap_or(0);
        findings.check(event.revision == last + 1, "I4", || {
            format!(
                "{} of {}: revision {} after {last}",
                event.r#type, event.entity, event.revision
            )
        });
    }
}

fn entity(event_type: &str) -> Entity {
    match event_type {
        "WorkspacePut" => Entity::Workspace,
        "AgentPut" | "PresenceSet" | "PresenceExpired" => Entity::Agent,
        "QueuePut" => Entity::Queue,
        "PolicyPut" => Entity::Policy,
        "EndpointPut" => Entity::Endpoint,
        "RulePut" => Entity::Rule,
        "IntentMade" | "AttemptStarted" | "AttemptEnded" => Entity::Delivery,
        "WorkspaceSeen" | "WorkspaceNoted" | "PoliciesApplied" => Entity::None,
        _ => Entity::Ticket,
    }
}
