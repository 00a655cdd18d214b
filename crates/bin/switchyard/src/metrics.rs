//! `--metrics-listen`: what a Prometheus server reads, over plain HTTP.

use std::net::SocketAddr;

use anyhow::Result;
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

/// Begins to serve. An address that can't be listened on is bad configuration: what was asked for would be missing
/// without a word.
pub(crate) async fn listen(address: SocketAddr, scrape: Scrape) -> Result<Metrics> {
    let taken = |error| bad_configuration(format!("--metrics-listen {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    tracing::info!(%address, "metrics are served");
    Ok(Metrics(tokio::spawn(async move { match metrics::serve(listener, scrape).await {} })))
}
