//! A decision about one ticket in the making: each fact is taken into a copy, so that the next one sees it.

use kernel::{Actor, Context, Fact, TicketId, Timestamp, WorkspaceId};

use crate::{Change, Clock, ClockKey, Event, Rejection, Ticket, TicketNote, Workspace};

/// A ticket as it will be, and the facts that lead there.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) space: &'a Workspace,
    pub(super) id: TicketId,
    pub(super) ticket: Ticket,
    workspace: WorkspaceId,
    actor: Actor,
    facts: Vec<Fact<Event>>,
}

impl<'a> Draft<'a> {
    /// Begins with a ticket that is known, brought up to a change of policies that took effect by `at`.
    pub(super) fn of(
        space: &'a Workspace,
        context: &Context,
        id: TicketId,
        at: Timestamp,
    ) -> Result<Self, Rejection> {
        let mut draft = Self::as_it_is(space, context, id)?;
        if let Some(changed) = space.unswept(&draft.id).filter(|changed| *changed <= at) {
            draft.follow_policies(changed);
        }
        Ok(draft)
    }

    /// Begins with a ticket that is known, whatever policies it follows.
    pub(super) fn as_it_is(
        space: &'a Workspace,
        context: &Context,
        id: TicketId,
    ) -> Result<Self, Rejection> {
        match space.ticket(&id) {
            Some(ticket) => Ok(Self::begin(space, context, id, ticket.clone())),
            None => Err(Rejection::UnknownTicket(id)),
        }
    }

    /// Begins with this.
    pub(super) fn begin(
        space: &'a Workspace,
        context: &Context,
        id: TicketId,
        ticket: Ticket,
    ) -> Self {
        let (workspace, actor) = (context.workspace.clone(), context.actor.clone());
        Self { space, id, ticket, workspace, actor, facts: Vec::new() }
    }

    /// What was decided.
    pub(super) fn facts(self) -> Vec<Fact<Event>> {
        self.facts
    }

    /// Adds a note of the ticket as it is, changed by `change`, if that changes anything.
    pub(super) fn note(&mut self, at: Timestamp, change: impl FnOnce(&mut TicketNote)) {
        let before = self.noted();
        let mut note = before.clone();
        change(&mut note);
        if note != before || self.ticket.revision == 0 {
            self.ticket.note(&note, at);
            self.fact(at, Event::TicketNoted(Box::new(note)));
        }
    }

    fn noted(&self) -> TicketNote {
        let ticket = &self.ticket;
        TicketNote {
            ticket: self.id.clone(),
            number: ticket.number,
            priority: ticket.priority,
            status: ticket.status,
            policy: ticket.policy.clone(),
            agent: ticket.agent.clone(),
            queue: ticket.queue.clone(),
            traits: None,
        }
    }

    /// Adds a change of a clock.
    pub(super) fn change(&mut self, key: ClockKey, at: Timestamp, change: Change) {
        let warn = self.space.warnings(change.policy());
        self.ticket.change(key, &change, warn);
        self.fact(at, Event::Clock { ticket: self.id.clone(), key, change });
    }

    fn fact(&mut self, at: Timestamp, event: Event) {
        self.ticket.revision = self.ticket.revision.saturating_add(1);
        self.facts.push(Fact {
            workspace: self.workspace.clone(),
            entity: (&self.id).into(),
            revision: self.ticket.revision,
            at,
            actor: self.actor.clone(),
            event,
        });
    }

    /// The keys of the clocks that this holds for.
    pub(super) fn keys(&self, wanted: impl Fn(&Clock) -> bool) -> Vec<ClockKey> {
        let clocks = self.ticket.clocks.iter().filter(|clock| wanted(clock));
        clocks.map(|clock| clock.key).collect()
    }
}
