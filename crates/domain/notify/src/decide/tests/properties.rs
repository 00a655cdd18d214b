//! What holds for every history.

use proptest::prelude::*;

use super::*;

fn results() -> impl Strategy<Value = AttemptResult> {
    prop_oneof![
        prop_oneof![Just(200_u16), Just(302), Just(410), Just(429), Just(500)]
            .prop_map(|status| AttemptResult::Answered { status, retry_after_ms: Some(9_000) }),
        Just(AttemptResult::NotSent { error: "connect".to_owned() }),
        Just(AttemptResult::Lost { error: "timeout".to_owned() }),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    let types = ["ClockBreached", "TicketOpened", "TicketAssigned"];
    let way =
        prop_oneof![Just(webhook()), Just(Way::InApp(vec![Recipient::Owner, Recipient::All])),];
    let change = prop_oneof![
        Just(None),
        Just(opened().change),
        Just(Some(Change::Taken { agent: AgentId::trusted("ada") })),
        Just(Some(Change::Queued { queue: QueueId::trusted("q") })),
        Just(Some(Change::Prioritised { priority: None })),
    ];
    prop_oneof![
        1 => Just(Command::SeeWorkspace),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(disabled, at_most_once)| {
            Command::PutEndpoint(PutEndpoint { disabled, at_most_once, ..endpoint() })
        }),
        2 => (0..3_usize, way, any::<bool>()).prop_map(move |(n, way, disabled)| {
            Command::PutRule(PutRule { disabled, ..rule("tell", types[n], way) })
        }),
        6 => (1..4_u32, 1..6_u64, 0..3_usize, change, 0..3_u8).prop_map(move |(service, seq, n, change, ticket)| {
            let ticket = (ticket > 0).then(|| TicketId::trusted(&format!("t-{ticket}")));
            Command::Observe(Observe { ticket, change, ..seen(service, seq, types[n]) })
        }),
        4 => (0..4_usize, 1..4_u32, results()).prop_map(|(n, attempt, result)| {
            // The delivery is filled in from the state.
            end(&DeliveryId::trusted(&n.to_string()), attempt, result)
        }),
    ]
}

/// Aims an attempt's end at one that is in flight.
fn aimed(state: &State, command: Command) -> Command {
    let Command::EndAttempt(mut end) = command else { return command };
    let nth = end.delivery.as_str().parse().unwrap();
    if let Some((_, delivery)) = state.in_flight().nth(nth) {
        (end.delivery, end.attempt) = (delivery.id.clone(), delivery.attempts);
    }
    Command::EndAttempt(end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn repeating_an_accepted_command_decides_nothing_and_nothing_is_lost(
        steps in proptest::collection::vec((commands(), 0..400_000_i64), 1..60),
    ) {
        let (mut story, mut now) = (given::<Notify>([]), 0);
        let mut bodies = std::collections::BTreeMap::new();
        for (command, later) in steps {
            now += later;
            let command = aimed(&story.state, command);
            let Ok(facts) = Notify::decide(&story.state, &at(now), command.clone()) else { continue };
            for fact in &facts {
                Notify::evolve(&mut story.state, fact);
                if let Event::IntentMade(intent) = &fact.event {
                    let other = bodies.insert(intent.delivery.clone(), intent.body.clone());
                    prop_assert_eq!(other, None, "a second intent for one key");
                }
            }
            prop_assert_eq!(Notify::decide(&story.state, &at(now), command), Ok(vec![]));
            loop {
                let more = Notify::follow_up(&story.state, &at(now));
                if more.is_empty() { break }
                for fact in &more {
                    Notify::evolve(&mut story.state, fact);
                }
            }
            // After the follow-ups nothing of this workspace is due: it has started, or waits for a slot or an instant.
            prop_assert!(Notify::next_due(&story.state).is_none_or(|due| due.as_millis() > now));
            prop_assert!(story.state.in_flight().count() <= 8);
        }
    }

    #[test]
    fn no_history_makes_evolve_panic(
        steps in proptest::collection::vec((commands(), 0..400_000_i64), 1..30),
        shuffle in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let (mut story, mut history) = (begin([]), Vec::new());
        for (command, now) in steps {
            let command = aimed(&story.state, command);
            if let Ok(facts) = Notify::decide(&story.state, &at(now), command) {
                for fact in &facts {
                    Notify::evolve(&mut story.state, fact);
                }
                history.extend(facts);
            }
        }
        let mut state = State::default();
        if !history.is_empty() {
            for index in shuffle {
                Notify::evolve(&mut state, index.get(&history));
            }
        }
        let _ = Notify::next_due(&state);
        let _ = Notify::follow_up(&state, &at(1_000_000));
    }
}
