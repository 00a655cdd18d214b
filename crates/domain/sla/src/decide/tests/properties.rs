//! What must hold after any history, against a model that recomputes everything from scratch.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Decider, Priority, TicketStatus, Timestamp};
use proptest::prelude::*;

use super::rig::*;
use crate::{ClockState, Command, Counts, Metric, Sla, State, Targets, TraitsUpdate};

#[derive(Debug, Clone)]
enum Step {
    Status(TicketStatus),
    Priority(Option<Priority>),
    Reply,
    Message,
    Policy(u64),
    /// Nothing but time.
    Pass,
}

/// Time passes before every step, unless `at_once`: then several may happen at one instant, where a stop comes before a
/// change of the target whatever the log says.
fn steps(at_once: bool) -> impl Strategy<Value = Vec<(u64, Step)>> {
    let status = prop::sample::select(vec![
        TicketStatus::Open,
        TicketStatus::Pending,
        TicketStatus::OnHold,
        TicketStatus::Resolved,
        TicketStatus::Closed,
    ]);
    let priority = prop::sample::select(vec![None, Some(Priority::P1), Some(Priority::P3)]);
    let step = prop_oneof![
        4 => status.prop_map(Step::Status),
        2 => priority.prop_map(Step::Priority),
        2 => Just(Step::Reply),
        2 => Just(Step::Message),
        1 => (1..20_u64).prop_map(Step::Policy),
        1 => Just(Step::Pass),
    ];
    let shortest = u64::from(!at_once);
    prop::collection::vec((prop_oneof![Just(shortest), 1..50 * MINUTE], step), 1..40)
}

fn targets(unit: u64) -> Targets {
    let one = |metric| {
        [((metric, Priority::P1), unit * 10 * MINUTE), ((metric, Priority::P3), unit * 40 * MINUTE)]
    };
    Metric::ALL.into_iter().flat_map(one).collect()
}

fn command(step: &Step, at: Timestamp) -> Option<Command> {
    let ticket = ticket();
    Some(match step {
        Step::Status(to) => Command::ChangeStatus { ticket, to: *to, at },
        Step::Priority(priority) => {
            let update = TraitsUpdate { priority: Some(*priority), ..TraitsUpdate::default() };
            Command::UpdateTicket { ticket, update: Box::new(update), at }
        }
        Step::Reply => Command::NoteReply { ticket, at },
        Step::Message => Command::NoteCustomerMessage { ticket, at },
        Step::Policy(unit) => put(policy("p", targets(*unit))),
        Step::Pass => return None,
    })
}

/// What a naive reader of the history says of the two clocks of the whole ticket: every millisecond is looked at by its
/// status.
#[derive(Debug, Default)]
struct Model {
    total: u64,
    wait: u64,
    /// When a promise was broken, by metric: total, wait.
    broken: [Option<Timestamp>; 2],
}

impl Model {
    /// A stretch of time in one status, with one target; `targets` in ms.
    fn stretch(
        &mut self,
        status: TicketStatus,
        from: Timestamp,
        to: Timestamp,
        target: Option<u64>,
    ) {
        let runs = [status.is_live(), status.is_live() && status != TicketStatus::Pending];
        let length = to.millis_since(from);
        for (index, passed) in [&mut self.total, &mut self.wait].into_iter().enumerate() {
            // A target that the past exceeds is found broken where it begins to hold, unless the ticket is over.
            if let Some(target) =
                target.filter(|_| self.broken[index].is_none() && status.is_live())
            {
                if *passed > target {
                    self.broken[index] = Some(from);
                } else if runs[index] && *passed + length > target {
                    self.broken[index] = Some(from.plus_millis(target - *passed));
                }
            }
            if runs[index] {
                *passed += length;
            }
        }
    }
}

fn indexes_are_right(state: &State) {
    let mut timers = BTreeSet::new();
    for (workspace, space) in state.workspaces() {
        let (mut due, mut open) = (BTreeSet::new(), BTreeSet::new());
        let mut counts: BTreeMap<_, Counts> = BTreeMap::new();
        for (id, ticket) in &space.tickets {
            timers
                .extend(ticket.next_alarm().map(|(at, _, _)| (at, workspace.clone(), id.clone())));
            if ticket.status != TicketStatus::Closed {
                open.insert(id.clone());
            }
            for clock in ticket.clocks.iter().filter(|clock| clock.target_ms.is_some()) {
                due.extend(clock.due().map(|at| (at, id.clone(), clock.key.metric)));
                let Some(priority) = clock.priority else { continue };
                let counts = counts.entry((clock.key.metric, priority)).or_default();
                match clock.state() {
                    ClockState::Running => counts.running += 1,
                    ClockState::Paused => counts.paused += 1,
                    ClockState::Met => counts.met += 1,
                    ClockState::Breached => counts.breached += 1,
                    ClockState::Cancelled => counts.cancelled += 1,
                }
            }
        }
        assert_eq!((&space.by_due, &space.open), (&due, &open));
        // Cycles that were dropped stay counted; these histories are too short for that.
        assert_eq!(space.counts, counts);
    }
    assert_eq!(state.timers.all(), timers);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn time_is_measured_as_a_naive_reader_would(steps in steps(false)) {
        let mut rig = Rig::new();
        let (mut unit, mut priority, mut status) = (6, Some(Priority::P3), TicketStatus::New);
        rig.tell(at(0, 0), put(policy("p", targets(unit))));
        let mut now = at(1, 0);
        rig.open("t", priority, now);
        let mut model = Model::default();
        for (wait, step) in steps {
            let until = now.plus_millis(wait);
            let target = priority.and_then(|p| targets(unit).get(&(Metric::TotalResolution, p)).copied());
            model.stretch(status, now, until, target);
            now = until;
            match &step {
                Step::Status(to) => status = if *to == status { status } else { *to },
                Step::Priority(to) => priority = *to,
                // A closed ticket's clocks are over: the policy of then is looked at again when it is reopened.
                Step::Policy(to) => unit = *to,
                Step::Pass => {
                    rig.pass(now);
                }
                Step::Reply | Step::Message => {}
            }
            if let Some(command) = command(&step, now) {
                rig.tell(now, command.clone());
                let again = Sla::decide(&rig.state, &Rig::context(now), command);
                prop_assert_eq!(again.map(|facts| facts.len()), Ok(0), "{:?} twice", step);
                if matches!(step, Step::Policy(_)) {
                    // How a sweep that takes longer comes to the same is shown by itself.
                    rig.sweep(now);
                }
            }
            indexes_are_right(&rig.state);
            let (total, waited) = (rig.clock(Metric::TotalResolution), rig.clock(Metric::RequesterWait));
            prop_assert_eq!(total.elapsed_at(now), model.total);
            prop_assert_eq!(waited.elapsed_at(now), model.wait);
        }
        // A last moment, for breaches by a change at the very end, and for timers that wait 100 ms.
        let target = priority.and_then(|p| targets(unit).get(&(Metric::TotalResolution, p)).copied());
        model.stretch(status, now, now.plus_millis(1), target);
        rig.pass(now.plus_millis(101));
        let broken = [Metric::TotalResolution, Metric::RequesterWait].map(|metric| {
            rig.clock(metric).breached_at.filter(|at| *at <= now)
        });
        prop_assert_eq!(broken, model.broken.map(|at| at.filter(|at| *at <= now)));
    }

    #[test]
    fn a_clock_is_broken_at_most_once_and_any_order_of_facts_can_be_read(
        steps in steps(true),
        lates in prop::collection::vec(0..3 * HOUR, 40),
        keep in prop::collection::vec(any::<bool>(), 400),
    ) {
        let mut rig = Rig::promising(Metric::FirstReply, HOUR);
        let mut now = at(4, 0);
        rig.open("t", Some(Priority::P1), now);
        for ((wait, step), late) in steps.into_iter().zip(lates) {
            now = now.plus_millis(wait);
            // What is learnt may have happened long before.
            if let Some(command) = command(&step, now.minus_millis(late)) {
                rig.tell(now, command);
            }
            rig.pass(now);
            indexes_are_right(&rig.state);
        }
        let mut verdicts = BTreeMap::new();
        for fact in &rig.facts {
            if let crate::Event::Clock { key, change, .. } = &fact.event {
                let open = verdicts.entry(*key).or_insert(false);
                if let crate::Change::Breached { .. } = change {
                    prop_assert!(!*open, "{:?} twice", key);
                    *open = true;
                }
                if let crate::Change::BreachRetracted { .. } = change {
                    prop_assert!(*open);
                    *open = false;
                }
            }
        }
        let revisions = rig.facts.iter().filter(|fact| fact.entity.as_str() == "t").map(|fact| fact.revision);
        prop_assert!(revisions.eq(1..=rig.ticket().revision));
        // A history with holes makes no sense, and still can be read.
        let mut state = State::default();
        let kept = rig.facts.into_iter().zip(keep).filter_map(|(fact, keep)| keep.then_some(fact));
        let kept: Vec<_> = kept.collect();
        for fact in &kept {
            Sla::evolve(&mut state, fact);
            indexes_are_right(&state);
        }
        let mut together = State::default();
        Sla::evolve_all(&mut together, &kept);
        prop_assert_eq!(together, state);
    }
}
