//! The rules of intake.

mod workspace;
mod open;
mod message;
mod update;
mod life;
mod routed;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use kernel::{Context, Decider, Fact, TicketId, Timestamp};

use crate::state::{State, Ticket, Workspace};
use crate::{BACKDATING_MAX_MS, CLOCK_AHEAD_MAX_MS, Command, Event, Rejection};

/// The decider of workspaces and tickets.
#[derive(Debug)]
pub enum Intake {}

type Decision = Result<Vec<Fact<Event>>, Rejection>;

impl Decider for Intake {
    type Command = Command;
    type Event = Event;
    type State = State;
    type Rejection = Rejection;

    fn decide(state: &State, context: &Context, command: Command) -> Decision {
        match command {
            Command::PutWorkspace(wish) => workspace::put(state, context, wish),
            Command::EnsureWorkspace { display_name } => {
                Ok(workspace::ensure(state, context, display_name))
            }
            Command::CreateTicket(wish) => open::create(state, context, *wish),
            Command::AddMessage(wish) => message::add(state, context, *wish),
            Command::UpdateTicket(wish) => update::update(state, context, *wish),
            Command::Move(wish) => life::step(state, context, &wish),
            Command::NoteOwner { ticket, agent, at } => {
                routed::owned(state, context, &ticket, agent, at)
            }
            Command::NoteQueue { ticket, queue, at } => {
                routed::queued(state, context, &ticket, queue, at)
            }
            Command::NoteWorkDone { ticket, outcome, at } => {
                routed::done(state, context, &ticket, outcome, at)
            }
        }
    }

    fn evolve(state: &mut State, fact: &Fact<Event>) {
        crate::evolve::evolve(state, fact);
    }
}

fn workspace<'a>(state: &'a State, context: &Context) -> Result<&'a Workspace, Rejection> {
    state
        .workspace(&context.workspace)
        .ok_or_else(|| Rejection::WorkspaceNotFound { workspace: context.workspace.clone() })
}

fn ticket<'a>(
    state: &'a State,
    context: &Context,
    id: &TicketId,
) -> Result<Cow<'a, Ticket>, Rejection> {
    workspace(state, context)?
        .ticket(id)
        .ok_or_else(|| Rejection::TicketNotFound { ticket: id.clone() })
}

fn check_revision(expected: Option<u64>, actual: u64) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != actual => {
            Err(Rejection::RevisionMismatch { expected, actual })
        }
        Some(_) | None => Ok(()),
    }
}

/// When a caller's fact happened, within the bounds that a caller has.
fn clamped(context: &Context, occurred_at: Option<Timestamp>) -> Timestamp {
    occurred_at.map_or(context.at, |at| {
        at.clamp(
            context.at.minus_millis(BACKDATING_MAX_MS),
            context.at.plus_millis(CLOCK_AHEAD_MAX_MS),
        )
    })
}

/// Tags as they are kept: sorted, each once.
fn sorted(mut tags: Vec<Box<str>>) -> Box<[Box<str>]> {
    tags.sort_unstable();
    tags.dedup();
    tags.into_boxed_slice()
}

/// Facts about one ticket, numbered on from its revision.
struct Facts<'a> {
    context: &'a Context,
    ticket: &'a TicketId,
    revision: u64,
    at: Timestamp,
    decided: Vec<Fact<Event>>,
}

impl<'a> Facts<'a> {
    fn of(context: &'a Context, ticket: &'a Ticket, at: Timestamp) -> Self {
        let revision = ticket.revision;
        Self { context, ticket: &ticket.id, revision, at, decided: Vec::new() }
    }

    fn of_new(context: &'a Context, ticket: &'a TicketId, at: Timestamp) -> Self {
        Self { context, ticket, revision: 0, at, decided: Vec::new() }
    }

    fn and(mut self, event: Event) -> Self {
        self.revision = self.revision.saturating_add(1);
        self.decided.push(Fact {
            workspace: self.context.workspace.clone(),
            entity: self.ticket.into(),
            revision: self.revision,
            at: self.at,
            actor: self.context.actor.clone(),
            event,
        });
        self
    }

    fn and_if(self, event: Option<Event>) -> Self {
        match event {
            Some(event) => self.and(event),
            None => self,
        }
    }

    fn done(self) -> Vec<Fact<Event>> {
        self.decided
    }
}
