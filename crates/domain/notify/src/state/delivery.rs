//! A delivery: what is to reach whom, and how far that came.

use std::sync::Arc;

use kernel::{DeliveryId, RuleId, TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{AttemptEnded, IntentMade, Outcome, Target};

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its stable key.
    pub id: DeliveryId,
    /// The rule.
    pub rule: RuleId,
    /// Where it goes.
    pub target: Target,
    /// The event's type.
    pub event_type: String,
    /// The ticket.
    pub ticket: Option<TicketId>,
    /// When the intent was made.
    pub made_at: Timestamp,
    /// What is sent; empty once it is over. Shared with the attempts that wait for their turn.
    pub body: Arc<str>,
    /// How far it came.
    pub progress: Progress,
    /// How many attempts were started.
    pub attempts: u32,
    /// The last HTTP status; 0: none.
    pub last_http_status: u32,
    /// Why the last attempt failed, one word.
    pub last_error: String,
    /// 1..n.
    pub revision: u64,
}

/// How far a delivery came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// To be tried then, or as soon as its endpoint takes it.
    Waiting {
        /// The earliest instant.
        at: Timestamp,
    },
    /// An attempt is being made.
    InFlight,
    /// It arrived.
    Delivered,
    /// It did not, and won't be tried again.
    PermanentlyFailed,
    /// At most once: it may have arrived.
    Unknown,
}

impl Progress {
    /// Whether nothing more happens to it.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Waiting { .. } | Self::InFlight => false,
            Self::Delivered | Self::PermanentlyFailed | Self::Unknown => true,
        }
    }
}

impl From<Outcome> for Progress {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Failed { next_attempt_at } => Self::Waiting { at: next_attempt_at },
            Outcome::PermanentlyFailed => Self::PermanentlyFailed,
            Outcome::Unknown => Self::Unknown,
        }
    }
}

impl Delivery {
    pub(super) fn made(intent: &IntentMade, at: Timestamp, revision: u64) -> Self {
        Self {
            id: intent.delivery.clone(),
            rule: intent.rule.clone(),
            target: intent.target.clone(),
            event_type: intent.event_type.clone(),
            ticket: intent.ticket.clone(),
            made_at: at,
            body: intent.body.as_str().into(),
            progress: Progress::Waiting { at },
            attempts: 0,
            last_http_status: 0,
            last_error: String::new(),
            revision,
        }
    }

    pub(super) fn end(&mut self, ended: &AttemptEnded) {
        self.progress = ended.outcome.into();
        self.attempts = self.attempts.max(ended.attempt);
        self.last_http_status = ended.http_status;
        self.last_error.clone_from(&ended.error);
        if self.progress.is_over() {
            self.body = Arc::default();
        }
    }
}

/// How many deliveries came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// They arrived.
    pub delivered: u64,
    /// They did not.
    pub permanently_failed: u64,
    /// They may have.
    pub unknown: u64,
}

impl Counts {
    pub(super) fn note(&mut self, progress: Progress) {
        let count = match progress {
            Progress::Waiting { .. } | Progress::InFlight => return,
            Progress::Delivered => &mut self.delivered,
            Progress::PermanentlyFailed => &mut self.permanently_failed,
            Progress::Unknown => &mut self.unknown,
        };
        *count = count.saturating_add(1);
    }
}
