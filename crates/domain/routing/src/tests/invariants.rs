//! The invariants, computed the slow way, from nothing but tickets, agents and queues.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AgentId, Fact};

use super::World;
use crate::Event;
use crate::state::{Agent, Place, Ticket, Workspace};
use crate::words::Presence;

fn fits(workspace: &Workspace, ticket: &Ticket, agent: &Agent) -> bool {
    let settings = agent.settings();
    let of_queue = &workspace.queue(ticket.queue()).unwrap().settings().required_skills;
    let level = |skill| {
        let mut skills = settings.skills.iter();
        skills.find(|(own, _)| own == skill).map_or(0, |(_, level)| level.get())
    };
    (settings.queues.is_empty() || settings.queues.contains(ticket.queue()))
        && settings.capacity_units >= ticket.cost_units()
        && ticket.skills.iter().chain(of_queue).all(|one| level(&one.skill) >= one.min_level.get())
}

fn fitting(workspace: &Workspace, ticket: &Ticket) -> usize {
    workspace.agents.values().filter(|agent| fits(workspace, ticket, agent)).count()
}

fn used(workspace: &Workspace, id: &AgentId) -> u32 {
    let held = |ticket: &Ticket| match ticket.place() {
        Place::Owned { agent, state } if agent == id => state.held_units(ticket.cost_units()),
        Place::Offered(number) if workspace.offers()[number].agent == *id => ticket.cost_units(),
        Place::Waiting
        | Place::Paused(_)
        | Place::Offered(_)
        | Place::Owned { .. }
        | Place::Ended { .. } => 0,
    };
    workspace.tickets.values().map(|ticket| held(ticket)).sum()
}

/// After everything that follows has happened.
#[track_caller]
pub(super) fn check(world: &World, news: &[Fact<Event>]) {
    let Some(workspace) = world.state.workspace(&world.context().workspace) else { return };
    for (id, agent) in &workspace.agents {
        assert_eq!(agent.used_units(), used(workspace, id), "INV3: {id} holds what its work costs");
    }
    for (id, ticket) in &workspace.tickets {
        if *ticket.place() != Place::Waiting {
            continue;
        }
        let fit = fitting(workspace, ticket);
        for (name, agent) in &workspace.agents {
            let could = agent.presence() == Presence::Available
                && agent.free_units() >= ticket.cost_units()
                && fits(workspace, ticket, agent)
                && (fit == 1 || !ticket.cooldowns.contains_key(name));
            assert!(!could, "INV1: {id} waits while {name} could take it, after {news:?}");
        }
    }
    check_one_owner(workspace);
    check_indexes(workspace);
}

#[track_caller]
fn check_one_owner(workspace: &Workspace) {
    let mut owned = BTreeSet::new();
    for (id, agent) in &workspace.agents {
        for ticket in agent.tickets() {
            assert!(owned.insert(ticket), "INV2: {ticket} has two owners");
            assert_eq!(workspace.tickets[ticket].owner(), Some(id));
        }
    }
    let with_owner = workspace.tickets.values().filter(|ticket| ticket.owner().is_some()).count();
    assert_eq!(with_owner, owned.len());
    for (number, offer) in workspace.offers() {
        assert_eq!(*workspace.tickets[&offer.ticket].place(), Place::Offered(*number), "INV2");
        assert!(workspace.agents[&offer.agent].offers().contains(number));
    }
}

/// What is kept up to date step by step is what building it anew would give.
#[track_caller]
fn check_indexes(workspace: &Workspace) {
    let mut board = crate::state::Board::default();
    let (mut offered, mut assigned) = (BTreeMap::new(), BTreeMap::new());
    for (id, ticket) in &workspace.tickets {
        match ticket.place() {
            Place::Waiting => {
                let (demand, turn) = (ticket.demand(), ticket.turn(id));
                board.enter(demand, turn, &workspace.agents, &workspace.queues);
            }
            Place::Offered(_) => *offered.entry(ticket.queue()).or_insert(0) += 1,
            Place::Owned { .. } => *assigned.entry(ticket.queue()).or_insert(0) += 1,
            Place::Paused(_) | Place::Ended { .. } => {}
        }
    }
    assert_eq!(workspace.board, board);
    assert!(workspace.board.ready.is_empty());
    for (id, queue) in &workspace.queues {
        assert_eq!(queue.offered, offered.get(id).copied().unwrap_or(0));
        assert_eq!(queue.assigned, assigned.get(id).copied().unwrap_or(0));
    }
    let cooldowns: usize = workspace.tickets.values().map(|ticket| ticket.cooldowns.len()).sum();
    let waits = |agent: &&Agent| !agent.awaiting.is_empty();
    let graces = workspace.agents.values().filter(waits).count();
    assert_eq!(workspace.timers.len(), workspace.offers.len() + cooldowns + graces);
}

/// After each match.
#[track_caller]
pub(super) fn check_match(world: &World, facts: &[Fact<Event>]) {
    let workspace = world.workspace();
    for fact in facts {
        let Event::OfferMade(made) = &fact.event else { continue };
        let (agent, ticket) = (&workspace.agents[&made.agent], &workspace.tickets[&made.ticket]);
        let capacity = agent.settings().capacity_units;
        assert!(agent.used_units() <= capacity, "INV3: {} above its capacity", made.agent);
        assert!(fits(workspace, ticket, agent), "INV4: {} lacks a skill", made.agent);
        let cooling = ticket.cooldowns.contains_key(&made.agent);
        assert!(!cooling || fitting(workspace, ticket) == 1, "INV9: a decline is respected");
        let failed: u32 = made.decision.failures.iter().map(|(_, agents)| agents).sum();
        let able = workspace.agents.len() - usize::try_from(failed).unwrap();
        assert_eq!(made.decision.candidates.len(), able.min(8));
    }
}

/// Revisions count an entity's facts without a gap.
#[track_caller]
pub(super) fn check_revision(world: &World, fact: &Fact<Event>) {
    let kind = |event: &Event| match event {
        Event::WorkspaceSeen { .. } => 0,
        Event::AgentPut { .. } | Event::PresenceSet { .. } | Event::PresenceExpired { .. } => 1,
        Event::QueuePut { .. } => 2,
        Event::TicketQueued(_)
        | Event::WorkReprioritised { .. }
        | Event::OfferMade(_)
        | Event::OfferAccepted { .. }
        | Event::OfferDeclined { .. }
        | Event::OfferExpired { .. }
        | Event::OfferRescinded { .. }
        | Event::CooldownEnded { .. }
        | Event::TicketAssigned { .. }
        | Event::WorkStateChanged { .. }
        | Event::WorkCompleted { .. }
        | Event::TicketRequeued(_)
        | Event::TicketTransferred { .. }
        | Event::WorkEnded { .. } => 3,
    };
    let own = |earlier: &&Fact<Event>| {
        earlier.entity == fact.entity && kind(&earlier.event) == kind(&fact.event)
    };
    let last = world.facts.iter().rev().find(own).map_or(0, |earlier| earlier.revision);
    assert_eq!(fact.revision, last + 1, "{fact:?}");
}
