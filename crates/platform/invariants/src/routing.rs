//! Routing: one owner a ticket (I18), no offer above capacity (I19) or to one who may not have it (I20), no lost offer (I24), and no
//! ticket waits while someone could take it (I22).

use std::collections::{BTreeMap, BTreeSet};

use wire::common::v1::SkillRequirement;
use wire::events::v1 as events;
use wire::events::v1::{Commit, Event, Presence, WorkOutcome, WorkState};

use crate::{Findings, payload};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Waiting,
    Offered { offer: String, agent: String },
    Owned { agent: String, state: WorkState },
    Paused(WorkState),
    Ended,
}

#[derive(Debug)]
struct Ticket {
    place: Place,
    cost: u32,
    queue: String,
    skills: Vec<SkillRequirement>,
    queued_at_ms: i64,
    cooling: BTreeSet<String>,
}

impl Ticket {
    /// Who holds it, and how many units that takes.
    fn held(&self) -> Option<(&str, u32)> {
        match &self.place {
            Place::Offered { agent, .. } => Some((agent, self.cost)),
            Place::Owned { agent, state } => match state {
                WorkState::Active | WorkState::Unspecified => Some((agent, self.cost)),
                WorkState::Pending => None,
                WorkState::OnHold => Some((agent, self.cost.div_ceil(4))),
            },
            Place::Waiting | Place::Paused(_) | Place::Ended => None,
        }
    }
}

#[derive(Debug, Default)]
struct Agent {
    capacity: u32,
    skills: BTreeMap<String, u32>,
    queues: BTreeSet<String>,
    available: bool,
}

impl Agent {
    fn masters(&self, required: &[SkillRequirement]) -> bool {
        let level = |skill: &str| self.skills.get(skill).copied().unwrap_or(0);
        required.iter().all(|one| level(&one.skill) >= one.min_level)
    }
}

#[derive(Debug, Default)]
struct Workspace {
    tickets: BTreeMap<String, Ticket>,
    /// The units that each agent holds, and the tickets that wait: so that a record costs no walk over all tickets.
    held: BTreeMap<String, u32>,
    waiting: BTreeSet<String>,
    agents: BTreeMap<String, Agent>,
    queues: BTreeMap<String, Vec<SkillRequirement>>,
    /// Live offers: the last instant at which each can be accepted.
    offers: BTreeMap<String, i64>,
    ended: BTreeSet<String>,
}

/// The tickets, agents and offers of routing's log.
#[derive(Debug, Default)]
pub struct RoutingWalk {
    workspaces: BTreeMap<String, Workspace>,
}

impl RoutingWalk {
    /// Whether routing has learnt of this ticket.
    pub fn knows(&self, workspace: &str, ticket: &str) -> bool {
        self.workspaces.get(workspace).is_some_and(|it| it.tickets.contains_key(ticket))
    }

    /// The tickets that wait in a queue, or are offered.
    pub fn waiting(&self) -> usize {
        let waits =
            |ticket: &&Ticket| matches!(ticket.place, Place::Waiting | Place::Offered { .. });
        self.workspaces.values().flat_map(|it| it.tickets.values()).filter(waits).count()
    }

    pub(crate) fn take(&mut self, commit: &Commit, findings: &mut Findings) {
        let now_ms = i64::try_from(commit.time_ns / 1_000_000).unwrap_or(i64::MAX);
        let mut touched = BTreeSet::new();
        for event in &commit.events {
            let workspace = self.workspaces.entry(event.workspace.clone()).or_default();
            workspace.event(event, now_ms, findings);
            touched.insert(&event.workspace);
        }
        for workspace in touched.into_iter().filter_map(|name| self.workspaces.get(name)) {
            workspace.nobody_waits_in_vain(findings);
        }
    }

    pub(crate) fn at_rest(&self, findings: &mut Findings) {
        for workspace in self.workspaces.values() {
            workspace.nobody_waits_in_vain(findings);
        }
    }
}

impl Workspace {
    fn used(&self, agent: &str) -> u32 {
        self.held.get(agent).copied().unwrap_or(0)
    }

    fn fits(&self, ticket: &Ticket, agent: &Agent) -> bool {
        let of_queue = self.queues.get(&ticket.queue).map_or(&[][..], Vec::as_slice);
        (agent.queues.is_empty() || agent.queues.contains(&ticket.queue))
            && agent.capacity >= ticket.cost
            && agent.masters(&ticket.skills)
            && agent.masters(of_queue)
    }

    fn nobody_waits_in_vain(&self, findings: &mut Findings) {
        let waiting = self.waiting.iter().filter_map(|id| self.tickets.get_key_value(id));
        let mut free = None;
        for (id, ticket) in waiting {
            let free: &BTreeMap<&str, u32> = free.get_or_insert_with(|| {
                let free =
                    |(id, agent): (&String, &Agent)| agent.capacity.saturating_sub(self.used(id));
                self.agents.iter().map(|one| (one.0.as_str(), free(one))).collect()
            });
            let fit = self.agents.values().filter(|agent| self.fits(ticket, agent)).count();
            let able = self.agents.iter().find(|(name, agent)| {
                agent.available
                    && free.get(name.as_str()).is_some_and(|units| *units >= ticket.cost)
                    && self.fits(ticket, agent)
                    && (fit == 1 || !ticket.cooling.contains(*name))
            });
            if let Some((name, _)) = able {
                findings.add("I22", format!("ticket {id} waits while {name} could take it"));
            }
        }
    }

    /// Moves a ticket, if it is known.
    fn place(&mut self, id: &str, place: Place, findings: &mut Findings) {
        let Some(ticket) = self.tickets.get_mut(id) else {
            return findings.add("I2", format!("ticket {id} was never queued"));
        };
        if let Some((agent, units)) = ticket.held()
            && let Some(held) = self.held.get_mut(agent)
        {
            *held = held.saturating_sub(units);
        }
        ticket.place = place;
        if let Some((agent, units)) = ticket.held() {
            *self.held.entry(agent.to_owned()).or_default() += units;
        }
        if ticket.place == Place::Waiting {
            self.waiting.insert(id.to_owned());
        } else {
            self.waiting.remove(id);
        }
    }

    fn event(&mut self, event: &Event, now_ms: i64, findings: &mut Findings) {
        match event.r#type.as_str() {
            "AgentPut" => {
                let it: events::AgentPut = payload(event, findings);
                let agent = self.agents.entry(it.agent_id).or_default();
                agent.capacity = it.capacity_units;
                agent.skills = it.skills.into_iter().map(|one| (one.skill, one.level)).collect();
                agent.queues = it.queue_ids.into_iter().collect();
            }
            "PresenceSet" => {
                let it: events::PresenceSet = payload(event, findings);
                let available = it.presence() == Presence::Available;
                self.agents.entry(it.agent_id).or_default().available = available;
            }
            "PresenceExpired" => {
                let it: events::PresenceExpired = payload(event, findings);
                self.agents.entry(it.agent_id).or_default().available = false;
            }
            "QueuePut" => {
                let it: events::QueuePut = payload(event, findings);
                self.queues.insert(it.queue_id, it.required_skills);
            }
            "TicketQueued" => {
                let it: events::TicketQueued = payload(event, findings);
                let ticket = Ticket {
                    place: Place::Paused(WorkState::Unspecified),
                    cost: it.cost_units,
                    queue: it.queue_id,
                    skills: it.own_skills,
                    queued_at_ms: it.queued_at_ms,
                    cooling: BTreeSet::new(),
                };
                if self.tickets.contains_key(&it.ticket_id) {
                    findings.add("I12", format!("ticket {} is queued twice", event.entity));
                    self.place(&it.ticket_id, Place::Ended, findings);
                }
                self.tickets.insert(it.ticket_id.clone(), ticket);
                self.place(&it.ticket_id, Place::Waiting, findings);
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
        let (Some(ticket), Some(agent)) =
            (self.tickets.get(&it.ticket_id), self.agents.get(&it.agent_id))
        else {
            return findings.add("I2", format!("offer {} of what nobody knows", it.offer_id));
        };
        findings.check(ticket.place == Place::Waiting, "I18", || {
            format!("ticket {} is offered while it is {:?}", it.ticket_id, ticket.place)
        });
        let used = self.used(&it.agent_id) + ticket.cost;
        findings.check(used <= agent.capacity, "I19", || {
            format!("{} would hold {used} of {} units", it.agent_id, agent.capacity)
        });
        findings.check(agent.available && self.fits(ticket, agent), "I20", || {
            format!("{} is offered what it may not have", it.agent_id)
        });
        findings.check(!self.ended.contains(&it.offer_id), "I24", || {
            format!("offer {} is made twice", it.offer_id)
        });
        self.offers.insert(it.offer_id.clone(), it.accept_by_ms);
        let place = Place::Offered { offer: it.offer_id, agent: it.agent_id };
        self.place(&it.ticket_id, place, findings);
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
            return findings.add("I24", format!("{end}: offer {} is not live", it.offer_id));
        };
        self.ended.insert(it.offer_id.clone());
        let stood = Place::Offered { offer: it.offer_id.clone(), agent: it.agent_id.clone() };
        let place = self.tickets.get(&it.ticket_id).map(|ticket| &ticket.place);
        findings.check(place == Some(&stood), "I18", || {
            format!("{end}: ticket {} is {place:?}", it.ticket_id)
        });
        findings.check(end != "OfferExpired" || now_ms > accept_by_ms, "I24", || {
            format!("offer {} expires at {now_ms} and stands until {accept_by_ms}", it.offer_id)
        });
        if let ("OfferDeclined" | "OfferExpired", Some(ticket)) =
            (end, self.tickets.get_mut(&it.ticket_id))
        {
            ticket.cooling.insert(it.agent_id.clone());
        }
        let accepted = end == "OfferAccepted";
        let owned = Place::Owned { agent: it.agent_id, state: WorkState::Active };
        self.place(&it.ticket_id, if accepted { owned } else { Place::Waiting }, findings);
    }

    fn work(&mut self, event: &Event, findings: &mut Findings) {
        match event.r#type.as_str() {
            "CooldownEnded" => {
                let it: events::CooldownEnded = payload(event, findings);
                if let Some(ticket) = self.tickets.get_mut(&it.ticket_id) {
                    ticket.cooling.remove(&it.agent_id);
                }
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
        if let Some(ticket) = self.tickets.get_mut(id) {
            ticket.cooling.clear();
        }
        self.place(id, Place::Ended, findings);
    }

    fn assigned(&mut self, event: &Event, findings: &mut Findings) {
        let it: events::TicketAssigned = payload(event, findings);
        let Some(ticket) = self.tickets.get(&it.ticket_id) else {
            return findings.add("I2", format!("ticket {} was never queued", it.ticket_id));
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
        let capacity = self.agents.get(&it.agent_id).map_or(0, |agent| agent.capacity);
        let used = self.used(&it.agent_id);
        findings.check(it.over_capacity || used <= capacity, "I19", || {
            format!("{} holds {used} of {capacity} units, unsaid", it.agent_id)
        });
    }

    fn requeued(&mut self, event: &Event, findings: &mut Findings) {
        let it: events::TicketRequeued = payload(event, findings);
        let Some(ticket) = self.tickets.get_mut(&it.ticket_id) else {
            return findings.add("I2", format!("ticket {} was never queued", it.ticket_id));
        };
        findings.check(ticket.queued_at_ms == it.queued_at_ms, "I24", || {
            format!("ticket {} lost its age", it.ticket_id)
        });
        ticket.queue = it.queue_id;
        ticket.skills = it.own_skills;
        let place =
            match &ticket.place {
                Place::Paused(state) => Place::Paused(*state),
                Place::Owned {
                    state: state @ (WorkState::Pending | WorkState::OnHold), ..
                } if it.reason == "transferred" => Place::Paused(*state),
                Place::Waiting | Place::Offered { .. } | Place::Owned { .. } | Place::Ended => {
                    Place::Waiting
                }
            };
        if matches!(it.reason.as_str(), "requeued" | "transferred") && !it.from_agent_id.is_empty()
        {
            ticket.cooling.insert(it.from_agent_id);
        }
        self.place(&it.ticket_id, place, findings);
    }
}
