//! A routing without rules: it says what it is told.

use kernel::{Actor, Context, Decider, EntityId, Fact, WorkspaceId};
use prost::Message;
use runtime::{
    Call, DecodeError, EventType, InputError, InputEvent, Node, NodeConfig, Payload, Position,
    Service, ServiceId,
};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    event_type: &'static str,
    entity: String,
    data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("never")]
pub(super) enum Never {}

#[derive(Debug)]
pub(super) enum Echo {}

impl Decider for Echo {
    type Command = Said;
    type Event = Said;
    type State = u64;
    type Rejection = Never;

    fn decide(said: &u64, context: &Context, command: Said) -> Result<Vec<Fact<Said>>, Never> {
        Ok(vec![Fact {
            workspace: context.workspace.clone(),
            entity: EntityId::trusted(&command.entity),
            revision: said + 1,
            at: context.at,
            actor: context.actor.clone(),
            event: command,
        }])
    }

    fn evolve(said: &mut u64, _fact: &Fact<Said>) {
        *said += 1;
    }
}

#[derive(Debug)]
pub(super) struct Mute;

impl Service for Mute {
    type Decider = Echo;

    const ID: ServiceId = ServiceId::Routing;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [EventType<Said>] = &[];

    fn encode(&self, event: &Said) -> Payload {
        Payload { event_type: event.event_type, version: 1, data: event.data.clone().into() }
    }

    fn decode(&self, _: &str, _: u32, _: &bytes::Bytes) -> Result<Said, DecodeError> {
        Err(DecodeError::UnknownType)
    }

    fn react(&self, _: &u64, _: &InputEvent<'_>) -> Result<Vec<Said>, InputError> {
        Ok(Vec::new())
    }
}

pub(super) struct Routing(Node<Mute>);

impl Routing {
    pub(super) async fn start(config: NodeConfig) -> Self {
        let node = Node::start(Mute, config).await.unwrap();
        node.ready().await.unwrap();
        Self(node)
    }

    /// Says it, and returns where it stands.
    pub(super) async fn say(
        &self,
        event_type: &'static str,
        entity: &str,
        fact: &impl Message,
    ) -> Position {
        let data = fact.encode_to_vec();
        let call = Call {
            workspace: WorkspaceId::trusted("default"),
            method: "Say",
            request: None,
            actor: Actor::Backend,
            command: Said { event_type, entity: entity.to_owned(), data },
            render: Box::new(|_, _| Vec::new()),
        };
        self.0.execute(call).await.unwrap().position
    }
}
