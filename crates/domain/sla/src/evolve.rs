//! How facts become state.

use kernel::{Fact, TicketId, TicketStatus};

use crate::{Event, Metric, Policy, PolicySpec, State};

/// Takes facts into the state, those together that go together. What doesn't fit (a clock of a ticket that isn't known)
/// is ignored.
pub(crate) fn evolve_all(state: &mut State, facts: &[Fact<Event>]) {
    for together in facts.chunk_by(go_together) {
        let Some(fact) = together.first() else { continue };
        match &fact.event {
            Event::WorkspaceNoted(_) => {
                let space = state.workspaces.entry(fact.workspace.clone()).or_default();
                space.revision = fact.revision;
            }
            Event::PolicyPut(spec) => put(state, fact, spec),
            Event::PoliciesApplied { through, done } => {
                applied(state, fact, through.as_ref(), *done);
            }
            Event::TicketNoted(_) | Event::Clock { .. } => state.take(together),
        }
    }
}

/// Whether the second of two successive facts is of the same ticket, and what depends on the ticket need not be brought
/// up to date between them. A closing, which sends other tickets away, is the last. When a clock starts, which may send
/// away one that ended, only notes and other starts have come before.
fn go_together(one: &Fact<Event>, next: &Fact<Event>) -> bool {
    let in_order = match (&one.event, &next.event) {
        (Event::TicketNoted(note), Event::TicketNoted(_) | Event::Clock { .. }) => {
            note.status != TicketStatus::Closed
        }
        (Event::Clock { key, change, .. }, Event::Clock { key: next, change: starts, .. }) => {
            let cycles = [key, next].iter().any(|key| key.metric == Metric::NextReply);
            !starts.is_start() || change.is_start() && !cycles
        }
        (Event::Clock { .. }, Event::TicketNoted(_))
        | (Event::WorkspaceNoted(_) | Event::PolicyPut(_) | Event::PoliciesApplied { .. }, _)
        | (_, Event::WorkspaceNoted(_) | Event::PolicyPut(_) | Event::PoliciesApplied { .. }) => {
            false
        }
    };
    in_order && one.event.ticket() == next.event.ticket() && one.workspace == next.workspace
}

fn applied(state: &mut State, fact: &Fact<Event>, through: Option<&TicketId>, done: bool) {
    let Some(space) = state.workspaces.get_mut(&fact.workspace) else { return };
    space.revision = fact.revision;
    if done {
        state.sweeps.end(&fact.workspace, &mut space.sweep);
    } else if let Some(sweep) = &mut space.sweep {
        state.sweeps.step(&fact.workspace, sweep, through.cloned());
    }
}

fn put(state: &mut State, fact: &Fact<Event>, spec: &PolicySpec) {
    let space = state.workspaces.entry(fact.workspace.clone()).or_default();
    let policy = Policy { spec: spec.clone(), revision: fact.revision };
    if let Some(old) = space.policies.insert(spec.policy.clone(), policy) {
        space.order.remove(&(old.spec.order, old.spec.policy));
    }
    space.order.insert((spec.order, spec.policy.clone()));
    if !space.open.is_empty() {
        state.sweeps.begin(&fact.workspace, &mut space.sweep, fact.at);
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Actor, Timestamp, WorkspaceId};
    use proptest::prelude::*;

    use super::*;
    use crate::{CYCLES_KEPT, Change, ClockKey, TicketNote};

    /// Facts of two tickets in any order, likely or not.
    fn any_event() -> impl Strategy<Value = Event> {
        let statuses = vec![
            TicketStatus::New,
            TicketStatus::Open,
            TicketStatus::Resolved,
            TicketStatus::Closed,
        ];
        let note = (any::<bool>(), prop::sample::select(statuses), any::<bool>());
        let note = note.prop_map(|(ticket, status, owned)| {
            Event::TicketNoted(Box::new(TicketNote {
                ticket: id(ticket),
                number: 1,
                priority: owned.then_some(kernel::Priority::P1),
                status,
                policy: None,
                agent: owned.then(|| kernel::AgentId::trusted(&"a".repeat(30))),
                queue: None,
                traits: None,
            }))
        });
        // More cycles than a ticket keeps.
        let cycles = 1..=2 * u32::try_from(CYCLES_KEPT).unwrap();
        let key = (prop::sample::select(Metric::ALL.to_vec()), cycles);
        let clock = (any::<bool>(), key, 0..1000_i64, 0..5_u8);
        let clock = clock.prop_map(|(ticket, (metric, cycle), at, kind)| {
            // No two clocks of a metric are open at once, so none are due at the same instant.
            let at = Timestamp::from_millis(at * 1_000 + i64::from(cycle) * 10);
            let change = match kind {
                0 | 1 => Change::Started {
                    at,
                    target_ms: Some(9),
                    due_at: Some(at.plus_millis(9)),
                    policy: None,
                },
                2 => Change::Paused { at, elapsed_ms: 5 },
                3 => Change::Resumed { at, due_at: Some(at.plus_millis(4)) },
                _ => Change::Met { at, elapsed_ms: 7 },
            };
            Event::Clock { ticket: id(ticket), key: ClockKey { metric, cycle }, change }
        });
        prop_oneof![1 => note, 4 => clock]
    }

    fn id(other: bool) -> TicketId {
        TicketId::trusted(if other { "t" } else { "u" })
    }

    proptest! {
        #[test]
        fn together_they_come_to_the_same_as_one_by_one(
            events in prop::collection::vec(any_event(), 1..300),
            size in 1..20_usize,
        ) {
            let workspace = WorkspaceId::trusted("w");
            let facts: Vec<_> = (1..).zip(events).map(|(revision, event)| Fact {
                workspace: workspace.clone(),
                entity: (&id(true)).into(),
                revision,
                at: Timestamp::from_millis(0).plus_millis(revision),
                actor: Actor::Backend,
                event,
            }).collect();
            let (mut one_by_one, mut together) = (State::default(), State::default());
            for fact in &facts {
                evolve_all(&mut one_by_one, std::slice::from_ref(fact));
            }
            for some in facts.chunks(size) {
                evolve_all(&mut together, some);
            }
            prop_assert_eq!(together, one_by_one);
        }
    }
}
