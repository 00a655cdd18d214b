//! An agent: what it can do, how available it is, and what it holds.

use std::collections::BTreeSet;

use kernel::{QueueId, SkillId, SkillRequirement, TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::GRACE_MS;
use crate::event::AgentSettings;
use crate::words::Presence;

/// An agent as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub(crate) settings: AgentSettings,
    pub(crate) presence: Presence,
    pub(crate) lease_ms: u64,
    /// When the presence ends without a heartbeat; none: it holds until changed.
    pub(crate) lease_until: Option<Timestamp>,
    /// Since when it is away or offline; none: it is there, or never was.
    pub(crate) absent_since: Option<Timestamp>,
    pub(crate) used_units: u32,
    /// Since when it is available and holds no unit.
    pub(crate) idle_since: Option<Timestamp>,
    pub(crate) tickets: BTreeSet<TicketId>,
    pub(crate) offers: BTreeSet<u64>,
    /// What came back to it in its absence, within the grace: it waits again if the agent stays away.
    pub(crate) awaiting: BTreeSet<TicketId>,
    pub(crate) revision: u64,
}

impl Agent {
    /// An agent who was never there.
    pub(crate) fn new(settings: AgentSettings) -> Self {
        Self {
            settings,
            presence: Presence::Offline,
            lease_ms: 0,
            lease_until: None,
            absent_since: None,
            used_units: 0,
            idle_since: None,
            tickets: BTreeSet::new(),
            offers: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            revision: 0,
        }
    }

    /// Its settings.
    pub fn settings(&self) -> &AgentSettings {
        &self.settings
    }

    /// How available it is.
    pub fn presence(&self) -> Presence {
        self.presence
    }

    /// How long its presence holds without a heartbeat, in milliseconds; 0: until changed.
    pub fn lease_ms(&self) -> u64 {
        self.lease_ms
    }

    /// When its presence ends if nobody renews it; none: it holds until changed.
    pub fn lease_until(&self) -> Option<Timestamp> {
        self.lease_until
    }

    /// Units in use, offers included.
    pub fn used_units(&self) -> u32 {
        self.used_units
    }

    /// The tickets it owns, by id.
    pub fn tickets(&self) -> &BTreeSet<TicketId> {
        &self.tickets
    }

    /// The numbers of the offers to it that stand.
    pub fn offers(&self) -> &BTreeSet<u64> {
        &self.offers
    }

    /// Its revision, 1..n.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Units left; 0 if it holds more than its capacity.
    pub fn free_units(&self) -> u32 {
        self.settings.capacity_units.saturating_sub(self.used_units)
    }

    /// How long it has been available without holding a unit, in milliseconds.
    pub(crate) fn idle_ms(&self, now: Timestamp) -> u64 {
        self.idle_since.map_or(0, |since| now.millis_since(since))
    }

    /// Whether it works for the queue.
    pub(crate) fn works_for(&self, queue: &QueueId) -> bool {
        self.settings.queues.is_empty() || self.settings.queues.binary_search(queue).is_ok()
    }

    /// Its level in a skill; 0: none.
    pub(crate) fn level(&self, skill: &SkillId) -> u8 {
        let found = self.settings.skills.binary_search_by(|(own, _)| own.cmp(skill));
        found.ok().and_then(|at| self.settings.skills.get(at)).map_or(0, |(_, level)| level.get())
    }

    /// Whether it masters what is required.
    pub(crate) fn masters(&self, required: &[SkillRequirement]) -> bool {
        required.iter().all(|one| self.level(&one.skill) >= one.min_level.get())
    }

    /// Whether it has been absent for longer than the grace. Who was never there has no grace.
    pub(crate) fn absent_beyond_grace(&self, now: Timestamp) -> bool {
        self.presence.is_absent()
            && self.absent_since.is_none_or(|since| now > since.plus_millis(GRACE_MS))
    }

    /// Notes when idleness began or that it is over.
    pub(crate) fn mark_idle(&mut self, at: Timestamp) {
        if self.presence == Presence::Available && self.used_units == 0 {
            self.idle_since = self.idle_since.or(Some(at));
        } else {
            self.idle_since = None;
        }
    }

    /// Takes a presence, as set or as expired.
    pub(crate) fn set_presence(&mut self, presence: Presence, lease_ms: u64, at: Timestamp) {
        self.absent_since = match (presence.is_absent(), self.presence.is_absent()) {
            (false, _) => None,
            // Who was never there is absent from the day that somebody says so.
            (true, true) => self.absent_since.or(Some(at)),
            (true, false) => Some(at),
        };
        self.presence = presence;
        self.lease_ms = lease_ms;
        self.lease_until = (lease_ms > 0).then(|| at.plus_millis(lease_ms));
        self.mark_idle(at);
    }
}
