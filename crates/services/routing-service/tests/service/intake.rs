//! Intake, as far as routing can tell: a log that holds what the test puts into it.

use bytes::Bytes;
use kernel::{Actor, Context, Decider, EntityId, Fact, WorkspaceId};
use prost::Message;
use runtime::{
    Call, DecodeError, EventType, InputError, InputEvent, Node, Payload, Service, ServiceId,
};
use wire::events::v1 as events;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    entity: String,
    event_type: &'static str,
    data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("nothing is refused")]
pub(crate) struct Never;

#[derive(Debug)]
pub(crate) struct Script;

impl Decider for Script {
    type Command = Said;
    type Event = Said;
    type State = ();
    type Rejection = Never;

    fn decide((): &(), context: &Context, said: Said) -> Result<Vec<Fact<Said>>, Never> {
        let Context { workspace, at, actor, .. } = context.clone();
        let entity = EntityId::trusted(&said.entity);
        Ok(vec![Fact { workspace, entity, revision: 1, at, actor, event: said }])
    }

    fn evolve((): &mut (), _: &Fact<Said>) {}
}

#[derive(Debug)]
pub(crate) struct Intake;

impl Service for Intake {
    type Decider = Script;

    const ID: ServiceId = ServiceId::Intake;
    const INPUTS: &'static [ServiceId] = &[];
    const EVENTS: &'static [EventType<Said>] = &[];

    fn encode(&self, said: &Said) -> Payload {
        let data = Bytes::from(said.data.clone());
        Payload { event_type: said.event_type, version: 1, data }
    }

    fn decode(&self, _: &str, _: u32, data: &bytes::Bytes) -> Result<Said, DecodeError> {
        Ok(Said { entity: String::new(), event_type: "", data: data.to_vec() })
    }

    fn react(&self, (): &(), _: &InputEvent<'_>) -> Result<Vec<Said>, InputError> {
        Ok(Vec::new())
    }
}

/// Lets intake say something, and waits until routing has heard it.
pub(crate) async fn say(
    intake: &Node<Intake>,
    routing: &Node<routing_service::RoutingService>,
    entity: &str,
    event_type: &'static str,
    message: &impl Message,
) {
    let command = Said { entity: entity.to_owned(), event_type, data: message.encode_to_vec() };
    let call = Call {
        workspace: WorkspaceId::trusted("acme"),
        method: "Say",
        request: None,
        actor: Actor::Backend,
        command,
        render: Box::new(|(), _| Vec::new()),
    };
    let mut positions = runtime::Positions::default();
    positions.merge(intake.execute(call).await.unwrap().position);
    routing.wait_for(&positions).await.unwrap();
}

/// A ticket of customer Grace.
pub(crate) fn opened(id: &str, channel: wire::common::v1::Channel) -> events::TicketOpened {
    events::TicketOpened {
        ticket_id: id.to_owned(),
        number: 1,
        channel: channel.into(),
        subject: "invoice 7".to_owned(),
        ..events::TicketOpened::default()
    }
}
