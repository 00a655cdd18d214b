//! What a server's leader writes is checked while it writes on, and what contradicts itself is counted.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what surrounds a test fails like the test itself"
)]

use std::sync::Arc;

use bytes::Bytes;
use event_log::memory::MemoryProvider;
use kernel::{Actor, Context, Decider, EntityId, Fact, Timestamp, WorkspaceId};
use prost::Message;
use runtime::metrics::Invariant;
use runtime::{
    Call, Clock, DecodeError, EventType, InputError, InputEvent, Node, NodeConfig, Payload,
    Service, ServiceId, initialise,
};
use service_kit::{Allowance, keep_vigil};
use snapshots::NoSnapshots;
use tokio::task::JoinSet;
use wire::events::v1 as events;

/// What is written, whatever it is.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    name: &'static str,
    revision: u64,
    data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("never")]
struct Never;

/// Rules that allow everything.
#[derive(Debug)]
struct Lawless;

impl Decider for Lawless {
    type Command = Said;
    type Event = Said;
    type State = ();
    type Rejection = Never;

    fn decide((): &(), context: &Context, said: Said) -> Result<Vec<Fact<Said>>, Never> {
        let Context { workspace, at, actor, .. } = context.clone();
        let (entity, revision) = (EntityId::trusted("t"), said.revision);
        Ok(vec![Fact { workspace, entity, revision, at, actor, event: said }])
    }

    fn evolve((): &mut (), _: &Fact<Said>) {}
}

/// A routing that says what it is told.
#[derive(Debug)]
struct Routing;

impl Service for Routing {
    type Decider = Lawless;

    const ID: ServiceId = ServiceId::Routing;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [EventType<Said>] = &[];

    fn encode(&self, said: &Said) -> Payload {
        Payload { event_type: said.name, version: 1, data: Bytes::from(said.data.clone()) }
    }

    fn decode(&self, _: &str, _: u32, data: &bytes::Bytes) -> Result<Said, DecodeError> {
        Ok(Said { name: "", revision: 0, data: data.to_vec() })
    }

    fn react(&self, (): &(), _: &InputEvent<'_>) -> Result<Vec<Said>, InputError> {
        Ok(Vec::new())
    }
}

async fn say(node: &Node<Routing>, name: &'static str, revision: u64, message: &impl Message) {
    let call = Call {
        workspace: WorkspaceId::trusted("w"),
        method: "Say",
        request: None,
        actor: Actor::Backend,
        command: Said { name, revision, data: message.encode_to_vec() },
        render: Box::new(|(), _| Vec::new()),
    };
    node.execute(call).await.unwrap();
}

async fn until_checked(node: &Node<Routing>) {
    let partition = &node.partitions()[0];
    let last = i64::try_from(partition.head().seq).unwrap();
    while partition.metrics().checked_seq.get() < last {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_ticket_that_is_queued_twice_is_counted_and_nothing_else_happens() {
    let logs = MemoryProvider::new();
    initialise(&logs, &[ServiceId::Routing], 1).await.unwrap();
    let config = NodeConfig {
        provider: Arc::new(logs),
        snapshots: Arc::new(NoSnapshots),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: Clock::manual(Timestamp::from_millis(1_767_323_045_000)),
        cluster: None,
    };
    let node = Node::start(Routing, config).await.unwrap();
    node.ready().await.unwrap();
    let mut vigils = JoinSet::new();
    keep_vigil(&node, &Allowance::percent(100).unwrap(), &mut vigils);

    let queued = events::TicketQueued { ticket_id: "t".to_owned(), ..Default::default() };
    say(&node, "TicketQueued", 1, &queued).await;
    until_checked(&node).await;
    let partition = &node.partitions()[0];
    assert_eq!(partition.metrics().violated(), []);
    assert_eq!(partition.metrics().checked_since.get(), 0, "a young log is walked from its first");

    say(&node, "TicketQueued", 2, &queued).await;
    say(&node, "WorkEnded", 2, &events::WorkEnded::default()).await;
    until_checked(&node).await;
    let found = partition.metrics().violated();
    let expected = [(Invariant::Known, 1), (Invariant::Revisions, 1), (Invariant::InputsOnce, 1)];
    assert_eq!(found, expected);
    assert!(partition.health().is_ready(), "it goes on");
}
