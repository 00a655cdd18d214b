//! What a seed came to, as one line of JSON between the processes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

/// What a seed came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// Over every record, call, fault, message and their times.
    pub(crate) hash: String,
    pub(crate) operations: BTreeMap<String, u64>,
    pub(crate) faults: BTreeMap<String, u64>,
    /// How often a log got another leader, by how.
    pub(crate) hand_overs: BTreeMap<String, u64>,
    /// What was looked at, and calls that were passed on.
    pub(crate) looks: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) simulated_s: f64,
    pub(crate) took_s: f64,
}

impl Report {
    pub(crate) fn of(world: &World, took: Duration) -> Self {
        let told = world.told();
        let named = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        Self {
            seed: world.seed,
            hash: told.trace.finalize().to_hex().to_string(),
            operations: named(&told.operations),
            faults: named(&told.faults),
            hand_overs: named(&told.hand_overs),
            looks: named(&told.looks),
            violations: told.violations.clone(),
            simulated_s: world.passed().as_secs_f64(),
            took_s: took.as_secs_f64(),
        }
    }

    /// A seed that came to no end.
    pub(crate) fn broken(seed: u64, why: String) -> Self {
        Self { seed, violations: vec![why], ..Self::default() }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "seed": self.seed,
            "hash": self.hash,
            "operations": self.operations,
            "faults": self.faults,
            "hand_overs": self.hand_overs,
            "looks": self.looks,
            "violations": self.violations,
            "simulated_s": self.simulated_s,
            "took_s": self.took_s,
        })
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub(crate) fn from_json(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let counts = |name: &str| {
            let counts = value.get(name)?.as_object()?;
            let count = |(name, count): (&String, &Value)| Some((name.clone(), count.as_u64()?));
            counts.iter().map(count).collect::<Option<BTreeMap<_, _>>>()
        };
        let violations = value.get("violations")?.as_array()?;
        Some(Self {
            seed: value.get("seed")?.as_u64()?,
            hash: value.get("hash")?.as_str()?.to_owned(),
            operations: counts("operations")?,
            faults: counts("faults")?,
            hand_overs: counts("hand_overs")?,
            looks: counts("looks")?,
            violations: violations.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            simulated_s: value.get("simulated_s")?.as_f64()?,
            took_s: value.get("took_s")?.as_f64()?,
        })
    }
}
