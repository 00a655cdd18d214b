//! More matches than one decision makes, and more deadlines than one workspace's: what is left is due at once, in
//! turns.

use super::*;

/// Decides a command as a leader does: once so many facts have come, it leaves what follows.
fn decide(world: &mut World, command: Command, facts_at_once: usize) -> usize {
    let context = world.context();
    let mut facts = Routing::decide(&world.state, &context, command).unwrap();
    world.take(&facts);
    let mut count = 0;
    while !facts.is_empty() {
        count += facts.len();
        if count >= facts_at_once {
            break;
        }
        facts = Routing::follow_up(&world.state, &context);
        world.take(&facts);
    }
    count
}

fn open_to_all(world: &mut World) -> Command {
    let mut settings =
        world.workspace().queue(&QueueId::trusted("default")).unwrap().settings().clone();
    settings.required_skills = Vec::new();
    Command::PutQueue { queue: QueueId::trusted("default"), settings, expected_revision: 0 }
}

/// Twenty agents, whom nothing in the queue is for, and eighty tickets.
fn blocked() -> World {
    let mut world = World::new();
    world.queue("default", i32::MAX, "", &[("rare", 3)]);
    for agent in 0..20 {
        world.agent(&format!("a{agent}"), &[], 100);
    }
    for ticket in 0..80 {
        world.comes(&format!("t{ticket}"), WorkClass::Async, &[]);
    }
    world
}

#[test]
fn matches_that_one_decision_leaves_are_due_at_once_and_come_to_the_same() {
    let mut at_once = blocked();
    let put = open_to_all(&mut at_once);
    at_once.run(put.clone());

    let mut in_steps = blocked();
    let mut decisions = 1;
    assert!(decide(&mut in_steps, put, 16) <= 17, "it is bounded");
    while let Some(due) = Routing::next_due(&in_steps.state).filter(|due| *due <= in_steps.now) {
        assert_eq!(due, Timestamp::from_millis(i64::MIN));
        let [(workspace, command)] =
            <[_; 1]>::try_from(Routing::due(&in_steps.state, in_steps.now)).unwrap();
        assert_eq!((workspace.as_str(), &command), ("w", &Command::Match));
        // A crash in between: what the log has is the state.
        let mut state = State::default();
        in_steps.facts.iter().for_each(|fact| Routing::evolve(&mut state, fact));
        assert_eq!(state, in_steps.state);
        assert!(decide(&mut in_steps, command, 16) > 0, "each step brings it nearer");
        decisions += 1;
    }
    assert!(decisions > 5, "{decisions}");
    assert_eq!(in_steps.state, at_once.state);
    assert_eq!(in_steps.facts, at_once.facts);
}

#[test]
fn the_tickets_of_an_owner_who_stays_away_go_back_in_steps() {
    let mut world = World::new();
    world.agent("ann", &[], 100);
    let many = 2 * crate::REQUEUED_AT_ONCE + 5;
    for ticket in 0..many {
        let id = format!("t{ticket}");
        world.comes(&id, WorkClass::Async, &[]);
        world.run(Command::AssignTicket {
            ticket: TicketId::trusted(&id),
            agent: AgentId::trusted("ann"),
            reason: String::new(),
        });
        world.status(&id, TicketStatus::Open, TicketStatus::Pending);
    }
    world.presence("ann", Presence::Offline);
    for ticket in 0..many {
        world.status(&format!("t{ticket}"), TicketStatus::Pending, TicketStatus::Open);
    }
    let due = Routing::next_due(&world.state).unwrap();
    world.now = due;
    let mut steps = 0;
    while Routing::next_due(&world.state).is_some_and(|at| at <= due) {
        for (_, command) in Routing::due(&world.state, world.now) {
            assert!(decide(&mut world, command, 64) <= crate::REQUEUED_AT_ONCE);
            steps += 1;
        }
    }
    assert_eq!(steps, 3);
    assert!((0..many).all(|ticket| *world.place(&format!("t{ticket}")) == Place::Waiting));
}

#[test]
fn deadlines_of_one_workspace_delay_none_of_another() {
    let mut state = State::default();
    let mut tell = |workspace: &str, at: i64, command: Command| {
        let context = Context {
            workspace: WorkspaceId::trusted(workspace),
            at: Timestamp::from_millis(at),
            actor: Actor::Backend,
            record: 2,
        };
        for fact in Routing::decide(&state, &context, command).unwrap() {
            Routing::evolve(&mut state, &fact);
        }
    };
    for (workspace, agents, at) in [("flood", 500, 0), ("calm", 2, 10)] {
        tell(workspace, at, Command::SeeWorkspace);
        for agent in 0..agents {
            let agent = AgentId::trusted(&format!("a{agent}"));
            let settings = AgentSettings {
                display_name: String::new(),
                skills: Vec::new(),
                queues: Vec::new(),
                capacity_units: 100,
            };
            let put = Command::PutAgent { agent: agent.clone(), settings, expected_revision: 0 };
            tell(workspace, at, put);
            let presence = Presence::Available;
            tell(workspace, at, Command::SetPresence { agent, presence, lease_ms: 1_000 });
        }
    }
    let due = state.leases_due(Timestamp::from_millis(5_000));
    let calm: Vec<_> =
        (0..).zip(&due).filter(|(_, (_, of, _))| of.as_str() == "calm").map(|(at, _)| at).collect();
    assert_eq!((calm, due.len()), (vec![1, 3], crate::DUE_MAX));
}
