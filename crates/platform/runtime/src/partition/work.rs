//! What comes to a leader.

use event_log::Seq;
use kernel::Timestamp;
use tokio::sync::oneshot;

use super::queue::Lane;
use crate::call::{Call, Done, FailureOf};
use crate::hash::Unhashable;
use crate::meta::{Meta, ParkedInputs, ParkedKey};
use crate::parking::{ParkedEntity, PendingRelease, Reread};
use crate::service::{Service, State};
use crate::{ServiceId, TraceContext};

/// A call and the way back to its caller.
pub(crate) struct PendingCommand<S: Service> {
    pub(crate) call: Call<S>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) reply: oneshot::Sender<Result<Done, FailureOf<S>>>,
}

/// A look at the state, or the word that there will be none and why. What it gives tells whoever wanted to look what
/// was seen. What was seen and then couldn't be written is never told: whoever wanted to look looks again.
pub(crate) type Look<S> = Box<dyn FnMut(Result<&View<'_, S>, FailureOf<S>>) -> Shown + Send>;

/// What is told of the state once something is written.
pub(crate) type Report<S> = Box<dyn FnOnce(Result<&View<'_, S>, FailureOf<S>>) -> Shown + Send>;

/// What a look saw, to be told once everything it saw is in the log.
pub(crate) type Shown = Box<dyn FnOnce() + Send>;

/// What a look sees.
pub struct View<'a, S: Service> {
    /// The service's state.
    pub state: &'a State<S>,
    /// The last record applied.
    pub head: Seq,
    pub(crate) meta: &'a Meta,
}

impl<S: Service> std::fmt::Debug for View<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<S: Service> View<'_, S> {
    /// The state's hash: BLAKE3 over the state and what the runtime remembers. Costs a walk over both.
    pub fn state_hash(&self) -> Result<[u8; 32], Unhashable> {
        crate::hash::state_hash(self.meta, self.state)
    }

    /// Events in all.
    pub fn events(&self) -> u64 {
        self.meta.events
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> u64 {
        self.meta.bytes
    }

    /// Inputs set aside.
    pub fn parked(&self) -> u64 {
        self.meta.parked_count
    }

    /// The entities with inputs set aside, at most `max`, by service, workspace and id.
    pub fn parked_entities(&self, max: usize) -> Vec<ParkedEntity> {
        let shown = |((service, workspace, entity), parked): (&ParkedKey, &ParkedInputs)| {
            Some(ParkedEntity {
                input: ServiceId::from_number(*service)?,
                workspace: workspace.clone(),
                entity: entity.clone(),
                error: parked.error.clone(),
                since: parked.since,
                first: *parked.places.first()?,
                count: parked.places.len(),
            })
        };
        self.meta.parked.iter().filter_map(shown).take(max).collect()
    }

    /// Whether inputs of this entity of another service are set aside.
    pub fn is_parked(&self, service: ServiceId, workspace: &str, entity: &str) -> bool {
        self.meta.is_parked(service, workspace, entity)
    }

    /// Requests remembered.
    pub fn requests(&self) -> usize {
        self.meta.requests.len()
    }

    /// The oldest request remembered.
    pub fn request_horizon(&self) -> Option<Timestamp> {
        self.meta.requests.oldest()
    }
}

/// What a leader still has to do: published before anything that it did is seen, so that nobody sees rest too early.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// The next instant at which something is due; may have passed.
    pub(crate) next_due: Option<Timestamp>,
    /// What is due can't be decided before something else happens.
    pub(crate) moot: bool,
    /// Inputs wait, or an effect is in flight.
    pub(crate) busy: bool,
}

impl Rest {
    /// Nothing is due, no input waits, no effect is in flight.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        !self.busy && (self.moot || self.next_due.is_none_or(|due| due > now))
    }
}

/// What comes to a leader by its queue.
pub(crate) enum Work<S: Service> {
    /// A call.
    Command(Box<PendingCommand<S>>),
    /// A look at the state, and whose turn it takes.
    Look(Lane, Look<S>),
    /// A look at the state as this process has it, leader or not.
    Glance(Lane, Look<S>),
    /// The inputs' heads, as asked for at an instant; `None`: they couldn't be had.
    Heads { seen_at: Timestamp, heads: Option<Vec<(ServiceId, Seq)>> },
    /// An input's log is in doubt: why.
    Doubt(String),
    /// An operator's word about inputs set aside.
    Release(PendingRelease<S>),
    /// The inputs to be tried again, read from their log.
    Reread(PendingRelease<S>, Result<Vec<Reread>, String>),
}
