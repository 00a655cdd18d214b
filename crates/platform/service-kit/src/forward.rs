//! Any instance answers: a call that this instance doesn't lead is passed on, once, to the one that does.
//!
//! The handler says so by `NOT_LEADER`, which means that nothing was done. The request's bytes were kept meanwhile
//! (counted references, no copies), so the same call goes to the leader: the same method, message and headers, the
//! deadline shortened by what has passed. The answer, a stream's too, comes back as it is. While nobody is known to
//! lead, at a hand-over or after a death, the call waits a little rather than fail.
//!
//! Only addresses that the handler names are dialled, and it has them from the board on which instances tell each other
//! who leads; nothing that a caller sends becomes an address.

mod body;
mod peers;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use kernel::planted::{self, Bug};
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt;
use tower::ServiceExt;
use wire::common::v1::ErrorReason;

use crate::deadline::{deadline, set_deadline};
use crate::error::LEADER;
use crate::{Drain, Refusal, reason_text};
use body::{Kept, relayed};
use peers::CALLS_MAX;

pub use peers::{Dial, Peers, Unanswered};

/// Marks a call that was passed on, so that it is never passed on again: two instances with different views of who
/// leads can't play ping-pong with it.
///
/// Anybody may set it and gains nothing by it: it grants no access and skips no check. A marked call is served,
/// refused, limited and waited for exactly like any other; all that it gives up is being passed on, and it gets
/// `NOT_LEADER` instead.
pub const FORWARDED_HEADER: &str = "x-switchyard-forwarded";

/// How long a call waits at most until somebody is known to lead: longer than a planned hand-over takes.
const WAIT_MAX: Duration = Duration::from_secs(2);
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Passes calls on to whoever leads.
#[derive(Debug, Clone)]
pub(crate) struct ForwardLayer {
    /// `None`: there are no other instances.
    peers: Option<Arc<Peers>>,
    drain: Drain,
}

impl ForwardLayer {
    pub(crate) fn new(peers: Option<Peers>, drain: Drain) -> Self {
        Self { peers: peers.map(Arc::new), drain }
    }
}

impl<S> tower::Layer<S> for ForwardLayer {
    type Service = Forward<S>;

    fn layer(&self, inner: S) -> Forward<S> {
        Forward { inner, layer: self.clone() }
    }
}

/// See [`ForwardLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Forward<S> {
    inner: S,
    layer: ForwardLayer,
}

impl<S> tower::Service<Request<Body>> for Forward<S>
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
        let peers = self.layer.peers.clone();
        let marked =
            request.headers().contains_key(FORWARDED_HEADER) && !planted::is(Bug::PassedOnTwice);
        let Some(peers) = peers.filter(|_| !marked) else {
            return self.inner.call(request).boxed();
        };
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let kept = Kept::default();
        let request = Request::from_parts(head.clone(), kept.note(body));
        let first = self.inner.call(request);
        let inner = self.inner.clone();
        let drain = self.layer.drain.clone();
        async move {
            let first = match first.await {
                Ok(first) => first,
                Err(never) => match never {},
            };
            let Some(leader) = not_leader(first.headers()) else { return Ok(first) };
            // Not all of it was read: what is missing can't be sent.
            let Some(message) = kept.whole() else { return Ok(first) };
            let call = Abroad { peers, drain, head, message, began };
            Ok(call.answer(inner, first, leader).await)
        }
        .boxed()
    }
}

/// A call that isn't answered here.
struct Abroad {
    peers: Arc<Peers>,
    drain: Drain,
    head: Parts,
    message: Bytes,
    began: Instant,
}

impl Abroad {
    /// Passes the call on, or waits for somebody to pass it on to. `refusal` is what this instance says, and the last
    /// word if nobody is found.
    async fn answer<S>(
        self,
        inner: S,
        mut refusal: Response<Body>,
        mut leader: Option<String>,
    ) -> Response<Body>
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    {
        // Hygiene has refused a deadline that can't be read.
        let within = deadline(&self.head.headers).unwrap_or_default();
        let until = self.began + within;
        // A tenth is kept for the answer that nobody was found.
        let patience = (self.began + WAIT_MAX).min(until.checked_sub(within / 10).unwrap_or(until));
        let Some(_place) = self.peers.wait() else { return overloaded() };
        let mut pause = PAUSE_FIRST;
        loop {
            if let Some(leader) = leader.filter(|leader| !self.peers.is_self(leader)) {
                match self.peers.send(&leader, self.request(Some(until))).await {
                    Ok((response, carried)) if not_leader(response.headers()).is_none() => {
                        return relayed(response, self.drain, carried);
                    }
                    // It has just stepped down, or died: soon somebody else leads.
                    Ok(_) | Err(Unanswered::NotSent) => {}
                    Err(Unanswered::Unknown) if planted::is(Bug::PassedOnAfterBreak) => {}
                    Err(Unanswered::Unknown) => return unknown(),
                }
            }
            if Instant::now() + pause > patience {
                return refusal;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            // Perhaps this instance leads by now.
            refusal = match inner.clone().oneshot(self.request(None)).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            leader = match not_leader(refusal.headers()) {
                Some(leader) => leader,
                None => return refusal,
            };
        }
    }

    /// The call once more: for a peer, with the deadline that it must keep, or for this instance.
    fn request(&self, for_peer: Option<Instant>) -> Request<Body> {
        let mut head = self.head.clone();
        if let Some(until) = for_peer {
            let left = until.saturating_duration_since(Instant::now());
            set_deadline(&mut head.headers, left);
            let mark = HeaderName::from_static(FORWARDED_HEADER);
            head.headers.insert(mark, HeaderValue::from_static("1"));
            crate::trace::pass_on(&mut head.headers);
        }
        Request::from_parts(head, Body::new(Full::new(self.message.clone())))
    }
}

/// Whether a response says `NOT_LEADER`, and whom it names. Cheap for all that don't.
#[expect(clippy::option_option, reason = "whether it says so, and whether it knows who")]
fn not_leader(headers: &HeaderMap) -> Option<Option<String>> {
    let unavailable = headers.get("grpc-status").is_some_and(|code| code == "14");
    let status = if unavailable { Status::from_header_map(headers)? } else { return None };
    let info = status.get_details_error_info()?;
    (info.reason == reason_text(ErrorReason::NotLeader)).then(|| info.metadata.get(LEADER).cloned())
}

fn overloaded() -> Response<Body> {
    let message = "too many calls are on their way to other instances";
    let refusal = Refusal::of(ErrorReason::Overloaded, message);
    Status::from(refusal.with("scope", "forwarding").with("limit", CALLS_MAX)).into_http()
}

fn unknown() -> Response<Body> {
    Status::from(outcome_unknown()).into_http()
}

fn outcome_unknown() -> Refusal {
    Refusal::of(
        ErrorReason::OutcomeUnknown,
        "the connection to the partition's leader broke; retrying with the same request_id is safe",
    )
}
