//! When closed tickets are forgotten.

use kernel::{CLOSED_KEPT_MS, Priority, SENT_AWAY_AT_ONCE, TicketId, TicketStatus, Timestamp};

use super::rig::{HOUR, Rig, at, ticket};
use crate::{Command, Event, Metric, Rejection};

const DAY: u64 = 24 * HOUR;

fn close(rig: &mut Rig, id: &str, at: Timestamp) -> Vec<Event> {
    let ticket = TicketId::trusted(id);
    rig.tell(at, Command::ChangeStatus { ticket, to: TicketStatus::Closed, at })
}

fn is_known(rig: &Rig, id: &str) -> bool {
    rig.space().ticket(&TicketId::trusted(id)).is_some()
}

#[test]
fn a_later_closing_forgets_what_was_closed_thirty_days_before() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    let closed = at(1, 0);
    for id in ["t", "u", "v"] {
        rig.open(id, Some(Priority::P2), at(0, 30));
    }
    close(&mut rig, "t", closed);
    let counts = rig.counts(Metric::FirstReply, Priority::P2);
    assert_eq!(counts.cancelled, 1);
    close(&mut rig, "u", closed.plus_millis(CLOSED_KEPT_MS));
    assert!(is_known(&rig, "t"), "exactly 30 days later it is kept");
    close(&mut rig, "v", closed.plus_millis(CLOSED_KEPT_MS + 1));
    assert!(!is_known(&rig, "t") && is_known(&rig, "u") && is_known(&rig, "v"));
    let counts = rig.counts(Metric::FirstReply, Priority::P2);
    assert_eq!(counts.started(), 3, "what it came to still counts");
    assert!(rig.pass(closed.plus_millis(400 * DAY)).is_empty(), "no timer is left");

    // What is said of it later is moot.
    let reply = Command::NoteReply { ticket: ticket(), at: closed };
    let refused = rig.ask(closed.plus_millis(CLOSED_KEPT_MS + 2), reply);
    assert_eq!(refused, Err(Rejection::UnknownTicket(ticket())));
}

#[test]
fn a_reopened_ticket_is_not_forgotten() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    rig.open("t", Some(Priority::P2), at(0, 30));
    rig.open("u", Some(Priority::P2), at(0, 30));
    close(&mut rig, "t", at(1, 0));
    rig.status(TicketStatus::Open, at(2, 0));
    close(&mut rig, "u", at(1, 0).plus_millis(40 * DAY));
    assert!(is_known(&rig, "t"));
}

#[test]
fn only_the_time_of_closings_counts_however_late_they_are_read() {
    let mut rig = Rig::promising(Metric::FirstReply, HOUR);
    for id in ["t", "u"] {
        rig.open(id, Some(Priority::P2), at(0, 30));
        close(&mut rig, id, at(1, 0));
    }
    // Read a year late: the decision's time is then, what it is about lies before.
    let now = at(1, 0).plus_millis(365 * DAY);
    rig.open("v", Some(Priority::P2), at(0, 30));
    let agent = Some(kernel::AgentId::trusted("ada"));
    rig.tell(now, Command::NoteOwner { ticket: TicketId::trusted("u"), agent, queue: None });
    let late = TicketId::trusted("v");
    let to = TicketStatus::Closed;
    rig.tell(now, Command::ChangeStatus { ticket: late, to, at: at(2, 0) });
    assert!(is_known(&rig, "t"));
    let reopened = Command::ChangeStatus { ticket: ticket(), to: TicketStatus::Open, at: at(3, 0) };
    rig.tell(now, reopened);
    assert_eq!(rig.ticket().status, TicketStatus::Open);
}

#[test]
fn when_the_clock_jumps_a_few_go_with_each_closing() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..10).map(|number| format!("t-{number}")).collect();
    let known = |rig: &Rig| ids.iter().filter(|id| is_known(rig, id)).count();
    for id in &ids {
        rig.open(id, None, at(0, 30));
        close(&mut rig, id, at(1, 0));
    }
    let mut left = ids.len();
    for number in 0..3 {
        let (id, later) = (format!("late-{number}"), at(1, 0).plus_millis(1_000 * DAY));
        rig.open(&id, None, later);
        close(&mut rig, &id, later);
        left = left.saturating_sub(SENT_AWAY_AT_ONCE);
        assert_eq!(known(&rig), left);
    }
    assert_eq!(left, 0);
}
