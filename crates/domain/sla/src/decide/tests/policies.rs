//! Which policy a ticket follows.

use kernel::{PolicyId, Priority, TicketId, TicketStatus};
use rules::{OverBudget, Rule, TICKET, WORKSPACE_STEPS_MAX};

use super::rig::*;
use crate::{
    Command, Event, Metric, PolicyDraft, Rejection, SWEEP_TICKETS_MAX, Targets, TraitsUpdate,
};

fn promise(id: &str, order: i32, filter: &str, hours: u64) -> PolicyDraft {
    let targets = Targets::from([((Metric::FirstReply, Priority::P1), hours * HOUR)]);
    let filter = (!filter.is_empty()).then(|| Rule::compile(filter, TICKET).unwrap());
    PolicyDraft { order, filter, ..policy(id, targets) }
}

fn follows(rig: &Rig, id: &str) -> Option<String> {
    let ticket = rig.space().ticket(&TicketId::trusted(id)).unwrap();
    ticket.policy.as_ref().map(PolicyId::to_string)
}

#[test]
fn the_first_policy_whose_filter_holds_is_followed() {
    let mut rig = Rig::new();
    rig.tell(at(0, 0), put(promise("all", 9, "", 8)));
    rig.tell(at(0, 0), put(promise("vip", 1, "'vip' in ticket.tags", 1)));
    rig.open("t", Some(Priority::P1), at(9, 0));
    assert_eq!(follows(&rig, "t").as_deref(), Some("all"));
    let tags = Some(vec!["vip".to_owned()]);
    let update = Box::new(TraitsUpdate { tags, ..TraitsUpdate::default() });
    let update = Command::UpdateTicket { ticket: ticket(), update, at: at(9, 30) };
    rig.tell(at(9, 30), update.clone());
    assert_eq!(follows(&rig, "t").as_deref(), Some("vip"));
    assert_eq!(rig.clock(Metric::FirstReply).due(), Some(at(10, 0)));
    assert_eq!(rig.tell(at(9, 31), update), []);
}

#[test]
fn a_changed_policy_reaches_every_open_ticket_and_each_once() {
    let mut rig = Rig::new();
    rig.tell(at(0, 0), put(promise("p", 0, "", 8)));
    let many = SWEEP_TICKETS_MAX * 2 + 7;
    for number in 0..many {
        rig.open(&format!("t{number:04}"), Some(Priority::P1), at(9, 0));
    }
    let changed = promise("p", 0, "", 2);
    let at_once = rig.tell(at(10, 0), put(changed.clone()));
    assert!(matches!(at_once.as_slice(), [Event::PolicyPut(_)]), "{at_once:?}");
    assert!(rig.tell(at(10, 0), Command::ApplyPolicies).len() > SWEEP_TICKETS_MAX);
    // One that was not reached yet is brought up to the change before anything else happens to it.
    let last = TicketId::trusted(&format!("t{:04}", many - 1));
    rig.tell(at(10, 30), Command::NoteReply { ticket: last.clone(), at: at(10, 30) });
    rig.pass(at(10, 31));
    let retargeted = |fact: &&kernel::Fact<Event>| {
        matches!(&fact.event, Event::Clock { change: crate::Change::Retargeted { .. }, .. })
            && fact.at == at(10, 0)
    };
    // Three clocks each; only that of the first reply has another target.
    assert_eq!(rig.facts.iter().filter(retargeted).count(), many);
    assert_eq!(rig.space().at_risk(None).next().unwrap().0, at(11, 0));
    assert!(rig.space().sweep.is_none() && rig.state.sweeps.is_empty());
    assert_eq!(rig.tell(at(11, 0), put(changed)), []);
}

#[test]
fn a_policy_is_refused_for_a_reason() {
    let mut rig = Rig::new();
    let command = |expected| Command::PutPolicy {
        policy: Box::new(promise("p", 0, "", 8)),
        expected_revision: Some(expected),
    };
    let refused = rig.ask(at(0, 0), command(3));
    assert_eq!(refused, Err(Rejection::RevisionMismatch { expected: 3, actual: 0 }));
    rig.tell(at(0, 0), command(0));
}

#[test]
fn what_routing_says_of_a_ticket_that_is_not_known_is_refused() {
    let mut rig = Rig::new();
    let queue = kernel::QueueId::trusted("q");
    let command = Command::NoteQueue { ticket: ticket(), queue };
    let refused = rig.ask(at(9, 0), command.clone());
    assert_eq!(refused, Err(Rejection::UnknownTicket(ticket())));
    rig.open("t", None, at(9, 0));
    assert_eq!(rig.tell(at(9, 0), command.clone()).len(), 1);
    assert_eq!(rig.tell(at(9, 0), command), []);
    rig.status(TicketStatus::Resolved, at(9, 1));
    assert_eq!(rig.ticket().queue, Some(kernel::QueueId::trusted("q")));
}

#[test]
fn the_filters_of_a_workspace_share_a_budget() {
    let mut rig = Rig::new();
    // Nearly as many steps as one filter may take.
    let costly = "ticket.attributes.a.exists(a, a.contains('x') && a.contains('y'))";
    let steps = u64::from(Rule::compile(costly, TICKET).unwrap().steps());
    let room = WORKSPACE_STEPS_MAX / steps;
    for number in 0..room {
        rig.tell(at(0, 0), put(promise(&format!("p{number}"), 0, costly, 8)));
    }
    let refused = rig.ask(at(0, 0), put(promise("more", 0, costly, 8)));
    let over = OverBudget { steps, others: room * steps };
    assert_eq!(refused, Err(Rejection::FilterBudget(over)));
    // A policy that is changed takes the place of its old self.
    rig.tell(at(0, 0), put(promise("p0", 1, costly, 8)));
    rig.tell(at(0, 0), put(promise("p0", 1, "ticket.type == 'a'", 8)));
    rig.tell(at(0, 0), put(promise("more", 0, costly, 8)));
}
