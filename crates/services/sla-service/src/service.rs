//! Sla as the runtime sees it.

use runtime::{DecodeError, InputError, InputEvent, Payload, Service, ServiceId};
use sla::{Command, Event, Sla, State};

use crate::{codec, reactions};

/// Sla: its rules over its log.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlaService;

impl Service for SlaService {
    type Decider = Sla;

    const ID: ServiceId = ServiceId::Sla;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Intake, ServiceId::Routing];
    /// A breach is decided only once every reply that the log held by then was read.
    const CONFIRM_BEFORE_TIMERS: bool = true;

    fn encode(&self, event: &Event) -> Payload {
        codec::encode(event)
    }

    fn decode(&self, event_type: &str, version: u32, data: &[u8]) -> Result<Event, DecodeError> {
        codec::decode(event_type, version, data)
    }

    fn react(&self, _state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        reactions::react(input)
    }
}
