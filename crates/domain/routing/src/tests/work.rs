//! What happens to owned work.

use kernel::{AgentId, QueueId, TicketId, TicketStatus};

use super::{World, requirements};
use crate::state::Place;
use crate::words::{Presence, WorkClass, WorkOutcome, WorkState};
use crate::{Command, Destination, Event, Rejection};

fn complete(ticket: &str, agent: &str, outcome: WorkOutcome) -> Command {
    let (agent, ticket) = (AgentId::trusted(agent), TicketId::trusted(ticket));
    Command::CompleteWork { agent, ticket, outcome, note: String::new() }
}

fn transfer(ticket: &str, from: Option<&str>, to: Destination) -> Command {
    let (ticket, from) = (TicketId::trusted(ticket), from.map(AgentId::trusted));
    Command::TransferTicket { ticket, from, to, note: String::new() }
}

fn assign(ticket: &str, agent: &str) -> Command {
    let (agent, ticket) = (AgentId::trusted(agent), TicketId::trusted(ticket));
    Command::AssignTicket { ticket, agent, reason: "she knows him".to_owned() }
}

/// Ada owns t1, and has room for nothing else.
fn owned() -> World {
    let mut world = World::new();
    world.agent("ada", &[], 20);
    world.comes("t1", WorkClass::Async, &[]);
    assert_eq!(world.owner("t1"), Some("ada"));
    world
}

#[test]
fn pending_holds_nothing_and_on_hold_a_quarter() {
    let mut world = owned();
    world.run(complete("t1", "ada", WorkOutcome::OnHold));
    assert_eq!(world.used("ada"), 5);
    world.run(complete("t1", "ada", WorkOutcome::Pending));
    assert_eq!(world.used("ada"), 0);
    // Intake follows, and that changes nothing more.
    let news = world.status("t1", TicketStatus::Open, TicketStatus::Pending);
    assert_eq!(news, []);
    let stranger = Rejection::NotTheOwner(TicketId::trusted("t1"), AgentId::trusted("bob"));
    assert_eq!(world.try_run(complete("t1", "bob", WorkOutcome::Resolved)), Err(stranger));
}

#[test]
fn an_answer_returns_to_its_owner_even_above_capacity() {
    let mut world = owned();
    world.status("t1", TicketStatus::Open, TicketStatus::Pending);
    world.comes("t2", WorkClass::Async, &[]);
    assert_eq!(world.owner("t2"), Some("ada"));
    let news = world.status("t1", TicketStatus::Pending, TicketStatus::Open);
    assert!(matches!(&news[..], [Event::TicketAssigned { over_capacity: true, .. }]));
    assert_eq!((world.owner("t1"), world.used("ada")), (Some("ada"), 40));
    // Nothing comes by itself until she is below again.
    world.run(complete("t1", "ada", WorkOutcome::Pending));
    world.comes("t3", WorkClass::Async, &[]);
    assert_eq!(*world.place("t3"), Place::Waiting);
}

#[test]
fn what_an_agent_resolved_is_not_resolved_twice_and_a_late_start_of_work_is_no_reopening() {
    let mut world = owned();
    world.run(complete("t1", "ada", WorkOutcome::Resolved));
    assert_eq!(world.used("ada"), 0);
    for (from, to) in
        [(TicketStatus::New, TicketStatus::Open), (TicketStatus::Open, TicketStatus::Resolved)]
    {
        assert_eq!(world.status("t1", from, to), []);
    }
    let news = world.status("t1", TicketStatus::Resolved, TicketStatus::Closed);
    assert!(matches!(&news[..], [Event::WorkEnded { status: TicketStatus::Closed, .. }]));
    let news = world.status("t1", TicketStatus::Closed, TicketStatus::Open);
    assert!(matches!(&news[..], [Event::TicketAssigned { .. }]));
    assert_eq!(world.owner("t1"), Some("ada"));
}

#[test]
fn a_closed_ticket_is_forgotten_when_it_can_no_longer_be_reopened() {
    let mut world = owned();
    world.status("t1", TicketStatus::Open, TicketStatus::Closed);
    world.pass(kernel::CLOSED_KEPT_MS + 1);
    world.comes("t2", WorkClass::Async, &[]);
    world.status("t2", TicketStatus::Open, TicketStatus::Closed);
    assert!(world.workspace().ticket(&TicketId::trusted("t1")).is_none());
    assert!(world.workspace().ticket(&TicketId::trusted("t2")).is_some());
}

#[test]
fn an_answer_to_an_owner_absent_beyond_the_grace_waits_with_its_age() {
    let mut world = owned();
    let age = world.ticket("t1").queued_at();
    world.status("t1", TicketStatus::Open, TicketStatus::Pending);
    world.presence("ada", Presence::Offline);
    world.pass(crate::GRACE_MS + 1);
    world.status("t1", TicketStatus::Pending, TicketStatus::Open);
    assert_eq!(*world.place("t1"), Place::Waiting);
    assert_eq!(world.ticket("t1").queued_at(), age);
}

#[test]
fn within_the_grace_it_is_kept_for_the_owner_and_no_longer() {
    for returns in [true, false] {
        let mut world = owned();
        world.presence("ada", Presence::Offline);
        world.pass(1_000);
        world.run(Command::NoteAnswer { ticket: TicketId::trusted("t1") });
        world.pass(crate::GRACE_MS - 1_000);
        assert_eq!(world.owner("t1"), Some("ada"));
        if returns {
            world.presence("ada", Presence::Busy);
        }
        world.pass(1);
        assert_eq!(world.owner("t1"), returns.then_some("ada"));
    }
}

#[test]
fn given_back_it_goes_to_someone_else() {
    let mut world = owned();
    world.agent("bob", &[], 100);
    world.run(complete("t1", "ada", WorkOutcome::Requeue));
    assert_eq!(world.owner("t1"), Some("bob"));
}

#[test]
fn a_transfer_reaches_an_agent_a_queue_or_a_skill() {
    let mut world = owned();
    world.agent("bob", &[("tax", 4)], 10);
    world.run(transfer("t1", Some("ada"), Destination::Agent(AgentId::trusted("bob"))));
    assert_eq!((world.owner("t1"), world.used("bob")), (Some("bob"), 20));
    world.queue("tax", 1, "", &[("tax", 2)]);
    world.put_agent("cy", &[("tax", 2)], &["tax"], 100);
    world.presence("cy", Presence::Available);
    let to_queue = Destination::Queue(QueueId::trusted("tax"));
    world.run(transfer("t1", Some("bob"), to_queue.clone()));
    assert_eq!(world.owner("t1"), Some("cy"));
    let stranger = Rejection::NotTheOwner(TicketId::trusted("t1"), AgentId::trusted("bob"));
    assert_eq!(world.try_run(transfer("t1", Some("bob"), to_queue)), Err(stranger));
    world.put_agent("bob", &[("tax", 4)], &[], 100);
    let skill = requirements(&[("tax", 3)]).remove(0);
    world.run(transfer("t1", None, Destination::Skill(skill)));
    assert_eq!(world.owner("t1"), Some("bob"));
    let nowhere = Destination::Queue(QueueId::trusted("x"));
    let unknown = Rejection::QueueNotFound(QueueId::trusted("x"));
    assert_eq!(world.try_run(transfer("t1", None, nowhere)), Err(unknown));
}

#[test]
fn by_hand_capacity_may_be_exceeded_and_it_is_said() {
    let mut world = owned();
    world.agent("bob", &[], 10);
    world.comes("t2", WorkClass::Voice, &[]);
    let news = world.run(assign("t2", "bob"));
    assert!(matches!(&news[..], [Event::TicketAssigned { over_capacity: true, .. }]));
    assert_eq!(world.used("bob"), 100);
    let unknown = Rejection::AgentNotFound(AgentId::trusted("x"));
    assert_eq!(world.try_run(assign("t2", "x")), Err(unknown));
    let not_open = Rejection::TicketNotRoutable(TicketId::trusted("t9"));
    assert_eq!(world.try_run(assign("t9", "bob")), Err(not_open));
}

#[test]
fn an_offer_ends_with_its_ticket() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.comes("t1", WorkClass::Voice, &[]);
    let news = world.status("t1", TicketStatus::New, TicketStatus::Resolved);
    assert!(matches!(&news[..], [Event::OfferRescinded { .. }, Event::WorkEnded { .. }]));
    assert_eq!(world.used("ada"), 0);
    world.status("t1", TicketStatus::Resolved, TicketStatus::Open);
    assert!(world.offered("t1").is_some(), "nobody owned it, so it waits again");
}

#[test]
fn what_waits_on_the_customer_is_offered_to_nobody() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.comes("t1", WorkClass::Chat, &[]);
    world.status("t1", TicketStatus::New, TicketStatus::Pending);
    assert_eq!(*world.place("t1"), Place::Paused(WorkState::Pending));
    world.status("t1", TicketStatus::Pending, TicketStatus::Open);
    assert!(world.offered("t1").is_some());
}
