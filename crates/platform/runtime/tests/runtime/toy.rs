//! A service small enough to see through: it counts, copies another's counts, and rings when told to.

use std::collections::BTreeMap;

use kernel::{Actor, Context, Decider, Fact, Timestamp, WorkspaceId};
use prost::Message;
use runtime::{
    Call, DecodeError, EventType, InputError, InputEvent, Payload, RequestKey, Service, ServiceId,
    decode_event, written_version,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Added { by: u64 },
    Set { ring_at: i64 },
    Rang,
}

#[derive(Debug)]
pub(crate) enum Command {
    Add { by: u64 },
    Ring { at: i64 },
    Fire,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("nothing to add")]
    Nothing,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) sums: BTreeMap<WorkspaceId, u64>,
    pub(crate) rang: u64,
    pub(crate) ring_at: Option<i64>,
    revision: u64,
}

#[derive(Debug)]
pub(crate) struct Toy;

impl Decider for Toy {
    type Command = Command;
    type Event = Event;
    type State = State;
    type Rejection = Rejection;

    fn decide(
        state: &State,
        context: &Context,
        command: Command,
    ) -> Result<Vec<Fact<Event>>, Rejection> {
        let event = match command {
            Command::Add { by: 0 } => return Err(Rejection::Nothing),
            Command::Add { by } => Event::Added { by },
            Command::Ring { at } => Event::Set { ring_at: at },
            Command::Fire if state.ring_at.is_none() => return Ok(vec![]),
            Command::Fire => Event::Rang,
        };
        Ok(vec![Fact {
            workspace: context.workspace.clone(),
            entity: (&context.workspace).into(),
            revision: state.revision + 1,
            at: context.at,
            actor: context.actor.clone(),
            event,
        }])
    }

    fn evolve(state: &mut State, fact: &Fact<Event>) {
        state.revision = fact.revision;
        match fact.event {
            Event::Added { by } => *state.sums.entry(fact.workspace.clone()).or_default() += by,
            Event::Set { ring_at } => state.ring_at = Some(ring_at),
            Event::Rang => {
                state.rang += 1;
                state.ring_at = None;
            }
        }
    }

    fn next_due(state: &State) -> Option<Timestamp> {
        state.ring_at.map(Timestamp::from_millis)
    }

    fn due(state: &State, now: Timestamp) -> Vec<(WorkspaceId, Command)> {
        let due = state.ring_at.is_some_and(|at| at <= now.as_millis());
        due.then(|| (WorkspaceId::trusted("w"), Command::Fire)).into_iter().collect()
    }
}

fn encode(event: &Event) -> Payload {
    let (event_type, data) = match event {
        Event::Added { by } => ("Added", by.encode_to_vec()),
        Event::Set { ring_at } => ("Set", ring_at.encode_to_vec()),
        Event::Rang => ("Rang", Vec::new()),
    };
    Payload { event_type, version: written_version(EVENTS, event_type), data: data.into() }
}

/// Every type of event in a toy's log.
pub(crate) const EVENTS: &[EventType<Event>] = &[
    EventType::new("Added", 1, |stored| Ok(Event::Added { by: stored.message()? })),
    EventType::new("Set", 1, |stored| Ok(Event::Set { ring_at: stored.message()? })),
    EventType::new("Rang", 1, |_| Ok(Event::Rang)),
];

fn decode(input: &InputEvent<'_>) -> Result<Event, DecodeError> {
    decode_event(EVENTS, &input.event.r#type, input.event.version, &input.event.data)
}

/// Counts what it is asked to.
#[derive(Debug)]
pub(crate) struct Source;

impl Service for Source {
    type Decider = Toy;
    const ID: ServiceId = ServiceId::Intake;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [EventType<Event>] = EVENTS;

    fn encode(&self, event: &Event) -> Payload {
        encode(event)
    }

    fn react(&self, _: &State, _: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        Ok(vec![])
    }
}

/// While true, the [`Copier`] of a test that mends itself can stand 13.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mended(pub(crate) std::sync::Arc<std::sync::atomic::AtomicBool>);

/// A [`Copier`] that can be mended.
#[derive(Debug)]
pub(crate) struct Mendable(pub(crate) Mended);

impl Service for Mendable {
    type Decider = Toy;
    const ID: ServiceId = ServiceId::Sla;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Intake];
    const EVENTS: &'static [EventType<Event>] = EVENTS;

    fn encode(&self, event: &Event) -> Payload {
        encode(event)
    }

    fn react(&self, state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        match decode(input) {
            Ok(Event::Added { by }) if self.0.0.load(std::sync::atomic::Ordering::SeqCst) => {
                Ok(vec![Command::Add { by }])
            }
            Ok(_) | Err(_) => Copier.react(state, input),
        }
    }
}

/// Copies what the source counts, can't stand 13, and rings only once it has heard all.
#[derive(Debug)]
pub(crate) struct Copier;

impl Service for Copier {
    type Decider = Toy;
    const ID: ServiceId = ServiceId::Sla;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Intake];
    const EVENTS: &'static [EventType<Event>] = EVENTS;
    const CONFIRM_BEFORE_TIMERS: bool = true;

    fn encode(&self, event: &Event) -> Payload {
        encode(event)
    }

    fn react(&self, _: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        match decode(input) {
            Ok(Event::Added { by: 13 }) => Err(InputError("13 brings bad luck".into())),
            Ok(Event::Added { by }) => Ok(vec![Command::Add { by }]),
            Ok(Event::Set { .. } | Event::Rang) => Ok(vec![]),
            Err(error) => Err(InputError(error.to_string())),
        }
    }
}

/// A call to add.
pub(crate) fn add<S: Service<Decider = Toy>>(workspace: &str, by: u64) -> Call<S> {
    call(workspace, Command::Add { by })
}

pub(crate) fn call<S: Service<Decider = Toy>>(workspace: &str, command: Command) -> Call<S> {
    let of = WorkspaceId::trusted(workspace);
    Call {
        workspace: of.clone(),
        method: "Add",
        request: None,
        actor: Actor::Backend,
        command,
        render: Box::new(move |state, _| {
            state.sums.get(&of).copied().unwrap_or(0).to_le_bytes().to_vec()
        }),
    }
}

/// The same call under a request id.
pub(crate) fn with_id<S: Service>(mut call: Call<S>, id: &str, hash: u64) -> Call<S> {
    call.request = Some(RequestKey { id: id.to_owned(), hash });
    call
}
