//! What holds for every history.

use kernel::{AgentId, Decider, Fact, QueueId, TicketStatus};
use proptest::prelude::*;

use super::*;
use crate::command::{Outcome, UpdateTicket};
use crate::{Filter, Intake, State};

fn ids() -> impl Strategy<Value = TicketId> {
    prop::sample::select(vec!["t", "u", "v", "w"]).prop_map(TicketId::trusted)
}

fn steps() -> impl Strategy<Value = Step> {
    prop::sample::select(vec![
        Step::AwaitCustomer,
        Step::AwaitOthers,
        Step::Resume,
        Step::Resolve,
        Step::Reopen,
        Step::Close,
    ])
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![
        Outcome::Resolved,
        Outcome::Pending,
        Outcome::OnHold,
        Outcome::Requeue,
    ])
}

fn commands() -> impl Strategy<Value = Command> {
    let kinds = vec![AuthorKind::EndUser, AuthorKind::Agent, AuthorKind::Bot];
    let seen = vec![Visibility::Public, Visibility::Internal];
    let tags = prop::collection::vec(prop::sample::select(vec!["x", "y"]), 0..3);
    prop_oneof![
        1 => any::<bool>().prop_map(|some| put(some.then_some(Priority::P2))),
        4 => ids().prop_map(|id| create(id.as_str())),
        4 => (ids(), ids(), prop::sample::select(kinds), prop::sample::select(seen)).prop_map(
            |(ticket, follow_up, kind, seen)| {
                let wish = AddMessage { ticket, follow_up, ..message(kind, seen) };
                Command::AddMessage(Box::new(wish))
            }
        ),
        4 => (ids(), steps()).prop_map(|(ticket, step)| Command::Move(Move {
            ticket, step, reason: "".into(), expected: None, occurred_at: None,
        })),
        2 => (ids(), tags).prop_map(|(ticket, tags)| {
            let tags = Some(tags.into_iter().map(Box::from).collect());
            let (priority, kind, attributes, expected) = (None, None, None, None);
            let wish = UpdateTicket { ticket, priority, kind, tags, attributes, expected };
            Command::UpdateTicket(Box::new(wish))
        }),
        2 => (ids(), prop::sample::select(vec!["ada", "bob"])).prop_map(|(ticket, agent)| {
            Command::NoteOwner { ticket, agent: AgentId::trusted(agent), at: at(0).at }
        }),
        2 => (ids(), prop::option::of(prop::sample::select(vec!["p", "q"]))).prop_map(
            |(ticket, queue)| Command::NoteQueue {
                ticket, queue: queue.map(QueueId::trusted), at: at(0).at,
            }
        ),
        2 => (ids(), outcomes()).prop_map(|(ticket, outcome)| {
            Command::NoteWorkDone { ticket, outcome, at: at(0).at }
        }),
    ]
}

/// Runs the commands, two days apart, and returns the facts and the state.
fn run(commands: Vec<Command>) -> (Vec<Fact<Event>>, State) {
    let mut state = State::default();
    let mut all = Vec::new();
    for (day, command) in (0..).step_by(2).zip(commands) {
        let context = at(day * DAY_MS);
        let is_message = matches!(command, Command::AddMessage(_));
        let Ok(facts) = Intake::decide(&state, &context, command.clone()) else { continue };
        for fact in &facts {
            Intake::evolve(&mut state, fact);
        }
        let again = Intake::decide(&state, &context, command).unwrap_or_default();
        assert!(is_message || again.is_empty(), "repeating decided {again:?}");
        all.extend(facts);
    }
    (all, state)
}

fn found(state: &State, filter: &Filter) -> (Vec<u64>, Vec<u64>) {
    let Some(workspace) = state.workspace(&at(0).workspace) else { return Default::default() };
    let admitted = |ticket: &&crate::Ticket| filter.admits(ticket);
    let indexed =
        workspace.candidates(filter, u64::MAX).filter(admitted).map(|t| t.number).collect();
    let all = workspace.tickets.values().rev().map(|ticket| &**ticket);
    let scanned = all.filter(admitted).map(|t| t.number).collect();
    (indexed, scanned)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn repeating_an_accepted_command_decides_nothing(
        commands in prop::collection::vec(commands(), 0..40),
    ) {
        let (facts, _) = run(commands);
        let mut revisions = std::collections::BTreeMap::new();
        for fact in facts {
            let last = revisions.entry(fact.entity).or_insert(0);
            *last += 1;
            prop_assert_eq!(*last, fact.revision);
        }
    }

    #[test]
    fn no_history_makes_evolve_panic(
        commands in prop::collection::vec(commands(), 0..40),
        keep in prop::collection::vec(any::<bool>(), 80),
    ) {
        let (facts, _) = run(commands);
        let mut state = State::default();
        for (fact, keep) in facts.iter().rev().zip(keep) {
            if keep {
                Intake::evolve(&mut state, fact);
            }
        }
        for fact in &facts { Intake::evolve(&mut state, fact); }
    }

    #[test]
    fn a_state_that_was_saved_is_the_same_when_read(
        commands in prop::collection::vec(commands(), 0..40),
    ) {
        let (facts, state) = run(commands);
        let bytes = postcard::to_stdvec(&state).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<State>(&bytes).unwrap(), &state);
        let mut again = State::default();
        for fact in &facts { Intake::evolve(&mut again, fact); }
        prop_assert_eq!(&again, &state);
    }

    #[test]
    fn an_index_finds_what_a_scan_finds(commands in prop::collection::vec(commands(), 0..40)) {
        let (_, state) = run(commands);
        let statuses = vec![TicketStatus::New, TicketStatus::Open, TicketStatus::Closed];
        let requester = Some(RequesterId::trusted("rita"));
        let agent = Some(AgentId::trusted("ada"));
        let queue = Some(QueueId::trusted("q"));
        for filter in [
            Filter::default(),
            Filter { statuses: statuses.clone(), ..Filter::default() },
            Filter { requester, ..Filter::default() },
            Filter { statuses, agent, ..Filter::default() },
            Filter { queue, tag: Some("x".into()), ..Filter::default() },
        ] {
            let (indexed, scanned) = found(&state, &filter);
            prop_assert_eq!(indexed, scanned);
        }
    }
}
