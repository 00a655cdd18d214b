//! A receiver of signed webhooks: verifies, counts, and prints one JSON line for each delivery.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};
use tokio::net::TcpListener;

use crate::cli::ReceiveWebhooks;
use crate::exit::bad_configuration;
use crate::{out, signals};

/// What was received so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Deliveries {
    /// Verified requests, repetitions included.
    pub(crate) delivered: u64,
    /// Their keys, each once.
    pub(crate) keys: Vec<String>,
    /// Requests whose signature or time is wrong.
    pub(crate) rejected: u64,
    /// Keys that came with two bodies.
    pub(crate) conflicting: u64,
}

/// A receiver. Clones share what was received.
#[derive(Clone)]
pub(crate) struct Receiver(Arc<Inner>);

struct Inner {
    webhook: Webhook,
    any_time: bool,
    print: bool,
    received: Mutex<Received>,
}

#[derive(Default)]
struct Received {
    delivered: u64,
    rejected: u64,
    /// The hash of the first body by key, and whether another one came.
    bodies: BTreeMap<String, (blake3::Hash, bool)>,
}

impl Receiver {
    /// A receiver that knows the secret (`whsec_…`). With `any_time` it takes what was signed at another time than
    /// about now, as under a manual clock; with `print` it prints a line for each delivery.
    pub(crate) fn new(secret: &str, any_time: bool, print: bool) -> Result<Self> {
        let webhook = Webhook::new(secret)
            .map_err(|error| bad_configuration(format!("the webhook secret: {error}")))?;
        let received = Mutex::default();
        Ok(Self(Arc::new(Inner { webhook, any_time, print, received })))
    }

    /// Serves on a listener until `stop` is done.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let router = Router::new()
            .route("/deliveries", get(list))
            .route("/", post(take))
            .route("/{*path}", post(take))
            .with_state(self);
        axum::serve(listener, router).with_graceful_shutdown(stop).await.context("the receiver")
    }

    /// What was received so far.
    pub(crate) fn deliveries(&self) -> Deliveries {
        let received = self.received();
        let conflicting = received.bodies.values().filter(|(_, other)| *other).count();
        Deliveries {
            delivered: received.delivered,
            keys: received.bodies.keys().cloned().collect(),
            rejected: received.rejected,
            conflicting: u64::try_from(conflicting).unwrap_or(u64::MAX),
        }
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        // Each change is one insertion or addition, so a panic leaves nothing half-done.
        self.0.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        if !self.0.any_time {
            return self.0.webhook.verify(body, headers).map_err(|error| error.to_string());
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = text(HEADER_WEBHOOK_ID).ok_or("no id")?;
        let time = text(HEADER_WEBHOOK_TIMESTAMP).and_then(|time| time.parse().ok());
        let time = time.ok_or("no timestamp")?;
        let given = text(HEADER_WEBHOOK_SIGNATURE).ok_or("no signature")?;
        let wanted = self.0.webhook.sign(id, time, body).map_err(|error| error.to_string())?;
        // Hashes are compared in constant time.
        let wanted = blake3::hash(wanted.as_bytes());
        let signed = given.split(' ').any(|one| blake3::hash(one.as_bytes()) == wanted);
        signed.then_some(()).ok_or_else(|| "no matching signature".to_owned())
    }

    /// Counts a verified delivery and says how often its key has come.
    fn count(&self, key: &str, body: &[u8]) {
        let hash = blake3::hash(body);
        let mut received = self.received();
        received.delivered += 1;
        let (first, other) = received.bodies.entry(key.to_owned()).or_insert((hash, false));
        *other |= *first != hash;
    }
}

async fn list(State(receiver): State<Receiver>) -> Json<Deliveries> {
    Json(receiver.deliveries())
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let key = headers.get(HEADER_WEBHOOK_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let verified = receiver.verify(&headers, &body);
    match &verified {
        Ok(()) => receiver.count(key, &body),
        Err(_) => receiver.received().rejected += 1,
    }
    if receiver.0.print {
        let content = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let line = serde_json::json!({
            "webhook_id": key,
            "verified": verified.is_ok(),
            "error": verified.as_ref().err(),
            "body": content,
        });
        if let Err(error) = out::line(&line.to_string()) {
            tracing::warn!("{error:#}");
        }
    }
    if verified.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED }
}

/// The command `receive-webhooks`.
pub(crate) async fn run(settings: ReceiveWebhooks) -> Result<()> {
    let receiver = Receiver::new(&settings.secret, settings.any_time, true)?;
    let listener = listen(settings.listen).await?;
    out::note(&format!("receiving webhooks on http://{}", listener.local_addr()?));
    receiver.serve(listener, signals::stop()).await
}

/// Takes a port, or says that it can't be had.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| bad_configuration(format!("cannot listen on {address}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn headers(key: &str, time: i64, body: &str) -> HeaderMap {
        let signature = Webhook::new(SECRET).unwrap().sign(key, time, body.as_bytes()).unwrap();
        [
            (HEADER_WEBHOOK_ID, key.to_owned()),
            (HEADER_WEBHOOK_TIMESTAMP, time.to_string()),
            (HEADER_WEBHOOK_SIGNATURE, format!("v1,AAAA {signature}")),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(&value).unwrap()))
        .collect()
    }

    async fn post(receiver: &Receiver, headers: HeaderMap, body: &'static str) -> StatusCode {
        take(State(receiver.clone()), headers, Bytes::from_static(body.as_bytes())).await
    }

    #[tokio::test]
    async fn a_repetition_is_counted_and_a_second_body_is_a_conflict() {
        let receiver = Receiver::new(SECRET, true, false).unwrap();
        for body in ["one", "one", "two"] {
            let status = post(&receiver, headers("k1", 7, body), body).await;
            assert_eq!(status, StatusCode::NO_CONTENT);
        }
        let forged = post(&receiver, headers("k2", 7, "one"), "two").await;
        assert_eq!(forged, StatusCode::UNAUTHORIZED);
        let expected =
            Deliveries { delivered: 3, keys: vec!["k1".to_owned()], rejected: 1, conflicting: 1 };
        assert_eq!(receiver.deliveries(), expected);
    }

    #[tokio::test]
    async fn an_old_signature_is_refused() {
        let receiver = Receiver::new(SECRET, false, false).unwrap();
        let status = post(&receiver, headers("k1", 7, "one"), "one").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
}
