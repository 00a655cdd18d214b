//! A rule as it stands.

use serde::{Deserialize, Serialize};

use crate::{RulePut, Template, Way};

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// 1..n; also its revision.
    pub version: u32,
    /// The event types that it is about.
    pub event_types: Vec<String>,
    /// Which of their events; none: all.
    pub filter: Option<rules::Rule>,
    /// How it travels.
    pub way: Way,
    /// What it says; none: one line.
    pub template: Option<Template>,
    /// It does nothing.
    pub disabled: bool,
}

impl Rule {
    /// The template's source; empty: there is none.
    pub fn template_source(&self) -> &str {
        self.template.as_ref().map_or("", Template::source)
    }

    /// How many steps its template takes at most.
    pub(crate) fn template_steps(&self) -> u64 {
        self.template.as_ref().map_or(0, Template::steps)
    }

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
