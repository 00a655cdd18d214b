//! Where a Prometheus server reads the figures: `/metrics`, over plain HTTP/1.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{CONTENT_TYPE as FORM, Scrape};
use crate::server::{Accepted, EdgeMetrics, Listener};

/// How many connections are served at once; beyond, new ones are closed at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a caller may take to say what it wants.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last in all.
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// How large a request may be, in bytes.
const REQUEST_MAX_BYTES: usize = 16 * 1024;

/// Serves the figures until it is dropped.
pub async fn serve(listener: TcpListener, scrape: Scrape) -> Infallible {
    let mut listener = Listener::new(listener, CONNECTIONS_MAX, EdgeMetrics::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                connections.spawn(connection(accepted, scrape.clone()));
            }
        }
    }
}

async fn connection(accepted: Accepted, scrape: Scrape) {
    let (stream, _place) = accepted.into_parts();
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &scrape);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(ASKED_WITHIN)
        .keep_alive(false)
        .max_buf_size(REQUEST_MAX_BYTES);
    let serving = builder.serve_connection(TokioIo::new(stream), answer);
    // However it ends, its caller asks again.
    drop(tokio::time::timeout(DONE_WITHIN, serving).await);
}

fn respond(request: &Request<Incoming>, scrape: &Scrape) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Ok(text) = scrape.text() else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    response
}
