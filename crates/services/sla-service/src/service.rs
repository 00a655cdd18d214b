//! Sla as the runtime sees it.

use kernel::{Timestamp, WorkspaceId};
use runtime::{EventType, InputError, InputEvent, Parked, Payload, Service, ServiceId};
use sla::{Command, Event, Sla, State};

use crate::{codec, reactions};

/// Sla: its rules over its log.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlaService;

impl Service for SlaService {
    type Decider = Sla;

    const ID: ServiceId = ServiceId::Sla;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Intake, ServiceId::Routing];
    const EVENTS: &'static [EventType<Event>] = codec::EVENTS;
    const STATE_VERSION: u32 = 4;
    /// A breach is decided only once every reply that the log held by then was read.
    const CONFIRM_BEFORE_TIMERS: bool = true;

    fn encode(&self, event: &Event) -> Payload {
        codec::encode(event)
    }

    fn react(&self, _state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        reactions::react(input)
    }
    /// A ticket with inputs set aside is doubtful: nothing is decided about its clocks.
    fn next_due(&self, state: &State, _: u16, parked: Parked<'_>) -> Option<Timestamp> {
        Sla::next_due_but(state, |workspace, ticket| {
            parked.holds(workspace.as_str(), ticket.as_str())
        })
    }

    fn due(
        &self,
        state: &State,
        _: u16,
        now: Timestamp,
        parked: Parked<'_>,
    ) -> Vec<(WorkspaceId, Command)> {
        Sla::due_but(state, now, |workspace, ticket| {
            parked.holds(workspace.as_str(), ticket.as_str())
        })
    }
}
