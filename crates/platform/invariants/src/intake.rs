//! Intake: every ticket is opened once, numbered without a gap, and its statuses follow one another.

use std::collections::BTreeMap;

use wire::common::v1::TicketStatus;
use wire::events::v1::{Commit, StatusChanged, TicketOpened};

use crate::{Findings, Scope, payload};

/// The tickets of intake's log.
#[derive(Debug)]
pub struct IntakeWalk {
    scope: Scope,
    /// (workspace, ticket) to the record that opened it and its status.
    tickets: BTreeMap<(String, String), (u64, i32)>,
    numbers: BTreeMap<String, u64>,
}

impl IntakeWalk {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope, tickets: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    pub(crate) fn kept(&self) -> usize {
        self.tickets.len() + self.numbers.len()
    }

    /// Every ticket by (workspace, id), and the record that opened it.
    pub fn opened(&self) -> impl Iterator<Item = (&(String, String), u64)> {
        self.tickets.iter().map(|(key, (seq, _))| (key, *seq))
    }

    /// Every ticket by (workspace, id), and whether it is resolved or closed.
    pub fn ended(&self) -> impl Iterator<Item = (&(String, String), bool)> {
        let ends = [TicketStatus::Resolved, TicketStatus::Closed].map(i32::from);
        self.tickets.iter().map(move |(key, (_, status))| (key, ends.contains(status)))
    }

    pub(crate) fn take(&mut self, commit: &Commit, findings: &mut Findings) {
        for event in &commit.events {
            match event.r#type.as_str() {
                "TicketOpened" => {
                    let opened: TicketOpened = payload(event, findings);
                    let last = self.numbers.insert(event.workspace.clone(), opened.number);
                    let known = last.is_some() || self.scope.is_whole();
                    let last = last.unwrap_or(0);
                    findings.check(!known || opened.number == last + 1, "I4", || {
                        format!("number {} after {last}", opened.number)
                    });
                    let key = (event.workspace.clone(), opened.ticket_id);
                    if let Some((first, _)) = self.tickets.insert(key, (commit.seq, 1)) {
                        findings.add("I3", format!("{} was opened in {first}", event.entity));
                    }
                }
                "StatusChanged" => {
                    let changed: StatusChanged = payload(event, findings);
                    let key = (event.workspace.clone(), changed.ticket_id);
                    let over = changed.to == i32::from(TicketStatus::Closed);
                    match self.tickets.get_mut(&key) {
                        Some((_, status)) => {
                            findings.check(*status == changed.from, "I9", || {
                                format!("{}: from {} while it is {status}", key.1, changed.from)
                            });
                            *status = changed.to;
                        }
                        None if self.scope.is_whole() => {
                            findings.add("I2", format!("{} was never opened", key.1));
                        }
                        None => drop(self.tickets.insert(key.clone(), (0, changed.to))),
                    }
                    if over && !self.scope.is_whole() {
                        self.tickets.remove(&key);
                    }
                }
                _ => {}
            }
        }
    }
}
