//! Calls to a server: one connection, a deadline for each call, positions as a header.

use std::time::Duration;

use anyhow::Result;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use wire::admin::v1::clock_service_client::ClockServiceClient;
use wire::admin::v1::log_service_client::LogServiceClient;
use wire::admin::v1::parked_service_client::ParkedServiceClient;
use wire::admin::v1::status_service_client::StatusServiceClient;
use wire::intake::v1::intake_service_client::IntakeServiceClient;
use wire::notify::v1::notify_service_client::NotifyServiceClient;
use wire::routing::v1::routing_service_client::RoutingServiceClient;
use wire::sla::v1::sla_service_client::SlaServiceClient;

use crate::exit::{Unreachable, bad_configuration};

/// The header that makes a call wait until a position was seen.
pub(crate) const POSITION_HEADER: &str = "x-switchyard-position";

/// The largest reply that is read; a page of a log may have 4 MiB and its JSON.
const REPLY_MAX_BYTES: usize = 32 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets a deadline on each call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Interceptor for Deadline {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if request.metadata().get("grpc-timeout").is_none() {
            request.set_timeout(self.0);
        }
        Ok(request)
    }
}

type Transport = InterceptedService<Channel, Deadline>;

/// A connection to one server, which may have one role or all.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    transport: Transport,
    channel: Channel,
}

macro_rules! service {
    ($name:ident, $client:ident) => {
        pub(crate) fn $name(&self) -> $client<Transport> {
            $client::new(self.transport.clone()).max_decoding_message_size(REPLY_MAX_BYTES)
        }
    };
}

impl Client {
    /// Connects to `host:port` or `http://host:port`.
    pub(crate) async fn connect(address: &str, deadline: Duration) -> Result<Self> {
        let uri =
            if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| bad_configuration(format!("address {address:?}: {error}")))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT);
        let channel = endpoint
            .connect()
            .await
            .map_err(|source| Unreachable { address: address.to_owned(), source })?;
        let transport = InterceptedService::new(channel.clone(), Deadline(deadline));
        Ok(Self { transport, channel })
    }

    /// The connection without deadlines, for streams.
    pub(crate) fn endless_log(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone()).max_decoding_message_size(REPLY_MAX_BYTES)
    }

    /// The same for routing's watches.
    pub(crate) fn endless_routing(&self) -> RoutingServiceClient<Channel> {
        RoutingServiceClient::new(self.channel.clone())
    }

    /// The connection itself.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    service!(intake, IntakeServiceClient);
    service!(routing, RoutingServiceClient);
    service!(sla, SlaServiceClient);
    service!(notify, NotifyServiceClient);
    service!(clock, ClockServiceClient);
    service!(status, StatusServiceClient);
    service!(parked, ParkedServiceClient);
    service!(log, LogServiceClient);
}

/// A request that is answered once `positions` were seen; none if empty.
pub(crate) fn seen<M>(message: M, positions: &str) -> Request<M> {
    let mut request = Request::new(message);
    if !positions.is_empty()
        && let Ok(value) = MetadataValue::try_from(positions)
    {
        request.metadata_mut().insert(POSITION_HEADER, value);
    }
    request
}
