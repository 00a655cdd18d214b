//! A gRPC server from a list of services: bound first, healthy when ready, drained at the end.

mod connection;
mod health;
mod limits;
mod listener;
mod socket;
mod streams;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::drain::Drain;
use crate::forward::{ForwardLayer, Peers};
use crate::gate::{Gates, PositionGate};
use crate::hygiene::HygieneLayer;
use crate::readers::{Readers, ReadersLayer, TurnsLayer};
use crate::readiness::Readiness;
use crate::trace::TraceLayer;
use health::report;
pub(crate) use limits::Counted;
pub use limits::{CONNECTIONS_MAX, EdgeMetrics, Limits, SLOW_AFTER, UNSENT_BYTES_MAX, WATCHES_MAX};
pub(crate) use listener::{Accepted, Listener};
pub(crate) use streams::Stream;

/// How long a drain lasts at most, unless told otherwise.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// The largest message that reflection takes, in bytes: a name. Its requests are streams, and don't count while they
/// come; so none may be large.
const REFLECTION_MAX_BYTES: usize = 16 * 1024;

/// Why a server ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address can't be listened on.
    #[error("{address} can't be listened on")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Reflection can't be built from the descriptors.
    #[error("the descriptors can't be served")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server's task broke.
    #[error("the server's task broke")]
    Task(#[from] tokio::task::JoinError),
}

/// Lets a generated server take gzip and zstd, and messages up to 4 MiB: `tuned!(IntakeServiceServer::new(api))`.
#[macro_export]
macro_rules! tuned {
    ($server:expr) => {
        $server
            .accept_compressed(::tonic::codec::CompressionEncoding::Gzip)
            .accept_compressed(::tonic::codec::CompressionEncoding::Zstd)
            .max_decoding_message_size($crate::hygiene::MESSAGE_MAX_BYTES)
    };
}

/// The services of a server.
#[derive(Debug, Default)]
pub struct Services {
    routes: RoutesBuilder,
    names: Vec<String>,
    ready: Vec<(String, watch::Receiver<bool>)>,
    partitions: Vec<(String, watch::Receiver<bool>)>,
    gates: Vec<(String, Arc<dyn PositionGate>)>,
    peers: Option<Peers>,
}

impl Services {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes calls that this instance doesn't lead on to whoever does; unset: they are refused.
    pub fn beside(mut self, peers: Peers) -> Self {
        self.peers = Some(peers);
        self
    }

    /// Adds a service that is healthy while `ready` says so, with its partitions' health beside it, and whose calls
    /// wait at `gate` for the positions they name.
    pub fn with<S>(
        mut self,
        service: S,
        ready: impl Into<Readiness>,
        gate: Arc<dyn PositionGate>,
    ) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let Readiness { service: ready, partitions } = ready.into();
        self.ready.push((S::NAME.to_owned(), ready));
        self.partitions.extend(partitions);
        self.gates.push((S::NAME.to_owned(), gate));
        self.with_plain(service)
    }

    /// Adds a service that is always healthy and waits for nothing: an operator's.
    pub fn with_plain<S>(mut self, service: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME.to_owned());
        self.routes.add_service(service);
        self
    }

    /// What a call goes through in a server, for whoever carries calls without connections: a simulation. Health and
    /// reflection are a server's, and so are the limits on what its connections hold.
    pub fn stack(self, drain: Drain) -> Stack {
        let Self { routes, gates, peers, .. } = self;
        let service = ServiceBuilder::new()
            .layer(HygieneLayer::new(Gates::new(gates)))
            .layer(ForwardLayer::new(peers, drain))
            .service(routes.routes().prepare());
        BoxCloneSyncService::new(service)
    }
}

/// See [`Services::stack`]. Clones serve the same services.
pub type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A server that is bound and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    metrics: EdgeMetrics,
}

impl Server {
    /// Binds an address; port 0 takes a free one. Done before anything else, so that a taken port is known at once.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            let (limits, metrics) = (Limits::default(), EdgeMetrics::default());
            Ok(Self { listener, address, limits, metrics })
        };
        bound.await.map_err(|source| ServerError::Bind { address, source })
    }

    /// The address it is bound to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds at most so much at once.
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What it counts.
    pub const fn metrics(&self) -> &EdgeMetrics {
        &self.metrics
    }

    /// Serves until `shutdown`; then health turns `NOT_SERVING`, `drain` is given (which ends the watches), calls in
    /// flight may end within `drain_within`, and what is left is dropped.
    pub async fn serve(
        self,
        services: Services,
        drain: Drain,
        drain_within: Duration,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let Services { mut routes, mut names, ready, partitions, gates, peers } = services;
        let reporter = HealthReporter::new();
        reporter.set_service_status("", ServingStatus::NotServing).await;
        let health = HealthService::from_health_reporter(reporter.clone());
        routes.add_service(tonic_health::pb::health_server::HealthServer::new(health));
        add_reflection(&mut routes, &mut names)?;
        let reporting = tokio::spawn(report(reporter.clone(), ready, partitions, drain.clone()));

        let readers = Readers::new(self.limits, self.metrics.clone());
        let service = ServiceBuilder::new()
            .layer(TraceLayer)
            .layer(HygieneLayer::new(Gates::new(gates)))
            .layer(ReadersLayer::new(readers.clone()))
            .layer(ForwardLayer::new(peers, drain.clone()))
            .layer(TurnsLayer::new(readers.clone()))
            .service(routes.routes().prepare());
        let leave = CancellationToken::new();
        let listener = Listener::new(self.listener, self.limits.connections, self.metrics.clone());
        let accepting = accept(listener, service, self.metrics, leave.clone());
        let mut serving = tokio::spawn(async move {
            tokio::select! {
                () = accepting => {}
                never = readers.watch_over() => match never {},
            }
        });

        tokio::select! {
            biased;
            () = shutdown => {}
            ended = &mut serving => {
                drain.start();
                return Ok(ended?);
            }
        }
        drain.start();
        // The reporter says NOT_SERVING before the connections are told to go.
        reporting.await?;
        leave.cancel();
        if let Ok(ended) = tokio::time::timeout(drain_within, &mut serving).await {
            return Ok(ended?);
        }
        tracing::warn!("calls were still in flight at the end of the drain");
        serving.abort();
        Ok(())
    }
}

/// Serves every connection that there is a place for, until `leave`; then it waits until the last one has gone.
async fn accept<S>(
    mut listener: Listener,
    service: S,
    metrics: EdgeMetrics,
    leave: CancellationToken,
) where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    // Whoever drops this ends them all.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = leave.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (service, metrics) = (service.clone(), metrics.clone());
        connections.spawn(connection::serve(accepted, service, metrics, leave.clone()));
    }
    // The port is free, and whoever dials it knows at once that nobody is there.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn add_reflection(routes: &mut RoutesBuilder, names: &mut Vec<String>) -> Result<(), ServerError> {
    let own = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
    names.extend(own.map(str::to_owned));
    names.push("grpc.reflection.v1alpha.ServerReflection".to_owned());
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        names.iter().fold(builder, tonic_reflection::server::Builder::with_service_name)
    };
    let v1 = builder().build_v1()?.max_decoding_message_size(REFLECTION_MAX_BYTES);
    let v1alpha = builder().build_v1alpha()?.max_decoding_message_size(REFLECTION_MAX_BYTES);
    routes.add_service(v1);
    routes.add_service(v1alpha);
    Ok(())
}
