//! What a walk says of logs that contradict themselves, and what it doesn't say of what it can't know.

use prost::Message;
use runtime::ServiceId;
use wire::events::v1 as events;
use wire::events::v1::{Commit, Event, Presence};

use super::{LogWalk, Scope};

const TICKET: &str = "t";
const AGENT: &str = "ada";

/// A walk, and the log that it is shown.
struct Rig {
    walk: LogWalk,
    seq: u64,
}

impl Rig {
    fn new(service: ServiceId, scope: Scope) -> Self {
        Self { walk: LogWalk::over(service, [1; 16], scope), seq: 0 }
    }

    /// Shows the next commit; returns the numbers of what is wrong with it.
    fn shows(&mut self, events: Vec<Event>) -> Vec<&'static str> {
        self.seq += 1;
        let commit = Commit { seq: self.seq, time_ns: self.seq, events, ..Commit::default() };
        let found = self.walk.take_commit(&commit);
        found.into_iter().map(|violation| violation.invariant).collect()
    }
}

fn event(name: &str, entity: &str, revision: u64, message: &impl Message) -> Event {
    Event {
        r#type: name.to_owned(),
        version: 1,
        workspace: "w".to_owned(),
        entity: entity.to_owned(),
        revision,
        data: message.encode_to_vec().into(),
        ..Event::default()
    }
}

fn agent(capacity_units: u32) -> Vec<Event> {
    let agent_id = AGENT.to_owned();
    let put = events::AgentPut { agent_id: agent_id.clone(), capacity_units, ..Default::default() };
    let presence = Presence::Available.into();
    let set = events::PresenceSet { agent_id, presence, ..Default::default() };
    vec![event("AgentPut", AGENT, 1, &put), event("PresenceSet", AGENT, 2, &set)]
}

fn queued(ticket: &str) -> Event {
    let ticket_id = ticket.to_owned();
    let queued = events::TicketQueued { ticket_id, cost_units: 20, ..Default::default() };
    event("TicketQueued", ticket, 1, &queued)
}

fn offered(ticket: &str, offer: &str, revision: u64) -> Event {
    let made = events::OfferMade {
        offer_id: offer.to_owned(),
        ticket_id: ticket.to_owned(),
        agent_id: AGENT.to_owned(),
        ..Default::default()
    };
    event("OfferMade", ticket, revision, &made)
}

fn declined(ticket: &str, offer: &str, revision: u64) -> Event {
    let declined = events::OfferDeclined {
        offer_id: offer.to_owned(),
        ticket_id: ticket.to_owned(),
        agent_id: AGENT.to_owned(),
        ..Default::default()
    };
    event("OfferDeclined", ticket, revision, &declined)
}

#[test]
fn a_ticket_is_offered_once_and_nobody_above_capacity() {
    for scope in [Scope::Everything, Scope::Whole, Scope::Since] {
        let mut rig = Rig::new(ServiceId::Routing, scope);
        assert!(rig.shows(agent(30)).is_empty());
        assert!(rig.shows(vec![queued(TICKET), offered(TICKET, "1", 2)]).is_empty());
        assert_eq!(rig.shows(vec![offered(TICKET, "2", 3)]), ["I18", "I19"], "{scope:?}");
        let mut rig = Rig::new(ServiceId::Routing, scope);
        assert!(rig.shows(agent(30)).is_empty());
        assert!(rig.shows(vec![queued(TICKET), offered(TICKET, "1", 2)]).is_empty());
        assert_eq!(rig.shows(vec![queued("u"), offered("u", "2", 2)]), ["I19"], "{scope:?}");
    }
}

#[test]
fn who_waits_while_somebody_has_room_is_found_when_it_begins() {
    let mut rig = Rig::new(ServiceId::Routing, Scope::Whole);
    assert!(rig.shows(vec![queued(TICKET), queued("u")]).is_empty(), "nobody is there");
    assert_eq!(rig.shows(agent(20)), ["I22"], "somebody came");
    assert!(rig.shows(vec![offered(TICKET, "1", 2)]).is_empty(), "u waits for room");
    // The only one who could take it is asked again, though it declined.
    assert_eq!(rig.shows(vec![declined(TICKET, "1", 3)]), ["I22"]);
    assert!(rig.shows(vec![offered("u", "2", 2)]).is_empty(), "its room is gone");
    let mut since = Rig::new(ServiceId::Routing, Scope::Since);
    assert!(since.shows(vec![queued(TICKET)]).is_empty());
    assert!(since.shows(agent(20)).is_empty(), "it may have tickets from before");
}

#[test]
fn nothing_is_said_of_what_was_before() {
    let met = events::ClockMet { clock_id: "c".to_owned(), ..Default::default() };
    let ended = events::AttemptEnded { delivery_id: "d".to_owned(), ..Default::default() };
    let changed = events::StatusChanged {
        ticket_id: TICKET.to_owned(),
        from: 2,
        to: 3,
        ..Default::default()
    };
    let shown = [
        (ServiceId::Routing, offered(TICKET, "1", 7), "I2"),
        (ServiceId::Sla, event("ClockMet", TICKET, 7, &met), "I25"),
        (ServiceId::Notify, event("AttemptEnded", "d", 7, &ended), "I35"),
        (ServiceId::Intake, event("StatusChanged", TICKET, 7, &changed), "I2"),
    ];
    for (service, event, number) in shown {
        let whole = Rig::new(service, Scope::Whole).shows(vec![event.clone()]);
        assert!(whole.contains(&number) && whole.contains(&"I4"), "{service}: {whole:?}");
        let mut since = Rig::new(service, Scope::Since);
        assert!(since.shows(vec![event.clone()]).is_empty(), "{service}");
        // But what has been seen once counts from then on.
        let again = since.shows(vec![event]);
        assert!(again.contains(&"I4"), "{service}: {again:?}");
    }
}

#[test]
fn a_walk_on_the_way_forgets_what_is_over() {
    for scope in [Scope::Whole, Scope::Since] {
        let mut rig = Rig::new(ServiceId::Notify, scope);
        let intended = events::IntentMade { delivery_id: "d".to_owned(), ..Default::default() };
        let over = events::AttemptEnded {
            delivery_id: "d".to_owned(),
            attempt: 1,
            outcome: events::AttemptOutcome::Delivered.into(),
            ..Default::default()
        };
        let before = rig.walk.kept();
        let all =
            vec![event("IntentMade", "d", 1, &intended), event("AttemptEnded", "d", 2, &over)];
        assert!(rig.shows(all).is_empty());
        let revisions = 1;
        let kept = rig.walk.kept() - before - revisions;
        assert_eq!(kept, usize::from(scope == Scope::Whole), "{scope:?}");
    }
}
