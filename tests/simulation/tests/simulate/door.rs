//! How calls get in: all that a server puts a call through, behind a network; and the way by which one instance passes
//! calls on.
//!
//! A caller's connection breaks when the process behind it dies, and hears nothing while it is stopped. Each call bears
//! its name and counts how often it was passed on, so that what must never happen to it is seen where it would (I48).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyStream, StreamBody};
use runtime::Node;
use service_kit::{Dial, Drain, Peers, PositionGate, Services, Stack, Unanswered};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Status, async_trait};
use tower::ServiceExt;

use crate::cluster::Staged;
use crate::instance::{Fault, Instance, SILENCE};

/// The name of a call, of one attempt alone.
pub(crate) const CALL_HEADER: &str = "x-sim-call";
/// How often it was passed on.
const HOPS_HEADER: &str = "x-sim-hops";
/// How long a connection is tried for.
const CONNECT_WITHIN: std::ops::Range<u64> = 200..1_000;

/// The way to one instance.
#[derive(Clone)]
pub(crate) struct Door {
    instance: Instance,
    stack: Stack,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("instance", &self.instance.name).finish_non_exhaustive()
    }
}

/// A connection broke while a call was under way.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection broke")]
pub(crate) struct Broken;

impl Door {
    pub(crate) fn new<S: Staged>(instance: &Instance, node: &Node<S>, drain: &Drain) -> Self {
        let peers = Peers::by(instance.place.address(), Roads(instance.clone()));
        let gate: Arc<dyn PositionGate> = Arc::new(node.clone());
        // Nobody asks after health here.
        let (_, ready) = watch::channel(true);
        let services = Services::new().beside(peers);
        let services = S::serve(services, node.clone(), drain.clone(), ready, gate);
        Self { instance: instance.clone(), stack: services.stack(drain.clone()) }
    }

    async fn pass(self, request: Request<Body>) -> Result<Response<Body>, Broken> {
        let Self { instance, stack } = self;
        instance.latency().await;
        let served = tokio::select! {
            biased;
            () = instance.dead.cancelled() => return Err(Broken),
            served = instance.live(stack.oneshot(request)) => served,
        };
        instance.latency().await;
        match served {
            Ok(response) => Ok(response.map(|body| way_out(instance, body))),
            Err(never) => match never {},
        }
    }
}

impl tower::Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = BoxFuture<'static, Result<Response<Body>, Broken>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.clone().pass(request).boxed()
    }
}

/// What is left of an answer comes as long as the process lives.
fn way_out(instance: Instance, body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let frames = stream::unfold(Some((instance, BodyStream::new(body))), |on| async {
        let (instance, mut frames) = on?;
        let frame = tokio::select! {
            biased;
            () = instance.dead.cancelled() => {
                return Some((Err(Status::unavailable(Broken.to_string())), None));
            }
            frame = instance.live(frames.next()) => frame?,
        };
        Some((frame, Some((instance, frames))))
    });
    Body::new(StreamBody::new(frames.boxed()))
}

/// The ways from one instance to the others.
struct Roads(Instance);

impl Roads {
    /// A call is passed on once, and never after nobody knew what had become of it (I48).
    fn mark(&self, request: &mut Request<Body>) -> String {
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let call = header(CALL_HEADER).to_owned();
        let world = &self.0.world;
        if !header(HOPS_HEADER).is_empty() {
            world.violation(format!("I48: {} passes {call} on a second time", self.0.name));
        }
        if world.told().broken_off.contains(&call) {
            world.violation(format!("I48: {} passes {call} on after it broke off", self.0.name));
        }
        let name = HeaderName::from_static(HOPS_HEADER);
        request.headers_mut().insert(name, HeaderValue::from_static("1"));
        call
    }

    async fn carry(
        &self,
        address: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Unanswered> {
        let world = &self.0.world;
        let call = self.mark(&mut request);
        let door = world.seats.door(address);
        let cut = |instance: &Instance| instance.link.is(Fault::Peers);
        let Some(door) = door.filter(|door| !cut(&door.instance) && !cut(&self.0)) else {
            self.0.pause(CONNECT_WITHIN).await;
            return Err(Unanswered::NotSent);
        };
        world.count_look("call passed on");
        let other = door.instance.clone();
        let answer = tokio::select! {
            biased;
            answer = door.pass(request) => answer,
            () = silent(&other) => Err(Broken),
        };
        match answer {
            Ok(_) if world.fault("lost peer's answer", world.swarm.lost_reply) => {}
            Ok(answer) => return Ok(answer),
            Err(Broken) => {}
        }
        world.told().broken_off.insert(call);
        Err(Unanswered::Unknown)
    }
}

#[async_trait]
impl Dial for Roads {
    async fn send(
        &self,
        address: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Unanswered> {
        self.0.live(self.carry(address, request)).await
    }
}

/// Returns when a process has given no sign of life for too long.
async fn silent(other: &Instance) {
    loop {
        while !other.is_stopped() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if tokio::time::timeout(SILENCE, other.running()).await.is_err() {
            return;
        }
    }
}
