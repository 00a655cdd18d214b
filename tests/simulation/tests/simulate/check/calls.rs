//! What callers were told, against what the logs hold: I1 to I3.

use std::collections::BTreeMap;

use runtime::Positions;

use super::Logs;
use crate::call::{Key, Op, Outcome};
use crate::world::World;

/// Calls that change something whenever they are done.
const ALWAYS: [&str; 2] = ["CreateTicket", "AddMessage"];

/// I1: what was acknowledged is there. I2: what was refused is not, and nothing is there that nobody asked for. I3: a
/// request has one answer, and one content.
pub(super) fn history(world: &World, logs: &Logs) {
    let (history, asked) = {
        let told = world.told();
        (told.history.clone(), told.asked.clone())
    };
    let mut by_key: BTreeMap<Key, Vec<&Op>> = BTreeMap::new();
    for op in &history {
        by_key.entry(op.key()).or_default().push(op);
    }
    for ((service, partition, key), ops) in &by_key {
        let Some(walk) = logs.walk((*service, *partition)) else { continue };
        let seq = walk.commits().answered().get(key).copied();
        one_request(world, ops, seq);
    }
    for ((service, partition), walk) in &logs.walks {
        for (key, seq) in walk.commits().answered() {
            if !asked.contains(&(*service, *partition, key.clone())) {
                world.violation(format!(
                    "I2: {service}/{partition} {seq} answers what nobody asked for"
                ));
            }
        }
    }
}

fn one_request(world: &World, ops: &[&Op], seq: Option<u64>) {
    let Some(first) = ops.first() else { return };
    let name = format!("{} {}", first.method, first.request_id);
    let mut done: Option<(&Op, &[u8])> = None;
    for op in ops {
        for outcome in &op.outcomes {
            let Outcome::Done { reply, position } = outcome else { continue };
            let position = position.parse::<Positions>().ok();
            let position = position.and_then(|all| all.iter().next()).map_or(0, |it| it.seq);
            if seq.is_none() && ALWAYS.contains(&op.method) {
                world.violation(format!("I1: {name} was acknowledged at {position} and is lost"));
            }
            // What changed nothing isn't remembered, so a doubled call that was moot may have its effect later, if
            // there is one by then.
            let was_moot = seq.is_some_and(|seq| position < seq) && !ALWAYS.contains(&op.method);
            if was_moot {
                continue;
            }
            if seq.is_some_and(|seq| seq != position) {
                let what = format!("I3: {name} is in {seq:?} and was answered with {position}");
                world.violation(format!("{what}: {:?}", op.outcomes));
            }
            match done {
                Some((before, _)) if before.content != op.content => {
                    world.violation(format!("I3: {name} was done with two contents"));
                }
                Some((_, before)) if seq.is_some() && before != reply.as_slice() => {
                    world.violation(format!("I3: {name} was answered in two ways"));
                }
                Some(_) | None => done = Some((op, reply)),
            }
        }
    }
    let certainly_not = ops.iter().all(|op| {
        op.loose == 0 && op.outcomes.iter().all(|outcome| matches!(outcome, Outcome::No(_)))
    });
    if let (true, Some(seq)) = (certainly_not, seq) {
        let said: Vec<_> = ops.iter().flat_map(|op| &op.outcomes).collect();
        world.violation(format!("I2: {name} was refused and is in {seq}: {said:?}"));
    }
}
