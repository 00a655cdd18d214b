//! Checks of requests: every field that can't be used is named, all at once.
//!
//! ```ignore
//! let mut fields = Fields::new();
//! let workspace: WorkspaceId = fields.id("workspace_id", &request.workspace_id);
//! let subject = fields.line("subject", &request.subject, Size::Chars(1..=300));
//! let priority = fields.priority("priority", request.priority);
//! fields.finish()?;
//! ```
//!
//! Each check returns its value; where it refuses, a placeholder, which nobody gets to use because [`Fields::finish`]
//! then fails.

mod attributes;
mod ids;
mod text;

use std::ops::RangeInclusive;
use std::time::Duration;

use kernel::{Channel, Priority, SkillLevel, SkillRequirement, TicketStatus, Timestamp};
use tonic_types::FieldViolation;
use wire::common::v1 as common;

use crate::Refusal;
use crate::convert::{
    channel_from_wire, duration_from_wire, priority_from_wire, status_from_wire,
    timestamp_from_wire,
};

pub use attributes::{ATTRIBUTES_MAX, ATTRIBUTES_MAX_BYTES};
pub use ids::PlainId;
pub use text::Size;

/// The page size if none is asked for.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// The largest page.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// The longest request id, in characters.
pub const REQUEST_ID_MAX: usize = 64;

/// How many violations are kept of one request.
const VIOLATIONS_MAX: usize = 100;

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Fields {
    violations: Vec<FieldViolation>,
}

impl Fields {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails if anything was refused, with every field that was.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Refusal::invalid_fields(self.violations))
        }
    }

    /// Refuses a field; of more than 100 refusals the first 100 are kept.
    pub fn refuse(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(FieldViolation::new(field, description));
        }
    }

    /// Refuses a field unless `good`.
    pub fn require(
        &mut self,
        good: bool,
        field: impl Into<String>,
        description: impl Into<String>,
    ) {
        if !good {
            self.refuse(field, description);
        }
    }

    /// Takes the value, or refuses the field for the error's text.
    pub fn take<T, E: std::fmt::Display>(
        &mut self,
        field: impl Into<String>,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.refuse(field, error.to_string())).ok()
    }

    /// A plain id.
    pub fn id<T: PlainId>(&mut self, field: impl Into<String>, text: &str) -> T {
        self.take(field, T::parse(text)).unwrap_or_else(|| T::trusted(""))
    }

    /// A plain id that may be empty.
    pub fn optional_id<T: PlainId>(&mut self, field: impl Into<String>, text: &str) -> Option<T> {
        if text.is_empty() { None } else { self.take(field, T::parse(text)) }
    }

    /// An id that makes a retry safe: empty, or up to 64 printable ASCII characters.
    pub fn request_id(&mut self, text: &str) {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        self.require(
            printable && text.len() <= REQUEST_ID_MAX,
            "request_id",
            "must have at most 64 printable ASCII characters",
        );
    }

    /// A number of an enum of the contract; one that it doesn't have is refused.
    pub fn known<E: TryFrom<i32> + Default>(&mut self, field: impl Into<String>, number: i32) -> E {
        let known = E::try_from(number).map_err(|_| format!("has no value {number}"));
        self.take(field, known).unwrap_or_default()
    }

    /// A number of an enum of the contract that must be set and one of its values.
    pub fn required<E: TryFrom<i32> + Default>(
        &mut self,
        field: impl Into<String>,
        number: i32,
    ) -> E {
        if number == 0 {
            self.refuse(field, "must be set");
            return E::default();
        }
        self.known(field, number)
    }

    /// A channel; must be set.
    pub fn channel(&mut self, field: impl Into<String>, number: i32) -> Channel {
        let channel: common::Channel = self.required(field, number);
        channel_from_wire(channel).unwrap_or(Channel::Api)
    }

    /// A priority; may be unset.
    pub fn priority(&mut self, field: impl Into<String>, number: i32) -> Option<Priority> {
        priority_from_wire(self.known(field, number))
    }

    /// A ticket's status; may be unset.
    pub fn status(&mut self, field: impl Into<String>, number: i32) -> Option<TicketStatus> {
        status_from_wire(self.known(field, number))
    }

    /// An instant; may be unset.
    pub fn instant(
        &mut self,
        field: impl Into<String>,
        at: Option<&prost_types::Timestamp>,
    ) -> Option<Timestamp> {
        at.and_then(|at| self.take(field, timestamp_from_wire(at)))
    }

    /// An instant; must be set.
    pub fn required_instant(
        &mut self,
        field: impl Into<String>,
        at: Option<&prost_types::Timestamp>,
    ) -> Timestamp {
        let at = at.ok_or("must be set").and_then(timestamp_from_wire);
        self.take(field, at).unwrap_or_default()
    }

    /// A duration within bounds; may be unset.
    pub fn duration(
        &mut self,
        field: impl Into<String>,
        duration: Option<&prost_types::Duration>,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let field = field.into();
        let duration = duration.and_then(|it| self.take(field.as_str(), duration_from_wire(it)))?;
        if bounds.contains(&duration) {
            return Some(duration);
        }
        self.refuse(field, format!("must lie between {:?} and {:?}", bounds.start(), bounds.end()));
        None
    }

    /// A page's size: 0 is [`PAGE_SIZE_DEFAULT`], more than [`PAGE_SIZE_MAX`] is that, negative is refused.
    pub fn page_size(&mut self, field: impl Into<String>, size: i32) -> usize {
        match usize::try_from(size) {
            Ok(0) => PAGE_SIZE_DEFAULT,
            Ok(size) => size.min(PAGE_SIZE_MAX),
            Err(_) => {
                self.refuse(field, "must not be negative");
                PAGE_SIZE_DEFAULT
            }
        }
    }

    /// A skill's level, 1 to 5.
    pub fn level(&mut self, field: impl Into<String>, level: u32) -> Option<SkillLevel> {
        self.take(field, SkillLevel::new(level).ok_or("must be a level from 1 to 5"))
    }

    /// Required skills, at most `max`, none of them twice.
    pub fn skills(
        &mut self,
        field: &str,
        skills: &[common::SkillRequirement],
        max: usize,
    ) -> Vec<SkillRequirement> {
        let mut taken: Vec<SkillRequirement> = Vec::new();
        for (index, required) in
            skills.iter().take(self.count(field, skills.len(), max)).enumerate()
        {
            let skill = self.id(format!("{field}[{index}].skill"), &required.skill);
            let level = self.level(format!("{field}[{index}].min_level"), required.min_level);
            let twice = taken.iter().any(|other| other.skill == skill);
            self.require(!twice, format!("{field}[{index}].skill"), "must not be named twice");
            taken.extend(level.map(|min_level| SkillRequirement { skill, min_level }));
        }
        taken
    }

    /// Refuses a list that is too long. Returns how many of its elements are worth a look.
    pub fn count(&mut self, field: impl Into<String>, length: usize, max: usize) -> usize {
        self.require(length <= max, field, format!("must have at most {max} elements"));
        length.min(max)
    }
}

#[cfg(test)]
mod tests;
