//! A receiver of webhooks that trusts nobody: it verifies each signature, and keeps every body that came with a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use standardwebhooks::{HEADER_WEBHOOK_ID, Webhook};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the endpoints of the tests sign with.
pub const SECRET: &str = "whsec_c3dpdGNoeWFyZCB0ZXN0cyBzaWduIHdpdGggdGhpcw==";

/// A receiver on loopback. Ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: String,
    received: Arc<Mutex<Received>>,
    serving: JoinHandle<()>,
}

/// What came.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Verified requests, repetitions included.
    pub delivered: u64,
    /// Requests whose signature, or time, was wrong.
    pub rejected: u64,
    /// The bodies by key. More than one is a broken promise.
    pub bodies: BTreeMap<String, BTreeSet<Bytes>>,
}

impl Received {
    /// How many keys came with more than one body.
    pub fn conflicting(&self) -> usize {
        self.bodies.values().filter(|bodies| bodies.len() > 1).count()
    }
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let received = Arc::default();
        let router = Router::new()
            .route("/", post(take))
            .route("/deliveries", get(list))
            .with_state(Arc::clone(&received));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap_or_default();
        });
        Ok(Self { address, received, serving })
    }

    /// The address to send webhooks to.
    pub fn url(&self) -> String {
        format!("{}/", self.address)
    }

    /// The address without a path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What came so far.
    pub fn received(&self) -> Received {
        lock(&self.received).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(
    State(received): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let verified =
        Webhook::new(SECRET).is_ok_and(|webhook| webhook.verify(&body, &headers).is_ok());
    let mut received = lock(&received);
    if !verified {
        received.rejected += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let key = headers.get(HEADER_WEBHOOK_ID).and_then(|key| key.to_str().ok()).unwrap_or_default();
    received.delivered += 1;
    received.bodies.entry(key.to_owned()).or_default().insert(body);
    StatusCode::NO_CONTENT
}

/// The same report as `switchyard receive-webhooks` gives.
async fn list(State(received): State<Arc<Mutex<Received>>>) -> Json<serde_json::Value> {
    let received = lock(&received);
    Json(serde_json::json!({
        "delivered": received.delivered,
        "keys": received.bodies.keys().collect::<Vec<_>>(),
        "rejected": received.rejected,
        "conflicting": received.conflicting(),
    }))
}
