//! Whose turn it is: what waits for a leader is of three kinds, and none waits while another has two turns.
//!
//! Inputs, what is due, and calls take turns, each with a bounded number of steps; a workspace's calls take turns with
//! the others' (see [`queue`](crate::partition::queue)). A leader looks up after two milliseconds of deciding,
//! whatever the steps cost: what it has decided then goes on its way. So what has much to do in many steps, a sweep
//! over all tickets or thousands of deadlines, delays everybody else by its steps, never by its whole.

use std::time::Duration;

use tokio::time::Instant;

use super::{HASH_EVERY, Leader, Stop};
use crate::partition::batch::Batch;
use crate::partition::{Outlet, Work};
use crate::service::Service;

/// For how long a leader decides before it looks up: about as long as an append takes. A call that comes while there is
/// much to do waits for what is being decided and for the commit before its own, so for twice this and two appends.
const DECIDES_FOR: Duration = Duration::from_millis(2);
/// How many calls and looks make one turn: they mostly take less than the clock's millisecond.
const TAKEN_AT_ONCE: usize = 64;
/// How many events of inputs make one turn.
pub(super) const INPUTS_AT_ONCE: usize = 64;

/// What can wait for a leader, in the order of the turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Records of other services.
    #[default]
    Inputs,
    /// What is due, and what is to be gone on with.
    Due,
    /// Calls and looks.
    Queue,
}

impl Source {
    const COUNT: usize = 3;

    fn next(self) -> Self {
        match self {
            Self::Inputs => Self::Due,
            Self::Due => Self::Queue,
            Self::Queue => Self::Inputs,
        }
    }
}

/// How long may be decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(Instant);

impl Budget {
    /// All of it.
    pub(super) fn whole() -> Self {
        Self(Instant::now() + DECIDES_FOR)
    }

    /// Whether it is time to look up.
    pub(super) fn is_spent(self) -> bool {
        Instant::now() >= self.0
    }
}

impl<S: Service> Leader<'_, S> {
    /// Takes what waits in turns, until the commit is full, it is time to look up, or nothing waits.
    pub(super) fn gather(
        &mut self,
        making: &mut Batch<S>,
        work: &mut Outlet<S>,
    ) -> Result<(), Stop> {
        let budget = Budget::whole();
        let mut had_nothing = 0;
        while had_nothing < Source::COUNT && self.takes(making) && !budget.is_spent() {
            let had_something = match self.next {
                // What is due and what others have written waits until it can be written.
                Source::Inputs | Source::Due if self.full.is_some() => false,
                Source::Inputs => self.take_inputs(making, budget),
                Source::Due => self.fire(making, budget),
                Source::Queue => self.take_some(making, work, budget)?,
            };
            had_nothing = if had_something { 0 } else { had_nothing + 1 };
            self.next = self.next.next();
        }
        self.hurries = had_nothing < Source::COUNT;
        if !self.hurries {
            // What is due goes before a call that comes after it.
            self.next = Source::default();
        }
        let idle = self.full.is_none() && self.flight.is_none() && !making.is_record();
        if idle && self.fold.reader.seq >= self.hashed_at + HASH_EVERY {
            making.notes.extend(self.state_hash()?);
        }
        Ok(())
    }

    /// Inputs' turn. Says whether there was anything.
    fn take_inputs(&mut self, making: &mut Batch<S>, budget: Budget) -> bool {
        if self.pending.is_empty() {
            let Ok(input) = self.inputs.try_recv() else { return false };
            self.receive(input);
        }
        self.handle_inputs(making, budget);
        true
    }

    /// The queue's turn. Says whether there was anything.
    fn take_some(
        &mut self,
        making: &mut Batch<S>,
        work: &mut Outlet<S>,
        budget: Budget,
    ) -> Result<bool, Stop> {
        for taken in 0..TAKEN_AT_ONCE {
            match work.try_recv() {
                Some(work) => self.take(work, making)?,
                None => return Ok(taken > 0),
            }
            if !self.takes(making) || budget.is_spent() {
                break;
            }
        }
        Ok(true)
    }

    pub(super) fn take(&mut self, work: Work<S>, batch: &mut Batch<S>) -> Result<(), Stop> {
        if self.full.is_some() {
            return self.take_without_room(work);
        }
        match work {
            Work::Command(pending) => self.command(*pending, batch),
            Work::Look(lane, look) => self.looks.add(lane, look, true),
            Work::Glance(lane, look) => self.looks.add(lane, look, false),
            Work::Heads { seen_at, heads } => self.timers.heads(self.core, seen_at, heads),
            Work::Doubt(reason) => return Err(Stop::Halted(reason)),
            Work::Release(pending) => self.unpark(pending, batch),
            Work::Reread(pending, inputs) => self.retry(pending, inputs, batch),
        }
        Ok(())
    }
}
