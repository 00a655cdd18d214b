//! Intake as the runtime takes it.

use std::sync::Arc;

use event_log::EventLogProvider;
use intake::{Command, Event, Intake, State};
use kernel::{Timestamp, WorkspaceId};
use runtime::{
    EventType, InputError, InputEvent, PartitionHandle, Payload, Service, ServiceId, partition_of,
};
use tokio::sync::watch;

use crate::timeline::Timelines;
use crate::{codec, reactions};

/// The workspace that is always there.
const DEFAULT_WORKSPACE: &str = "default";

/// Intake: the rules of tickets, their stored form, and the timelines of the partitions led here.
#[derive(Debug)]
pub struct IntakeService {
    timelines: Timelines,
}

impl IntakeService {
    /// Makes the service. `provider` holds the logs of all four services: timelines are read from them.
    pub fn new(provider: Arc<dyn EventLogProvider>) -> Self {
        let (_, ready) = watch::channel(true);
        Self::reading_once(ready, provider)
    }

    /// The same, but the logs are not read for timelines before `ready` is true or its sender gone, unless one is asked
    /// for.
    pub fn reading_once(ready: watch::Receiver<bool>, provider: Arc<dyn EventLogProvider>) -> Self {
        Self { timelines: Timelines::new(provider, ready) }
    }

    pub(crate) fn timelines(&self) -> &Timelines {
        &self.timelines
    }
}

impl Service for IntakeService {
    type Decider = Intake;

    const ID: ServiceId = ServiceId::Intake;
    const INPUTS: &'static [ServiceId] = &[ServiceId::Routing];
    const EVENTS: &'static [EventType<Event>] = codec::EVENTS;
    const STATE_VERSION: u32 = 3;

    fn encode(&self, event: &Event) -> Payload {
        codec::encode(event)
    }

    fn react(&self, _state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
        reactions::react(input)
    }

    fn bootstrap(
        &self,
        _state: &State,
        partition: u16,
        partitions: u16,
    ) -> Vec<(WorkspaceId, Command)> {
        if partition_of(DEFAULT_WORKSPACE, partitions) != partition {
            return Vec::new();
        }
        let display_name = "Default".into();
        vec![(WorkspaceId::trusted(DEFAULT_WORKSPACE), Command::EnsureWorkspace { display_name })]
    }

    fn on_follow(&self, partition: &PartitionHandle<Self>) {
        // A standby's timelines are warm like its state.
        self.timelines.partition(partition);
    }

    fn on_lead(&self, _state: &State, _now: Timestamp, partition: &PartitionHandle<Self>) {
        // Made here, so that the first reader finds it caught up.
        self.timelines.partition(partition);
    }
}
