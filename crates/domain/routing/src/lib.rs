//! Routing: who takes which ticket, and when to ask someone else.
//!
//! ```text
//!            ┌────────────────── declined · expired · rescinded ─────────────────┐
//!            ▼                                                                   │
//!   queued ─ waiting ── offered to the agent with room who was idle longest ─────┤
//!     ▲      │    ▲       (its units are held from here)                         │
//!     │      │    │                 accepted ──▶ owned: active · pending · on hold
//!     │   paused  └──────── requeued · transferred · owner absent ──────┤
//!     │ (unowned, on the customer or others)                            ▼
//!     └─────────────── reopened, its owner absent ────────────────── ended
//!                      (else it returns to the owner)
//! ```
//!
//! Binding is late: a ticket waits in a central queue until someone can take it, so nobody's private pile delays it.
//! The original instant of queueing survives everything that happens to a ticket.
//!
//! **Invariants**, each tested over random histories: no ticket waits while an agent could take it (INV1); no ticket
//! has two owners (INV2); no offer takes an agent above its capacity (INV3); no ticket goes by itself to an agent who
//! lacks a skill (INV4); age survives (INV5); a decline is respected for its cooldown unless nobody else could ever
//! take the ticket (INV9).
//!
//! **Invariant:** nothing that a customer wrote is in this crate's state; filters are evaluated where the ticket's
//! facts are at hand, and a command carries the outcome.
//!
//! Reading order: [`words`], [`event`], [`state`], [`command`], [`rejection`], `decide`, `evolve`, [`explain`].

pub mod words;
pub mod event;
pub mod state;
pub mod command;
pub mod rejection;
mod decide;
mod evolve;
pub mod explain;
#[cfg(test)]
mod tests;

pub use command::{Command, Destination, NewTicket};
pub use event::Event;
pub use rejection::Rejection;
pub use rules;
pub use state::State;

use kernel::{Context, Decider, Fact, Timestamp, WorkspaceId};

/// A declined or missed offer is not repeated to the same agent for this long, in milliseconds.
pub const COOLDOWN_MS: u64 = 10 * 60 * 1_000;
/// An owner may be absent this long, in milliseconds, before a customer's answer goes to somebody else.
pub const GRACE_MS: u64 = 2 * 60 * 1_000;
/// The most agents of a workspace.
pub const AGENTS_MAX: usize = 5_000;
/// The most offers that stand to one agent: when it goes, all of them are taken back in one record.
pub const OFFERS_OF_AGENT_MAX: usize = 1_000;
/// The most queues of a workspace.
pub const QUEUES_MAX: usize = 500;
/// How many offers that are over a workspace remembers by name; of older ones it only knows that they are over.
pub const ENDED_OFFERS_MAX: usize = 1_000;
/// How many timers, leases and matches are handed out at once, of each.
pub const DUE_MAX: usize = 64;
/// How many tickets of an owner who stays away one decision puts back into their queues.
pub const REQUEUED_AT_ONCE: usize = 32;
/// The queue that every workspace has.
pub const DEFAULT_QUEUE: &str = "default";
/// The strategy that decisions name, with its version.
pub const POLICY_VERSION: &str = "longest_idle/1";

/// The decider.
#[derive(Debug)]
pub struct Routing;

impl Decider for Routing {
    type Command = Command;
    type Event = Event;
    type State = State;
    type Rejection = Rejection;

    fn decide(
        state: &State,
        context: &Context,
        command: Command,
    ) -> Result<Vec<Fact<Event>>, Rejection> {
        decide::decide(state, context, command)
    }

    fn evolve(state: &mut State, fact: &Fact<Event>) {
        evolve::evolve(state, fact);
    }

    fn follow_up(state: &State, context: &Context) -> Vec<Fact<Event>> {
        decide::matching::next_match(state, context)
    }

    fn next_due(state: &State) -> Option<Timestamp> {
        state.next_timer().into_iter().chain(state.next_lease()).chain(state.next_match()).min()
    }

    fn due(state: &State, now: Timestamp) -> Vec<(WorkspaceId, Command)> {
        let mut due = state.timers_due(now);
        due.extend(state.leases_due(now));
        due.sort_by_key(|(at, ..)| *at);
        let deadlines = due.into_iter().map(|(_, workspace, command)| (workspace, command));
        deadlines.chain(state.matches_due()).collect()
    }
}
