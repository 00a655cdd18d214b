//! Turns to make answers that may be large: so many are made at once, however many are asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use super::body::begun;
use super::request::REQUEST_MAX_BYTES;
use super::{Part, Readers};
use crate::hygiene::too_large_refusal;

/// How many answers are made at once for callers.
const CALLERS_AT_ONCE: usize = 12;
/// How many are made at once for operators. They read logs, which may stall; callers' answers lie in memory.
const OPERATORS_AT_ONCE: usize = 4;
/// How the paths of operators' calls begin.
const OPERATORS: &str = "/switchyard.admin.";
/// What reads much, beside whatever lists. None of these writes.
const LARGE: [&str; 5] = ["Read", "GetTimeline", "GetAgent", "ExplainRouting", "GetStatus"];

/// The turns of a server.
#[derive(Debug)]
pub(super) struct Turns {
    callers: Arc<Semaphore>,
    operators: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let of = |count| Arc::new(Semaphore::new(count));
        Self { callers: of(CALLERS_AT_ONCE), operators: of(OPERATORS_AT_ONCE) }
    }
}

impl Readers {
    /// A turn to make an answer, once there is room for any. The turn comes first: of all who wait for room, only those
    /// who have one go on when there is some.
    async fn turn(&self, path: &str) -> Option<OwnedSemaphorePermit> {
        let turns = &self.0.turns;
        let of = if path.starts_with(OPERATORS) { &turns.operators } else { &turns.callers };
        // It is never closed.
        let turn = Arc::clone(of).acquire_owned().await.ok();
        self.room(Part::Sent).await;
        turn
    }
}

/// Whether a method's answer may be large.
fn may_be_large(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    method.starts_with("List") || LARGE.contains(&method)
}

/// Marks an answer that counts already.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountsAlready;

/// Lets calls whose answers may be large wait for room and a turn, until the answer's first frame is made.
///
/// It stands inside of the position gate, so that nobody waits there with a turn; and inside of what passes calls on,
/// since two instances that pass calls to each other would each wait for the other's turns. A call has its turn only
/// once its request is there: otherwise whoever sends half of one would have it for as long as they like.
#[derive(Debug, Clone)]
pub(crate) struct TurnsLayer {
    readers: Readers,
}

impl TurnsLayer {
    pub(crate) const fn new(readers: Readers) -> Self {
        Self { readers }
    }
}

impl<S> tower::Layer<S> for TurnsLayer {
    type Service = Turned<S>;

    fn layer(&self, inner: S) -> Turned<S> {
        Turned { inner, readers: self.readers.clone() }
    }
}

/// See [`TurnsLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Turned<S> {
    inner: S,
    readers: Readers,
}

impl<S> tower::Service<Request<Body>> for Turned<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !may_be_large(request.uri().path()) {
            return self.inner.call(request).boxed();
        }
        // The clone may not be ready; the one that was polled is.
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        let readers = self.readers.clone();
        async move {
            let (head, mut body) = request.into_parts();
            let message = match whole(&mut body).await {
                Ok(message) => message,
                Err(status) => return Ok(status.into_http()),
            };
            let _turn = readers.turn(head.uri.path()).await;
            // It counts as long as it waits.
            drop(body);
            let request = Request::from_parts(head, Body::new(Full::new(message)));
            let answer = match ready.call(request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            let (mut head, body) = answer.into_parts();
            head.extensions.insert(CountsAlready);
            Ok(Response::from_parts(head, begun(body, readers).await))
        }
        .boxed()
    }
}

/// All of a request.
async fn whole(body: &mut Body) -> Result<Bytes, Status> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Calls have no trailers.
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > REQUEST_MAX_BYTES {
            return Err(too_large_refusal().into());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lists_or_reads_much_takes_a_turn_and_what_writes_does_not() {
        for path in ["/a.v1.A/ListTickets", "/a.v1.A/Read", "/a.v1.A/GetTimeline"] {
            assert!(may_be_large(path), "{path}");
        }
        for path in ["/a.v1.A/CreateTicket", "/a.v1.A/ReadAll", "/a.v1.ListA/Put", "", "/"] {
            assert!(!may_be_large(path), "{path}");
        }
        // The names of our own methods: whoever adds one that lists and writes must think of this.
        for service in wire::descriptors().services() {
            for method in service.methods().filter(|method| may_be_large(method.name())) {
                assert!(!method.is_server_streaming(), "{}", method.full_name());
            }
        }
    }
}
