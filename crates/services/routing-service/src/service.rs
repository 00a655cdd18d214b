//! Routing as the runtime takes it.

use kernel::{Decider, Fact, Timestamp, WorkspaceId};
use routing::{Command, Event, Routing, State};
use runtime::{
    EventType, InputError, InputEvent, Parked, PartitionHandle, Payload, Service, ServiceId,
};

use crate::leases::Leases;
use crate::{codec, reactions};

/// Routing: its rules, their stored form, and the leases of the partitions led here.
#[derive(Debug, Default)]
pub struct RoutingService {
    leases: Leases,
}

impl RoutingService {
    /// Makes the service.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }
}

impl Service for RoutingService {
    type Decider = Routing;

    const ID: ServiceId = ServiceId::Routing;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Intake];
    const EVENTS: &'static [EventType<Event>] = codec::EVENTS;
    const STATE_VERSION: u32 = 3;

    fn encode(&self, event: &Event) -> Payload {
        codec::encode(event)
    }

    fn react(&self, state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        reactions::react(state, input)
    }

    fn on_lead(&self, state: &State, now: Timestamp, partition: &PartitionHandle<Self>) {
        self.leases.grant_anew(partition.id(), state, now);
    }

    fn on_decided(&self, partition: u16, fact: &Fact<Event>) {
        self.leases.note(partition, fact);
    }

    fn next_due(&self, state: &State, partition: u16, _: Parked<'_>) -> Option<Timestamp> {
        let lease = self.leases.first(partition, state.next_lease());
        state.next_timer().into_iter().chain(lease).chain(state.next_match()).min()
    }

    fn due(
        &self,
        state: &State,
        partition: u16,
        now: Timestamp,
        _: Parked<'_>,
    ) -> Vec<(WorkspaceId, Command)> {
        let Some(leases) = self.leases.due(partition, now) else {
            return Routing::due(state, now);
        };
        let mut due = state.timers_due(now);
        due.extend(leases);
        due.sort_by_key(|(at, ..)| *at);
        let deadlines = due.into_iter().map(|(_, workspace, command)| (workspace, command));
        deadlines.chain(state.matches_due()).collect()
    }
}
