//! Notify: an attempt has an intent and a number of its own, ends once, and nothing follows an end (I32, I33).

use std::collections::BTreeMap;

use wire::events::v1 as events;
use wire::events::v1::{AttemptOutcome, Commit};

use crate::{Findings, Scope, payload};

/// A delivery as its log tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What it says.
    pub body: String,
    /// Attempts started.
    pub attempts: u32,
    /// One has started and not ended.
    pub in_flight: bool,
    /// It is over, one way or another.
    pub over: bool,
    /// When the next attempt is due, in milliseconds; 0: none.
    pub next_attempt_at_ms: i64,
}

/// The deliveries of notify's log.
#[derive(Debug)]
pub struct NotifyWalk {
    scope: Scope,
    deliveries: BTreeMap<String, Delivery>,
}

impl NotifyWalk {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope, deliveries: BTreeMap::new() }
    }

    pub(crate) fn kept(&self) -> usize {
        self.deliveries.len()
    }

    /// The delivery that an attempt is of, if it is known.
    fn delivery(&mut self, id: &str, findings: &mut Findings) -> Option<&mut Delivery> {
        let delivery = self.deliveries.get_mut(id);
        if delivery.is_none() && self.scope.is_whole() {
            findings.add("I35", format!("{id} has no intent"));
        }
        delivery
    }

    /// The deliveries by id.
    pub fn deliveries(&self) -> &BTreeMap<String, Delivery> {
        &self.deliveries
    }

    pub(crate) fn take(&mut self, commit: &Commit, findings: &mut Findings) {
        for event in &commit.events {
            match event.r#type.as_str() {
                "IntentMade" => {
                    let it: events::IntentMade = payload(event, findings);
                    let body = if self.scope.keeps_all() { it.body } else { String::new() };
                    let delivery = Delivery { body, ..Delivery::default() };
                    if self.deliveries.insert(it.delivery_id.clone(), delivery).is_some() {
                        findings.add("I33", format!("{} is intended twice", it.delivery_id));
                    }
                }
                "AttemptStarted" => {
                    let it: events::AttemptStarted = payload(event, findings);
                    let Some(delivery) = self.delivery(&it.delivery_id, findings) else { continue };
                    let next = delivery.attempts + 1 == it.attempt;
                    findings.check(next && !delivery.in_flight && !delivery.over, "I33", || {
                        format!("{}: attempt {} in {delivery:?}", it.delivery_id, it.attempt)
                    });
                    (delivery.attempts, delivery.in_flight) = (it.attempt, true);
                }
                "AttemptEnded" => {
                    let it: events::AttemptEnded = payload(event, findings);
                    let Some(delivery) = self.delivery(&it.delivery_id, findings) else { continue };
                    let again = it.outcome() == AttemptOutcome::Failed;
                    let fits = delivery.in_flight && delivery.attempts == it.attempt;
                    // What is told in the app arrives with its intent, and a full queue fails at once.
                    let at_once = delivery.attempts == 0 && !again;
                    findings.check(!delivery.over && (fits || at_once), "I32", || {
                        format!("{}: attempt {} ends in {delivery:?}", it.delivery_id, it.attempt)
                    });
                    (delivery.in_flight, delivery.over) = (false, !again);
                    delivery.next_attempt_at_ms = it.next_attempt_at_ms;
                    if !again && !self.scope.is_whole() {
                        self.deliveries.remove(&it.delivery_id);
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn at_rest(&self, findings: &mut Findings) {
        for (id, delivery) in &self.deliveries {
            let due = delivery.next_attempt_at_ms > 0;
            findings.check(!delivery.in_flight && (delivery.over || due), "I32", || {
                format!("{id} is left without an end: {delivery:?}")
            });
        }
    }
}
