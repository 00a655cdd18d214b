//! A changed policy on its way through the open tickets, in steps.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use kernel::{Decider, Fact, Priority, TicketId, TicketStatus, Timestamp, WorkspaceId};
use proptest::prelude::*;

use super::rig::*;
use rules::{Rule, TICKET};

use crate::{
    Change, Clock, Command, Event, Metric, PolicyDraft, SWEEP_RULE_STEPS_MAX, SWEEP_TICKETS_MAX,
    Sla, State, Targets, TraitsUpdate,
};

const TICKETS: usize = 5;

/// Policies under which one step takes one ticket: for two their filters would take more steps than it may.
fn slow(rig: &mut Rig) {
    for number in 0..crate::POLICIES_MAX - 2 {
        let filter = format!("ticket.attributes.list.exists(it, it == 'none{number}')");
        let filter = Rule::compile(&filter, TICKET).unwrap();
        assert!(2 * 98 * u64::from(filter.steps()) > SWEEP_RULE_STEPS_MAX, "{}", filter.steps());
        let filter = Some(filter);
        let order = 100 + i32::try_from(number).unwrap();
        let policy = PolicyDraft { order, filter, ..policy(&format!("x{number}"), Targets::new()) };
        rig.tell(at(0, 0), put(policy));
    }
}

fn name(ticket: usize) -> TicketId {
    TicketId::trusted(&format!("t{ticket:04}"))
}

fn promised(hours: u64) -> PolicyDraft {
    let all = Metric::ALL.into_iter().flat_map(|metric| {
        [(Priority::P1, hours), (Priority::P3, 3 * hours)]
            .map(|(priority, hours)| ((metric, priority), hours * HOUR / 2))
    });
    policy("p", all.collect())
}

#[derive(Debug, Clone)]
enum Step {
    Status(usize, TicketStatus),
    Priority(usize, Priority),
    Reply(usize),
    Message(usize),
    Open(usize),
    Policy(u64),
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    let statuses = vec![
        TicketStatus::Open,
        TicketStatus::Pending,
        TicketStatus::Resolved,
        TicketStatus::Closed,
    ];
    let status = (0..TICKETS, prop::sample::select(statuses));
    let priority = (0..TICKETS, prop::sample::select(vec![Priority::P1, Priority::P3]));
    prop_oneof![
        3 => status.prop_map(|(ticket, to)| Step::Status(ticket, to)),
        2 => priority.prop_map(|(ticket, to)| Step::Priority(ticket, to)),
        2 => (0..TICKETS).prop_map(Step::Reply),
        2 => (0..TICKETS).prop_map(Step::Message),
        1 => (TICKETS..TICKETS + 3).prop_map(Step::Open),
        2 => (1..12_u64).prop_map(Step::Policy),
        2 => Just(Step::Pass),
    ]
}

fn command(step: &Step, at: Timestamp) -> Option<Command> {
    Some(match step {
        Step::Status(ticket, to) => Command::ChangeStatus { ticket: name(*ticket), to: *to, at },
        Step::Priority(ticket, to) => {
            let update = TraitsUpdate { priority: Some(Some(*to)), ..TraitsUpdate::default() };
            Command::UpdateTicket { ticket: name(*ticket), update: Box::new(update), at }
        }
        Step::Reply(ticket) => Command::NoteReply { ticket: name(*ticket), at },
        Step::Message(ticket) => Command::NoteCustomerMessage { ticket: name(*ticket), at },
        Step::Open(ticket) => Command::OpenTicket {
            ticket: name(*ticket),
            number: 1,
            priority: Some(Priority::P1),
            traits: Arc::new(traits()),
            at,
        },
        Step::Policy(hours) => put(promised(*hours)),
        Step::Pass => return None,
    })
}

/// Five open tickets, made once: compiling filters takes its time.
fn with_tickets() -> Rig {
    static MADE: LazyLock<(State, Vec<Fact<Event>>)> = LazyLock::new(|| {
        let mut rig = Rig::new();
        rig.tell(at(0, 0), put(promised(8)));
        slow(&mut rig);
        for ticket in 0..TICKETS {
            rig.open(name(ticket).as_str(), Some(Priority::P3), at(1, 0));
        }
        (rig.state, rig.facts)
    });
    let (state, facts) = MADE.clone();
    Rig { state, facts }
}

/// Whether a step is none that comes about, or one that both ways may take differently. A customer who writes to a
/// resolved or closed ticket has intake reopen it first, or open another; nobody replies on a closed one. One that was
/// closed when a policy changed keeps its old promises when it is reopened, unless the sweep meets it after that.
fn is_left_out(rig: &Rig, step: &Step) -> bool {
    let (ticket, ended): (_, &[TicketStatus]) = match step {
        Step::Message(ticket) => (ticket, &[TicketStatus::Resolved, TicketStatus::Closed]),
        Step::Reply(ticket) | Step::Status(ticket, _) => (ticket, &[TicketStatus::Closed]),
        Step::Priority(..) | Step::Open(_) | Step::Policy(_) | Step::Pass => return false,
    };
    rig.space().ticket(&name(*ticket)).is_some_and(|it| ended.contains(&it.status))
}

/// What the clocks say, but for the warnings of those that don't run: one that ends or pauses at the very moment of a
/// warning, before its timer was looked at, gives none, with or without a sweep.
fn clocks(rig: &Rig) -> BTreeMap<TicketId, Vec<Clock>> {
    let shown = |clock: &Clock| {
        let mut clock = clock.clone();
        if !clock.is_running() {
            clock.warned = 0;
        }
        clock
    };
    let tickets = rig.space().tickets.iter();
    tickets.map(|(id, ticket)| (id.clone(), ticket.clocks.iter().map(shown).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn steps_with_anything_in_between_come_to_the_same_as_one_sweep_at_once(
        steps in prop::collection::vec((1..40 * MINUTE, step(), 0..3_usize), 1..40),
    ) {
        let (mut at_once, mut in_steps) = (with_tickets(), with_tickets());
        let mut now = at(2, 0);
        for (wait, step, swept) in steps {
            now = now.plus_millis(wait);
            at_once.pass(now);
            in_steps.ring(now);
            if matches!(step, Step::Policy(_)) {
                // A newer change takes the place of an older one, so that one is to have its end here.
                in_steps.sweep(now);
            }
            if let Some(command) = command(&step, now).filter(|_| !is_left_out(&at_once, &step)) {
                // A ticket that was never opened is refused by both.
                prop_assert_eq!(
                    at_once.ask(now, command.clone()).is_ok(),
                    in_steps.ask(now, command).is_ok()
                );
            }
            at_once.sweep(now);
            for _ in 0..swept {
                in_steps.sweep_step(now);
            }
        }
        // A leader may die after any step: what the log has is the state that it had.
        let mut state = State::default();
        Sla::evolve_all(&mut state, &in_steps.facts);
        prop_assert_eq!(&state, &in_steps.state);
        at_once.pass(now);
        in_steps.pass(now);
        prop_assert_eq!(clocks(&in_steps), clocks(&at_once));
        prop_assert_eq!(in_steps.space().counts().collect::<Vec<_>>(), at_once.space().counts().collect::<Vec<_>>());
        prop_assert!(in_steps.state.sweeps.is_empty());
    }
}

/// Which records say that a sweep ended.
fn ends(rig: &Rig) -> usize {
    let done = |event: &Event| matches!(event, Event::PoliciesApplied { done: true, .. });
    rig.facts.iter().filter(|fact| done(&fact.event)).count()
}

#[test]
fn a_sweep_goes_on_from_where_it_was_whichever_step_was_the_last() {
    let mut rig = with_tickets();
    rig.tell(at(2, 0), put(promised(4)));
    let begun = rig.facts.len();
    rig.sweep(at(2, 1));
    let whole = rig.state.clone();
    assert_eq!(ends(&rig), 1);
    // A decision is in the log whole or not at all: each ends with how far the sweep has come.
    let is_end = |fact: &Fact<Event>| matches!(fact.event, Event::PoliciesApplied { .. });
    let places = rig.facts.iter().enumerate().skip(begun).filter(|(_, fact)| is_end(fact));
    let cuts: Vec<_> = [begun].into_iter().chain(places.map(|(at, _)| at + 1)).collect();
    assert_eq!(cuts.len(), TICKETS + 1, "a step for each ticket");
    for cut in cuts {
        let mut again = Rig { state: State::default(), facts: Vec::new() };
        again.take(rig.facts[..cut].to_vec());
        again.sweep(at(2, 5));
        assert_eq!(ends(&again), 1);
        assert_eq!(again.state, whole, "after {cut} facts");
    }
}

#[test]
fn a_newer_change_takes_the_place_of_one_on_its_way() {
    let mut rig = with_tickets();
    rig.tell(at(2, 0), put(promised(4)));
    rig.sweep_step(at(2, 0));
    rig.tell(at(2, 10), put(promised(20)));
    rig.sweep(at(2, 10));
    assert_eq!(ends(&rig), 1);
    for ticket in 0..TICKETS {
        let clock = rig.space().ticket(&name(ticket)).unwrap().open_clock(Metric::FirstReply);
        assert_eq!(clock.unwrap().due(), Some(at(31, 0)), "{ticket}");
    }
    assert!(rig.state.sweeps.is_empty());
    assert_eq!(rig.sweep_step(at(2, 11)), []);
}

#[test]
fn however_often_policies_change_every_ticket_is_reached() {
    let mut rig = with_tickets();
    let mut reached = BTreeMap::<TicketId, usize>::new();
    // A change comes after each step: none of these sweeps comes to its end.
    for change in 0..3 * u64::try_from(TICKETS).unwrap() {
        rig.tell(at(2, change), put(promised(4 + change)));
        for event in rig.sweep_step(at(2, change)) {
            if let (Event::Clock { change: Change::Retargeted { .. }, .. }, Some(ticket)) =
                (&event, event.ticket())
            {
                *reached.entry(ticket.clone()).or_default() += 1;
            }
        }
    }
    assert!(reached.len() == TICKETS && reached.values().all(|times| *times >= 4), "{reached:?}");
    rig.sweep(at(3, 0));
    let due = |ticket| {
        let ticket = rig.space().ticket(&name(ticket)).unwrap();
        ticket.open_clock(Metric::FirstReply).unwrap().due()
    };
    assert!((0..TICKETS).all(|ticket| due(ticket) == due(0)), "all follow the last");
}

#[test]
fn what_is_due_meanwhile_is_decided_by_the_policies_of_its_instant() {
    let mut rig = with_tickets();
    // Under the old policy the first replies are due at 13:00, under the new one at 7:00, from 6:59 on.
    rig.tell(at(6, 59), put(promised(4)));
    // The clock of a ticket that was reached is broken, ...
    rig.sweep_step(at(6, 59));
    rig.ring(at(7, 1));
    let broken = |rig: &Rig, ticket| {
        let ticket = rig.space().ticket(&name(ticket)).unwrap();
        ticket.open_clock(Metric::FirstReply).unwrap().breached_at
    };
    assert_eq!(broken(&rig, 0), Some(at(7, 0)));
    // ... that of one which was not is, as of the same instant, once it is looked at, ...
    let reply = Command::NoteReply { ticket: name(3), at: at(7, 2) };
    rig.tell(at(7, 2), reply);
    let ticket = rig.space().ticket(&name(3)).unwrap();
    let clock = ticket.clocks.iter().find(|clock| clock.key.metric == Metric::FirstReply).unwrap();
    assert_eq!((clock.breached_at, clock.stopped_at()), (Some(at(7, 0)), Some(at(7, 2))));
    // ... or reached.
    rig.pass(at(7, 3));
    assert_eq!(broken(&rig, 4), Some(at(7, 0)));
}

#[test]
fn what_routing_says_of_a_ticket_leaves_its_clocks_to_the_sweep() {
    let mut rig = with_tickets();
    rig.tell(at(9, 0), put(promised(1)));
    let queue = kernel::QueueId::trusted("q");
    let noted = rig.tell(at(9, 0), Command::NoteQueue { ticket: name(4), queue });
    assert!(matches!(noted.as_slice(), [Event::TicketNoted(_)]), "{noted:?}");
}

#[test]
fn a_step_takes_fewer_tickets_where_each_costs_more() {
    let swept = |rig: &mut Rig| {
        rig.tell(at(2, 0), put(promised(4)));
        let notes = rig.sweep_step(at(2, 0));
        let tickets: std::collections::BTreeSet<_> =
            notes.iter().filter_map(|event| event.ticket().cloned()).collect();
        tickets.len()
    };
    let mut cheap = Rig::new();
    cheap.tell(at(0, 0), put(promised(8)));
    for ticket in 0..2 * SWEEP_TICKETS_MAX {
        cheap.open(name(ticket).as_str(), Some(Priority::P3), at(1, 0));
    }
    assert_eq!(swept(&mut cheap), SWEEP_TICKETS_MAX);
    let mut costly = with_tickets();
    assert_eq!(swept(&mut costly), 1);
    let mut filtered = Rig::new();
    let filter = Rule::compile("ticket.type == 'none'", TICKET).unwrap();
    let alike = PolicyDraft { filter: Some(filter), ..policy("x", Targets::new()) };
    filtered.tell(at(0, 0), put(alike));
    filtered.tell(at(0, 0), put(promised(8)));
    for ticket in 0..2 * SWEEP_TICKETS_MAX {
        filtered.open(name(ticket).as_str(), Some(Priority::P3), at(1, 0));
    }
    assert_eq!(swept(&mut filtered), SWEEP_TICKETS_MAX);
}

#[test]
fn the_sweeps_of_two_workspaces_take_turns() {
    let mut state = State::default();
    let tell = |state: &mut State, workspace: &str, now, command| {
        let context =
            kernel::Context { workspace: WorkspaceId::trusted(workspace), ..Rig::context(now) };
        let facts = Sla::decide(state, &context, command).unwrap();
        Sla::evolve_all(state, &facts);
    };
    for workspace in ["a", "b"] {
        tell(&mut state, workspace, at(0, 0), Command::NoteWorkspace);
        for ticket in 0..4 * SWEEP_TICKETS_MAX {
            let open = command(&Step::Open(ticket), at(1, 0)).unwrap();
            tell(&mut state, workspace, at(1, 0), open);
        }
    }
    tell(&mut state, "a", at(2, 0), put(promised(4)));
    tell(&mut state, "b", at(2, 1), put(promised(4)));
    let mut order = String::new();
    while let Some((workspace, command)) = Sla::due(&state, at(2, 1)).into_iter().next() {
        assert_eq!(command, Command::ApplyPolicies);
        order.push_str(workspace.as_str());
        tell(&mut state, workspace.as_str(), at(2, 1), command);
    }
    assert_eq!(order, "abababab");
}
