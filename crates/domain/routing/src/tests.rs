//! A small world to tell stories in: commands go in, everything that follows happens, and the invariants are checked
//! each time.

mod invariants;
mod matches;
mod offers;
mod properties;
mod work;

use kernel::{
    Actor, AgentId, Context, Decider, Fact, OfferId, Priority, QueueId, SkillId, SkillLevel,
    SkillRequirement, TicketId, TicketStatus, Timestamp, WorkspaceId,
};
use rules::{Names, Rule, Shape};

use crate::event::{AgentSettings, QueueSettings};
use crate::state::{Place, State, Ticket, Workspace};
use crate::words::{OfferMode, Presence, QueueReason, WorkClass};
use crate::{Command, Event, NewTicket, Rejection, Routing};

#[derive(Debug)]
struct World {
    state: State,
    now: Timestamp,
    facts: Vec<Fact<Event>>,
}

impl World {
    /// A workspace `w` at second 1,000.
    fn new() -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let mut world = Self { state: State::default(), now, facts: Vec::new() };
        world.run(Command::SeeWorkspace);
        world
    }

    fn context(&self) -> Context {
        Context {
            workspace: WorkspaceId::trusted("w"),
            at: self.now,
            actor: Actor::Backend,
            record: 2,
        }
    }

    fn workspace(&self) -> &Workspace {
        self.state.workspace(&WorkspaceId::trusted("w")).unwrap()
    }

    fn ticket(&self, id: &str) -> &Ticket {
        self.workspace().ticket(&TicketId::trusted(id)).unwrap()
    }

    fn place(&self, id: &str) -> &Place {
        self.ticket(id).place()
    }

    fn owner(&self, id: &str) -> Option<&str> {
        self.ticket(id).owner().map(AgentId::as_str)
    }

    /// Who the ticket is offered to, and the offer.
    fn offered(&self, id: &str) -> Option<(&str, OfferId)> {
        let Place::Offered(number) = self.place(id) else { return None };
        let offer = &self.workspace().offers[number];
        Some((offer.agent.as_str(), crate::state::offer_id(*number)))
    }

    fn used(&self, agent: &str) -> u32 {
        self.workspace().agent(&AgentId::trusted(agent)).unwrap().used_units()
    }

    /// Decides a command and lets happen what follows; returns all of it.
    #[track_caller]
    fn try_run(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        let context = self.context();
        let mut news = Routing::decide(&self.state, &context, command.clone())?;
        self.take(&news);
        match Routing::decide(&self.state, &context, command) {
            Ok(again) => assert_eq!(again, [], "a repetition decides nothing"),
            Err(_no_more) => {}
        }
        for _ in 0..10_000 {
            let more = Routing::follow_up(&self.state, &context);
            if more.is_empty() {
                invariants::check(self, &news);
                return Ok(news.into_iter().map(|fact| fact.event).collect());
            }
            self.take(&more);
            invariants::check_match(self, &more);
            news.extend(more);
        }
        panic!("what follows has no end");
    }

    fn take(&mut self, facts: &[Fact<Event>]) {
        for fact in facts {
            invariants::check_revision(self, fact);
            Routing::evolve(&mut self.state, fact);
            self.facts.push(fact.clone());
        }
    }

    #[track_caller]
    fn run(&mut self, command: Command) -> Vec<Event> {
        self.try_run(command).unwrap()
    }

    /// Time passes; what becomes due on the way happens at its instant.
    #[track_caller]
    fn pass(&mut self, millis: u64) -> Vec<Event> {
        let end = self.now.plus_millis(millis);
        let mut news = Vec::new();
        while let Some(at) = Routing::next_due(&self.state).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let due = Routing::due(&self.state, self.now);
            assert!(!due.is_empty(), "something is due at its instant");
            let before = self.facts.len();
            for (_, command) in due {
                news.extend(self.run(command));
            }
            assert!(self.facts.len() > before, "what is due happens");
        }
        self.now = end;
        news
    }

    fn agent(&mut self, id: &str, skills: &[(&str, u32)], capacity: u32) {
        self.put_agent(id, skills, &[], capacity);
        self.presence(id, Presence::Available);
    }

    fn put_agent(&mut self, id: &str, skills: &[(&str, u32)], queues: &[&str], capacity: u32) {
        let level = |level| SkillLevel::new(level).unwrap();
        let settings = AgentSettings {
            display_name: id.to_owned(),
            skills: skills.iter().map(|(id, at)| (SkillId::trusted(id), level(*at))).collect(),
            queues: queues.iter().map(|id| QueueId::trusted(id)).collect(),
            capacity_units: capacity,
        };
        self.run(Command::PutAgent { agent: AgentId::trusted(id), settings, expected_revision: 0 });
    }

    fn presence(&mut self, id: &str, presence: Presence) -> Vec<Event> {
        self.run(Command::SetPresence { agent: AgentId::trusted(id), presence, lease_ms: 0 })
    }

    fn queue(&mut self, id: &str, order: i32, filter: &str, skills: &[(&str, u32)]) {
        self.run(Command::PutQueue {
            queue: QueueId::trusted(id),
            settings: QueueSettings {
                display_name: id.to_owned(),
                order,
                filter: compiled(filter),
                required_skills: requirements(skills),
                offer_mode: OfferMode::ByClass,
                accept_within_ms: 0,
            },
            expected_revision: 0,
        });
    }

    /// A ticket of a class comes; its id ends in its number.
    fn comes(&mut self, id: &str, class: WorkClass, skills: &[(&str, u32)]) -> Vec<Event> {
        self.comes_urgent(id, class, skills, Priority::P3)
    }

    fn comes_urgent(
        &mut self,
        id: &str,
        class: WorkClass,
        skills: &[(&str, u32)],
        priority: Priority,
    ) -> Vec<Event> {
        self.run(Command::QueueTicket(Box::new(NewTicket {
            ticket: TicketId::trusted(id),
            number: id.trim_start_matches(char::is_alphabetic).parse().unwrap(),
            queue: QueueId::trusted("default"),
            reason: QueueReason::Default,
            class,
            priority: Some(priority),
            skills: requirements(skills),
            opened_at: self.now,
        })))
    }

    fn status(&mut self, id: &str, from: TicketStatus, to: TicketStatus) -> Vec<Event> {
        let answered = to == TicketStatus::Open && from != TicketStatus::New;
        self.run(Command::FollowStatus { ticket: TicketId::trusted(id), from, to, answered })
    }
}

/// A filter over these tests' only fact.
fn compiled(filter: &str) -> Option<Rule> {
    const KIND: Names = Names(&[("kind", Shape::Text { bytes: 64 * 1024 })]);
    (!filter.is_empty()).then(|| Rule::compile(filter, KIND).unwrap())
}

fn requirements(skills: &[(&str, u32)]) -> Vec<SkillRequirement> {
    let one = |(id, level): &(&str, u32)| SkillRequirement {
        skill: SkillId::trusted(id),
        min_level: SkillLevel::new(*level).unwrap(),
    };
    skills.iter().map(one).collect()
}
