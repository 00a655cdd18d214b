//! What a run came to, as one object of JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chaos::check::Verdict;
use crate::chaos::faults::{Bite, Kind};
use crate::chaos::history::{History, Outcome};

/// So many violations are printed; all are counted.
const SHOWN_MAX: usize = 50;

/// A fault that was injected.
#[derive(Debug, Clone)]
pub(crate) struct Injected {
    pub(crate) kind: Kind,
    /// When, since the history began, and when all was as before.
    pub(crate) span: (Duration, Duration),
    /// The longest time in which some workspace of some service had nothing acknowledged.
    pub(crate) longest_gap: Duration,
    pub(crate) bite: Bite,
}

/// Why a kind can't exist on this machine.
pub(crate) type Missing = BTreeMap<&'static str, String>;

/// A run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) faults: Vec<Injected>,
    pub(crate) missing: Missing,
    pub(crate) held_back: usize,
    pub(crate) webhooks: usize,
    calls: BTreeMap<&'static str, usize>,
    looks: usize,
    repeated: usize,
    verdict: Verdict,
}

impl Report {
    pub(crate) fn of(seed: u64, history: &History, verdict: Verdict) -> Self {
        let mut calls = BTreeMap::from([("acknowledged", 0), ("refused", 0), ("unknown", 0)]);
        for change in &history.changes {
            *calls.entry(word(&change.outcome)).or_default() += 1;
        }
        let looks = history.looks.iter().filter(|look| look.found.is_some()).count();
        let repeated = history.changes.iter().filter(|change| change.attempts > 1).count();
        Self {
            seed,
            seconds: 0.0,
            faults: Vec::new(),
            missing: Missing::new(),
            held_back: 0,
            webhooks: 0,
            calls,
            looks,
            repeated,
            verdict,
        }
    }

    /// How many calls were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.calls.get("acknowledged").copied().unwrap_or(0)
    }

    /// What is wrong with the run; empty: nothing.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = self.verdict.violations.clone();
        for kind in Kind::ALL.into_iter().filter(|kind| !self.missing.contains_key(kind.name())) {
            if !self.faults.iter().any(|fault| fault.kind == kind && fault.bite.has_bitten) {
                wrong.push(format!("no fault has bitten of the kind: {}", kind.name()));
            }
        }
        wrong
    }

    pub(crate) fn to_json(&self) -> Value {
        let shown: Vec<_> = self.verdict.violations.iter().take(SHOWN_MAX).collect();
        json!({
            "seed": self.seed,
            "seconds": rounded(self.seconds),
            "acknowledged": self.acknowledged(),
            "refused": self.calls.get("refused"),
            "unknown": self.calls.get("unknown"),
            "repeated": self.repeated,
            "looks": self.looks,
            "held_back": self.held_back,
            "webhooks": self.webhooks,
            "records": self.verdict.records,
            "epochs": self.verdict.epochs,
            "faults": self.faults.len(),
            "by_kind": self.by_kind(),
            "not_on_this_machine": self.missing,
            "refused_appends": self.faults.iter().map(|it| it.bite.refused_appends).sum::<u64>(),
            "lost": self.verdict.lost,
            "doubled": self.verdict.doubled,
            "violations_in_all": self.verdict.violations.len(),
            "violations": shown,
        })
    }

    fn by_kind(&self) -> Value {
        let of = |kind: Kind| {
            let all: Vec<_> = self.faults.iter().filter(|fault| fault.kind == kind).collect();
            let bitten = all.iter().filter(|fault| fault.bite.has_bitten).count();
            let gap = all.iter().map(|fault| fault.longest_gap).max().unwrap_or_default();
            let took = all.iter().map(|fault| fault.span.1.saturating_sub(fault.span.0)).max();
            let seen: Vec<_> = all.iter().map(|fault| &fault.bite.seen).collect();
            json!({
                "injected": all.len(),
                "bitten": bitten,
                "longest_gap_seconds": rounded(gap.as_secs_f64()),
                "longest_until_whole_seconds": rounded(took.unwrap_or_default().as_secs_f64()),
                "seen": seen,
            })
        };
        Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), of(kind))).collect()
    }
}

/// To hundredths.
fn rounded(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Acknowledged { .. } => "acknowledged",
        Outcome::Refused { .. } => "refused",
        Outcome::Unknown => "unknown",
    }
}
