//! The rules: one small function per wish.

mod follow;
mod offers;
mod presence;
mod settings;
mod work;
pub(crate) mod matching;

use std::collections::BTreeMap;

use kernel::planted::{self, Bug};
use kernel::{AgentId, Context, EntityId, Fact, QueueId, TicketId};

use crate::event::{Event, Requeued};
use crate::state::{Agent, Place, State, Ticket, Workspace};
use crate::words::{AssignedHow, RequeueReason, RescindReason};
use crate::{Command, Rejection};

type Facts = Vec<Fact<Event>>;
type Answer = Result<Facts, Rejection>;

/// Decides a command.
pub(crate) fn decide(state: &State, context: &Context, command: Command) -> Answer {
    let seen = state.workspace(&context.workspace).filter(|workspace| workspace.seen);
    let Some(workspace) = seen else {
        return if command == Command::SeeWorkspace {
            Ok(settings::see_workspace(context))
        } else {
            Err(Rejection::WorkspaceNotFound(context.workspace.clone()))
        };
    };
    let scene = Scene { workspace, context };
    match command {
        Command::SeeWorkspace => Ok(Vec::new()),
        Command::QueueTicket(new) => Ok(follow::queue_ticket(scene, &new)),
        Command::Reprioritise { ticket, priority } => {
            Ok(follow::reprioritise(scene, &ticket, priority))
        }
        Command::FollowStatus { ticket, from, to, answered } => {
            Ok(follow::status(scene, &ticket, from, to, answered))
        }
        Command::NoteAnswer { ticket } => Ok(follow::answer(scene, &ticket)),
        Command::PutAgent { agent, settings, expected_revision } => {
            settings::put_agent(scene, &agent, settings, expected_revision)
        }
        Command::PutQueue { queue, settings, expected_revision } => {
            settings::put_queue(scene, &queue, settings, expected_revision)
        }
        Command::SetPresence { agent, presence, lease_ms } => {
            presence::set(scene, &agent, presence, lease_ms)
        }
        Command::AcceptOffer { agent, offer } => offers::accept(scene, &agent, &offer),
        Command::DeclineOffer { agent, offer, reason } => {
            offers::decline(scene, &agent, &offer, reason)
        }
        Command::CompleteWork { agent, ticket, outcome, note } => {
            work::complete(scene, &agent, &ticket, outcome, note)
        }
        Command::TransferTicket { ticket, from, to, note } => {
            work::transfer(scene, &ticket, from, to, note)
        }
        Command::AssignTicket { ticket, agent, reason } => {
            work::assign(scene, &ticket, &agent, reason)
        }
        Command::ExpireOffer { offer } => Ok(offers::expire(scene, &offer)),
        Command::ExpirePresence { agent } => Ok(presence::expire(scene, &agent)),
        Command::EndCooldown { ticket, agent } => Ok(offers::end_cooldown(scene, &ticket, agent)),
        Command::EndGrace { agent } => Ok(presence::end_grace(scene, &agent)),
        Command::Match => Ok(matching::next(workspace, context)),
    }
}

/// What a decision sees.
#[derive(Clone, Copy)]
struct Scene<'a> {
    workspace: &'a Workspace,
    context: &'a Context,
}

impl<'a> Scene<'a> {
    fn agent(self, id: &AgentId) -> Result<&'a Agent, Rejection> {
        self.workspace.agents.get(id).ok_or_else(|| Rejection::AgentNotFound(id.clone()))
    }

    fn open_ticket(self, id: &TicketId) -> Result<&'a Ticket, Rejection> {
        let ticket = self.workspace.open_ticket(id);
        ticket.ok_or_else(|| Rejection::TicketNotRoutable(id.clone()))
    }

    fn draft(self) -> Draft<'a> {
        Draft { scene: self, facts: Vec::new(), revisions: BTreeMap::new() }
    }
}

/// Facts being written, with the revisions that they give.
struct Draft<'a> {
    scene: Scene<'a>,
    facts: Facts,
    revisions: BTreeMap<TicketId, u64>,
}

impl Draft<'_> {
    fn push(&mut self, entity: &str, revision: u64, event: Event) {
        let context = self.scene.context;
        self.facts.push(Fact {
            workspace: context.workspace.clone(),
            entity: EntityId::trusted(entity),
            revision,
            at: context.at,
            actor: context.actor.clone(),
            event,
        });
    }

    /// A fact of a ticket.
    fn ticket(&mut self, id: &TicketId, event: Event) {
        let known = self.scene.workspace.ticket(id).map_or(0, |ticket| ticket.revision);
        let last = self.revisions.get(id).copied().unwrap_or(known);
        let revision = last.saturating_add(1);
        self.revisions.insert(id.clone(), revision);
        self.push(id.as_str(), revision, event);
    }

    /// A fact of an agent; each decision has one at most.
    fn agent(&mut self, id: &AgentId, event: Event) {
        let known = self.scene.workspace.agents.get(id).map_or(0, |agent| agent.revision);
        self.push(id.as_str(), known.saturating_add(1), event);
    }

    /// A fact of a queue; each decision has one at most.
    fn queue(&mut self, id: &QueueId, event: Event) {
        let known = self.scene.workspace.queues.get(id).map_or(0, |queue| queue.revision);
        self.push(id.as_str(), known.saturating_add(1), event);
    }

    /// Takes back the offer under which a ticket stands, if it does.
    fn rescind(&mut self, id: &TicketId, reason: RescindReason) {
        let workspace = self.scene.workspace;
        let Some(Place::Offered(number)) = workspace.ticket(id).map(Ticket::place) else {
            return;
        };
        let Some(offer) = workspace.offers.get(number) else { return };
        let event = Event::OfferRescinded {
            offer: crate::state::offer_id(*number),
            ticket: id.clone(),
            agent: offer.agent.clone(),
            reason,
        };
        self.ticket(id, event);
    }

    /// Gives a ticket to an agent without an offer.
    fn assign(&mut self, id: &TicketId, to: &AgentId, how: AssignedHow, reason: String) {
        let over_capacity = self.would_exceed(id, to, how);
        let (ticket, agent) = (id.clone(), to.clone());
        self.ticket(id, Event::TicketAssigned { ticket, agent, how, reason, over_capacity });
    }

    fn would_exceed(&self, id: &TicketId, to: &AgentId, how: AssignedHow) -> bool {
        let workspace = self.scene.workspace;
        let (Some(ticket), Some(agent)) = (workspace.ticket(id), workspace.agents.get(to)) else {
            return false;
        };
        let holds_already = match &ticket.place {
            Place::Owned { agent, .. } => agent == to,
            Place::Offered(number) => {
                workspace.offers.get(number).is_some_and(|offer| offer.agent == *to)
            }
            Place::Waiting | Place::Paused(_) | Place::Ended { .. } => false,
        };
        let freed = if holds_already { ticket.held_units() } else { 0 };
        let others = agent.used_units.saturating_sub(freed);
        let held = ticket.state_when_assigned(how).held_units(ticket.cost_units);
        others.saturating_add(held) > agent.settings.capacity_units
    }

    /// Puts a ticket back into a queue, with its age.
    fn requeue(&mut self, id: &TicketId, from: Option<AgentId>, way: Way<'_>) {
        let workspace = self.scene.workspace;
        let Some(ticket) = workspace.ticket(id) else { return };
        let queue = way.queue.unwrap_or(&ticket.queue);
        let own_skills = match way.skill {
            Some(skill) => crate::state::joined(ticket.skills.iter().chain([skill])),
            None => ticket.skills.clone(),
        };
        let requeued = Requeued {
            ticket: id.clone(),
            from,
            queue: queue.clone(),
            reason: way.reason,
            queued_at: if planted::is(Bug::RequeueLosesAge) {
                self.scene.context.at
            } else {
                ticket.queued_at
            },
            required_skills: workspace.required(queue, &own_skills),
            own_skills,
        };
        self.ticket(id, Event::TicketRequeued(Box::new(requeued)));
    }

    fn done(self) -> Facts {
        self.facts
    }
}

/// How a ticket goes back.
#[derive(Clone, Copy)]
struct Way<'a> {
    reason: RequeueReason,
    /// None: its own.
    queue: Option<&'a QueueId>,
    /// Needed from now on.
    skill: Option<&'a kernel::SkillRequirement>,
}

impl Way<'_> {
    fn back(reason: RequeueReason) -> Self {
        Self { reason, queue: None, skill: None }
    }
}
