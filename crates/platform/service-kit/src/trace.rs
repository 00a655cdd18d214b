//! A span for each call, a child of the caller's. Made only while spans are exported; never with anything of a
//! message's content.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, Request, Response};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::Status as SpanStatus;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Names of the semantic conventions, in one place: the next release renames some.
mod names {
    pub(super) const STATUS_CODE: &str = "rpc.response.status_code";
    pub(super) const ERROR_TYPE: &str = "error.type";
}

/// Gives every call a span.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceLayer;

impl<S> tower::Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// See [`TraceLayer`].
#[derive(Debug, Clone)]
pub struct Trace<S> {
    inner: S,
}

impl<S> tower::Service<Request<Body>> for Trace<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
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
        if !runtime::trace::enabled() {
            return self.inner.call(request).boxed();
        }
        let span = server_span(&request);
        let response = span.in_scope(|| self.inner.call(request));
        let noted = span.clone();
        async move {
            let response = response.await;
            if let Ok(response) = &response {
                note_outcome(&noted, response.headers());
            }
            response
        }
        .instrument(span)
        .boxed()
    }
}

/// Makes what another instance does for a call part of the span that it has here.
pub(crate) fn pass_on(headers: &mut HeaderMap) {
    if runtime::trace::enabled() {
        let context = tracing::Span::current().context();
        TraceContextPropagator::new().inject_context(&context, &mut HeadersMut(headers));
    }
}

fn server_span(request: &Request<Body>) -> tracing::Span {
    let method = request.uri().path().trim_start_matches('/');
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
    );
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // It can only fail for a span that no exporter listens to.
    drop(span.set_parent(parent));
    span
}

/// A refusal stands in the head; a call that was served has its status in the trailers, and is OK.
fn note_outcome(span: &tracing::Span, headers: &HeaderMap) {
    let code = Status::from_header_map(headers).map_or(Code::Ok, |status| status.code());
    let name = code_name(code);
    span.set_attribute(names::STATUS_CODE, name);
    if is_fault(code) {
        span.set_attribute(names::ERROR_TYPE, name);
        span.set_status(SpanStatus::error(name));
    }
}

/// Whether the server is to blame.
const fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// A code's name in gRPC: `NOT_FOUND`.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), value.parse()) {
            self.0.insert(name, value);
        }
    }
}
