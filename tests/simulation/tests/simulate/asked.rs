//! The contract's mutating requests, as callers send them.

use std::time::Duration;

use futures::future::BoxFuture;
use intake_service::IntakeService;
use notify_service::NotifyService;
use prost::Message;
use routing_service::RoutingService;
use service_kit::POSITION_HEADER;
use sla_service::SlaService;
use tonic::metadata::{AsciiMetadataKey, MetadataKey, MetadataValue};
use tonic::{Request, Response, Status};
use wire::intake::v1 as intake;
use wire::intake::v1::intake_service_client::IntakeServiceClient;
use wire::notify::v1 as notify;
use wire::notify::v1::notify_service_client::NotifyServiceClient;
use wire::routing::v1 as routing;
use wire::routing::v1::routing_service_client::RoutingServiceClient;
use wire::sla::v1 as sla;
use wire::sla::v1::sla_service_client::SlaServiceClient;

use crate::cluster::Staged;
use crate::door::{CALL_HEADER, Door};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(6);

/// A mutating request of the contract.
pub(crate) trait Asked: Message + Clone + Default + 'static {
    type Service: Staged;
    type Reply: Message + Default;
    /// The scope of its request id, with the workspace.
    const METHOD: &'static str;

    fn workspace(&self) -> &str;
    fn request_id(&self) -> &str;
    fn set_request_id(&mut self, id: String);
    fn position(reply: &Self::Reply) -> &str;
    fn send(self, door: Door, head: &Head) -> BoxFuture<'static, Result<Self::Reply, Status>>;
}

/// What goes with a call besides its message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// The call's name, of this attempt alone.
    pub(crate) call: String,
    /// What is to be seen before it is answered; empty: nothing.
    pub(crate) position: String,
}

impl Head {
    /// A request with this head, and with the time that a call may take.
    pub(crate) fn on<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(ATTEMPT);
        for (name, value) in [(CALL_HEADER, &self.call), (POSITION_HEADER, &self.position)] {
            let key: AsciiMetadataKey = MetadataKey::from_static(name);
            if let (false, Ok(value)) = (value.is_empty(), MetadataValue::try_from(value.as_str()))
            {
                request.metadata_mut().insert(key, value);
            }
        }
        request
    }
}

macro_rules! asked {
    ($service:ty, $client:ident, |$it:ident| $workspace:expr; $($request:path, $reply:path, $method:ident, $name:literal;)*) => {$(
        impl Asked for $request {
            type Service = $service;
            type Reply = $reply;
            const METHOD: &'static str = $name;

            fn workspace(&self) -> &str {
                let $it = self;
                $workspace
            }

            fn request_id(&self) -> &str {
                &self.request_id
            }

            fn set_request_id(&mut self, id: String) {
                self.request_id = id;
            }

            fn position(reply: &Self::Reply) -> &str {
                &reply.position
            }

            fn send(self, door: Door, head: &Head) -> BoxFuture<'static, Result<Self::Reply, Status>> {
                let request = head.on(self);
                Box::pin(async move {
                    $client::new(door).$method(request).await.map(Response::into_inner)
                })
            }
        }
    )*};
}

asked! { IntakeService, IntakeServiceClient, |it| it.workspace.as_ref().map_or("", |it| it.workspace_id.as_str());
    intake::PutWorkspaceRequest, intake::PutWorkspaceResponse, put_workspace, "PutWorkspace";
}
asked! { IntakeService, IntakeServiceClient, |it| &it.workspace_id;
    intake::CreateTicketRequest, intake::CreateTicketResponse, create_ticket, "CreateTicket";
    intake::AddMessageRequest, intake::AddMessageResponse, add_message, "AddMessage";
    intake::UpdateTicketRequest, intake::UpdateTicketResponse, update_ticket, "UpdateTicket";
    intake::SetWaitingRequest, intake::SetWaitingResponse, set_waiting, "SetWaiting";
    intake::ResumeRequest, intake::ResumeResponse, resume, "Resume";
    intake::ResolveTicketRequest, intake::ResolveTicketResponse, resolve_ticket, "ResolveTicket";
    intake::ReopenTicketRequest, intake::ReopenTicketResponse, reopen_ticket, "ReopenTicket";
    intake::CloseTicketRequest, intake::CloseTicketResponse, close_ticket, "CloseTicket";
}
asked! { RoutingService, RoutingServiceClient, |it| &it.workspace_id;
    routing::PutAgentRequest, routing::PutAgentResponse, put_agent, "PutAgent";
    routing::SetPresenceRequest, routing::SetPresenceResponse, set_presence, "SetPresence";
    routing::PutQueueRequest, routing::PutQueueResponse, put_queue, "PutQueue";
    routing::AcceptOfferRequest, routing::AcceptOfferResponse, accept_offer, "AcceptOffer";
    routing::DeclineOfferRequest, routing::DeclineOfferResponse, decline_offer, "DeclineOffer";
    routing::CompleteWorkRequest, routing::CompleteWorkResponse, complete_work, "CompleteWork";
    routing::TransferTicketRequest, routing::TransferTicketResponse, transfer_ticket, "TransferTicket";
    routing::AssignTicketRequest, routing::AssignTicketResponse, assign_ticket, "AssignTicket";
}
asked! { SlaService, SlaServiceClient, |it| &it.workspace_id;
    sla::PutPolicyRequest, sla::PutPolicyResponse, put_policy, "PutPolicy";
}
asked! { NotifyService, NotifyServiceClient, |it| &it.workspace_id;
    notify::PutRuleRequest, notify::PutRuleResponse, put_rule, "PutRule";
    notify::PutEndpointRequest, notify::PutEndpointResponse, put_endpoint, "PutEndpoint";
}

/// An answer, if it comes while it is waited for: a little longer than the call may take.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let answer = tokio::time::timeout(ATTEMPT + Duration::from_millis(100), answer).await;
    answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
}
