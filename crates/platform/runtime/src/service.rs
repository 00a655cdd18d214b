//! What a service plugs into the runtime.

use std::fmt::Debug;

use bytes::Bytes;
use kernel::{Decider, Fact, Timestamp, WorkspaceId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::events::v1::Event as StoredEvent;

use crate::event_type::{DecodeError, EventType, Stored, Upcasters, decode_event};
use crate::metrics::Counted;
use crate::{PartitionHandle, ServiceId, TraceContext};

/// A service's command.
pub type Command<S> = <<S as Service>::Decider as Decider>::Command;
/// A service's event.
pub type Event<S> = <<S as Service>::Decider as Decider>::Event;
/// A service's state, of one partition.
pub type State<S> = <<S as Service>::Decider as Decider>::State;
/// A service's refusals.
pub type Rejection<S> = <<S as Service>::Decider as Decider>::Rejection;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The name of its message in `switchyard.events.v1`.
    pub event_type: &'static str,
    /// The message's version, from 1.
    pub version: u32,
    /// The encoded message.
    pub data: Bytes,
}

/// Why an input can't be applied: it is parked, and later ones of its entity behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// An event of another service.
#[derive(Debug, Clone, Copy)]
pub struct InputEvent<'a> {
    /// Whose event.
    pub service: ServiceId,
    /// The partition: the same as ours.
    pub partition: u16,
    /// Its record.
    pub seq: u64,
    /// Its place in the record, from 0.
    pub index: u32,
    /// When its commit was written, by its writer's clock.
    pub committed_at: Timestamp,
    /// The event.
    pub event: &'a StoredEvent,
}

impl InputEvent<'_> {
    /// Its payload, as the message that its type names, of a type that has only ever had one version.
    pub fn payload<M: prost::Message + Default + 'static>(&self) -> Result<M, InputError> {
        self.upcast(&Upcasters(&[]))
    }

    /// Its payload in the version of today; a later one is set aside until a release comes that knows it.
    pub fn upcast<M: prost::Message + Default>(
        &self,
        upcasters: &Upcasters<M>,
    ) -> Result<M, InputError> {
        Stored::new(self.event.version, &self.event.data)
            .upcast(upcasters)
            .map_err(|error| InputError(format!("{}: {error}", self.event.r#type)))
    }

    /// When it happened.
    pub const fn occurred_at(&self) -> Timestamp {
        Timestamp::from_millis(self.event.occurred_at_ms)
    }
}

/// An effect, to be started once the facts that ask for it are in the log. Must not block.
pub type Effect<S> = Box<dyn FnOnce(&PartitionHandle<S>) + Send>;

/// Which entities have inputs set aside.
#[derive(Debug, Clone, Copy)]
pub struct Parked<'a>(pub(crate) &'a crate::meta::Meta);

impl Parked<'_> {
    /// Whether any entity has.
    pub fn is_empty(self) -> bool {
        self.0.parked.is_empty()
    }

    /// Whether this entity of any followed service has.
    pub fn holds(self, workspace: &str, entity: &str) -> bool {
        let held = |service| self.0.is_parked(service, workspace, entity);
        !self.is_empty() && ServiceId::ALL.into_iter().any(held)
    }
}

/// A service: its rules, its stored form, and what it makes of other services' events. One value per process.
pub trait Service: Debug + Send + Sync + Sized + 'static {
    /// The rules.
    type Decider: Decider<State: Serialize + DeserializeOwned + Sync>;

    /// Which service.
    const ID: ServiceId;

    /// Whose events it follows.
    const INPUTS: &'static [ServiceId];

    /// True: timers fire only once every input was read up to a head that was seen at or after the due instant.
    const CONFIRM_BEFORE_TIMERS: bool = false;

    /// The version of the state's serde layout and of `evolve`. Raise it when either changes; older snapshots are then
    /// set aside.
    const STATE_VERSION: u32 = 1;

    /// Every type of event that its log may hold.
    const EVENTS: &'static [EventType<Event<Self>>];

    /// What it counts of its own, for its operator.
    fn counted(&self) -> Vec<Counted> {
        Vec::new()
    }

    /// An event as it is stored.
    fn encode(&self, event: &Event<Self>) -> Payload;

    /// Reads a stored event of any version ever written. Only a double that stands for a service in a test has a reason
    /// to do it otherwise.
    fn decode(
        &self,
        event_type: &str,
        version: u32,
        data: &Bytes,
    ) -> Result<Event<Self>, DecodeError> {
        decode_event(Self::EVENTS, event_type, version, data)
    }

    /// What an event of another service asks for. Pure. A rejection of one of these commands is no error: the wish is
    /// moot.
    fn react(
        &self,
        state: &State<Self>,
        input: &InputEvent<'_>,
    ) -> Result<Vec<Command<Self>>, InputError>;

    /// What a new leader asks for before it serves; must be moot where it holds already.
    fn bootstrap(
        &self,
        _state: &State<Self>,
        _partition: u16,
        _partitions: u16,
    ) -> Vec<(WorkspaceId, Command<Self>)> {
        Vec::new()
    }

    /// This process begins to follow the partition without leading it, be it at the start or because another took over.
    /// What takes long to build for a leader may be begun here; volatile memory of a leader means nothing from now on.
    fn on_follow(&self, _partition: &PartitionHandle<Self>) {}

    /// Leadership begins, and the state is complete: volatile memory starts anew, broken-off effects are taken up.
    fn on_lead(&self, _state: &State<Self>, _now: Timestamp, _partition: &PartitionHandle<Self>) {}

    /// A fact was decided, and the state has it: volatile memory keeps step. If the log never acknowledges it,
    /// leadership ends, and the next begins anew. Never called on replay.
    fn on_decided(&self, _partition: u16, _fact: &Fact<Event<Self>>) {}

    /// The effects that facts which were decided at once ask for, by the state right after them. They are started once
    /// the log has acknowledged the facts, and dropped if it never does. `trace`: what the facts belong to. Never
    /// called on replay.
    fn effects(
        &self,
        _state: &State<Self>,
        _facts: &[Fact<Event<Self>>],
        _trace: Option<TraceContext>,
    ) -> Vec<Effect<Self>> {
        Vec::new()
    }

    /// Whether an effect is in flight.
    fn busy(&self, _state: &State<Self>) -> bool {
        false
    }

    /// See [`Decider::next_due`]; a service with volatile deadlines, or one that decides nothing about entities with
    /// inputs set aside, overrides it and [`due`](Self::due) alike.
    fn next_due(
        &self,
        state: &State<Self>,
        _partition: u16,
        _parked: Parked<'_>,
    ) -> Option<Timestamp> {
        Self::Decider::next_due(state)
    }

    /// See [`Decider::due`].
    fn due(
        &self,
        state: &State<Self>,
        _partition: u16,
        now: Timestamp,
        _parked: Parked<'_>,
    ) -> Vec<(WorkspaceId, Command<Self>)> {
        Self::Decider::due(state, now)
    }
}
