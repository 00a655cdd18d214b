//! What every log promises, whoever owns it: I3 to I6, I12 and I23.

use std::collections::{BTreeMap, VecDeque};

use event_log::Record;
use runtime::{ChainReader, Doubt, KEPT_MAX, KEPT_MILLIS, LogId, open_record};
use wire::events::v1::{Commit, Event, note::Kind};

use crate::{Findings, Scope};

/// An input's place: service, record, index.
pub type CauseKey = (u32, u64, u32);

/// What the records of one log say of themselves.
#[derive(Debug)]
pub struct Commits {
    scope: Scope,
    reader: ChainReader,
    seq: u64,
    /// The epoch, and who claimed it; none: not known yet.
    leader: Option<(u64, Vec<u8>)>,
    time_ns: u64,
    consumed: BTreeMap<u32, Consumed>,
    /// An input to the record that handled it.
    causes: BTreeMap<CauseKey, u64>,
    /// A request to the record that answered it.
    answered: BTreeMap<Vec<u8>, u64>,
    /// The requests in order, each with the time of its answer.
    answers: VecDeque<(u64, Vec<u8>)>,
    revisions: BTreeMap<(String, Entity, String), u64>,
}

/// How far an input is handled: in which log, its last whole record, and how many events of the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Consumed {
    log_id: Vec<u8>,
    at: (u64, u32),
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
    pub(crate) fn new(scope: Scope, log_id: LogId) -> Self {
        Self {
            scope,
            reader: ChainReader::at_start(log_id),
            seq: 0,
            leader: scope.is_whole().then(Default::default),
            time_ns: 0,
            consumed: BTreeMap::new(),
            causes: BTreeMap::new(),
            answered: BTreeMap::new(),
            answers: VecDeque::new(),
            revisions: BTreeMap::new(),
        }
    }

    /// The last record taken.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How much it holds in memory, in entries.
    pub(crate) fn kept(&self) -> usize {
        self.causes.len() + self.answered.len() + self.revisions.len()
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
        self.consumed.get(&service).map(|consumed| consumed.at).unwrap_or_default()
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
        self.checked(&commit, findings);
        Some(commit)
    }

    /// Takes a commit whose record was checked already.
    pub(crate) fn checked(&mut self, commit: &Commit, findings: &mut Findings) {
        self.seq = commit.seq;
        self.leadership(commit, findings);
        findings.check(commit.time_ns > self.time_ns || commit.seq == 1, "I5", || {
            format!("its time {} is not after {}", commit.time_ns, self.time_ns)
        });
        self.time_ns = self.time_ns.max(commit.time_ns);
        self.inputs(commit, findings);
        self.answers(commit, findings);
        for event in &commit.events {
            self.revision(event, findings);
        }
    }

    /// A request is answered once for as long as its answer is remembered.
    fn answers(&mut self, commit: &Commit, findings: &mut Findings) {
        let horizon = commit.time_ns.saturating_sub(KEPT_MILLIS.saturating_mul(1_000_000));
        while let Some((at, _)) = self.answers.front() {
            if *at > horizon && self.answers.len() < KEPT_MAX {
                break;
            }
            if let Some((_, key)) = self.answers.pop_front() {
                self.answered.remove(&key);
            }
        }
        for answered in &commit.answered {
            self.answers.push_back((commit.time_ns, answered.key.clone()));
            if let Some(first) = self.answered.insert(answered.key.clone(), commit.seq) {
                findings.add("I3", format!("a request that {first} answered is answered again"));
            }
        }
    }

    /// A claim raises the epoch, and nobody but who claimed it writes in it. A log that was restored goes on without a
    /// claim.
    fn leadership(&mut self, commit: &Commit, findings: &mut Findings) {
        let (mut claimed, mut restored) = (None, false);
        for note in &commit.notes {
            match &note.kind {
                Some(Kind::LeaderClaimed(claim)) => claimed = Some(claim.epoch),
                Some(Kind::Restored(_)) => restored = true,
                Some(
                    Kind::Genesis(_)
                    | Kind::StateHash(_)
                    | Kind::InputsRetried(_)
                    | Kind::InputsDropped(_)
                    | Kind::Origin(_)
                    | Kind::Supersedes(_),
                )
                | None => {}
            }
        }
        let writer = || commit.writer.clone();
        let (epoch, last) = match self.leader.take() {
            None => (commit.epoch, writer()),
            Some((epoch, _)) if restored => (epoch, writer()),
            Some((epoch, _)) if let Some(next) = claimed => {
                findings.check(next > epoch, "I23", || {
                    format!("epoch {next} is claimed after epoch {epoch}")
                });
                (next, writer())
            }
            Some(leader) => leader,
        };
        findings.check(commit.epoch == epoch && commit.writer == last, "I23", || {
            format!("epoch {} is written by one who did not claim it last", commit.epoch)
        });
        self.leader = Some((epoch, last));
    }

    /// Inputs are handled once, in order, and the position moves in the commit that says what they caused. A log of
    /// another identity that took a lost one's place is read from its first record on; only then may a position go
    /// back.
    fn inputs(&mut self, commit: &Commit, findings: &mut Findings) {
        let mut before = self.consumed.clone();
        for consumed in &commit.consumed {
            let (service, now) = (consumed.service, (consumed.seq, consumed.events_of_next));
            let position = Consumed { log_id: consumed.log_id.clone(), at: now };
            let last = self.consumed.insert(service, position).unwrap_or_default();
            let last_at = last.at;
            if last.log_id != consumed.log_id && now < last_at {
                before.remove(&service);
                self.causes.retain(|(of, ..), _| *of != service);
                continue;
            }
            findings.check(now >= last_at, "I12", || {
                format!("input {service} went back from {last_at:?} to {now:?}")
            });
        }
        // What had been set aside is behind the position, which is why it is noted.
        let retried =
            commit.notes.iter().any(|note| matches!(note.kind, Some(Kind::InputsRetried(_))));
        for cause in commit.events.iter().filter_map(|event| event.cause.as_ref()) {
            let key = (cause.service, cause.seq, cause.index);
            let first = *self.causes.entry(key).or_insert(commit.seq);
            findings.check(first == commit.seq, "I12", || {
                format!("input {key:?} is handled here and was in {first}")
            });
            let (record, index) = (cause.seq, cause.index);
            let handled =
                |(seq, next): (u64, u32)| record <= seq || (record == seq + 1 && index < next);
            let at = |consumed: Option<&Consumed>| consumed.map(|it| it.at);
            let was = at(before.get(&cause.service));
            let is = at(self.consumed.get(&cause.service));
            findings.check(retried || !handled(was.unwrap_or_default()), "I12", || {
                format!("input {key:?} was handled already")
            });
            let known = is.is_some() || self.scope.is_whole();
            findings.check(!known || handled(is.unwrap_or_default()), "I7", || {
                format!("input {key:?} has an effect, but its position isn't written with it")
            });
        }
        if !self.scope.keeps_all() {
            // What lies behind the positions can't be handled again without a violation of its own.
            self.causes.clear();
        }
    }

    fn revision(&mut self, event: &Event, findings: &mut Findings) {
        let kind = entity(&event.r#type);
        if kind == Entity::None {
            return;
        }
        let key = (event.workspace.clone(), kind, event.entity.clone());
        let last = self.revisions.insert(key, event.revision);
        let known = last.is_some() || self.scope.is_whole();
        let last = last.unwrap_or(0);
        findings.check(!known || event.revision == last + 1, "I4", || {
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
