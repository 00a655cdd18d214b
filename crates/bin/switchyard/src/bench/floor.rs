//! The floor of a call: a gRPC handler that stores one message and answers, and nothing else.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::Bytes;
use event_log::{EventLog, Seq};
use event_log_nats::Publisher;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use wire::intake::v1::{CreateTicketRequest, CreateTicketResponse};

use super::place::Opened;

/// Stores one message at a call.
#[derive(Debug)]
pub(super) enum Bare {
    /// Publishes it, without a fence, and awaits the acknowledgement: calls in flight don't wait for one another.
    Nats(Publisher),
    /// Appends it. A directory has no other way than behind the last record, so calls take turns.
    Directory(Mutex<(Seq, Arc<dyn EventLog>)>),
}

impl Bare {
    /// One that stores in the floor's log `number`.
    pub(super) async fn new(opened: &Opened, number: u16) -> Result<Self> {
        let log = opened.floor(number).await?;
        Ok(match opened.publisher(number) {
            Some(publisher) => Self::Nats(publisher),
            None => Self::Directory(Mutex::new((log.tail().await?.last, log))),
        })
    }

    /// Returns once the message is stored.
    pub(super) async fn store(&self, message: Bytes) -> Result<()> {
        match self {
            Self::Nats(publisher) => Ok(publisher.publish(message).await?),
            Self::Directory(turn) => {
                let mut turn = turn.lock().await;
                turn.0 = turn.1.append(turn.0, message).await?;
                Ok(())
            }
        }
    }
}

/// A server whose one method is intake's `CreateTicket`, so that the same client calls both.
#[derive(Debug, Clone)]
struct Handler {
    /// None: an echo.
    store: Option<Arc<Bare>>,
}

impl NamedService for Handler {
    const NAME: &'static str = "switchyard.intake.v1.IntakeService";
}

impl Service<HttpRequest<Body>> for Handler {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let handler = self.clone();
        async move {
            let codec = ProstCodec::<CreateTicketResponse, CreateTicketRequest>::default();
            Ok(Grpc::new(codec).unary(handler, request).await)
        }
        .boxed()
    }
}

impl UnaryService<CreateTicketRequest> for Handler {
    type Response = CreateTicketResponse;
    type Future = BoxFuture<'static, Result<Response<CreateTicketResponse>, Status>>;

    fn call(&mut self, request: Request<CreateTicketRequest>) -> Self::Future {
        let store = self.store.clone();
        async move {
            let request = request.into_inner();
            if let Some(store) = store {
                // The bytes of the request: its fields are what any store must keep.
                let message = Bytes::from(request.encode_to_vec());
                store.store(message).await.map_err(|error| Status::internal(error.to_string()))?;
            }
            let ticket_id = request.ticket_id;
            Ok(Response::new(CreateTicketResponse { ticket_id, ..CreateTicketResponse::default() }))
        }
        .boxed()
    }
}

/// A floor's server, running.
#[derive(Debug)]
pub(super) struct FloorServer {
    pub(super) address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl FloorServer {
    /// Starts one on a free port; without a store it is an echo.
    pub(super) async fn start(store: Option<Arc<Bare>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (stop, stopping) = oneshot::channel();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let router = tonic::transport::Server::builder().add_service(Handler { store });
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
            // A sender that is gone means stop, too.
            stopping.await.unwrap_or(());
        }));
        Ok(Self { address, stop, serving })
    }

    pub(super) async fn stop(self) -> Result<()> {
        drop(self.stop);
        Ok(self.serving.await??)
    }
}
