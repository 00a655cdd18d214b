//! A partition's queue: calls, looks and a leader's own messages, until its leader takes them.
//!
//! Calls and looks of one workspace wait in one lane, and the lanes take [turns](super::turns); whoever asks about no
//! one workspace (an operator, a list over all) has a lane of its own. A leader's own messages come first: they are
//! few, and each costs little.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::WorkspaceId;
use tokio::sync::Notify;

use super::Work;
use super::batch::send;
use super::turns::{Bound, Bounds, Turns};
use crate::call::{Failure, Overload};
use crate::service::Service;

/// How many calls may wait for a partition's leader.
pub const WAITING_MAX: usize = 4096;
/// How many of them may be of one workspace.
pub const WAITING_OF_WORKSPACE_MAX: usize = 2048;

/// Whose turn something is: a workspace's, or that of those who ask about no one workspace.
pub(crate) type Lane = Option<WorkspaceId>;

/// Why something may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too much waits.
    Overloaded(Overload),
    /// Nobody takes anything any more.
    Closed,
}

struct Waiting<S: Service> {
    own: VecDeque<Work<S>>,
    calls: Turns<Lane, Work<S>>,
    closed: bool,
}

struct Shared<S: Service> {
    waiting: Mutex<Waiting<S>>,
    arrived: Notify,
}

impl<S: Service> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Waiting<S>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue, and its two ends.
pub(crate) fn queue<S: Service>() -> (Inlet<S>, Outlet<S>) {
    let bounds = Bounds { all: WAITING_MAX, lane: WAITING_OF_WORKSPACE_MAX };
    let waiting = Waiting { own: VecDeque::new(), calls: Turns::new(bounds), closed: false };
    let shared = Arc::new(Shared { waiting: Mutex::new(waiting), arrived: Notify::new() });
    (Inlet(Arc::clone(&shared)), Outlet(shared))
}

/// Where work goes in.
pub(crate) struct Inlet<S: Service>(Arc<Shared<S>>);

impl<S: Service> Inlet<S> {
    /// Lets a call or a look wait for its lane's turn, or says why it may not; then it is dropped.
    pub(crate) fn call(&self, lane: Lane, work: Work<S>) -> Result<(), Refused> {
        let pushed = {
            let mut waiting = self.0.lock();
            if waiting.closed {
                return Err(Refused::Closed);
            }
            waiting.calls.push(lane, work)
        };
        match pushed {
            Ok(displaced) => {
                self.0.arrived.notify_one();
                if let Some(displaced) = displaced {
                    refuse(displaced);
                }
                Ok(())
            }
            Err((Bound::All, _)) => Err(Refused::Overloaded(Overload::Partition)),
            Err((Bound::Lane, _)) => Err(Refused::Overloaded(Overload::Workspace)),
        }
    }

    /// A message of the leader's own. There are few: each answers something that the leader asked for, or ends it. Says
    /// whether it was taken; if not, the leader is gone.
    pub(crate) fn own(&self, work: Work<S>) -> bool {
        let mut waiting = self.0.lock();
        if waiting.closed {
            return false;
        }
        waiting.own.push_back(work);
        drop(waiting);
        self.0.arrived.notify_one();
        true
    }
}

/// What had to make room hears so. Nothing of it was done.
fn refuse<S: Service>(work: Work<S>) {
    let failure = || Failure::Overloaded(Overload::Partition);
    match work {
        Work::Command(pending) => send(pending.reply, Err(failure())),
        Work::Look(_, mut look) | Work::Glance(_, mut look) => look(Err(failure()))(),
        Work::Release(pending) | Work::Reread(pending, _) => send(pending.reply, Err(failure())),
        // The leader's own never make room.
        Work::Heads { .. } | Work::Doubt(_) => {}
    }
}

/// Where work comes out; there is one. When it is dropped, what waits is dropped with it.
pub(crate) struct Outlet<S: Service>(Arc<Shared<S>>);

impl<S: Service> Outlet<S> {
    /// What is next. Nothing is lost if the future is dropped.
    pub(crate) async fn recv(&mut self) -> Work<S> {
        // A leader that always has work lets others run, too.
        tokio::task::coop::consume_budget().await;
        loop {
            if let Some(work) = self.try_recv() {
                return work;
            }
            // What arrives in between has left its mark.
            self.0.arrived.notified().await;
        }
    }

    /// What is next, if anything waits.
    pub(crate) fn try_recv(&mut self) -> Option<Work<S>> {
        let mut waiting = self.0.lock();
        waiting.own.pop_front().or_else(|| waiting.calls.pop())
    }
}

impl<S: Service> Drop for Outlet<S> {
    fn drop(&mut self) {
        let left = {
            let mut waiting = self.0.lock();
            waiting.closed = true;
            (std::mem::take(&mut waiting.own), waiting.calls.take_all())
        };
        // Who still waits hears it by the closing of the way back.
        drop(left);
    }
}
