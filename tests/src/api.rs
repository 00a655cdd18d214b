//! A client of all four services: retries what was unavailable with the same request, and passes on the positions it
//! has seen.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use runtime::{Positions, ServiceId};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;
use wire::admin::v1 as admin;
use wire::admin::v1::clock_service_client::ClockServiceClient;
use wire::admin::v1::log_service_client::LogServiceClient;
use wire::admin::v1::status_service_client::StatusServiceClient;
use wire::intake::v1 as intake;
use wire::intake::v1::intake_service_client::IntakeServiceClient;
use wire::notify::v1 as notify;
use wire::notify::v1::notify_service_client::NotifyServiceClient;
use wire::routing::v1 as routing;
use wire::routing::v1::routing_service_client::RoutingServiceClient;
use wire::sla::v1 as sla;
use wire::sla::v1::sla_service_client::SlaServiceClient;

/// How long something that must come about may take.
pub const WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked at.
pub const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(20);

pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Larger than what servers take, so that theirs is the limit that is tested.
const MESSAGE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Where each service answers; the same address four times for `up`.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// `IntakeService`.
    pub intake: String,
    /// `RoutingService`.
    pub routing: String,
    /// `SlaService`.
    pub sla: String,
    /// `NotifyService`.
    pub notify: String,
}

impl Addresses {
    /// A service's address.
    pub fn of(&self, service: ServiceId) -> &str {
        match service {
            ServiceId::Intake => &self.intake,
            ServiceId::Routing => &self.routing,
            ServiceId::Sla => &self.sla,
            ServiceId::Notify => &self.notify,
        }
    }
}

/// The clients. Clones share connections, and the positions they have seen.
#[derive(Debug, Clone)]
pub struct Api {
    /// `IntakeService`.
    pub intake: IntakeServiceClient<Channel>,
    /// `RoutingService`.
    pub routing: RoutingServiceClient<Channel>,
    /// `SlaService`.
    pub sla: SlaServiceClient<Channel>,
    /// `NotifyService`.
    pub notify: NotifyServiceClient<Channel>,
    channels: [Channel; 4],
    seen: Arc<Mutex<Positions>>,
    traceparent: Option<String>,
}

/// A reply that may carry a position.
pub trait Reply {
    /// The token; empty: none.
    #[expect(clippy::unnecessary_literal_bound, reason = "other replies hold theirs")]
    fn position(&self) -> &str {
        ""
    }
}

macro_rules! replies {
    (positioned: $($with:ty),+; plain: $($without:ty),+ $(,)?) => {
        $(impl Reply for $with {
            fn position(&self) -> &str {
                &self.position
            }
        })+
        $(impl Reply for $without {})+
    };
}

replies! {
    positioned: intake::PutWorkspaceResponse, intake::CreateTicketResponse, intake::AddMessageResponse,
        intake::UpdateTicketResponse, intake::SetWaitingResponse, intake::ResumeResponse,
        intake::ResolveTicketResponse, intake::ReopenTicketResponse, intake::CloseTicketResponse,
        routing::PutAgentResponse, routing::SetPresenceResponse, routing::PutQueueResponse,
        routing::AcceptOfferResponse, routing::DeclineOfferResponse, routing::CompleteWorkResponse,
        routing::TransferTicketResponse, routing::AssignTicketResponse, sla::PutPolicyResponse,
        notify::PutRuleResponse, notify::PutEndpointResponse;
    plain: intake::GetWorkspaceResponse, intake::ListWorkspacesResponse, intake::GetTicketResponse,
        intake::ListTicketsResponse, intake::GetTimelineResponse, routing::GetAgentResponse,
        routing::ListAgentsResponse, routing::ListQueuesResponse, routing::GetQueueStatsResponse,
        routing::ExplainRoutingResponse, routing::HeartbeatResponse, sla::ListPoliciesResponse,
        sla::GetClocksResponse, sla::ListAtRiskResponse, sla::GetSlaStatsResponse,
        notify::ListDeliveriesResponse,
}

/// Calls a method: `call!(api, intake.create_ticket, request)`. Retried while unavailable; the reply's position is
/// remembered.
#[macro_export]
macro_rules! call {
    ($api:expr, $service:ident . $method:ident, $message:expr) => {
        $api.retried($message, |request| {
            let mut client = $api.$service.clone();
            async move { client.$method(request).await }
        })
    };
}

impl Api {
    /// A client of the services at these addresses; it connects when it is used, and again when it must.
    pub fn new(addresses: &Addresses) -> anyhow::Result<Self> {
        let channel = |service| -> anyhow::Result<Channel> {
            let endpoint = Endpoint::from_shared(format!("http://{}", addresses.of(service)))?;
            Ok(endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5)).connect_lazy())
        };
        let [intake, routing, sla, notify] = ServiceId::ALL.map(channel);
        let channels = [intake?, routing?, sla?, notify?];
        let [intake, routing, sla, notify] = channels.clone();
        Ok(Self {
            intake: IntakeServiceClient::new(intake).max_encoding_message_size(MESSAGE_MAX_BYTES),
            routing: RoutingServiceClient::new(routing),
            sla: SlaServiceClient::new(sla),
            notify: NotifyServiceClient::new(notify),
            channels,
            seen: Arc::default(),
            traceparent: None,
        })
    }

    /// The same client, whose calls are part of a trace.
    pub fn traced(&self, traceparent: &str) -> Self {
        Self { traceparent: Some(traceparent.to_owned()), ..self.clone() }
    }

    /// The same client, which has seen nothing yet.
    pub fn fresh(&self) -> Self {
        Self { seen: Arc::default(), ..self.clone() }
    }

    /// A service's connection.
    pub fn channel(&self, service: ServiceId) -> Channel {
        let [intake, routing, sla, notify] = &self.channels;
        match service {
            ServiceId::Intake => intake.clone(),
            ServiceId::Routing => routing.clone(),
            ServiceId::Sla => sla.clone(),
            ServiceId::Notify => notify.clone(),
        }
    }

    /// A request with a deadline, the positions seen, and the trace.
    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = self.endless(message);
        request.set_timeout(CALL_WITHIN);
        request
    }

    /// A request without a deadline, for streams.
    pub fn endless<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).to_string();
        let headers = [
            ("x-switchyard-position", Some(seen).filter(|seen| !seen.is_empty())),
            ("traceparent", self.traceparent.clone()),
        ];
        for (name, value) in headers {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                request.metadata_mut().insert(name, value);
            }
        }
        request
    }

    /// Calls, and calls again with the very same message while the service is unavailable. See [`call!`](crate::call).
    pub async fn retried<M, R, F>(
        &self,
        message: M,
        call: impl Fn(Request<M>) -> F,
    ) -> Result<R, Status>
    where
        M: Clone,
        R: Reply,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let deadline = Instant::now() + WITHIN;
        let mut pause = LOOK_AGAIN_EVERY;
        loop {
            match call(self.request(message.clone())).await {
                Ok(reply) => {
                    let reply = reply.into_inner();
                    self.saw(reply.position());
                    return Ok(reply);
                }
                Err(status) if may_retry(&status) && Instant::now() < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// Remembers positions.
    pub fn saw(&self, token: &str) {
        let Ok(positions) = token.parse::<Positions>() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        positions.iter().for_each(|position| seen.merge(position));
    }

    /// How a service's partitions stand.
    pub async fn status(&self, service: ServiceId) -> Result<Vec<admin::PartitionStatus>, Status> {
        let mut client = StatusServiceClient::new(self.channel(service));
        let mut partitions = client
            .get_status(admin::GetStatusRequest { include_state_hash: false })
            .await?
            .into_inner()
            .partitions;
        let wanted = i32::from(service.to_wire());
        partitions.retain(|partition| {
            partition.position.as_ref().is_some_and(|position| position.service == wanted)
        });
        Ok(partitions)
    }

    /// The server's clock.
    pub fn clock(&self, service: ServiceId) -> ClockServiceClient<Channel> {
        ClockServiceClient::new(self.channel(service))
    }

    /// The records of a service's logs.
    pub fn log(&self, service: ServiceId) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel(service)).max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// Waits until all four servers rest together. See [`rest`](crate::rest::rest).
    pub async fn rest(&self) -> anyhow::Result<()> {
        crate::rest::rest(std::slice::from_ref(self)).await
    }
}

/// What a careful client tries again: what was not served, and what it can't know of. The connection's own errors have
/// no details.
pub fn may_retry(status: &Status) -> bool {
    let broken = status.get_details_error_info().is_none();
    let code = status.code();
    // A server that was frozen finds so many calls given up that it closes the connection as a precaution.
    let unsure = [Code::Unknown, Code::Cancelled, Code::Internal, Code::ResourceExhausted];
    let unsure = unsure.contains(&code);
    code == Code::Unavailable || unsure && broken
}

/// The reason that a refusal carries; empty if none.
pub fn reason_of(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// A request id: a UUIDv7.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Looks until there is something to see, within [`WITHIN`].
pub async fn until<T, F>(what: &str, look: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(seen) = look().await.with_context(|| format!("looking for: {what}"))? {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            bail!("not within {WITHIN:?}: {what}");
        }
        sleep(LOOK_AGAIN_EVERY).await;
    }
}
