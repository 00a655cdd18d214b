//! The shape of a decider, and what surrounds a command and a fact.

use std::error::Error;
use std::fmt::Debug;

use crate::{Actor, EntityId, Timestamp, WorkspaceId};

/// What a command is decided in: where, when and in whose name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The workspace it is about.
    pub workspace: WorkspaceId,
    /// The decision's time: the later of the service's clock and the input's time. Never before an earlier decision's.
    pub at: Timestamp,
    /// Who asks.
    pub actor: Actor,
    /// The record that the decision will stand in, if anything is decided.
    pub record: u64,
}

/// A fact: an event with what makes it one.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact<E> {
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// The entity it belongs to, by id: a ticket, an agent, a queue, a clock, ...
    pub entity: EntityId,
    /// The entity's revision after it, 1..n.
    pub revision: u64,
    /// When it happened; may lie before the decision's time.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: E,
}

/// The rules of one context over the state of one partition (all its workspaces).
///
/// Functions, not methods: there is nothing to inject, so nothing can be injected.
pub trait Decider: 'static {
    /// What can be asked.
    type Command: Debug + Send + 'static;
    /// What can happen.
    type Event: Debug + Clone + PartialEq + Send + Sync + 'static;
    /// What the rules remember; `Default` is the empty log.
    type State: Default + Debug + Send + 'static;
    /// Why not.
    type Rejection: Error + Clone + PartialEq + Send + 'static;

    /// Decides a command. No facts means that the wish already holds. Facts of one decision happen together or not at
    /// all.
    fn decide(
        state: &Self::State,
        context: &Context,
        command: Self::Command,
    ) -> Result<Vec<Fact<Self::Event>>, Self::Rejection>;

    /// Takes a fact into the state. Cannot fail: what happened, happened. It takes the state in place, where the
    /// textbook takes and returns it, since a partition's state is large.
    fn evolve(state: &mut Self::State, fact: &Fact<Self::Event>);

    /// Takes successive facts into the state, with the same outcome as [`evolve`](Self::evolve) for each. For who does
    /// better with several of one entity: a leader takes them by the decision, a fold of a log by the record.
    fn evolve_all(state: &mut Self::State, facts: &[Fact<Self::Event>]) {
        for fact in facts {
            Self::evolve(state, fact);
        }
    }

    /// Decides what follows at once from the state in `context.workspace`, without anybody asking (a freed agent gets
    /// the next ticket). Called after every command and reaction, and again after its own facts, until it has none or
    /// the decision has become large; each answer must bring that end nearer. What a large decision leaves must be
    /// [`due`](Self::due) at once.
    fn follow_up(_state: &Self::State, _context: &Context) -> Vec<Fact<Self::Event>> {
        Vec::new()
    }

    /// The earliest instant at which [`due`](Self::due) has something.
    fn next_due(_state: &Self::State) -> Option<Timestamp> {
        None
    }

    /// What is due at `now`, as commands, the first some dozens of them: deadlines that passed, each workspace's in
    /// order of their instants; and the next step of whatever is done in steps. Deciding them must move
    /// [`next_due`](Self::next_due) on, and none of them may take long: calls and inputs are served in between, not
    /// meanwhile.
    fn due(_state: &Self::State, _now: Timestamp) -> Vec<(WorkspaceId, Self::Command)> {
        Vec::new()
    }
}
