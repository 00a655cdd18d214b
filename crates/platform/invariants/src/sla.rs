//! Sla: a clock ends once (I25), breaches at most once, never early (I26) and not after its stop (I28), and warns
//! before (I31).

use std::collections::BTreeMap;

use wire::events::v1 as events;
use wire::events::v1::{Commit, Event};

use crate::{Findings, Scope, payload};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stopped,
    Cancelled,
}

#[derive(Debug)]
struct Clock {
    phase: Phase,
    breached: bool,
    due_at_ms: i64,
    target_ms: u64,
    warned: u32,
}

/// A breach that was decided because its due instant passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The record.
    pub seq: u64,
    /// The clock.
    pub clock: String,
    /// The due instant.
    pub due_at_ms: i64,
    /// How far each input was handled by then: service to record.
    pub consumed: BTreeMap<u32, u64>,
}

/// The clocks of sla's log.
#[derive(Debug)]
pub struct SlaWalk {
    scope: Scope,
    clocks: BTreeMap<(String, String), Clock>,
    consumed: BTreeMap<u32, u64>,
    breaches: Vec<Breach>,
    tickets: BTreeMap<(String, String), u64>,
}

impl SlaWalk {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            clocks: BTreeMap::new(),
            consumed: BTreeMap::new(),
            breaches: Vec::new(),
            tickets: BTreeMap::new(),
        }
    }

    pub(crate) fn kept(&self) -> usize {
        self.clocks.len() + self.breaches.len() + self.tickets.len()
    }

    /// Every breach by time.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// Whether a clock of this ticket was ever started.
    pub fn knows(&self, workspace: &str, ticket: &str) -> bool {
        self.tickets.contains_key(&(workspace.to_owned(), ticket.to_owned()))
    }

    /// Clocks that are overdue at an instant and neither breached, stopped nor standing still.
    pub fn overdue(&self, at_ms: i64) -> Vec<&str> {
        let overdue = |clock: &Clock| {
            clock.phase == Phase::Open
                && !clock.breached
                && clock.due_at_ms > 0
                && clock.due_at_ms < at_ms
        };
        let clocks = self.clocks.iter().filter(|(_, clock)| overdue(clock));
        clocks.map(|((_, id), _)| id.as_str()).collect()
    }

    pub(crate) fn take(&mut self, commit: &Commit, findings: &mut Findings) {
        for consumed in &commit.consumed {
            self.consumed.insert(consumed.service, consumed.seq);
        }
        for event in &commit.events {
            self.event(commit, event, findings);
        }
    }

    fn clock(&mut self, event: &Event, id: &str, findings: &mut Findings) -> Option<&mut Clock> {
        let clock = self.clocks.get_mut(&(event.workspace.clone(), id.to_owned()));
        if clock.is_none() && self.scope.is_whole() {
            findings.add("I25", format!("{} of clock {id}, which never started", event.r#type));
        }
        clock
    }

    fn event(&mut self, commit: &Commit, event: &Event, findings: &mut Findings) {
        match event.r#type.as_str() {
            "ClockStarted" => {
                let it: events::ClockStarted = payload(event, findings);
                let clock = Clock {
                    phase: Phase::Open,
                    breached: false,
                    due_at_ms: it.due_at_ms,
                    target_ms: it.target_ms,
                    warned: 0,
                };
                if self.scope.keeps_all() {
                    self.tickets.insert((event.workspace.clone(), it.ticket_id), commit.seq);
                }
                let key = (event.workspace.clone(), it.clock_id);
                if self.clocks.insert(key, clock).is_some() {
                    findings.add("I25", format!("a clock of {} started twice", event.entity));
                }
            }
            "ClockPaused" => {
                let it: events::ClockPaused = payload(event, findings);
                if let Some(clock) = self.clock(event, &it.clock_id, findings) {
                    clock.due_at_ms = 0;
                }
            }
            "ClockResumed" => {
                let it: events::ClockResumed = payload(event, findings);
                if let Some(clock) = self.clock(event, &it.clock_id, findings) {
                    clock.due_at_ms = it.due_at_ms;
                }
            }
            "ClockReopened" => {
                let it: events::ClockReopened = payload(event, findings);
                if let Some(clock) = self.clock(event, &it.clock_id, findings) {
                    (clock.phase, clock.due_at_ms) = (Phase::Open, it.due_at_ms);
                }
            }
            "ClockRetargeted" => {
                let it: events::ClockRetargeted = payload(event, findings);
                if let Some(clock) = self.clock(event, &it.clock_id, findings) {
                    clock.due_at_ms = it.due_at_ms;
                    if clock.target_ms != it.target_ms {
                        (clock.target_ms, clock.warned) = (it.target_ms, 0);
                    }
                }
            }
            "ClockBreached" => self.breached(commit, event, findings),
            _ => {
                if let Some(id) = self.ended(event, findings).filter(|_| !self.scope.is_whole()) {
                    self.clocks.remove(&(event.workspace.clone(), id));
                }
            }
        }
    }

    fn breached(&mut self, commit: &Commit, event: &Event, findings: &mut Findings) {
        let it: events::ClockBreached = payload(event, findings);
        let now_ms = i64::try_from(commit.time_ns / 1_000_000).unwrap_or(i64::MAX);
        let Some(clock) = self.clock(event, &it.clock_id, findings) else { return };
        let id = &it.clock_id;
        findings.check(!clock.breached, "I25", || format!("clock {id} breaches again"));
        findings.check(clock.phase != Phase::Stopped, "I28", || {
            format!("clock {id} breaches after it was met")
        });
        findings.check(it.breached_at_ms <= now_ms, "I26", || {
            format!("clock {id} breaches at {now_ms}, {} ms early", it.breached_at_ms - now_ms)
        });
        // By a timer, not by a later input or call that made it certain.
        let by_timer = event.cause.is_none() && event.actor == "service:sla";
        let timed = it.cause == "due" && clock.phase == Phase::Open;
        let due = clock.due_at_ms;
        clock.breached = true;
        if timed {
            findings.check(due > 0 && it.breached_at_ms == due, "I26", || {
                format!("clock {id} breaches at {} but was due at {due}", it.breached_at_ms)
            });
        }
        if timed && by_timer && self.scope.keeps_all() && !applies_policies(commit) {
            let consumed = self.consumed.clone();
            let breach = Breach { seq: commit.seq, clock: it.clock_id, due_at_ms: due, consumed };
            self.breaches.push(breach);
        }
    }

    /// A warning, or a clock's end; returns the clock that ended.
    fn ended(&mut self, event: &Event, findings: &mut Findings) -> Option<String> {
        match event.r#type.as_str() {
            "ClockWarned" => {
                let it: events::ClockWarned = payload(event, findings);
                let clock = self.clock(event, &it.clock_id, findings)?;
                findings.check(!clock.breached && it.permille > clock.warned, "I31", || {
                    format!("clock {} warns of {} late or again", it.clock_id, it.permille)
                });
                clock.warned = it.permille;
                None
            }
            "ClockMet" => {
                let it: events::ClockMet = payload(event, findings);
                let clock = self.clock(event, &it.clock_id, findings)?;
                findings.check(clock.phase != Phase::Stopped && !clock.breached, "I25", || {
                    format!("clock {} is met after it ended", it.clock_id)
                });
                clock.phase = Phase::Stopped;
                Some(it.clock_id)
            }
            "ClockStoppedAfterBreach" => {
                let it: events::ClockStoppedAfterBreach = payload(event, findings);
                let clock = self.clock(event, &it.clock_id, findings)?;
                findings.check(clock.phase != Phase::Stopped && clock.breached, "I25", || {
                    format!("clock {} stops after a breach that it doesn't have", it.clock_id)
                });
                clock.phase = Phase::Stopped;
                Some(it.clock_id)
            }
            "BreachRetracted" => {
                let it: events::BreachRetracted = payload(event, findings);
                let clock = self.clock(event, &it.clock_id, findings)?;
                findings.check(clock.breached, "I25", || {
                    format!("clock {} takes back a breach that it doesn't have", it.clock_id)
                });
                (clock.phase, clock.breached) = (Phase::Stopped, false);
                Some(it.clock_id)
            }
            "ClockCancelled" => {
                let it: events::ClockCancelled = payload(event, findings);
                let clock = self.clock(event, &it.clock_id, findings)?;
                findings.check(clock.phase == Phase::Open && !clock.breached, "I25", || {
                    format!("clock {} is cancelled after it ended", it.clock_id)
                });
                clock.phase = Phase::Cancelled;
                Some(it.clock_id)
            }
            _ => None,
        }
    }
}

/// Whether a commit carries on a change of policies, which judges every ticket as of its own instant, the first ones in
/// the very decision of the change.
fn applies_policies(commit: &Commit) -> bool {
    commit.events.iter().any(|event| event.r#type == "PoliciesApplied")
}
