//! What every call goes through: the codes and headers of gRPC as its specification means them.
//!
//! tonic leaves gaps that callers would feel: a passed deadline is `CANCELLED` there, a message that is too large
//! `OUT_OF_RANGE`, a panic resets the stream, any content type will do. This layer closes them, and gives each refusal
//! that tonic makes by itself the `ErrorInfo` that the contract promises. Deadlines hold until the head of the
//! response: a stream's life is its own affair.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use tonic::body::Body;
use tonic::{Code, Status};
use wire::common::v1::ErrorReason;

use crate::Refusal;
use crate::deadline::deadline;
use crate::gate::Gates;

/// The largest message that a server takes, in bytes (4 MiB).
pub const MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// So much earlier than the caller's own deadline an answer leaves, so that it arrives as an answer.
const MARGIN: Duration = Duration::from_millis(1);

/// Puts every call through the hygiene.
#[derive(Debug, Clone, Default)]
pub struct HygieneLayer {
    gates: Gates,
}

impl HygieneLayer {
    /// With the gates that positions are waited for at.
    pub fn new(gates: Gates) -> Self {
        Self { gates }
    }
}

impl<S> tower::Layer<S> for HygieneLayer {
    type Service = Hygiene<S>;

    fn layer(&self, inner: S) -> Hygiene<S> {
        Hygiene { inner, gates: self.gates.clone() }
    }
}

/// See [`HygieneLayer`].
#[derive(Debug, Clone)]
pub struct Hygiene<S> {
    inner: S,
    gates: Gates,
}

impl<S> tower::Service<Request<Body>> for Hygiene<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(response) = not_grpc(&request) {
            return std::future::ready(Ok(response)).boxed();
        }
        let within = match deadline(request.headers()) {
            Ok(within) => within.saturating_sub(MARGIN),
            Err(refusal) => return std::future::ready(Ok(answer(refusal))).boxed(),
        };
        // The timer starts here, not when the call is first polled.
        let until = tokio::time::Instant::now() + within;
        // The clone may not be ready; the one that was polled is.
        let fresh = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, fresh);
        let gates = self.gates.clone();
        async move {
            let served = AssertUnwindSafe(serve(ready, gates, request, within)).catch_unwind();
            Ok(match tokio::time::timeout_at(until, served).await {
                Ok(Ok(response)) => tidy(response),
                Ok(Err(panic)) => panicked(panic.as_ref()),
                Err(_) => late(),
            })
        }
        .boxed()
    }
}

async fn serve<S>(
    mut inner: S,
    gates: Gates,
    request: Request<Body>,
    within: Duration,
) -> Response<Body>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    if within.is_zero() {
        return late();
    }
    // A tenth is kept for the answer that it did not catch up.
    let patience = within.saturating_sub(within / 10);
    if let Err(refusal) = gates.pass(request.uri().path(), request.headers(), patience).await {
        return answer(refusal);
    }
    match inner.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn answer(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

fn late() -> Response<Body> {
    answer(Refusal::of(ErrorReason::DeadlineExceeded, "the call's deadline passed"))
}

/// A request that is none of gRPC: by the specification it gets an HTTP status, not a gRPC one.
fn not_grpc(request: &Request<Body>) -> Option<Response<Body>> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let rest = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("application/grpc"));
    let good = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']));
    let status = if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else if good {
        return None;
    } else {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    };
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    Some(response)
}

/// What a message of more than [`MESSAGE_MAX_BYTES`] is answered.
pub(crate) fn too_large_refusal() -> Refusal {
    Refusal::of(ErrorReason::MessageTooLarge, "the message is larger than the limit")
        .with("limit_bytes", MESSAGE_MAX_BYTES)
}

/// Gives tonic's own refusals, which have no details, the right code and an `ErrorInfo`.
fn tidy(response: Response<Body>) -> Response<Body> {
    let Some(status) = bare(response.headers()) else { return response };
    let message = status.message();
    let too_large = message.contains("message length too large") || message.contains("size limit");
    let code = status.code();
    if too_large && matches!(code, Code::OutOfRange | Code::ResourceExhausted) {
        return answer(too_large_refusal());
    }
    if code == Code::Unimplemented {
        let message = if message.is_empty() { "there is no such method" } else { message };
        return answer(Refusal::of(ErrorReason::Unimplemented, message));
    }
    if code == Code::Internal {
        // What can't be decoded. tonic follows those who say INTERNAL; but the fault is the caller's, and nobody here
        // is to be called out for it. Ours never comes without details.
        return answer(Refusal::of(ErrorReason::MessageInvalid, message));
    }
    response
}

/// A refusal in the head of a response, if it has no details.
fn bare(headers: &HeaderMap) -> Option<Status> {
    let status = Status::from_header_map(headers)?;
    (status.code() != Code::Ok && status.details().is_empty()).then_some(status)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Response<Body> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    let id = uuid::Uuid::now_v7();
    tracing::error!(%id, panic = text, "a handler panicked");
    answer(Refusal::of(ErrorReason::Internal, format!("internal error {id}")).with("id", id))
}
