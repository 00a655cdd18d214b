//! `--metrics-listen`: what a Prometheus server reads, over plain HTTP.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use service_kit::metrics::{self, Scrape};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::exit::bad_configuration;

/// Serves the figures at `/metrics` until it is dropped.
#[derive(Debug)]
pub(crate) struct Metrics(JoinHandle<()>);

impl Drop for Metrics {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to serve.
pub(crate) async fn listen(address: SocketAddr, scrape: Scrape) -> Result<Metrics> {
    let taken = |error| bad_configuration(format!("--metrics-listen {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    tracing::info!(%address, "metrics are served");
    let router = Router::new().route("/metrics", get(show)).with_state(scrape);
    Ok(Metrics(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are served no more");
        }
    })))
}

async fn show(State(scrape): State<Scrape>) -> Response {
    match scrape.text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
