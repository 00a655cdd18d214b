//! The calls of the workload, each with what it leaves in the log.

use runtime::ServiceId;
use tests::api::{Reply, new_id};
use wire::common::v1::{Channel, Priority};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

use crate::chaos::caller::Asked;
use crate::chaos::history::Effect;

/// A reply whose number or revision shows in the log.
pub(crate) trait Told: Reply {
    /// It; 0: there is none.
    fn told(&self) -> u64 {
        0
    }
}

impl Told for intake::CreateTicketResponse {
    fn told(&self) -> u64 {
        self.number
    }
}

impl Told for routing::PutAgentResponse {
    fn told(&self) -> u64 {
        self.revision
    }
}

impl Told for sla::PutPolicyResponse {
    fn told(&self) -> u64 {
        self.revision
    }
}

impl Told for notify::PutEndpointResponse {
    fn told(&self) -> u64 {
        self.revision
    }
}

impl Told for intake::AddMessageResponse {}
impl Told for routing::AcceptOfferResponse {}
impl Told for routing::DeclineOfferResponse {}
impl Told for routing::CompleteWorkResponse {}

/// What is put again and again, in each service but intake.
const PROBE: &str = "probe";

/// Builds what is asked around a request whose id is still empty.
macro_rules! asked {
    ($service:ident, $method:literal, $effect:expr, $bare:expr) => {{
        let bare = $bare;
        let request_id = new_id();
        let mut message = bare.clone();
        message.request_id.clone_from(&request_id);
        Asked {
            service: ServiceId::$service,
            workspace: bare.workspace_id.clone(),
            method: $method,
            request_id,
            bare,
            message,
            effect: $effect,
            is_wrong: false,
        }
    }};
}

fn leaves(event_type: &'static str, mark: impl Into<String>) -> Effect {
    Effect { event_type, mark: mark.into() }
}

/// A ticket: every other one a chat, whose offers are accepted by hand; those of mails accept themselves.
pub(crate) fn ticket(workspace: &str, ticket_id: &str) -> Asked<intake::CreateTicketRequest> {
    let is_chat = ticket_id.ends_with(['1', '3', '5', '7', '9']);
    let channel = if is_chat { Channel::Chat } else { Channel::Email };
    asked!(
        Intake,
        "CreateTicket",
        leaves("TicketOpened", ticket_id),
        intake::CreateTicketRequest {
            workspace_id: workspace.to_owned(),
            ticket_id: ticket_id.to_owned(),
            channel: channel.into(),
            requester: Some(events::Requester {
                name: "A customer".to_owned(),
                ..Default::default()
            }),
            subject: format!("Ticket {ticket_id}"),
            body: "something is broken".to_owned(),
            ..Default::default()
        }
    )
}

/// A message that nothing else says.
pub(crate) fn message(
    workspace: &str,
    ticket_id: &str,
    body: &str,
) -> Asked<intake::AddMessageRequest> {
    asked!(
        Intake,
        "AddMessage",
        leaves("MessageAdded", body),
        intake::AddMessageRequest {
            workspace_id: workspace.to_owned(),
            ticket_id: ticket_id.to_owned(),
            author_kind: events::AuthorKind::EndUser.into(),
            visibility: events::Visibility::Public.into(),
            body: body.to_owned(),
            ..Default::default()
        }
    )
}

/// An agent nobody offers anything to, since nobody has seen it.
pub(crate) fn agent(workspace: &str, name: &str) -> Asked<routing::PutAgentRequest> {
    asked!(
        Routing,
        "PutAgent",
        leaves("AgentPut", name),
        routing::PutAgentRequest {
            workspace_id: workspace.to_owned(),
            request_id: String::new(),
            agent: Some(routing::Agent {
                agent_id: PROBE.to_owned(),
                display_name: name.to_owned(),
                capacity_units: Some(100),
                ..Default::default()
            }),
            expected_revision: 0,
        }
    )
}

/// A policy that no ticket keeps anybody waiting for: ten hours.
pub(crate) fn policy(workspace: &str, name: &str) -> Asked<sla::PutPolicyRequest> {
    let target = sla::PolicyTarget {
        metric: events::ClockMetric::FirstReply.into(),
        priority: Priority::P3.into(),
        within: Some(prost_types::Duration { seconds: 36_000, nanos: 0 }),
    };
    asked!(
        Sla,
        "PutPolicy",
        leaves("PolicyPut", name),
        sla::PutPolicyRequest {
            workspace_id: workspace.to_owned(),
            request_id: String::new(),
            policy: Some(sla::Policy {
                policy_id: PROBE.to_owned(),
                display_name: name.to_owned(),
                targets: vec![target],
                ..Default::default()
            }),
            expected_revision: 0,
        }
    )
}

/// An endpoint that no rule sends anything to.
pub(crate) fn endpoint(workspace: &str, name: &str) -> Asked<notify::PutEndpointRequest> {
    let url = format!("http://127.0.0.1:9/{name}");
    asked!(
        Notify,
        "PutEndpoint",
        leaves("EndpointPut", url.clone()),
        notify::PutEndpointRequest {
            workspace_id: workspace.to_owned(),
            request_id: String::new(),
            endpoint: Some(notify::Endpoint {
                endpoint_id: PROBE.to_owned(),
                url: url.clone(),
                secret: tests::receiver::SECRET.to_owned(),
                ..Default::default()
            }),
            expected_revision: 0,
        }
    )
}

pub(crate) fn accept(
    workspace: &str,
    agent_id: &str,
    offer_id: &str,
) -> Asked<routing::AcceptOfferRequest> {
    asked!(
        Routing,
        "AcceptOffer",
        leaves("OfferAccepted", offer_id),
        routing::AcceptOfferRequest {
            workspace_id: workspace.to_owned(),
            request_id: String::new(),
            agent_id: agent_id.to_owned(),
            offer_id: offer_id.to_owned(),
        }
    )
}

pub(crate) fn decline(
    workspace: &str,
    agent_id: &str,
    offer_id: &str,
) -> Asked<routing::DeclineOfferRequest> {
    asked!(
        Routing,
        "DeclineOffer",
        leaves("OfferDeclined", offer_id),
        routing::DeclineOfferRequest {
            workspace_id: workspace.to_owned(),
            request_id: String::new(),
            agent_id: agent_id.to_owned(),
            offer_id: offer_id.to_owned(),
            reason: String::new(),
        }
    )
}

pub(crate) fn complete(
    workspace: &str,
    agent_id: &str,
    ticket_id: &str,
) -> Asked<routing::CompleteWorkRequest> {
    asked!(
        Routing,
        "CompleteWork",
        leaves("WorkCompleted", ticket_id),
        routing::CompleteWorkRequest {
            workspace_id: workspace.to_owned(),
            request_id: String::new(),
            agent_id: agent_id.to_owned(),
            ticket_id: ticket_id.to_owned(),
            outcome: events::WorkOutcome::Resolved.into(),
            note: String::new(),
        }
    )
}

/// The same, though the contract has it refused.
pub(crate) fn wrong<M>(asked: Asked<M>) -> Asked<M> {
    Asked { is_wrong: true, ..asked }
}

/// Asks for a change: `change!(caller, manner, routing.accept_offer, asked)`.
macro_rules! change {
    ($caller:expr, $manner:expr, $service:ident . $method:ident, $asked:expr) => {
        $caller.change($asked, $manner, |api, request| {
            let mut client = api.$service;
            async move { client.$method(request).await }
        })
    };
}
pub(crate) use change;
