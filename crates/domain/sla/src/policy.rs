//! A policy: which tickets it is for, and what it promises them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::{PolicyId, Priority};
use rules::Rule;
use serde::{Deserialize, Serialize};

use crate::Metric;

/// Wall time in milliseconds by what is promised to whom.
pub type Targets = BTreeMap<(Metric, Priority), u64>;

/// All that an operator says of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySpec {
    /// The policy.
    pub policy: PolicyId,
    /// The name for people.
    pub display_name: String,
    /// Its place when a ticket looks for its policy: lower first, ties by id.
    pub order: i32,
    /// The tickets that it is for; none: every ticket.
    pub filter: Option<Rule>,
    /// What it promises.
    pub targets: Targets,
    /// When to warn, in thousandths of a target, rising and each once.
    pub warn_at_permille: Arc<[u16]>,
}

/// A policy as the state keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// What was said of it.
    pub spec: PolicySpec,
    /// 1..n.
    pub revision: u64,
}
