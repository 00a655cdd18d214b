//! When clocks start, pause, stop and break.

use kernel::{Priority, TicketStatus};

use super::rig::*;
use crate::{BreachCause, CancelReason, Change, ClockState, Metric};

const P2: Option<Priority> = Some(Priority::P2);

#[test]
fn a_reply_at_the_due_instant_keeps_the_promise_and_one_a_moment_later_breaks_it() {
    let mut rig = Rig::promising(Metric::FirstReply, 4 * HOUR);
    rig.open("t", P2, at(9, 0));
    let kept = rig.reply(at(13, 0), at(13, 0));
    let met = Change::Met { at: at(13, 0), elapsed_ms: 4 * HOUR };
    assert_eq!(changes(&kept, Metric::FirstReply), [met]);

    let mut rig = Rig::promising(Metric::FirstReply, 4 * HOUR);
    rig.open("t", P2, at(9, 0));
    let late = at(13, 0).plus_millis(1);
    let broken = rig.reply(late, late);
    let breached = Change::Breached { at: at(13, 0), cause: BreachCause::LateStop };
    let stopped = Change::StoppedAfterBreach { at: late, elapsed_ms: 4 * HOUR + 1 };
    assert_eq!(changes(&broken, Metric::FirstReply), [breached, stopped]);
    assert_eq!(rig.pass(at(20, 0)), []);
}

#[test]
fn a_breach_is_decided_once_and_never_early() {
    let mut rig = Rig::promising(Metric::RequesterWait, 2 * HOUR);
    rig.open("t", P2, at(9, 0));
    rig.pass(at(10, 59));
    assert_eq!(rig.pass(at(11, 0).plus_millis(99)), []);
    let breached = Change::Breached { at: at(11, 0), cause: BreachCause::Due };
    let passed = rig.pass(at(11, 0).plus_millis(100));
    assert_eq!(changes(&passed, Metric::RequesterWait), [breached]);
    rig.status(TicketStatus::Pending, at(12, 0));
    assert_eq!(rig.clock(Metric::RequesterWait).state(), ClockState::Breached);
    rig.status(TicketStatus::Open, at(14, 0));
    assert_eq!(rig.pass(at(14, 30)), []);
    let solved = rig.status(TicketStatus::Resolved, at(15, 0));
    let stopped = Change::StoppedAfterBreach { at: at(15, 0), elapsed_ms: 4 * HOUR };
    assert_eq!(changes(&solved, Metric::RequesterWait), [stopped]);
}

#[test]
fn a_pause_after_the_due_instant_does_not_hide_the_breach() {
    let mut rig = Rig::promising(Metric::RequesterWait, HOUR);
    rig.open("t", P2, at(9, 0));
    let events = rig.status(TicketStatus::Pending, at(10, 1));
    let breached = Change::Breached { at: at(10, 0), cause: BreachCause::Due };
    let paused = Change::Paused { at: at(10, 1), elapsed_ms: 61 * MINUTE };
    assert_eq!(changes(&events, Metric::RequesterWait), [breached, paused]);
}

#[test]
fn a_stop_from_before_the_breach_takes_it_back() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    rig.open("t", P2, at(9, 0));
    rig.pass(at(10, 1));
    assert_eq!(rig.counts(Metric::FirstReply, Priority::P2).breached, 1);
    let events = rig.reply(at(10, 2), at(9, 58));
    let retracted = Change::BreachRetracted { at: at(9, 58), elapsed_ms: 58 * MINUTE };
    assert_eq!(changes(&events, Metric::FirstReply), [retracted]);
    let counts = rig.counts(Metric::FirstReply, Priority::P2);
    assert_eq!((counts.breached, counts.met, counts.started()), (0, 1, 1));
}

#[test]
fn even_after_a_late_stop_an_earlier_one_takes_the_breach_back() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    rig.open("t", P2, at(9, 0));
    rig.reply(at(10, 5), at(10, 5));
    let events = rig.reply(at(10, 6), at(9, 58));
    let retracted = Change::BreachRetracted { at: at(9, 58), elapsed_ms: 58 * MINUTE };
    assert_eq!(changes(&events, Metric::FirstReply), [retracted]);
}

#[test]
fn what_the_log_held_while_the_service_was_down_wins() {
    let mut kept = Rig::promising(Metric::FirstReply, HOUR);
    kept.open("t", P2, at(9, 0));
    kept.reply(at(10, 20), at(9, 58));
    kept.pass(at(10, 20));
    assert_eq!(kept.clock(Metric::FirstReply).state(), ClockState::Met);
    let mut broken = Rig::promising(Metric::FirstReply, HOUR);
    broken.open("t", P2, at(9, 0));
    broken.reply(at(10, 20), at(10, 5));
    assert_eq!(broken.clock(Metric::FirstReply).breached_at, Some(at(10, 0)));
    assert_eq!(broken.clock(Metric::FirstReply).elapsed_ms, 65 * MINUTE);
}

#[test]
fn a_reopened_ticket_goes_on_without_the_time_in_between() {
    let mut rig = Rig::promising(Metric::TotalResolution, 8 * HOUR);
    rig.open("t", P2, at(9, 0));
    rig.status(TicketStatus::Resolved, at(14, 0));
    let events = rig.status(TicketStatus::Open, at(72, 0));
    let reopened = Change::Reopened { at: at(72, 0), due_at: Some(at(75, 0)) };
    assert_eq!(changes(&events, Metric::TotalResolution), [reopened]);
    assert_eq!(rig.clock(Metric::TotalResolution).elapsed_at(at(73, 0)), 6 * HOUR);
    assert_eq!(rig.counts(Metric::TotalResolution, Priority::P2).running, 1);
    rig.status(TicketStatus::Resolved, at(75, 0));
    let counts = rig.counts(Metric::TotalResolution, Priority::P2);
    assert_eq!((counts.met, counts.started()), (1, 1));
}

#[test]
fn a_closed_ticket_keeps_little_and_can_still_be_reopened() {
    let mut rig = Rig::promising(Metric::TotalResolution, 8 * HOUR);
    rig.open("t", P2, at(9, 0));
    let events = rig.status(TicketStatus::Closed, at(10, 0));
    let cancelled = Change::Cancelled { at: at(10, 0), reason: CancelReason::Closed };
    assert_eq!(changes(&events, Metric::TotalResolution), [cancelled]);
    assert!(rig.ticket().traits.is_none());
    rig.status(TicketStatus::Pending, at(20, 0));
    assert_eq!(rig.clock(Metric::TotalResolution).due(), Some(at(27, 0)));
    assert_eq!(rig.clock(Metric::RequesterWait).state(), ClockState::Paused);
}

#[test]
fn solving_without_a_reply_cancels_unless_the_promise_was_broken() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    rig.open("t", P2, at(9, 0));
    let events = rig.status(TicketStatus::Resolved, at(9, 30));
    let cancelled = Change::Cancelled { at: at(9, 30), reason: CancelReason::NoReply };
    assert_eq!(changes(&events, Metric::FirstReply), [cancelled]);

    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    rig.open("t", P2, at(9, 0));
    rig.status(TicketStatus::Resolved, at(10, 30));
    let clock = rig.clock(Metric::FirstReply);
    assert_eq!((clock.state(), clock.breached_at), (ClockState::Breached, Some(at(10, 0))));
    assert_eq!(clock.stopped_at(), Some(at(10, 30)));
}

#[test]
fn of_a_reply_and_a_resolution_at_one_instant_the_reply_comes_first() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    rig.open("t", P2, at(9, 0));
    rig.status(TicketStatus::Resolved, at(9, 30));
    rig.reply(at(9, 31), at(9, 30));
    assert_eq!(rig.clock(Metric::FirstReply).state(), ClockState::Met);
    rig.reply(at(9, 40), at(9, 35));
    assert_eq!(rig.clock(Metric::FirstReply).elapsed_ms, 30 * MINUTE);
}

#[test]
fn only_waiting_on_the_customer_stands_still() {
    let mut rig = Rig::new();
    rig.open("t", None, at(0, 0));
    rig.status(TicketStatus::OnHold, at(1, 0));
    rig.status(TicketStatus::Open, at(3, 0));
    rig.status(TicketStatus::Pending, at(4, 0));
    rig.status(TicketStatus::Open, at(6, 0));
    rig.status(TicketStatus::Resolved, at(7, 0));
    assert_eq!(rig.clock(Metric::RequesterWait).elapsed_ms, 5 * HOUR);
    assert_eq!(rig.clock(Metric::TotalResolution).elapsed_ms, 7 * HOUR);
    assert_eq!(rig.space().counts().count(), 0, "without a target a clock only measures");
}

#[test]
fn the_oldest_unanswered_message_starts_each_cycle_of_the_next_reply() {
    let mut rig = Rig::promising(Metric::NextReply, HOUR);
    rig.open("t", P2, at(9, 0));
    assert_eq!(rig.message(at(9, 10)), [], "the first reply is still owed");
    rig.reply(at(9, 20), at(9, 20));
    rig.message(at(9, 30));
    assert_eq!(rig.message(at(9, 40)), []);
    rig.reply(at(10, 30), at(10, 30));
    assert_eq!(rig.clock(Metric::NextReply).state(), ClockState::Met);
    assert_eq!(rig.message(at(10, 0)), [], "it was answered before it was learnt");
    rig.message(at(11, 0));
    rig.pass(at(13, 0));
    assert_eq!(rig.cycle(Metric::NextReply, 2).breached_at, Some(at(12, 0)));
    assert_eq!(rig.reply(at(13, 0), at(10, 45)), [], "it can't answer what came after it");
}

#[test]
fn warnings_come_once_in_order_and_not_while_the_clock_stands_still() {
    let mut rig = Rig::promising(Metric::RequesterWait, 10 * HOUR);
    rig.open("t", P2, at(0, 0));
    rig.status(TicketStatus::Pending, at(4, 0));
    assert_eq!(rig.pass(at(20, 0)), []);
    rig.status(TicketStatus::Open, at(20, 0));
    assert_eq!(rig.pass(at(20, 59)), []);
    let warned = |permille| Change::Warned { permille, due_at: at(26, 0) };
    assert_eq!(changes(&rig.pass(at(21, 0)), Metric::RequesterWait), [warned(500)]);
    let breached = Change::Breached { at: at(26, 0), cause: BreachCause::Due };
    let later = rig.pass(at(30, 0));
    assert_eq!(changes(&later, Metric::RequesterWait), [warned(800), breached]);
}

#[test]
fn a_long_conversation_is_counted_whole_and_kept_in_part() {
    let mut rig = Rig::promising(Metric::NextReply, HOUR);
    rig.open("t", P2, at(0, 0));
    rig.reply(at(0, 1), at(0, 1));
    for hour in 1..=50 {
        rig.message(at(hour, 0));
        rig.reply(at(hour, 9), at(hour, 9));
    }
    assert_eq!(rig.counts(Metric::NextReply, Priority::P2).met, 50);
    assert_eq!(rig.ticket().clocks.len(), 3 + crate::CYCLES_KEPT);
    assert_eq!(rig.cycle(Metric::NextReply, 50).state(), ClockState::Met);
}
