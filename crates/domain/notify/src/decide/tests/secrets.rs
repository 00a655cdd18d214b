//! Endpoints' secrets: changed, known again, put under another key.

use super::*;

#[test]
fn a_new_secret_signs_beside_the_one_before() {
    let with = |secret: &str| {
        Command::PutEndpoint(PutEndpoint { secret: Some(given_secret(secret)), ..endpoint() })
    };
    let mut story = begin([]);
    for (secret, expected) in [("a", ["a", "fresh"]), ("b", ["b", "a"]), ("a", ["a", "b"])] {
        story = run(story, 0, with(secret)).0;
        let endpoint = story.state.workspace(&at(0).workspace).unwrap();
        let secrets = &endpoint.endpoint(&EndpointId::trusted("hook")).unwrap().secrets;
        assert_eq!(*secrets, expected.map(|secret| sealed("1", secret)));
    }
    let (_, events) = run(story, 0, Command::PutEndpoint(endpoint()));
    assert_eq!(events, [], "without a secret the ones it has are kept");
}

fn secrets(story: &Given<Notify>) -> Vec<SealedSecret> {
    let workspace = story.state.workspace(&at(0).workspace).unwrap();
    workspace.endpoint(&EndpointId::trusted("hook")).unwrap().secrets.clone()
}

#[test]
fn a_secret_is_known_again_under_another_key_and_can_be_put_under_it() {
    let again = |secret| PutEndpoint { secret: Some(given_secret(secret)), ..endpoint() };
    let old = PutEndpoint { fresh: sealed("2", "a"), ..endpoint() };
    let reseal = |from: SealedSecret| {
        let to = SealedSecret { key_id: "1".to_owned(), ..from.clone() };
        Command::Reseal(Reseal { endpoint: EndpointId::trusted("hook"), from, to })
    };
    let story = given::<Notify>([]);
    let story = [Command::SeeWorkspace, Command::PutEndpoint(old)]
        .into_iter()
        .fold(story, |story, command| run(story, 0, command).0);
    let (story, events) = run(story, 0, Command::PutEndpoint(again("a")));
    assert_eq!(events, [], "the same secret, though its sealing is another");
    let (story, events) = run(story, 0, Command::PutEndpoint(again("b")));
    assert_eq!(events.len(), 1);
    assert_eq!(secrets(&story), [sealed("1", "b"), sealed("2", "a")]);
    let (story, events) = run(story, 0, reseal(sealed("2", "a")));
    assert!(matches!(&events[..], [Event::EndpointPut(_)]));
    assert_eq!(secrets(&story), [sealed("1", "b"), sealed("1", "a")]);
    let (story, events) = run(story, 0, reseal(sealed("2", "a")));
    assert_eq!(events, [], "once");
    let (_, events) = run(story, 0, reseal(sealed("2", "c")));
    assert_eq!(events, [], "it was changed meanwhile");
}
