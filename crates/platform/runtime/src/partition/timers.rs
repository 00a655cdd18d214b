//! When something is due, and, for a service that must know first, whether every input was read up to a head seen
//! since.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_log::{EventLogProvider, Seq};
use kernel::Timestamp;
use kernel::planted::{self, Bug};
use tokio::time::Instant;

use crate::ServiceId;
use crate::fold::Fold;
use crate::partition::{Core, Work};
use crate::service::{Parked, Service};

/// How long heads may be missing, or not be reached, before what is due is called unconfirmed.
pub(crate) const UNCONFIRMED_AFTER: Duration = Duration::from_secs(30);
/// How soon it is looked again whether a time in doubt still is.
pub(crate) const HELD_PAUSE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(500);

/// The heads that the inputs had at an instant.
#[derive(Debug)]
struct Goal {
    seen_at: Timestamp,
    since: Instant,
    heads: Vec<(ServiceId, Seq)>,
}

/// A leader's timers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Everything due until here may be decided.
    confirmed: Timestamp,
    goal: Option<Goal>,
    asking: bool,
    failing_since: Option<Instant>,
    /// What is due at this instant made no difference: wait for a change before asking again.
    pub(crate) moot: Option<Timestamp>,
}

/// What a leader waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing is due by itself.
    Nothing,
    /// Something will be.
    At(Timestamp),
    /// Something is, up to this instant.
    Due(Timestamp),
    /// Something is, but the inputs have not been read so far.
    Unconfirmed,
    /// The time is in doubt: nothing is decided until it is believed.
    Held,
}

impl Timers {
    /// What is next, as the state stands.
    pub(crate) fn next<S: Service>(&self, core: &Core<S>, fold: &Fold<S>) -> Next {
        if core.time.holds_timers() {
            return Next::Held;
        }
        let now = core.time.now();
        let until = if S::CONFIRM_BEFORE_TIMERS && !planted::is(Bug::HeadsNotAwaited) {
            now.min(self.confirmed)
        } else {
            now
        };
        match core.service.next_due(&fold.state, core.partition, Parked(&fold.meta)) {
            Some(due) if due > now => Next::At(due),
            Some(due) if self.is_moot(Some(due)) => Next::Nothing,
            Some(due) if due <= until => Next::Due(until),
            Some(_) => Next::Unconfirmed,
            None => Next::Nothing,
        }
    }

    /// Whether what is due at this instant was decided in vain.
    pub(crate) fn is_moot(&self, due: Option<Timestamp>) -> bool {
        self.moot.is_some() && self.moot == due
    }

    /// Asks for the inputs' heads, unless that is under way or what was seen is still to be reached.
    pub(crate) fn confirm<S: Service>(
        &mut self,
        core: &Arc<Core<S>>,
        provider: &Arc<dyn EventLogProvider>,
    ) {
        if let Some(goal) = &self.goal {
            // Inputs that wait are as good as heads that can't be had.
            if goal.since.elapsed() >= UNCONFIRMED_AFTER {
                core.unconfirmed.store(true, Ordering::Relaxed);
            }
            return;
        }
        if self.asking {
            return;
        }
        self.asking = true;
        let pause = if self.failing_since.is_some() { PAUSE } else { Duration::ZERO };
        let (core, provider) = (Arc::clone(core), Arc::clone(provider));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let seen_at = core.time.now();
            let heads = heads::<S>(&*provider, core.partition).await;
            // If the leader is gone, nobody needs them.
            core.inbox.own(Work::Heads { seen_at, heads });
        });
    }

    /// The heads are there, or not.
    pub(crate) fn heads<S: Service>(
        &mut self,
        core: &Core<S>,
        seen_at: Timestamp,
        heads: Option<Vec<(ServiceId, Seq)>>,
    ) {
        self.asking = false;
        if let Some(heads) = heads {
            self.failing_since = None;
            self.goal = Some(Goal { seen_at, since: Instant::now(), heads });
            core.unconfirmed.store(false, Ordering::Relaxed);
        } else {
            let since = *self.failing_since.get_or_insert_with(Instant::now);
            let long = since.elapsed() >= UNCONFIRMED_AFTER;
            core.unconfirmed.store(long, Ordering::Relaxed);
        }
    }

    /// Whether the heads that were seen have been reached; then what was due by then is confirmed.
    pub(crate) fn reach(&mut self, applied: impl Fn(ServiceId) -> Seq) -> bool {
        let reached = |goal: &Goal| goal.heads.iter().all(|(id, head)| applied(*id) >= *head);
        if let Some(goal) = self.goal.take_if(|goal| reached(goal)) {
            self.confirmed = self.confirmed.max(goal.seen_at);
            return true;
        }
        false
    }
}

/// The last record of every input, by its leader's word; `None` if any can't be had.
async fn heads<S: Service>(
    provider: &dyn EventLogProvider,
    partition: u16,
) -> Option<Vec<(ServiceId, Seq)>> {
    let mut heads = Vec::with_capacity(S::INPUTS.len());
    for service in S::INPUTS {
        let log = provider.open(&service.log(partition)).await.ok()?;
        heads.push((*service, log.tail().await.ok()?.last));
    }
    Some(heads)
}
