//! Targets that change while the clock runs.

use kernel::{Priority, TicketStatus};

use super::rig::*;
use crate::{BreachCause, Change, ClockState, Metric, Targets};

fn rig(targets: &[(Priority, u64)]) -> Rig {
    let mut rig = Rig::new();
    let target =
        |(priority, within): &(Priority, u64)| ((Metric::TotalResolution, *priority), *within);
    let targets: Targets = targets.iter().map(target).collect();
    rig.tell(at(0, 0), put(policy("p", targets)));
    rig
}

#[test]
fn a_shorter_target_that_has_passed_is_broken_at_the_change() {
    let mut rig = rig(&[(Priority::P3, 8 * HOUR), (Priority::P1, 4 * HOUR)]);
    rig.open("t", Some(Priority::P3), at(9, 0));
    rig.pass(at(14, 59));
    let events = rig.priority(Priority::P1, at(15, 0));
    let changes = changes(&events, Metric::TotalResolution);
    assert!(
        matches!(changes.as_slice(), [
        Change::Retargeted { due_at: Some(due), .. },
        Change::Breached { at: broken, cause: BreachCause::Retarget },
    ] if *due == at(13, 0) && *broken == at(15, 0)),
        "{changes:?}"
    );
    assert_eq!(rig.pass(at(23, 0)), [], "one breach, no warning after it");
    let counts = rig.counts(Metric::TotalResolution, Priority::P1);
    assert_eq!((counts.breached, counts.started()), (1, 1));
    assert_eq!(rig.counts(Metric::TotalResolution, Priority::P3).started(), 0);
}

#[test]
fn a_stop_from_before_such_a_change_was_in_time() {
    let mut rig = rig(&[(Priority::P3, 8 * HOUR), (Priority::P1, 4 * HOUR)]);
    rig.open("t", Some(Priority::P3), at(9, 0));
    rig.priority(Priority::P1, at(15, 0));
    rig.status(TicketStatus::Resolved, at(14, 0));
    let clock = rig.clock(Metric::TotalResolution);
    assert_eq!((clock.state(), clock.elapsed_ms), (ClockState::Met, 5 * HOUR));
}

#[test]
fn a_breach_outlives_a_longer_target() {
    let mut rig = rig(&[(Priority::P1, HOUR), (Priority::P3, 8 * HOUR)]);
    rig.open("t", Some(Priority::P1), at(9, 0));
    rig.pass(at(10, 1));
    rig.priority(Priority::P3, at(12, 0));
    assert_eq!(rig.clock(Metric::TotalResolution).due(), Some(at(17, 0)));
    rig.status(TicketStatus::Resolved, at(14, 0));
    assert_eq!(rig.clock(Metric::TotalResolution).state(), ClockState::Breached);
}

#[test]
fn a_priority_that_comes_late_counts_what_has_passed() {
    let mut rig = rig(&[(Priority::P2, 4 * HOUR)]);
    rig.open("t", None, at(9, 0));
    rig.pass(at(11, 0));
    let events = rig.priority(Priority::P2, at(11, 0));
    let due = rig.clock(Metric::TotalResolution).due();
    assert_eq!(due, Some(at(13, 0)));
    let warned = Change::Warned { permille: 500, due_at: at(13, 0) };
    assert_eq!(changes(&events, Metric::TotalResolution).last(), Some(&warned));
}

#[test]
fn of_the_warnings_that_a_change_passes_over_only_the_highest_is_given() {
    let mut rig = rig(&[(Priority::P3, 10 * HOUR), (Priority::P1, 5 * HOUR)]);
    rig.open("t", Some(Priority::P3), at(0, 0));
    rig.pass(at(4, 30));
    let events = rig.priority(Priority::P1, at(4, 30));
    let changes = changes(&events, Metric::TotalResolution);
    assert_eq!(changes.last(), Some(&Change::Warned { permille: 800, due_at: at(5, 0) }));
    assert_eq!(changes.len(), 2);
    assert_eq!(rig.pass(at(5, 0)), []);
}

#[test]
fn a_due_instant_that_passed_before_the_change_was_broken_then() {
    let mut rig = rig(&[(Priority::P1, HOUR), (Priority::P3, 8 * HOUR)]);
    rig.open("t", Some(Priority::P1), at(9, 0));
    let events = rig.priority(Priority::P3, at(10, 30));
    let changes = changes(&events, Metric::TotalResolution);
    let breached = Change::Breached { at: at(10, 0), cause: BreachCause::Due };
    assert_eq!(changes.first(), Some(&breached));
}
