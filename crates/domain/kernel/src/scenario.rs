//! Given / when / then, for the deciders' own tests.
//!
//! ```ignore
//! given::<Ticket>([]).when(&context, open).then([opened]).when(&context, close).then([closed]);
//! ```

use crate::{Context, Decider, Fact};

/// A history, and the state that it makes.
#[derive(Debug)]
pub struct Given<D: Decider> {
    /// The state now.
    pub state: D::State,
}

/// An answer to a command, to be checked.
#[derive(Debug)]
pub struct When<D: Decider> {
    given: Given<D>,
    context: Context,
    answer: Result<Vec<Fact<D::Event>>, D::Rejection>,
}

/// Begins with a history.
pub fn given<D: Decider>(history: impl IntoIterator<Item = Fact<D::Event>>) -> Given<D> {
    let mut state = D::State::default();
    for fact in history {
        D::evolve(&mut state, &fact);
    }
    Given { state }
}

impl<D: Decider> Given<D> {
    /// Asks for something. Facts that follow at once come after the command's own.
    pub fn when(self, context: &Context, command: D::Command) -> When<D> {
        let answer = D::decide(&self.state, context, command);
        When { given: self, context: context.clone(), answer }
    }

    /// Lets time pass: decides all that is due at the context's instant.
    pub fn when_due(self, context: &Context) -> When<D> {
        let mut answer = Ok(Vec::new());
        for (workspace, command) in D::due(&self.state, context.at) {
            let context = Context { workspace, ..context.clone() };
            match (D::decide(&self.state, &context, command), &mut answer) {
                (Ok(facts), Ok(all)) => all.extend(facts),
                (Err(rejection), _) => answer = Err(rejection),
                (Ok(_), Err(_)) => {}
            }
        }
        When { given: self, context: context.clone(), answer }
    }
}

impl<D: Decider> When<D> {
    /// The events must be these, those that follow at once included. Returns the longer history.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) -> Given<D> {
        let (given, facts) = self.happen();
        let events: Vec<_> = facts.into_iter().map(|fact| fact.event).collect();
        assert_eq!(events, expected.into_iter().collect::<Vec<_>>());
        given
    }

    /// The command must be refused for this reason, and nothing changes.
    #[track_caller]
    pub fn then_rejected(self, expected: &D::Rejection) -> Given<D> {
        assert_eq!(self.answer.as_ref().err(), Some(expected), "the answer was {:?}", self.answer);
        self.given
    }

    /// The facts, those that follow at once included, and the longer history: for tests that look at a part of them.
    #[track_caller]
    pub fn happen(self) -> (Given<D>, Vec<Fact<D::Event>>) {
        let Self { mut given, context, answer } = self;
        let mut facts = match answer {
            Ok(facts) => facts,
            Err(rejection) => {
                assert_eq!(Some(rejection), None, "the command was refused");
                return (given, Vec::new());
            }
        };
        for fact in &facts {
            D::evolve(&mut given.state, fact);
        }
        loop {
            let more = D::follow_up(&given.state, &context);
            if more.is_empty() {
                return (given, facts);
            }
            for fact in &more {
                D::evolve(&mut given.state, fact);
            }
            facts.extend(more);
        }
    }
}
