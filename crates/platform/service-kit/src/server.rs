//! A gRPC server from a list of services: bound first, healthy when ready, drained at the end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::WatchStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

use crate::drain::Drain;
use crate::forward::{ForwardLayer, Peers};
use crate::gate::{Gates, PositionGate};
use crate::hygiene::HygieneLayer;
use crate::readiness::Readiness;
use crate::trace::TraceLayer;

/// How often an idle connection is probed.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// How long a probe may go unanswered.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(20);
/// How many calls one connection may have in flight.
const STREAMS_MAX: u32 = 256;
/// How long a drain lasts at most, unless told otherwise.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(10);

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
    /// Serving failed.
    #[error("serving failed")]
    Serve(#[from] tonic::transport::Error),
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

    /// Adds a service that is healthy while `ready` says so, with its partitions' health beside it, and whose calls wait at `gate` for
    /// the positions they name.
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
}

/// A server that is bound and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds an address; port 0 takes a free one. Done before anything else, so that a taken port is known at once.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound.await.map_err(|source| ServerError::Bind { address, source })
    }

    /// The address it is bound to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`; then health turns `NOT_SERVING`, `drain` is given (which ends the watches), calls in flight may end
    /// within `drain_within`, and what is left is dropped.
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

        let (stop, stopping) = oneshot::channel::<()>();
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let router = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
            .max_concurrent_streams(STREAMS_MAX)
            .layer(TraceLayer)
            .layer(HygieneLayer::new(Gates::new(gates)))
            .layer(ForwardLayer::new(peers, drain.clone()))
            .add_routes(routes.routes());
        let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
            // A sender that is gone means stop, too.
            stopping.await.ok();
        }));

        tokio::select! {
            biased;
            () = shutdown => {}
            ended = &mut serving => {
                drain.start();
                return Ok(ended??);
            }
        }
        drain.start();
        // The reporter says NOT_SERVING before the connections are told to go.
        reporting.await?;
        drop(stop);
        if let Ok(ended) = tokio::time::timeout(drain_within, &mut serving).await {
            return Ok(ended??);
        }
        tracing::warn!("calls were still in flight at the end of the drain");
        serving.abort();
        Ok(())
    }
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
    routes.add_service(builder().build_v1()?);
    routes.add_service(builder().build_v1alpha()?);
    Ok(())
}

/// Keeps health up to date until the drain; the server as a whole is healthy when every service is, whatever single partitions are.
async fn report(
    reporter: HealthReporter,
    ready: Vec<(String, watch::Receiver<bool>)>,
    partitions: Vec<(String, watch::Receiver<bool>)>,
    drain: Drain,
) {
    let services = ready.len();
    let all: Vec<_> = ready.into_iter().chain(partitions).collect();
    let mut states: Vec<(String, bool)> =
        all.iter().map(|(name, _)| (name.clone(), false)).collect();
    let changes = all.into_iter().enumerate().map(|(index, (_, ready))| {
        WatchStream::new(ready).map(move |ready| (index, ready)).boxed()
    });
    let mut changes = stream::select_all(changes);
    for (name, _) in &states {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    if states.is_empty() {
        reporter.set_service_status("", ServingStatus::Serving).await;
    }
    loop {
        let change = tokio::select! {
            biased;
            () = drain.started() => break,
            change = changes.next() => change,
        };
        let Some((index, ready)) = change else {
            // All who could say otherwise are gone.
            drain.started().await;
            break;
        };
        if let Some((name, state)) = states.get_mut(index) {
            *state = ready;
            reporter.set_service_status(&*name, serving(ready)).await;
        }
        let all = states.iter().take(services).all(|(_, ready)| *ready);
        reporter.set_service_status("", serving(all)).await;
    }
    for (name, _) in &states {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    reporter.set_service_status("", ServingStatus::NotServing).await;
}

const fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}
