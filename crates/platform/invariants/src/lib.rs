//! The invariants that a log shows by itself, checked record by record.
//!
//! A [`LogWalk`] takes one log's records in order and says at each what is broken: that the chain holds, that every
//! input was handled once, and what the owner's events promise (one owner a ticket, no agent above its capacity, no
//! breach too early, no attempt without an intent). It shares no code with the deciders, so it can't share their
//! mistakes. The simulation and the chaos tests walk whole logs with it, and so does `switchyard verify`; a running
//! server walks its own as it writes, and counts. Such a walk begins anywhere in a log, so it knows only what it has
//! seen itself ([`Scope`]), and says nothing of the rest.
//!
//! The numbers are those of the table in `tests/simulation/README.md`. **Invariant:** a walk never stops at a
//! violation, and never panics, whatever the record holds.

mod commits;
mod intake;
mod notify;
mod routing;
mod sla;
#[cfg(test)]
mod tests;

use std::fmt;

use event_log::Record;
use runtime::{LogId, ServiceId};
use wire::events::v1::{Commit, Event};

pub use commits::{CauseKey, Commits};
pub use intake::IntakeWalk;
pub use notify::NotifyWalk;
pub use routing::{RoutingWalk, TicketWork};
pub use sla::{Breach, SlaWalk};

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which invariant: `I18`.
    pub invariant: &'static str,
    /// Whose log.
    pub service: ServiceId,
    /// Its record; 0: not one alone.
    pub seq: u64,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} at {}: {}", self.invariant, self.service, self.seq, self.what)
    }
}

/// The violations of one record in the making.
#[derive(Debug)]
pub(crate) struct Findings {
    service: ServiceId,
    seq: u64,
    found: Vec<Violation>,
}

impl Findings {
    pub(crate) fn add(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.found.push(Violation { invariant, service: self.service, seq: self.seq, what });
    }

    /// Adds a violation unless `holds`.
    pub(crate) fn check(
        &mut self,
        holds: bool,
        invariant: &'static str,
        what: impl Fn() -> String,
    ) {
        if !holds {
            self.add(invariant, what());
        }
    }
}

/// What an event's payload says; a violation if it can't be read.
pub(crate) fn payload<M: prost::Message + Default>(event: &Event, findings: &mut Findings) -> M {
    M::decode(event.data.clone()).unwrap_or_else(|error| {
        findings.add("I15", format!("{}: {error}", event.r#type));
        M::default()
    })
}

/// The walk over what one service's events promise.
#[derive(Debug)]
pub enum ServiceWalk {
    /// Intake's.
    Intake(IntakeWalk),
    /// Routing's.
    Routing(RoutingWalk),
    /// Sla's.
    Sla(SlaWalk),
    /// Notify's.
    Notify(NotifyWalk),
}

/// How much of a log a walk knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it, and it keeps all that can be asked for.
    Everything,
    /// All of it; it keeps what its checks need.
    Whole,
    /// What came since it began, somewhere on the way. An entity is not known until its state was told, nothing is said
    /// of it before, and it is forgotten when it comes to an end. I19 sees an agent's tickets only as far as they are
    /// known; I22 needs to know everything, so it is not checked.
    Since,
}

impl Scope {
    /// Whether what isn't known isn't there.
    pub(crate) const fn is_whole(self) -> bool {
        matches!(self, Self::Everything | Self::Whole)
    }

    /// Whether what is over may still be asked for.
    pub(crate) const fn keeps_all(self) -> bool {
        matches!(self, Self::Everything)
    }
}

/// Walks one log.
#[derive(Debug)]
pub struct LogWalk {
    service: ServiceId,
    commits: Commits,
    events: ServiceWalk,
}

impl LogWalk {
    /// A walk that has seen nothing of the log `log_id` of `service`, and will keep all that can be asked for.
    pub fn new(service: ServiceId, log_id: LogId) -> Self {
        Self::over(service, log_id, Scope::Everything)
    }

    /// A walk over the log `log_id` of `service`.
    pub fn over(service: ServiceId, log_id: LogId, scope: Scope) -> Self {
        let events = match service {
            ServiceId::Intake => ServiceWalk::Intake(IntakeWalk::new(scope)),
            ServiceId::Routing => ServiceWalk::Routing(RoutingWalk::new(scope)),
            ServiceId::Sla => ServiceWalk::Sla(SlaWalk::new(scope)),
            ServiceId::Notify => ServiceWalk::Notify(NotifyWalk::new(scope)),
        };
        Self { service, commits: Commits::new(scope, log_id), events }
    }

    /// Takes the next record; returns it decoded, if it can be read, and what is wrong.
    pub fn take(&mut self, record: &Record) -> (Option<Commit>, Vec<Violation>) {
        let mut findings = self.findings(record.seq);
        let commit = self.commits.take(record, &mut findings);
        if let Some(commit) = &commit {
            self.walk_events(commit, &mut findings);
        }
        (commit, findings.found)
    }

    /// Takes the next commit, whose record was checked by whoever read it; returns what is wrong.
    pub fn take_commit(&mut self, commit: &Commit) -> Vec<Violation> {
        let mut findings = self.findings(commit.seq);
        self.commits.checked(commit, &mut findings);
        self.walk_events(commit, &mut findings);
        findings.found
    }

    fn findings(&self, seq: u64) -> Findings {
        Findings { service: self.service, seq, found: Vec::new() }
    }

    fn walk_events(&mut self, commit: &Commit, findings: &mut Findings) {
        match &mut self.events {
            ServiceWalk::Intake(walk) => walk.take(commit, findings),
            ServiceWalk::Routing(walk) => walk.take(commit, findings),
            ServiceWalk::Sla(walk) => walk.take(commit, findings),
            ServiceWalk::Notify(walk) => walk.take(commit, findings),
        }
    }

    /// How much it holds in memory, in entries of a few hundred bytes.
    pub fn kept(&self) -> usize {
        let events = match &self.events {
            ServiceWalk::Intake(walk) => walk.kept(),
            ServiceWalk::Routing(walk) => walk.kept(),
            ServiceWalk::Sla(walk) => walk.kept(),
            ServiceWalk::Notify(walk) => walk.kept(),
        };
        self.commits.kept() + events
    }

    /// What it knows of the records themselves.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// What it knows of the events.
    pub fn events(&self) -> &ServiceWalk {
        &self.events
    }

    /// What must hold once everything has come to rest: nothing is in flight, and nobody who could work is kept
    /// waiting.
    pub fn at_rest(&self) -> Vec<Violation> {
        let mut findings = self.findings(0);
        match &self.events {
            ServiceWalk::Intake(_) | ServiceWalk::Sla(_) => {}
            ServiceWalk::Routing(walk) => walk.at_rest(&mut findings),
            ServiceWalk::Notify(walk) => walk.at_rest(&mut findings),
        }
        findings.found
    }
}
