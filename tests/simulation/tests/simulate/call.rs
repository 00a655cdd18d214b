//! A call as a careful client makes it: with a request id, again until it is answered, and written down.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use intake_service::IntakeService;
use notify_service::NotifyService;
use prost::Message;
use routing_service::RoutingService;
use runtime::{Positions, Service, ServiceId};
use sla_service::SlaService;
use tonic::{Request, Status};
use tonic_types::StatusExt;
use wire::intake::v1 as intake;
use wire::intake::v1::intake_service_server::IntakeService as _;
use wire::notify::v1 as notify;
use wire::notify::v1::notify_service_server::NotifyService as _;
use wire::routing::v1 as routing;
use wire::routing::v1::routing_service_server::RoutingService as _;
use wire::sla::v1 as sla;
use wire::sla::v1::sla_service_server::SlaService as _;

use crate::cluster::{Slot, Staged};
use crate::rng::Rng;
use crate::world::World;

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
    fn send(self, slot: &Slot<Self::Service>) -> BoxFuture<'_, Result<Self::Reply, Status>>;
}

macro_rules! asked {
    ($service:ty: $($request:path, $reply:path, $method:ident, $name:literal;)*) => {$(
        impl Asked for $request {
            type Service = $service;
            type Reply = $reply;
            const METHOD: &'static str = $name;

            fn workspace(&self) -> &str {
                &self.workspace_id
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

            fn send(self, slot: &Slot<$service>) -> BoxFuture<'_, Result<Self::Reply, Status>> {
                Box::pin(async move {
                    slot.api.$method(Request::new(self)).await.map(tonic::Response::into_inner)
                })
            }
        }
    )*};
}

asked! { IntakeService:
    intake::CreateTicketRequest, intake::CreateTicketResponse, create_ticket, "CreateTicket";
    intake::AddMessageRequest, intake::AddMessageResponse, add_message, "AddMessage";
    intake::UpdateTicketRequest, intake::UpdateTicketResponse, update_ticket, "UpdateTicket";
    intake::SetWaitingRequest, intake::SetWaitingResponse, set_waiting, "SetWaiting";
    intake::ResumeRequest, intake::ResumeResponse, resume, "Resume";
    intake::ResolveTicketRequest, intake::ResolveTicketResponse, resolve_ticket, "ResolveTicket";
    intake::ReopenTicketRequest, intake::ReopenTicketResponse, reopen_ticket, "ReopenTicket";
    intake::CloseTicketRequest, intake::CloseTicketResponse, close_ticket, "CloseTicket";
}
asked! { RoutingService:
    routing::PutAgentRequest, routing::PutAgentResponse, put_agent, "PutAgent";
    routing::SetPresenceRequest, routing::SetPresenceResponse, set_presence, "SetPresence";
    routing::PutQueueRequest, routing::PutQueueResponse, put_queue, "PutQueue";
    routing::AcceptOfferRequest, routing::AcceptOfferResponse, accept_offer, "AcceptOffer";
    routing::DeclineOfferRequest, routing::DeclineOfferResponse, decline_offer, "DeclineOffer";
    routing::CompleteWorkRequest, routing::CompleteWorkResponse, complete_work, "CompleteWork";
    routing::TransferTicketRequest, routing::TransferTicketResponse, transfer_ticket, "TransferTicket";
    routing::AssignTicketRequest, routing::AssignTicketResponse, assign_ticket, "AssignTicket";
}
asked! { SlaService:
    sla::PutPolicyRequest, sla::PutPolicyResponse, put_policy, "PutPolicy";
}
asked! { NotifyService:
    notify::PutRuleRequest, notify::PutRuleResponse, put_rule, "PutRule";
    notify::PutEndpointRequest, notify::PutEndpointResponse, put_endpoint, "PutEndpoint";
}

/// What one attempt of a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done: the whole reply, and its position.
    Done { reply: Vec<u8>, position: String },
    /// It certainly wasn't done: the reason.
    No(String),
    /// It may have been: why.
    Open(String),
}

/// A call with all its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) service: ServiceId,
    pub(crate) workspace: String,
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    /// What was asked, encoded.
    pub(crate) content: Vec<u8>,
    pub(crate) outcomes: Vec<Outcome>,
    /// Attempts that nobody waited for.
    pub(crate) loose: u32,
}

/// Who calls.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    pub(crate) rng: Rng,
    calls: u64,
}

/// How long a call is tried before it is left open.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(6);

impl Caller {
    pub(crate) fn new(world: &Arc<World>, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { world: Arc::clone(world), rng: world.rng(&name), name, calls: 0 }
    }

    pub(crate) async fn pause(&mut self, millis: std::ops::Range<u64>) {
        let pause = self.rng.millis(millis);
        tokio::time::sleep(pause).await;
    }

    /// An id that this caller never used.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.calls += 1;
        format!("{}-{}", self.name, self.calls)
    }

    /// Makes a call under a request id of its own; returns the reply, or none if there was none.
    pub(crate) async fn call<A: Asked>(&mut self, mut request: A) -> Option<A::Reply> {
        if request.request_id().is_empty() {
            let id = self.fresh_id();
            request.set_request_id(id);
        }
        let world = Arc::clone(&self.world);
        *world.told().operations.entry(A::METHOD).or_default() += 1;
        let mut op = Op {
            service: <A::Service as Service>::ID,
            workspace: request.workspace().to_owned(),
            method: A::METHOD,
            request_id: request.request_id().to_owned(),
            content: request.encode_to_vec(),
            outcomes: Vec::new(),
            loose: 0,
        };
        let gives_up = self.rng.chance(300) && !world.is_healed();
        let until = world.passed() + PATIENCE;
        let mut reply = None;
        loop {
            let outcome = self.attempt(&request, &mut op).await;
            reply = reply.or(match &outcome {
                Outcome::Done { reply, .. } => A::Reply::decode(reply.as_slice()).ok(),
                Outcome::No(_) | Outcome::Open(_) => None,
            });
            let again = match &outcome {
                Outcome::Done { .. } => false,
                Outcome::No(reason) => is_passing(reason),
                Outcome::Open(_) => true,
            };
            op.outcomes.push(outcome);
            if !again || gives_up || world.passed() > until || world.is_broken() {
                break;
            }
            self.pause(20..400).await;
        }
        world.trace(&[
            b"op",
            op.method.as_bytes(),
            op.request_id.as_bytes(),
            format!("{:?}", op.outcomes).as_bytes(),
        ]);
        world.told().history.push(op);
        reply
    }

    async fn attempt<A: Asked>(&mut self, request: &A, op: &mut Op) -> Outcome {
        let world = Arc::clone(&self.world);
        let older = self.rng.chance(2_000);
        let Some(slot) = world.slots.current::<A::Service>(older) else {
            return Outcome::No("NOT_READY".to_owned());
        };
        if world.fault("duplicate call", world.swarm.duplicate_call) {
            op.loose += 1;
            let (slot, request) = (slot.clone(), request.clone());
            let pause = self.rng.millis(0..300);
            drop(tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                // Nobody waits for its answer.
                drop(once(&slot, request).await);
            }));
        }
        self.pause(0..4).await;
        let outcome = once(&slot, request.clone()).await;
        self.pause(0..4).await;
        if matches!(outcome, Outcome::Done { .. })
            && world.fault("lost reply", world.swarm.lost_reply)
        {
            return Outcome::Open("the reply was lost".to_owned());
        }
        outcome
    }

    /// Waits until what lies at this position is seen by the node that is asked, as a call that names it does. False: it wasn't.
    pub(crate) async fn seen<S: Staged>(&self, slot: &Slot<S>, position: &str) -> bool {
        let Ok(positions) = position.parse::<Positions>() else { return false };
        let seen = slot.instance.live(slot.node.wait_for(&positions));
        matches!(tokio::time::timeout(Duration::from_secs(3), seen).await, Ok(Ok(())))
    }
}

/// One attempt at one node.
async fn once<A: Asked>(slot: &Slot<A::Service>, request: A) -> Outcome {
    let dead = slot.instance.dead.clone();
    let answer = tokio::select! {
        biased;
        () = dead.cancelled() => return Outcome::Open("the node died".to_owned()),
        answer = tokio::time::timeout(ATTEMPT, request.send(slot)) => answer,
    };
    match answer {
        Err(_) => Outcome::Open("no answer in time".to_owned()),
        Ok(Ok(reply)) => {
            let position = A::position(&reply).to_owned();
            Outcome::Done { reply: reply.encode_to_vec(), position }
        }
        Ok(Err(status)) => {
            let reason = reason_of(&status);
            if is_open(&reason) { Outcome::Open(reason) } else { Outcome::No(reason) }
        }
    }
}

/// The reason that every status of ours carries.
pub(crate) fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    reason.unwrap_or_else(|| format!("{:?}: {}", status.code(), status.message()))
}

/// Says nothing about whether it was done.
fn is_open(reason: &str) -> bool {
    ["OUTCOME_UNKNOWN", "SERVER_DRAINING", "PARTITION_HALTED", "DEADLINE_EXCEEDED", "INTERNAL"]
        .contains(&reason)
}

/// Wasn't done, and may be if it is asked again.
fn is_passing(reason: &str) -> bool {
    ["LOG_UNAVAILABLE", "NOT_READY", "NOT_LEADER", "OVERLOADED", "LOG_FULL"].contains(&reason)
}
