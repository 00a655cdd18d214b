//! The rules.

mod attempt;
mod endpoint;
mod observe;
mod rule;

use kernel::{Context, Decider, EntityId, Fact, Timestamp, WorkspaceId};

use crate::{Command, Event, Rejection, State, Workspace, state};

/// How many endpoints one call of `due` names at most.
const DUE_MAX: usize = 64;
/// How many endpoints get what waits for them in the decision that brought it; others are due at once.
const STARTED_AT_ONCE: usize = 8;

/// Notify's decider.
#[derive(Debug)]
pub struct Notify;

type Answer = Result<Vec<Fact<Event>>, Rejection>;

impl Decider for Notify {
    type Command = Command;
    type Event = Event;
    type State = State;
    type Rejection = Rejection;

    fn decide(state: &State, context: &Context, command: Command) -> Answer {
        let workspace = state.workspace(&context.workspace);
        match command {
            Command::SeeWorkspace => Ok(see_workspace(workspace, context)),
            Command::PutEndpoint(put) => endpoint::put(seen(workspace, context)?, context, put),
            Command::Reseal(reseal) => {
                Ok(workspace.map_or_else(Vec::new, |it| endpoint::reseal(it, context, &reseal)))
            }
            Command::PutRule(put) => rule::put(seen(workspace, context)?, context, put),
            Command::Observe(observe) => {
                let none = Workspace::default();
                Ok(observe::observe(workspace.unwrap_or(&none), context, observe))
            }
            Command::Start { endpoint } => {
                Ok(workspace.map_or_else(Vec::new, |it| attempt::start(it, context, &endpoint)))
            }
            Command::EndAttempt(end) => {
                Ok(workspace.map_or_else(Vec::new, |it| attempt::end(it, context, &end)))
            }
        }
    }

    fn evolve(state: &mut State, fact: &Fact<Event>) {
        state::evolve(state, fact);
    }

    fn follow_up(state: &State, context: &Context) -> Vec<Fact<Event>> {
        let Some(workspace) = state.workspace(&context.workspace) else { return Vec::new() };
        let ready = workspace.ready(context.at).take(STARTED_AT_ONCE);
        ready.flat_map(|endpoint| attempt::start(workspace, context, endpoint)).collect()
    }

    fn next_due(state: &State) -> Option<Timestamp> {
        state.due().next().map(|(at, _, _)| *at)
    }

    fn due(state: &State, now: Timestamp) -> Vec<(WorkspaceId, Command)> {
        let due = state.due().take_while(|(at, _, _)| *at <= now).take(DUE_MAX);
        due.map(|(_, workspace, endpoint)| {
            (workspace.clone(), Command::Start { endpoint: endpoint.clone() })
        })
        .collect()
    }
}

fn seen<'a>(
    workspace: Option<&'a Workspace>,
    context: &Context,
) -> Result<&'a Workspace, Rejection> {
    let unknown = || Rejection::WorkspaceUnknown(context.workspace.clone());
    workspace.filter(|it| it.is_seen()).ok_or_else(unknown)
}

fn see_workspace(workspace: Option<&Workspace>, context: &Context) -> Vec<Fact<Event>> {
    if workspace.is_some_and(Workspace::is_seen) {
        return Vec::new();
    }
    let id = &context.workspace;
    vec![fact(context, id.as_str(), 1, Event::WorkspaceSeen(id.clone()))]
}

fn fact(context: &Context, entity: &str, revision: u64, event: Event) -> Fact<Event> {
    Fact {
        workspace: context.workspace.clone(),
        entity: EntityId::trusted(entity),
        revision,
        at: context.at,
        actor: context.actor.clone(),
        event,
    }
}

fn check_revision(expected: u64, actual: u64) -> Result<(), Rejection> {
    if expected == 0 || expected == actual {
        return Ok(());
    }
    Err(Rejection::RevisionMismatch { expected, actual })
}

fn check_room(count: usize, limit: usize) -> Result<(), Rejection> {
    if count < limit {
        return Ok(());
    }
    Err(Rejection::LimitReached { limit: u64::try_from(limit).unwrap_or(u64::MAX) })
}

#[cfg(test)]
mod tests;
