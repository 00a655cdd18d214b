//! The services that notify follows, reduced to their logs: they write what they are told.

use bytes::Bytes;
use kernel::{Actor, Context, Decider, EntityId, Fact, WorkspaceId};
use prost::Message;
use runtime::{
    Call, DecodeError, EventType, InputError, InputEvent, Node, Payload, Positions, Service,
    ServiceId,
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) entity: String,
    pub(crate) name: &'static str,
    pub(crate) data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("never")]
pub(crate) struct Never;

#[derive(Debug)]
pub(crate) struct Feed;

impl Decider for Feed {
    type Command = Event;
    type Event = Event;
    type State = ();
    type Rejection = Never;

    fn decide((): &(), context: &Context, event: Event) -> Result<Vec<Fact<Event>>, Never> {
        let Context { workspace, at, actor, .. } = context.clone();
        Ok(vec![Fact {
            workspace,
            entity: EntityId::trusted(&event.entity),
            revision: 1,
            at,
            actor,
            event,
        }])
    }

    fn evolve((): &mut (), _: &Fact<Event>) {}
}

macro_rules! feeds {
    ($($name:ident)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Service for $name {
            type Decider = Feed;

            const ID: ServiceId = ServiceId::$name;
            const INPUTS: &'static [ServiceId] = &[];
            const EVENTS: &'static [EventType<Event>] = &[];

            fn encode(&self, event: &Event) -> Payload {
                let data = Bytes::from(event.data.clone());
                Payload { event_type: event.name, version: 1, data }
            }

            fn decode(&self, _: &str, _: u32, data: &Bytes) -> Result<Event, DecodeError> {
                Ok(Event { entity: String::new(), name: "", data: data.to_vec() })
            }

            fn react(&self, (): &(), _: &InputEvent<'_>) -> Result<Vec<Event>, InputError> {
                Ok(Vec::new())
            }
        }
    )*};
}

feeds! { Intake Routing Sla }

/// Writes an event of workspace `acme`; returns where it stands.
pub(crate) async fn write<S: Service<Decider = Feed>>(
    node: &Node<S>,
    entity: &str,
    name: &'static str,
    message: &impl Message,
) -> Positions {
    let event = Event { entity: entity.to_owned(), name, data: message.encode_to_vec() };
    let call = Call {
        workspace: WorkspaceId::trusted("acme"),
        method: "Write",
        request: None,
        actor: Actor::Backend,
        command: event,
        render: Box::new(|(), _| Vec::new()),
    };
    let mut positions = Positions::default();
    positions.merge(node.execute(call).await.unwrap().position);
    positions
}
