//! An endpoint, and what waits for it.

use std::collections::BTreeSet;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use super::IN_FLIGHT_MAX;
use crate::{Address, EndpointPut, SealedSecret};

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where to POST.
    pub url: Address,
    /// The signing secrets, newest first; every one signs.
    pub secrets: Vec<SealedSecret>,
    /// It gets nothing.
    pub disabled: bool,
    /// An attempt of unknown outcome is not repeated.
    pub at_most_once: bool,
    /// 1..n.
    pub revision: u64,
    in_flight: u32,
    not_before: Timestamp,
    /// By instant, then by order of making.
    waiting: BTreeSet<(Timestamp, u64)>,
    /// Under which instant the indexes hold it.
    pub(super) indexed: Option<Timestamp>,
}

impl Endpoint {
    pub(super) fn new(put: &EndpointPut) -> Self {
        Self {
            url: put.url.clone(),
            secrets: put.secrets.clone(),
            disabled: put.disabled,
            at_most_once: put.at_most_once,
            revision: 0,
            in_flight: 0,
            not_before: Timestamp::from_millis(i64::MIN),
            waiting: BTreeSet::new(),
            indexed: None,
        }
    }

    pub(super) fn set(&mut self, put: &EndpointPut, revision: u64) {
        self.url = put.url.clone();
        self.secrets.clone_from(&put.secrets);
        self.disabled = put.disabled;
        self.at_most_once = put.at_most_once;
        self.revision = revision;
    }

    /// How many deliveries wait for it.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn wait(&mut self, at: Timestamp, order: u64) {
        self.waiting.insert((at, order));
    }

    pub(super) fn leave(&mut self, at: Timestamp, order: u64) {
        self.waiting.remove(&(at, order));
    }

    pub(super) fn started(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    pub(super) fn ended(&mut self, throttled_until: Option<Timestamp>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(until) = throttled_until {
            self.not_before = self.not_before.max(until);
        }
    }

    /// When it may get something; none: nothing waits, or it takes nothing more for now.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let open = !self.disabled && self.in_flight < IN_FLIGHT_MAX;
        let (at, _) = self.waiting.first().filter(|_| open)?;
        Some((*at).max(self.not_before))
    }

    pub(super) fn startable(&self, now: Timestamp) -> impl Iterator<Item = u64> {
        let room = if self.next().is_some_and(|at| at <= now) {
            IN_FLIGHT_MAX.saturating_sub(self.in_flight)
        } else {
            0
        };
        let due = self.waiting.iter().take_while(move |(at, _)| *at <= now);
        due.take(usize::try_from(room).unwrap_or(0)).map(|(_, order)| *order)
    }
}
