//! By what was done: each acknowledged change has left its event, once, and shows the number or revision that its
//! caller was told; what was refused has left none.

use std::collections::HashMap;

use prost::Message as _;
use runtime::ServiceId;
use wire::events::v1 as events;
use wire::events::v1::Event;

use super::{Verdict, Walked};
use crate::chaos::history::{Effect, History, Outcome};
use crate::chaos::logs::Marks;

/// An effect in its workspace.
type Key = (ServiceId, String, Effect);

/// What the history says of an effect, and what the log.
#[derive(Debug, Default)]
struct Counted {
    acknowledged: usize,
    unknown: usize,
    asked: usize,
    /// What callers were told, but for those who were told nothing.
    told: Vec<u64>,
    found: Vec<u64>,
}

pub(super) fn check(history: &History, walked: &Walked, before: &Marks, verdict: &mut Verdict) {
    let mut counts: HashMap<Key, Counted> = HashMap::new();
    for change in &history.changes {
        let key = (change.service, change.workspace.clone(), change.effect.clone());
        let counted = counts.entry(key).or_default();
        counted.asked += 1;
        match &change.outcome {
            Outcome::Acknowledged { told, .. } => {
                counted.acknowledged += 1;
                counted.told.extend(Some(*told).filter(|told| *told > 0));
            }
            Outcome::Unknown => counted.unknown += 1,
            Outcome::Refused { .. } => {}
        }
    }
    for ((service, partition), commits) in &walked.commits {
        let since = before.get(&(*service, *partition)).copied().unwrap_or(0);
        let commits = commits.iter().filter(|commit| commit.seq > since);
        for event in commits.flat_map(|commit| &commit.events) {
            let Some((effect, shown)) = effect_of(event) else { continue };
            let key = (*service, event.workspace.clone(), effect);
            counts.entry(key).or_default().found.push(shown);
        }
    }
    for ((service, workspace, effect), counted) in counts {
        let name = format!("{} {} of {service} in {workspace}", effect.event_type, effect.mark);
        judge(&name, &counted, verdict);
    }
}

fn judge(name: &str, counted: &Counted, verdict: &mut Verdict) {
    let Counted { acknowledged, unknown, asked, told, found } = counted;
    if *asked == 0 {
        return verdict.broken(format!("I2: {name} was asked for by nobody"));
    }
    let times = found.len();
    if times < *acknowledged {
        verdict.lost(&format!("{name}: acknowledged {acknowledged} times, there {times} times"));
    }
    if times > acknowledged + unknown {
        let most = acknowledged + unknown;
        if *acknowledged + *unknown == 0 {
            verdict.broken(format!("I2: {name} was refused and is there"));
        } else {
            verdict.doubled(&format!("{name}: at most {most} times, there {times} times"));
        }
    }
    if let Some(told) = told.iter().find(|told| !found.contains(told)) {
        verdict.broken(format!("I4: {name}: told {told}, and the log has {found:?}"));
    }
}

/// The mark of an event that calls of the workload leave, and what their reply tells.
fn effect_of(event: &Event) -> Option<(Effect, u64)> {
    let data = event.data.as_ref();
    let (event_type, mark, shown) = match event.r#type.as_str() {
        "TicketOpened" => {
            let it = events::TicketOpened::decode(data).ok()?;
            ("TicketOpened", it.ticket_id, it.number)
        }
        "MessageAdded" => ("MessageAdded", events::MessageAdded::decode(data).ok()?.body, 0),
        "AgentPut" => {
            let it = events::AgentPut::decode(data).ok()?;
            ("AgentPut", it.display_name, event.revision)
        }
        "PolicyPut" => {
            let it = events::PolicyPut::decode(data).ok()?;
            ("PolicyPut", it.display_name, event.revision)
        }
        "EndpointPut" => {
            let it = events::EndpointPut::decode(data).ok()?;
            ("EndpointPut", it.url, event.revision)
        }
        "OfferAccepted" => {
            let it = events::OfferAccepted::decode(data).ok()?;
            if it.automatic {
                return None;
            }
            ("OfferAccepted", it.offer_id, 0)
        }
        "OfferDeclined" => ("OfferDeclined", events::OfferDeclined::decode(data).ok()?.offer_id, 0),
        "WorkCompleted" => {
            ("WorkCompleted", events::WorkCompleted::decode(data).ok()?.ticket_id, 0)
        }
        _ => return None,
    };
    Some((Effect { event_type, mark }, shown))
}
