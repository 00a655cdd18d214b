//! The rules.

mod clocks;
mod draft;
mod policies;
mod tickets;

use kernel::{Context, Decider, Fact, TicketId, Timestamp, WorkspaceId};

use crate::{Command, Event, Rejection, State, Workspace, evolve};
use draft::Draft;

/// The decider of sla.
#[derive(Debug, Clone, Copy)]
pub struct Sla;

pub(crate) type Decision = Result<Vec<Fact<Event>>, Rejection>;

/// How many timers one look returns.
const DUE_MAX: usize = 256;

impl Decider for Sla {
    type Command = Command;
    type Event = Event;
    type State = State;
    type Rejection = Rejection;

    fn decide(state: &State, context: &Context, command: Command) -> Decision {
        let empty = Workspace::default();
        let known = state.workspace(&context.workspace);
        let space = known.unwrap_or(&empty);
        let draft = |ticket, at| Draft::of(space, context, ticket, at);
        match command {
            Command::NoteWorkspace => Ok(policies::note_workspace(known, context)),
            Command::PutPolicy { policy, expected_revision } => {
                policies::put(known, context, *policy, expected_revision)
            }
            Command::ApplyPolicies => Ok(policies::apply(space, context)),
            Command::OpenTicket { ticket, number, priority, traits, at } => Ok(tickets::open(
                space,
                context,
                ticket,
                tickets::Opening { number, priority, traits, at },
            )),
            Command::UpdateTicket { ticket, update, at } => {
                Ok(tickets::update(draft(ticket, at)?, *update, at))
            }
            Command::NoteCustomerMessage { ticket, at } => {
                Ok(tickets::customer_message(draft(ticket, at)?, at))
            }
            Command::NoteReply { ticket, at } => Ok(tickets::reply(draft(ticket, at)?, at)),
            Command::ChangeStatus { ticket, to, at } => {
                Ok(tickets::change_status(draft(ticket, at)?, to, at))
            }
            Command::NoteOwner { ticket, agent, queue } => {
                Ok(tickets::note_owner(draft(ticket, context.at)?, agent, queue, context.at))
            }
            Command::NoteQueue { ticket, queue } => {
                Ok(tickets::note_queue(draft(ticket, context.at)?, queue, context.at))
            }
            Command::RunTimers { ticket, until } => {
                Ok(tickets::run_timers(draft(ticket, until)?, until))
            }
        }
    }

    fn evolve(state: &mut State, fact: &Fact<Event>) {
        evolve::evolve_all(state, std::slice::from_ref(fact));
    }

    fn evolve_all(state: &mut State, facts: &[Fact<Event>]) {
        evolve::evolve_all(state, facts);
    }

    /// The first tickets follow a change of policies in the same commit, the others by and by (see [`due`](Self::due)).
    fn follow_up(state: &State, context: &Context) -> Vec<Fact<Event>> {
        let Some(space) = state.workspace(&context.workspace) else { return Vec::new() };
        let begins = space.sweep.as_ref().is_some_and(|sweep| sweep.through.is_none());
        if begins { policies::apply(space, context) } else { Vec::new() }
    }

    fn next_due(state: &State) -> Option<Timestamp> {
        Self::next_due_but(state, |_, _| false)
    }

    fn due(state: &State, now: Timestamp) -> Vec<(WorkspaceId, Command)> {
        Self::due_but(state, now, |_, _| false)
    }
}

impl Sla {
    /// [`Decider::next_due`] without the timers of tickets that are doubtful.
    pub fn next_due_but(
        state: &State,
        doubtful: impl Fn(&WorkspaceId, &TicketId) -> bool,
    ) -> Option<Timestamp> {
        let timer = state.timers.iter().find(|(_, workspace, ticket)| !doubtful(workspace, ticket));
        let timer = timer.map(|(at, _, _)| *at);
        let sweep = state.sweeps.first().map(|(at, _)| *at);
        timer.into_iter().chain(sweep).min()
    }

    /// [`Decider::due`] without the timers of tickets that are doubtful.
    pub fn due_but(
        state: &State,
        now: Timestamp,
        doubtful: impl Fn(&WorkspaceId, &TicketId) -> bool,
    ) -> Vec<(WorkspaceId, Command)> {
        let sweeps = state
            .sweeps
            .iter()
            .map(|(at, workspace)| (*at, workspace.clone(), Command::ApplyPolicies));
        let sound = state.timers.iter().filter(|(_, workspace, id)| !doubtful(workspace, id));
        let timers = sound.map(|(at, workspace, ticket)| {
            let command = Command::RunTimers { ticket: ticket.clone(), until: *at };
            (*at, workspace.clone(), command)
        });
        let come = |(at, _, _): &(Timestamp, WorkspaceId, Command)| *at <= now;
        let mut due: Vec<_> = sweeps.take_while(come).take(DUE_MAX).collect();
        due.extend(timers.take_while(come).take(DUE_MAX));
        due.sort_by_key(|(at, _, _)| *at);
        due.truncate(DUE_MAX);
        due.into_iter().map(|(_, workspace, command)| (workspace, command)).collect()
    }
}

#[cfg(test)]
mod tests;
