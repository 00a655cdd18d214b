//! Routing: one owner a ticket (I18), no offer above capacity (I19) or to one who may not have it (I20), no lost offer
//! (I24), and no ticket waits while someone could take it (I22).

mod board;

use std::collections::{BTreeMap, BTreeSet};

use wire::events::v1 as events;
use wire::events::v1::{Commit, Event, Presence, WorkOutcome, WorkState};

use crate::{Findings, Scope, payload};
use board::{Board, Changed, Demand, Place, Ticket};

/// A decision with so many facts leaves what follows from it for later ones; every smaller one is whole.
const LARGE_DECISION: usize = 64;

#[derive(Debug)]
struct Workspace {
    scope: Scope,
    board: Board,
    /// Live offers: the last instant at which each can be accepted.
    offers: BTreeMap<String, i64>,
    ended: BTreeSet<String>,
}

/// Where the work on a ticket stands, by routing's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketWork<'a> {
    /// It waits in a queue, or is offered to somebody.
    Unassigned,
    /// It is somebody's, whatever it waits for.
    Assigned {
        /// Whose.
        agent: &'a str,
    },
    /// It is nobody's, and is to be nobody's for now: it waits for the customer or for others.
    Paused,
    /// It is over.
    Ended,
}

/// The tickets, agents and offers of routing's log.
#[derive(Debug)]
pub struct RoutingWalk {
    scope: Scope,
    workspaces: BTreeMap<String, Workspace>,
}

impl RoutingWalk {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope, workspaces: BTreeMap::new() }
    }

    pub(crate) fn kept(&self) -> usize {
        let of = |it: &Workspace| it.board.kept() + it.offers.len() + it.ended.len();
        self.workspaces.values().map(of).sum()
    }

    /// Whether routing has learnt of this ticket.
    pub fn knows(&self, workspace: &str, ticket: &str) -> bool {
        self.workspaces.get(workspace).is_some_and(|it| it.board.ticket(ticket).is_some())
    }

    /// Whether the work on a ticket is over; `None`: routing doesn't know the ticket.
    pub fn has_ended(&self, workspace: &str, ticket: &str) -> Option<bool> {
        let ticket = self.workspaces.get(workspace)?.board.ticket(ticket)?;
        Some(ticket.place == Place::Ended)
    }

    /// Where the work on a ticket stands; `None`: routing doesn't know the ticket.
    pub fn work_on(&self, workspace: &str, ticket: &str) -> Option<TicketWork<'_>> {
        let ticket = self.workspaces.get(workspace)?.board.ticket(ticket)?;
        Some(match &ticket.place {
            Place::Waiting | Place::Offered { .. } => TicketWork::Unassigned,
            Place::Owned { agent, .. } => TicketWork::Assigned { agent },
            Place::Paused(_) => TicketWork::Paused,
            Place::Ended => TicketWork::Ended,
        })
    }

    /// The tickets that wait in a queue, or are offered.
    pub fn waiting(&self) -> usize {
        self.workspaces.values().map(|it| it.board.waiting()).sum()
    }

    pub(crate) fn take(&mut self, commit: &Commit, findings: &mut Findings) {
        let now_ms = i64::try_from(commit.time_ns / 1_000_000).unwrap_or(i64::MAX);
        let mut touched = BTreeMap::new();
        for event in &commit.events {
            let workspace = self.workspaces.entry(event.workspace.clone());
            let workspace = workspace.or_insert_with(|| Workspace::new(self.scope));
            workspace.event(event, now_ms, findings);
            let facts: &mut usize = touched.entry(&event.workspace).or_default();
            *facts += 1;
        }
        for (id, facts) in touched {
            let Some(workspace) = self.workspaces.get_mut(id) else { continue };
            if facts >= LARGE_DECISION {
                // The record may end amid matches. What changed is looked at when the next smaller one has come.
                continue;
            }
            let changed = workspace.board.take_changed();
            if self.scope.is_whole() {
                workspace.board.nobody_waits_in_vain(&changed, findings);
            }
        }
    }

    pub(crate) fn at_rest(&self, findings: &mut Findings) {
        for workspace in self.workspaces.values() {
            workspace.board.nobody_waits_in_vain(&Changed::all(), findings);
        }
    }
}

impl Workspace {
    fn new(scope: Scope) -> Self {
        let (board, offers, ended) = Default::default();
        Self { scope, board, offers, ended }
    }

    /// What isn't known should be.
    fn unknown(&self, what: impl FnOnce() -> String, findings: &mut Findings) {
        if self.scope.is_whole() {
            findings.add("I2", what());
        }
    }

    /// Moves a ticket, if it is known.
    fn place(&mut self, id: &str, place: Place, findings: &mut Findings) {
        if !self.board.change(id, |ticket| ticket.place = place) {
            self.unknown(|| format!("ticket {id} was never queued"), findings);
        }
    }

    fn set_available(&mut self, agent: &str, available: bool) {
        if self.scope.is_whole() && self.board.agent(agent).is_none() {
            self.board.put_agent(agent.to_owned(), |_| {});
        }
        self.board.set_available(agent, available);
    }

    fn event(&mut self, event: &Event, now_ms: i64, findings: &mut Findings) {
        match event.r#type.as_str() {
            "AgentPut" => {
                let it: events::AgentPut = payload(event, findings);
                self.board.put_agent(it.agent_id, |agent| {
                    agent.capacity = it.capacity_units;
                    agent.skills =
                        it.skills.into_iter().map(|one| (one.skill, one.level)).collect();
                    agent.queues = it.queue_ids.into_iter().collect();
                });
            }
            "PresenceSet" => {
                let it: events::PresenceSet = payload(event, findings);
                self.set_available(&it.agent_id, it.presence() == Presence::Available);
            }
            "PresenceExpired" => {
                let it: events::PresenceExpired = payload(event, findings);
                self.set_available(&it.agent_id, false);
            }
            "QueuePut" => {
                let it: events::QueuePut = payload(event, findings);
                self.board.put_queue(it.queue_id, it.required_skills);
            }
            "TicketQueued" => {
                let it: events::TicketQueued = payload(event, findings);
                let ticket = Ticket {
                    place: Place::Waiting,
                    demand: Demand::new(it.cost_units, it.queue_id, it.own_skills),
                    queued_at_ms: it.queued_at_ms,
                    cooling: BTreeSet::new(),
                };
                if self.board.queue(it.ticket_id, ticket) {
                    findings.add("I12", format!("ticket {} is queued twice", event.entity));
                }
            }
            "OfferMade" => self.offered(event, findings),
            "OfferAccepted" | "OfferDeclined" | "OfferExpired" | "OfferRescinded" => {
                self.offer_ended(event, now_ms, findings);
            }
            _ => self.work(event, findings),
        }
    }

    fn offered(&mut self, event: &Event, findings: &mut Findings) {
        let it: events::OfferMade = payload(event, findings);
        let (ticket, agent) = (self.board.ticket(&it.ticket_id), self.board.agent(&it.agent_id));
        if ticket.is_none() || agent.is_none() {
            self.unknown(|| format!("offer {} of what nobody knows", it.offer_id), findings);
        }
        if let Some(ticket) = ticket {
            findings.check(ticket.place == Place::Waiting, "I18", || {
                format!("ticket {} is offered while it is {:?}", it.ticket_id, ticket.place)
            });
        }
        if let (Some(ticket), Some(agent)) = (ticket, agent) {
            let used = self.board.used(&it.agent_id) + ticket.demand.cost;
            findings.check(used <= agent.capacity, "I19", || {
                format!("{} would hold {used} of {} units", it.agent_id, agent.capacity)
            });
            let there = agent.available.unwrap_or(!self.scope.is_whole());
            // A queue's own requirements may not be known, but then they only ask for more.
            findings.check(there && self.board.fits(&ticket.demand, agent), "I20", || {
                format!("{} is offered what it may not have", it.agent_id)
            });
        }
        findings.check(!self.ended.contains(&it.offer_id), "I24", || {
            format!("offer {} is made twice", it.offer_id)
        });
        if ticket.is_some() {
            self.offers.insert(it.offer_id.clone(), it.accept_by_ms);
            let place = Place::Offered { offer: it.offer_id, agent: it.agent_id };
            self.place(&it.ticket_id, place, findings);
        }
    }

    /// The four ends of an offer have their first three fields in common.
    fn offer_ended(&mut self, event: &Event, now_ms: i64, findings: &mut Findings) {
        let it: events::OfferExpired = match event.r#type.as_str() {
            "OfferAccepted" => {
                let it: events::OfferAccepted = payload(event, findings);
                let (offer_id, ticket_id, agent_id) = (it.offer_id, it.ticket_id, it.agent_id);
                events::OfferExpired { offer_id, ticket_id, agent_id }
            }
            "OfferDeclined" => {
                let it: events::OfferDeclined = payload(event, findings);
                let (offer_id, ticket_id, agent_id) = (it.offer_id, it.ticket_id, it.agent_id);
                events::OfferExpired { offer_id, ticket_id, agent_id }
            }
            "OfferRescinded" => {
                let it: events::OfferRescinded = payload(event, findings);
                let (offer_id, ticket_id, agent_id) = (it.offer_id, it.ticket_id, it.agent_id);
                events::OfferExpired { offer_id, ticket_id, agent_id }
            }
            _ => payload(event, findings),
        };
        let end = event.r#type.as_str();
        let Some(accept_by_ms) = self.offers.remove(&it.offer_id) else {
            if self.scope.is_whole() {
                findings.add("I24", format!("{end}: offer {} is not live", it.offer_id));
            }
            return;
        };
        if self.scope.is_whole() {
            self.ended.insert(it.offer_id.clone());
        }
        let stood = Place::Offered { offer: it.offer_id.clone(), agent: it.agent_id.clone() };
        let place = self.board.ticket(&it.ticket_id).map(|ticket| &ticket.place);
        findings.check(place == Some(&stood), "I18", || {
            format!("{end}: ticket {} is {place:?}", it.ticket_id)
        });
        findings.check(end != "OfferExpired" || now_ms > accept_by_ms, "I24", || {
            format!("offer {} expires at {now_ms} and stands until {accept_by_ms}", it.offer_id)
        });
        if matches!(end, "OfferDeclined" | "OfferExpired") {
            let agent = it.agent_id.clone();
            self.board.change(&it.ticket_id, |ticket| ticket.cools_for(agent));
        }
        let accepted = end == "OfferAccepted";
        let owned = Place::Owned { agent: it.agent_id, state: WorkState::Active };
        self.place(&it.ticket_id, if accepted { owned } else { Place::Waiting }, findings);
    }

    fn work(&mut self, event: &Event, findings: &mut Findings) {
        match event.r#type.as_str() {
            "CooldownEnded" => {
                let it: events::CooldownEnded = payload(event, findings);
                self.board.change(&it.ticket_id, |ticket| ticket.may_have_again(&it.agent_id));
            }
            "TicketAssigned" => self.assigned(event, findings),
            "WorkStateChanged" => {
                let it: events::WorkStateChanged = payload(event, findings);
                let place = match (it.agent_id.is_empty(), it.state()) {
                    (false, state) => Place::Owned { agent: it.agent_id.clone(), state },
                    (true, WorkState::Active) => Place::Waiting,
                    (true, state) => Place::Paused(state),
                };
                self.place(&it.ticket_id, place, findings);
            }
            "WorkCompleted" => {
                let it: events::WorkCompleted = payload(event, findings);
                let owned = |state| Place::Owned { agent: it.agent_id.clone(), state };
                match it.outcome() {
                    WorkOutcome::Pending => {
                        self.place(&it.ticket_id, owned(WorkState::Pending), findings);
                    }
                    WorkOutcome::OnHold => {
                        self.place(&it.ticket_id, owned(WorkState::OnHold), findings);
                    }
                    WorkOutcome::Resolved => self.end(&it.ticket_id, findings),
                    WorkOutcome::Requeue | WorkOutcome::Unspecified => {}
                }
            }
            "TicketRequeued" => self.requeued(event, findings),
            "WorkEnded" => {
                let it: events::WorkEnded = payload(event, findings);
                self.end(&it.ticket_id, findings);
            }
            _ => {}
        }
    }

    fn end(&mut self, id: &str, findings: &mut Findings) {
        if self.scope.is_whole() {
            self.board.change(id, |ticket| ticket.cooling.clear());
            self.place(id, Place::Ended, findings);
        } else {
            self.board.forget(id);
        }
    }

    fn assigned(&mut self, event: &Event, findings: &mut Findings) {
        let it: events::TicketAssigned = payload(event, findings);
        let Some(ticket) = self.board.ticket(&it.ticket_id) else {
            let what = || format!("ticket {} was never queued", it.ticket_id);
            return self.unknown(what, findings);
        };
        findings.check(!matches!(ticket.place, Place::Offered { .. }), "I18", || {
            format!("ticket {} is assigned while it is offered", it.ticket_id)
        });
        let state = match &ticket.place {
            _ if it.how == "returned" => WorkState::Active,
            Place::Owned { state, .. } | Place::Paused(state) => *state,
            Place::Waiting | Place::Offered { .. } | Place::Ended => WorkState::Active,
        };
        let place = Place::Owned { agent: it.agent_id.clone(), state };
        self.place(&it.ticket_id, place, findings);
        let capacity = match self.board.agent(&it.agent_id) {
            Some(agent) => agent.capacity,
            None if self.scope.is_whole() => 0,
            None => return,
        };
        let used = self.board.used(&it.agent_id);
        findings.check(it.over_capacity || used <= capacity, "I19", || {
            format!("{} holds {used} of {capacity} units, unsaid", it.agent_id)
        });
    }

    fn requeued(&mut self, event: &Event, findings: &mut Findings) {
        let it: events::TicketRequeued = payload(event, findings);
        let Some(ticket) = self.board.ticket(&it.ticket_id) else {
            let what = || format!("ticket {} was never queued", it.ticket_id);
            return self.unknown(what, findings);
        };
        findings.check(ticket.queued_at_ms == it.queued_at_ms, "I24", || {
            format!("ticket {} lost its age", it.ticket_id)
        });
        self.board.change(&it.ticket_id, |ticket| {
            ticket.demand.move_to(it.queue_id, it.own_skills);
            ticket.place = match &ticket.place {
                Place::Paused(state) => Place::Paused(*state),
                Place::Owned {
                    state: state @ (WorkState::Pending | WorkState::OnHold), ..
                } if it.reason == "transferred" => Place::Paused(*state),
                Place::Waiting | Place::Offered { .. } | Place::Owned { .. } | Place::Ended => {
                    Place::Waiting
                }
            };
            if matches!(it.reason.as_str(), "requeued" | "transferred")
                && !it.from_agent_id.is_empty()
            {
                ticket.cools_for(it.from_agent_id);
            }
        });
    }
}
