//! Offers, presence and choice.

use kernel::{AgentId, OfferId, Priority, QueueId, TicketId};
use rules::{OverBudget, WORKSPACE_STEPS_MAX};

use super::{World, compiled};
use crate::event::QueueSettings;
use crate::state::Place;
use crate::words::{OfferEnd, Presence, Rule, WorkClass};
use crate::{Command, Event, Rejection};

fn accept(agent: &str, offer: &OfferId) -> Command {
    Command::AcceptOffer { agent: AgentId::trusted(agent), offer: offer.clone() }
}

fn decline(agent: &str, offer: &OfferId) -> Command {
    let (agent, offer) = (AgentId::trusted(agent), offer.clone());
    Command::DeclineOffer { agent, offer, reason: String::new() }
}

#[test]
fn a_new_workspace_has_the_queue_default() {
    let world = World::new();
    let (id, queue) = world.workspace().queues_after(None).next().unwrap();
    assert_eq!((id.as_str(), queue.revision()), ("default", 1));
    let mut elsewhere = world;
    elsewhere.state = crate::State::default();
    let unknown = elsewhere.try_run(Command::NoteAnswer { ticket: TicketId::trusted("t1") });
    assert_eq!(unknown, Err(Rejection::WorkspaceNotFound("w".parse_id())));
}

trait ParseId {
    fn parse_id(&self) -> kernel::WorkspaceId;
}

impl ParseId for str {
    fn parse_id(&self) -> kernel::WorkspaceId {
        kernel::WorkspaceId::trusted(self)
    }
}

#[test]
fn async_work_is_accepted_by_itself_and_a_chat_by_hand() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.comes("t1", WorkClass::Async, &[]);
    assert_eq!(world.owner("t1"), Some("ada"));
    world.comes("t2", WorkClass::Chat, &[]);
    let (agent, offer) = world.offered("t2").unwrap();
    assert_eq!((agent, offer.as_str(), world.used("ada")), ("ada", "offer-2", 45));
    world.run(accept("ada", &offer));
    assert_eq!((world.owner("t2"), world.used("ada")), (Some("ada"), 45));
}

#[test]
fn an_offer_can_be_taken_up_to_its_last_instant_and_not_after() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.agent("bob", &[], 0);
    world.comes("t1", WorkClass::Voice, &[]);
    let (_, offer) = world.offered("t1").unwrap();
    let unknown = OfferId::trusted("offer-9");
    assert_eq!(world.try_run(accept("ada", &unknown)), Err(Rejection::OfferNotFound(unknown)));
    let of_another = Rejection::OfferOfAnotherAgent(offer.clone());
    assert_eq!(world.try_run(accept("bob", &offer)), Err(of_another));
    world.now = world.now.plus_millis(15_001);
    assert_eq!(world.try_run(accept("ada", &offer)), Err(Rejection::OfferExpired(offer.clone())));
    world.now = world.now.minus_millis(1);
    world.run(accept("ada", &offer));
    assert_eq!(world.owner("t1"), Some("ada"));
    let over = Rejection::OfferNotLive(offer.clone(), Some(OfferEnd::Accepted));
    assert_eq!(world.try_run(decline("ada", &offer)), Err(over));
}

#[test]
fn a_declined_ticket_goes_to_another_and_keeps_its_age() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.agent("bob", &[], 100);
    world.comes("t1", WorkClass::Chat, &[]);
    let age = world.ticket("t1").queued_at();
    world.pass(5_000);
    let (_, offer) = world.offered("t1").unwrap();
    world.run(decline("ada", &offer));
    let (agent, offer) = world.offered("t1").unwrap();
    assert_eq!((agent, world.ticket("t1").queued_at()), ("bob", age));
    // Both refused it now: it waits until the first cooldown is over.
    world.run(decline("bob", &offer));
    assert_eq!(*world.place("t1"), Place::Waiting);
    world.pass(10 * 60_000 - 1);
    assert_eq!(*world.place("t1"), Place::Waiting);
    world.pass(1);
    assert!(world.offered("t1").is_some());
    assert_eq!(world.ticket("t1").queued_at(), age);
}

#[test]
fn the_only_one_who_could_ever_take_it_is_asked_again_at_once() {
    let mut world = World::new();
    world.agent("ada", &[("de", 3)], 100);
    world.agent("bob", &[("de", 2)], 100);
    world.comes("t1", WorkClass::Chat, &[("de", 3)]);
    let (_, offer) = world.offered("t1").unwrap();
    world.run(decline("ada", &offer));
    let (agent, again) = world.offered("t1").unwrap();
    assert_eq!((agent, again.as_str()), ("ada", "offer-2"));
    // Bob learns: the next refusal counts.
    world.put_agent("bob", &[("de", 3)], &[], 100);
    world.run(decline("ada", &again));
    assert_eq!(world.offered("t1").unwrap().0, "bob");
}

#[test]
fn a_missed_offer_goes_on_to_the_next() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.agent("bob", &[], 100);
    world.comes("t1", WorkClass::Chat, &[]);
    let news = world.pass(30_000);
    assert_eq!(news, [], "the last instant still counts");
    world.pass(1);
    assert_eq!(world.offered("t1").unwrap().0, "bob");
    assert_eq!(world.used("ada"), 0);
}

#[test]
fn going_away_takes_offers_back_and_leaves_what_is_owned() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    world.comes("t1", WorkClass::Async, &[]);
    world.comes("t2", WorkClass::Chat, &[]);
    world.presence("ada", Presence::Busy);
    assert!(world.offered("t2").is_some());
    world.presence("ada", Presence::Away);
    assert_eq!(*world.place("t2"), Place::Waiting);
    assert_eq!(world.owner("t1"), Some("ada"));
    world.presence("ada", Presence::Available);
    assert!(world.offered("t2").is_some());
}

#[test]
fn a_lease_that_ends_makes_the_agent_offline() {
    let mut world = World::new();
    world.agent("ada", &[], 100);
    let agent = AgentId::trusted("ada");
    world.run(Command::SetPresence { agent, presence: Presence::Available, lease_ms: 20_000 });
    world.comes("t1", WorkClass::Chat, &[]);
    world.pass(20_000);
    assert_eq!(*world.place("t1"), Place::Waiting);
    let ada = AgentId::trusted("ada");
    assert_eq!(world.workspace().agent(&ada).unwrap().presence(), Presence::Offline);
}

#[test]
fn the_longest_idle_is_first_and_work_spreads() {
    let mut world = World::new();
    for id in ["ada", "bob", "cy"] {
        world.agent(id, &[], 100);
        world.pass(1_000);
    }
    for (ticket, agent) in [("t1", "ada"), ("t2", "bob"), ("t3", "cy"), ("t4", "ada")] {
        world.comes(ticket, WorkClass::Async, &[]);
        assert_eq!(world.owner(ticket), Some(agent));
    }
    let decision = world.ticket("t2").decision().unwrap();
    let order: Vec<_> = decision.candidates.iter().map(|one| one.agent.as_str()).collect();
    assert_eq!(order, ["bob", "cy", "ada"]);
    assert_eq!(decision.policy_version, "longest_idle/1");
    assert_eq!(decision.log_seq, 2, "the record that the context names");
    assert_eq!(decision.candidates[0].idle_ms, 2_000);
}

#[test]
fn urgent_goes_before_old() {
    let mut world = World::new();
    world.comes_urgent("t1", WorkClass::Voice, &[], Priority::P2);
    world.pass(1_000);
    world.comes_urgent("t2", WorkClass::Voice, &[], Priority::P1);
    world.comes_urgent("t3", WorkClass::Voice, &[], Priority::P4);
    let priority = Some(Priority::P1);
    world.run(Command::Reprioritise { ticket: TicketId::trusted("t3"), priority });
    world.agent("ada", &[], 100);
    assert!(world.offered("t2").is_some());
    assert_eq!(world.workspace().explain(&TicketId::trusted("t1"), 9).unwrap().place, 2);
    assert_eq!(world.workspace().explain(&TicketId::trusted("t3"), 9).unwrap().place, 1);
}

#[test]
fn freed_capacity_is_filled_at_once() {
    let mut world = World::new();
    world.agent("ada", &[], 60);
    for ticket in ["t1", "t2", "t3", "t4"] {
        world.comes(ticket, WorkClass::Async, &[]);
    }
    assert_eq!(*world.place("t4"), Place::Waiting);
    let news = world.run(Command::CompleteWork {
        agent: AgentId::trusted("ada"),
        ticket: TicketId::trusted("t1"),
        outcome: crate::words::WorkOutcome::Resolved,
        note: String::new(),
    });
    assert_eq!(world.owner("t4"), Some("ada"));
    assert!(matches!(news.last(), Some(Event::OfferAccepted { automatic: true, .. })));
    world.comes("t5", WorkClass::Async, &[]);
    assert_eq!(*world.place("t5"), Place::Waiting);
}

#[test]
fn a_ticket_that_nobody_could_ever_take_is_explained() {
    let mut world = World::new();
    world.queue("night", 1, "true", &[("night", 1)]);
    world.agent("ada", &[("de", 2)], 100);
    world.put_agent("bob", &[("de", 5)], &["night"], 100);
    world.comes("t1", WorkClass::Chat, &[("de", 4)]);
    let (id, queue) = (TicketId::trusted("t1"), kernel::QueueId::trusted("default"));
    let explained = world.workspace().explain(&id, 10).unwrap();
    assert!(explained.unroutable);
    let rules: Vec<_> = explained.verdicts.iter().map(|one| one.failed).collect();
    assert_eq!(rules, [Some(Rule::Skill), Some(Rule::Queue)]);
    assert_eq!(explained.verdicts[0].detail, "has de at level 2 and needs 4");
    assert_eq!(world.workspace().queue_stats(&queue).unwrap().unroutable, 1);
    world.put_agent("bob", &[("de", 5)], &[], 100);
    let stats = world.workspace().queue_stats(&queue).unwrap();
    assert_eq!((stats.waiting, stats.unroutable), (1, 0));
    world.presence("bob", Presence::Available);
    assert_eq!(world.offered("t1").unwrap().0, "bob");
}

#[test]
fn a_queue_is_asked_for_or_found_by_its_filter() {
    let mut world = World::new();
    world.queue("b", 2, "kind == 'two'", &[]);
    world.queue("a", 2, "kind == 'two'", &[]);
    world.queue("c", 1, "kind == 'one'", &[]);
    let choose = |asked: Option<&str>, holds: &str| {
        let asked = asked.map(kernel::QueueId::trusted);
        let facts = rules::Facts::new().with("kind", holds);
        let (queue, reason) = world.workspace().queue_for(asked.as_ref(), &facts);
        format!("{queue} {}", reason.as_str())
    };
    assert_eq!(choose(Some("b"), "one"), "b asked");
    assert_eq!(choose(Some("x"), "one"), "default unknown_queue");
    assert_eq!(choose(None, "two"), "a filter");
    assert_eq!(choose(None, "none"), "default default");
}

#[test]
fn the_filters_of_a_workspace_share_a_budget() {
    let mut world = World::new();
    let costly = "kind.contains('x') || kind.contains('y') || kind.contains('z')";
    let steps = u64::from(compiled(costly).unwrap().steps());
    let room = WORKSPACE_STEPS_MAX / steps;
    for number in 0..room {
        world.queue(&format!("q{number}"), 1, costly, &[]);
    }
    let known = world.workspace().queue(&QueueId::trusted("q0")).unwrap().settings().clone();
    let put = |id: &str, order| Command::PutQueue {
        queue: QueueId::trusted(id),
        settings: QueueSettings { order, ..known.clone() },
        expected_revision: 0,
    };
    let over = OverBudget { steps, others: room * steps };
    assert_eq!(world.try_run(put("more", 1)), Err(Rejection::FilterBudget(over)));
    // A queue that is changed takes the place of its old self.
    world.run(put("q0", 2));
    world.queue("q0", 2, "kind == 'x'", &[]);
    world.run(put("more", 1));
}
