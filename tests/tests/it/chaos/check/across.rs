//! Across logs: what one service wrote has reached those who follow it, owners and capacities add up, and webhooks said
//! what they were to say.

use ::tests::proof::{History, check_clocks, check_places, check_webhooks};
use ::tests::receiver::Received;
use invariants::{LogWalk, ServiceWalk};
use runtime::ServiceId;

use super::{Verdict, Walked};
use crate::chaos::stage::HOOKED;

pub(super) fn check(walked: Walked, received: Option<&Received>, verdict: &mut Verdict) {
    everybody_heard(&walked, verdict);
    let history = History::of(walked.commits);
    if history.parked() > 0 {
        verdict.broken(format!("I12: {} inputs were set aside", history.parked()));
    }
    match history.walk_routing() {
        Ok(routing) => note("I18", check_places(&history, &routing).map(drop), verdict),
        Err(error) => note("I19", Err(error), verdict),
    }
    note("I25", check_clocks(&history).map(drop), verdict);
    if let Some(received) = received {
        note("I33", check_webhooks(&history, received).map(drop), verdict);
    }
}

fn note(invariant: &str, checked: anyhow::Result<()>, verdict: &mut Verdict) {
    if let Err(error) = checked {
        verdict.broken(format!("{invariant}: {error:#}"));
    }
}

/// I12: every ticket is known to routing and sla, and notify has handled every event that it has a rule for.
fn everybody_heard(walked: &Walked, verdict: &mut Verdict) {
    for ((service, partition), walk) in &walked.walks {
        let of = |service| walked.walks.get(&(service, *partition)).map(LogWalk::events);
        if let ServiceWalk::Intake(intake) = walk.events() {
            let (routing, sla) = (of(ServiceId::Routing), of(ServiceId::Sla));
            for ((workspace, ticket), seq) in intake.opened() {
                if let Some(ServiceWalk::Routing(routing)) = routing
                    && !routing.knows(workspace, ticket)
                {
                    verdict
                        .broken(format!("I12: routing never heard of {ticket}, opened in {seq}"));
                }
                if let Some(ServiceWalk::Sla(sla)) = sla
                    && !sla.knows(workspace, ticket)
                {
                    verdict.broken(format!("I12: sla never heard of {ticket}, opened in {seq}"));
                }
            }
        }
        let notify = walked.walks.get(&(ServiceId::Notify, *partition));
        let Some(causes) = notify.map(|notify| notify.commits().causes()) else { continue };
        for commit in walked.commits.get(&(*service, *partition)).into_iter().flatten() {
            for (index, event) in (0_u32..).zip(&commit.events) {
                let key = (service.number(), commit.seq, index);
                if HOOKED.contains(&event.r#type.as_str()) && !causes.contains_key(&key) {
                    let what = &event.r#type;
                    verdict
                        .broken(format!("I12: notify left out {what} of {service} {}", commit.seq));
                }
            }
        }
    }
}
