//! A rule as it stands.

use serde::{Deserialize, Serialize};

use crate::{RulePut, Way};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// 1..n; also its revision.
    pub version: u32,
    /// The event types that it is about.
    pub event_types: Vec<String>,
    /// Which of their events; none: all.
    pub filter: Option<rules::Rule>,
    /// How it travels.
    pub way: Way,
    /// What it says; empty: one line.
    pub template: String,
    /// It does nothing.
    pub disabled: bool,
}

impl Rule {
    pub(super) fn new(put: &RulePut) -> Self {
        Self {
            version: put.version,
            event_types: put.event_types.clone(),
            filter: put.filter.clone(),
            way: put.way.clone(),
            template: put.template.clone(),
            disabled: put.disabled,
        }
    }
}
