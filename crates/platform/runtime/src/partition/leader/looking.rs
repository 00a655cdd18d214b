//! Looks at the state: taken out of the queue, and waiting for a commit to be shown with.
//!
//! A look may cost much more than a call (a page of a thousand tickets), and is run where nothing else can be decided.
//! So the looks of the workspaces take turns here as well, and those for whom there is no time are shown the next
//! commit.

use super::rota::Budget;
use crate::call::{Failure, Overload};
use crate::partition::View;
use crate::partition::batch::Batch;
use crate::partition::queue::Lane;
use crate::partition::turns::{Bounds, Turns};
use crate::partition::work::Look;
use crate::service::Service;

/// How many looks a leader has taken and not run at most. While there are so many it takes nothing more.
const LOOKS_MAX: usize = 256;

/// A look, whose turn it takes, and whether it counts on the state being the latest.
pub(super) type Waiting<S> = (Lane, Look<S>, bool);

/// Who waits to look.
pub(super) struct Looks<S: Service> {
    waiting: Turns<Lane, Waiting<S>>,
    /// How many of them count on seeing the latest state.
    counting: usize,
}

impl<S: Service> Default for Looks<S> {
    fn default() -> Self {
        let bounds = Bounds { all: LOOKS_MAX, lane: LOOKS_MAX };
        Self { waiting: Turns::new(bounds), counting: 0 }
    }
}

impl<S: Service> Looks<S> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= LOOKS_MAX
    }

    /// Whether anybody counts on seeing the latest state.
    pub(super) fn count(&self) -> bool {
        self.counting > 0
    }

    /// Somebody wants to look. `counts`: on the state being the latest.
    pub(super) fn add(&mut self, lane: Lane, look: Look<S>, counts: bool) {
        let refused = match self.waiting.push(lane.clone(), (lane, look, counts)) {
            Ok(displaced) => {
                self.counting += usize::from(counts);
                displaced.inspect(|(.., counted)| self.counting -= usize::from(*counted))
            }
            Err((_, refused)) => Some(refused),
        };
        if let Some((_, mut look, _)) = refused {
            look(Err(Failure::Overloaded(Overload::Partition)))();
        }
    }

    /// Everybody who waits, to look at another state.
    pub(super) fn take_all(&mut self) -> Vec<Waiting<S>> {
        let mut all = Vec::new();
        while let Some(one) = self.waiting.pop() {
            all.push(one);
        }
        self.counting = 0;
        all
    }

    /// Lets those look whose turn it is, at least one and as many as there is time for. They are told what they saw
    /// with `batch`.
    pub(super) fn take_turns(&mut self, view: &View<'_, S>, batch: &mut Batch<S>) {
        let budget = Budget::whole();
        while let Some((lane, mut look, counted)) = self.waiting.pop() {
            self.counting -= usize::from(counted);
            batch.seen(look(Ok(view)), (lane, look, counted));
            if budget.is_spent() {
                return;
            }
        }
    }
}
