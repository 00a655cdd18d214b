//! A fold of some service's log, for programs that read the logs of all of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use event_log::{EventLog, Record, Seq};
use futures::future::BoxFuture;
use snapshots::Snapshot;

use super::{Fold, HashCheck};
use crate::commit::Doubt;
use crate::hash::Unhashable;
use crate::replay::{ReplayError, replay};
use crate::service::Service;
use crate::{LogId, ServiceId};

/// A [`Fold`] whose service is chosen when the program runs.
///
/// Each service's crate makes its own (`fold`), so that folding is compiled once for each service and not again in
/// every program that folds logs.
pub trait AnyFold: Debug + Send {
    /// [`Fold::LAYOUT`].
    fn layout(&self) -> u32;

    /// [`Fold::take_and_check`].
    fn take_and_check(&mut self, record: &Record) -> Result<Option<HashCheck>, Doubt>;

    /// [`replay`](crate::replay()): folds what the log has beyond this fold. After an error the fold is at its start
    /// again.
    fn replay<'a>(&'a mut self, log: &'a dyn EventLog) -> BoxFuture<'a, Result<(), ReplayError>>;

    /// [`Fold::events`].
    fn events(&self) -> u64;

    /// [`Fold::consumed`].
    fn consumed(&self) -> BTreeMap<ServiceId, Seq>;

    /// [`Fold::set_aside`].
    fn set_aside(&self) -> Vec<(ServiceId, Seq)>;

    /// [`Fold::confirms`].
    fn confirms(&self, snapshot: &Snapshot) -> bool;

    /// [`Fold::state_hash`].
    fn state_hash(&self) -> Result<[u8; 32], Unhashable>;
}

impl dyn AnyFold {
    /// A fold of `service`'s log that has read nothing.
    pub fn of<S: Service>(service: S, log_id: LogId) -> Box<dyn AnyFold> {
        Box::new(OfService { service: Arc::new(service), log_id, fold: Fold::at_start(log_id) })
    }
}

/// A service's rules, and how far its log is folded.
#[derive(Debug)]
struct OfService<S: Service> {
    service: Arc<S>,
    log_id: LogId,
    fold: Fold<S>,
}

impl<S: Service> AnyFold for OfService<S> {
    fn layout(&self) -> u32 {
        Fold::<S>::LAYOUT
    }

    fn take_and_check(&mut self, record: &Record) -> Result<Option<HashCheck>, Doubt> {
        self.fold.take_and_check(&self.service, record)
    }

    fn replay<'a>(&'a mut self, log: &'a dyn EventLog) -> BoxFuture<'a, Result<(), ReplayError>> {
        Box::pin(async move {
            let fold = std::mem::replace(&mut self.fold, Fold::at_start(self.log_id));
            self.fold = replay(&self.service, log, fold).await?;
            Ok(())
        })
    }

    fn events(&self) -> u64 {
        self.fold.events()
    }

    fn consumed(&self) -> BTreeMap<ServiceId, Seq> {
        self.fold.consumed().collect()
    }

    fn set_aside(&self) -> Vec<(ServiceId, Seq)> {
        self.fold.set_aside().collect()
    }

    fn confirms(&self, snapshot: &Snapshot) -> bool {
        self.fold.confirms(snapshot)
    }

    fn state_hash(&self) -> Result<[u8; 32], Unhashable> {
        self.fold.state_hash()
    }
}
