//! Notify as the runtime sees it.

use std::sync::Arc;

use kernel::planted::{self, Bug};
use kernel::{Fact, Timestamp};
use notify::{Command, Event, Notify, State};
use runtime::metrics::Counted;
use runtime::{
    Effect, EventType, InputError, InputEvent, PartitionHandle, Payload, Service, ServiceId,
    TraceContext,
};

use crate::effects::{Courier, Sender, SenderError, Slots, deliver, reseal, resume};
use crate::{Config, Keys, codec, reactions};

/// Notify: its rules over its log, and the sending of what they decide.
#[derive(Debug)]
pub struct NotifyService {
    config: Config,
    keys: Keys,
    sender: Arc<dyn Courier>,
    slots: Slots,
}

impl NotifyService {
    /// Prepares the sending; `keys` seal and open endpoints' secrets. An error means that TLS can't be set up.
    pub fn new(config: Config, keys: Keys) -> Result<Self, SenderError> {
        let sender = Sender::new(config, keys.clone())?;
        Ok(Self::sending_by(Arc::new(sender), config, keys))
    }

    /// Sends by other means than HTTP: for simulations.
    pub fn sending_by(sender: Arc<dyn Courier>, config: Config, keys: Keys) -> Self {
        Self { config, keys, sender, slots: Slots::new() }
    }

    /// What seals and opens endpoints' secrets.
    pub(crate) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whose turn it is to send.
    pub(crate) const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What an operator allowed.
    pub(crate) const fn config(&self) -> Config {
        self.config
    }

    /// What sends.
    pub(crate) fn sender(&self) -> &dyn Courier {
        &*self.sender
    }
}

impl Service for NotifyService {
    type Decider = Notify;

    const ID: ServiceId = ServiceId::Notify;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Intake, ServiceId::Routing, ServiceId::Sla];
    const STATE_VERSION: u32 = 4;
    const EVENTS: &'static [EventType<Event>] = codec::EVENTS;

    fn counted(&self) -> Vec<Counted> {
        self.sender.counted()
    }

    fn encode(&self, event: &Event) -> Payload {
        codec::encode(event)
    }

    fn react(&self, state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        reactions::react(state, input)
    }

    fn on_lead(&self, state: &State, _now: Timestamp, partition: &PartitionHandle<Self>) {
        if !planted::is(Bug::InFlightForgotten) {
            resume(state, partition);
        }
        reseal(state, partition);
    }

    fn effects(
        &self,
        state: &State,
        facts: &[Fact<Event>],
        trace: Option<TraceContext>,
    ) -> Vec<Effect<Self>> {
        deliver(state, facts, trace)
    }

    fn busy(&self, state: &State) -> bool {
        state.is_busy()
    }
}
