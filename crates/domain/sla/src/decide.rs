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

/// How many timers one look returns, ...
const DUE_MAX: usize = 64;
/// ... and how many steps of sweeps.
const SWEEPS_MAX: usize = 16;

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
            // Routing says so, and intake may not have been read as far: this decides nothing about clocks.
            Command::NoteQueue { ticket, queue } => {
                let draft = Draft::as_it_is(space, context, ticket)?;
                Ok(tickets::note_queue(draft, queue, context.at))
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
        let timer = state.timers.earliest_but(doubtful);
        timer.into_iter().chain(state.sweeps.earliest()).min()
    }

    /// [`Decider::due`] without the timers of tickets that are doubtful. Sweeps come behind the timers: what was due
    /// before a change is decided before it, and of what is due after it each ticket is brought up to it anyway.
    pub fn due_but(
        state: &State,
        now: Timestamp,
        doubtful: impl Fn(&WorkspaceId, &TicketId) -> bool,
    ) -> Vec<(WorkspaceId, Command)> {
        let timers = state.timers.due_but(now, DUE_MAX, doubtful).into_iter();
        let timers = timers.map(|(at, workspace, ticket)| {
            (workspace.clone(), Command::RunTimers { ticket: ticket.clone(), until: at })
        });
        let began = |workspace: &&WorkspaceId| {
            let sweep = state.workspace(workspace).and_then(|space| space.sweep.as_ref());
            sweep.is_some_and(|sweep| sweep.at <= now)
        };
        let sweeps = state.sweeps.in_turn().filter(began).take(SWEEPS_MAX);
        timers.chain(sweeps.map(|workspace| (workspace.clone(), Command::ApplyPolicies))).collect()
    }
}

#[cfg(test)]
mod tests;
