//! Inputs that were set aside, and an operator's word about them.
//!
//! An input that can't be applied is set aside, and every later one of its entity behind it, so that none overtakes
//! another. Once the cause is mended they are tried again in their order; one that never can be applied is dropped.
//! Either is a note in the own log, with who said so and why, in the very commit that holds what came of it: replay
//! needs nothing else.

use event_log::{EventLogProvider, Seq};
use kernel::Timestamp;
use tokio::sync::oneshot;
use wire::events::v1::Commit;

use crate::ServiceId;
use crate::call::{Failure, FailureOf};
use crate::commit::open_record;
use crate::partition::{PartitionHandle, Work};
use crate::service::Service;

/// How many inputs one commit tries again.
pub(crate) const AT_ONCE_MAX: usize = 256;

/// An entity with inputs set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEntity {
    /// The service whose inputs they are.
    pub input: ServiceId,
    /// Their workspace.
    pub workspace: String,
    /// Their entity.
    pub entity: String,
    /// Why the first one can't be applied.
    pub error: String,
    /// When the first one was set aside.
    pub since: Timestamp,
    /// The first one's record, and its place in it.
    pub first: (Seq, u32),
    /// How many.
    pub count: usize,
}

/// What is to become of inputs set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseHow {
    /// They are applied in their order, up to the first that still can't be.
    Retry,
    /// So many of the first are never applied.
    Drop(u64),
}

/// An operator's word about an entity's inputs set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The service whose inputs they are.
    pub input: ServiceId,
    /// Their workspace.
    pub workspace: String,
    /// Their entity.
    pub entity: String,
    /// What is to become of them.
    pub how: ReleaseHow,
    /// Who says so.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl Release {
    pub(crate) fn key(&self) -> (u32, String, String) {
        (self.input.number(), self.workspace.clone(), self.entity.clone())
    }
}

/// What became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// How many are set aside no more.
    pub count: u64,
    /// How many still are.
    pub left: u64,
    /// Why the first of those left can't be applied; empty: it was not tried.
    pub error: String,
}

/// A word and the way back to who said it.
pub(crate) struct PendingRelease<S: Service> {
    pub(crate) release: Release,
    pub(crate) reply: oneshot::Sender<Result<Released, FailureOf<S>>>,
}

/// An input read anew.
pub(crate) struct Reread {
    pub(crate) place: (Seq, u32),
    pub(crate) commit: Commit,
}

/// Reads the inputs at these places again.
pub(crate) async fn reread(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
    places: Vec<(Seq, u32)>,
) -> Result<Vec<Reread>, String> {
    let log = provider.open(&service.log(partition)).await.map_err(|error| error.to_string())?;
    let mut inputs = Vec::with_capacity(places.len());
    for place in places {
        let records = log.read(place.0, 1).await.map_err(|error| error.to_string())?;
        let record = records.first().ok_or_else(|| format!("record {} is gone", place.0))?;
        let commit = open_record(record).map_err(|doubt| doubt.to_string())?;
        inputs.push(Reread { place, commit });
    }
    Ok(inputs)
}

impl<S: Service> PartitionHandle<S> {
    /// Retries or drops an entity's inputs set aside. What was decided is in the log when it returns; if nothing is set
    /// aside, both counts are 0.
    pub async fn release(&self, release: Release) -> Result<Released, FailureOf<S>> {
        let mut all = Released::default();
        loop {
            let (reply, answer) = oneshot::channel();
            // An operator's word takes turns with the workspaces' calls, whichever workspace it is about.
            let work = Work::Release(PendingRelease { release: release.clone(), reply });
            self.admit_write()?;
            let done = self.submit(None, work, answer, Failure::OutcomeUnknown).await??;
            all = Released { count: all.count + done.count, ..done };
            let goes_on = release.how == ReleaseHow::Retry && all.left > 0 && all.error.is_empty();
            if !goes_on || done.count == 0 {
                return Ok(all);
            }
        }
    }
}

/// The inputs can't be read now; nothing was written.
pub(crate) fn unreadable<S: Service>(reason: &str) -> FailureOf<S> {
    tracing::warn!(service = %S::ID, reason, "inputs set aside can't be read again");
    Failure::LogUnavailable
}
