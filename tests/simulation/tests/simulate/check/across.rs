//! What the services made of each other's facts, and what the world outside got of them: I12, I28, I33 to I35, and the
//! watches.

use std::collections::{BTreeMap, BTreeSet};

use invariants::{Breach, LogWalk, ServiceWalk};
use prost::Message;
use runtime::ServiceId;
use wire::events::v1::{AttemptStarted, OfferMade};

use super::Logs;
use crate::agents::Watched;
use crate::courier::Arrival;
use crate::ledger::{Ledger, Written};
use crate::scene::{TOLD, agent_id};
use crate::world::{PARTITIONS, World};

/// I12: every input was handled by everyone who follows it, so what has ended for intake has ended for routing.
pub(super) fn nothing_is_lost(world: &World, logs: &Logs, partition: u16) {
    let walks = [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla, ServiceId::Notify]
        .map(|service| logs.walk((service, partition)));
    let [Some(intake), Some(routing), Some(sla), Some(notify)] = walks else { return };
    if let (ServiceWalk::Intake(intake), ServiceWalk::Routing(routing), ServiceWalk::Sla(sla)) =
        (intake.events(), routing.events(), sla.events())
    {
        for ((workspace, ticket), ended) in intake.ended() {
            let routed = routing.has_ended(workspace, ticket);
            if routed.is_some_and(|routed| routed != ended) {
                let what = if ended { "has ended" } else { "is open" };
                world.violation(format!("I12: {ticket} {what}, and routing has it otherwise"));
            }
        }
        for ((workspace, ticket), seq) in intake.opened() {
            if !routing.knows(workspace, ticket) {
                world.violation(format!("I12: routing never heard of {ticket}, opened in {seq}"));
            }
            if !sla.knows(workspace, ticket) {
                world.violation(format!("I12: sla never heard of {ticket}, opened in {seq}"));
            }
        }
    }
    for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
        for commit in logs.commits((service, partition)) {
            for (index, event) in (0_u32..).zip(&commit.events) {
                let told = TOLD.contains(&event.r#type.as_str());
                let key = (service.number(), commit.seq, index);
                if told && !notify.commits().causes().contains_key(&key) {
                    world.violation(format!("I12: notify left out {key:?}, {}", event.r#type));
                }
            }
        }
    }
}

/// I28: what the inputs' logs held when a breach was confirmed was read before it.
pub(super) fn breaches(world: &World, logs: &Logs, partition: u16) {
    let walk = logs.walk((ServiceId::Sla, partition));
    let Some(ServiceWalk::Sla(sla)) = walk.map(LogWalk::events) else { return };
    let told = world.told();
    let mut found = Vec::new();
    for breach in sla.breaches() {
        for service in [ServiceId::Intake, ServiceId::Routing] {
            let seen = breach.consumed.get(&service.number()).copied().unwrap_or(0);
            let ledger = told.ledgers.get(&(service, partition));
            let known = written_by(world, breach, ledger.map_or(&[], Ledger::written));
            if seen < known {
                let Breach { seq, clock, .. } = breach;
                found.push(format!(
                    "I28: {seq} breaches {clock}, {service} read to {seen} of {known}"
                ));
            }
        }
    }
    drop(told);
    for what in found {
        world.violation(what);
    }
}

/// How many records a log had when a breach could first be confirmed, by the slowest clock.
fn written_by(world: &World, breach: &Breach, written: &[Written]) -> u64 {
    let confirmed_at = breach.due_at_ms + 100 - i64::try_from(world.swarm.skew_ms).unwrap_or(0);
    let passed = i64::try_from(world.passed().as_millis()).unwrap_or(0);
    let began = world.now().as_millis() - passed;
    let until = u64::try_from(confirmed_at - began).unwrap_or(0);
    u64::try_from(written.iter().take_while(|one| one.at_ms < until).count()).unwrap_or(0)
}

/// I33 to I35: what arrived was intended, said what was intended, and left after its attempt was in the log.
pub(super) fn deliveries(world: &World, logs: &Logs, partition: u16) {
    let key = (ServiceId::Notify, partition);
    let Some(notify) = logs.notify(partition) else { return };
    let (arrivals, written, epoch) = {
        let told = world.told();
        let ledger = told.ledgers.get(&key);
        let written = ledger.map(|ledger| ledger.written().to_vec()).unwrap_or_default();
        let own = |arrival: &&Arrival| notify.deliveries().contains_key(&arrival.id);
        let arrivals: Vec<_> = told.arrivals.iter().filter(own).cloned().collect();
        (arrivals, written, ledger.map_or(0, Ledger::epoch))
    };
    let mut started: BTreeMap<String, u64> = BTreeMap::new();
    for (commit, Written { at_ms, .. }) in logs.commits(key).iter().zip(written) {
        for event in commit.events.iter().filter(|event| event.r#type == "AttemptStarted") {
            if let Ok(it) = AttemptStarted::decode(event.data.clone()) {
                started.entry(it.delivery_id).or_insert(at_ms);
            }
        }
    }
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    for Arrival { at_ms, id, body } in &arrivals {
        *count.entry(id).or_default() += 1;
        if notify.deliveries().get(id).is_some_and(|delivery| delivery.body != *body) {
            world.violation(format!("I33: {id} arrived with another body"));
        }
        if started.get(id).is_none_or(|started| started > at_ms) {
            world.violation(format!("I35: {id} left before its attempt was in the log"));
        }
    }
    for (id, delivery) in notify.deliveries() {
        let times = count.get(id.as_str()).copied().unwrap_or(0);
        let attempts = u64::from(delivery.attempts);
        // Each leader takes up what the one before had in flight.
        if times > attempts + epoch {
            world.violation(format!("I34: {id} arrived {times} times by {attempts} attempts"));
        }
        if delivery.over && times == 0 {
            world.violation(format!("I32: {id} is over and never arrived"));
        }
    }
}

/// I33: nothing arrives that was never intended.
pub(super) fn nothing_unasked(world: &World, logs: &Logs) {
    let intended = |id: &String| {
        (0..PARTITIONS)
            .filter_map(|partition| logs.notify(partition))
            .any(|notify| notify.deliveries().contains_key(id))
    };
    let arrivals = world.told().arrivals.clone();
    for arrival in arrivals.iter().filter(|arrival| !intended(&arrival.id)) {
        world.violation(format!("I33: {} arrived and was never intended", arrival.id));
    }
}

/// A watch tells every offer once, over all the instances that it was resumed at.
pub(super) fn watches(world: &World, logs: &Logs, watched: &Watched) {
    let mut made = BTreeSet::new();
    for partition in 0..PARTITIONS {
        for commit in logs.commits((ServiceId::Routing, partition)) {
            for event in commit.events.iter().filter(|event| event.r#type == "OfferMade") {
                if let Ok(it) = OfferMade::decode(event.data.clone()) {
                    made.insert((event.workspace.clone(), it.agent_id, it.offer_id));
                }
            }
        }
    }
    let mut told = BTreeSet::new();
    for (workspace, agent, offer) in watched.all() {
        let key = (workspace.to_string(), agent_id(agent), offer);
        if !made.contains(&key) {
            world.violation(format!("I2: a watch told {key:?}, which was never made"));
        }
        if !told.insert(key.clone()) {
            world.violation(format!("I5: a watch told {key:?} twice"));
        }
    }
    if let Some(key) = made.difference(&told).next() {
        world.violation(format!("I5: a watch left out {key:?}"));
    }
}
