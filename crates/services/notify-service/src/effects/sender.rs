//! Sends a message to an endpoint, once: signed, bounded, and only where it may go.
//!
//! No redirects, no proxies, and the answer's body is never read. Names are resolved here: every address of a name must
//! be one that may be called, and the connection goes to an address that was looked at (a second look-up could answer
//! otherwise).

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kernel::{EndpointId, Timestamp, WorkspaceId};
use notify::{Address, AttemptResult, SealedSecret};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use runtime::metrics::Counted;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use super::address::{Reach, check_url};
use crate::secrets::{Secret, Unopened};
use crate::{Config, Keys};

/// How long an attempt may take in all.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many connections to a host are kept for the next attempt, and how long.
const IDLE_MAX: (usize, Duration) = (2, Duration::from_secs(30));

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client can't be set up")]
pub struct SenderError(#[from] reqwest::Error);

/// What is sent. It holds no secret in clear.
#[derive(Debug, Clone)]
pub struct Message {
    /// The endpoint's workspace.
    pub workspace: WorkspaceId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The delivery's key: the same for every attempt.
    pub id: String,
    /// Where it goes.
    pub url: Address,
    /// Every one signs.
    pub secrets: Vec<SealedSecret>,
    /// What it says.
    pub body: Arc<str>,
}

/// What makes an attempt: sends a message once, and says what came of it. Takes bounded time.
#[async_trait]
pub trait Courier: std::fmt::Debug + Send + Sync {
    /// Makes one attempt. `now`: the partition's time, which the message is signed with.
    async fn send(&self, message: &Message, now: Timestamp) -> AttemptResult;

    /// What it has counted, for the metrics.
    fn counted(&self) -> Vec<Counted> {
        Vec::new()
    }
}

/// Sends messages over HTTP.
#[derive(Debug)]
pub(crate) struct Sender {
    config: Config,
    /// Open the secrets, here alone.
    keys: Keys,
    /// For https: public addresses, and private ones where they are allowed. None on a host without certificate
    /// authorities, where no certificate could be checked.
    https: Option<Client>,
    /// For http: private addresses alone.
    http: Client,
    made: Made,
}

/// Attempts by what came of them.
#[derive(Debug, Default)]
struct Made {
    ok: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    not_sent: AtomicU64,
}

impl Made {
    fn of(&self, result: &AttemptResult) -> &AtomicU64 {
        match result {
            AttemptResult::Answered { status: 200..=299, .. } => &self.ok,
            AttemptResult::Answered { .. } => &self.refused,
            AttemptResult::Lost { .. } => &self.lost,
            AttemptResult::NotSent { .. } => &self.not_sent,
        }
    }
}

impl Sender {
    pub(crate) fn new(config: Config, keys: Keys) -> Result<Self, SenderError> {
        // A second installation is refused, and the first one is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let private = config.allow_private_endpoints;
        // This one never checks a certificate, so it needs no authorities.
        let http = client(Looked { public: false, private }).tls_certs_only([]).build()?;
        let https = match client(Looked { public: true, private }).build() {
            Ok(client) => Some(client),
            Err(error) => {
                let error = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                tracing::warn!(%error, "webhooks over https will fail: put certificate authorities on this host and restart");
                None
            }
        };
        Ok(Self { config, keys, https, http, made: Made::default() })
    }

    /// Makes one attempt.
    async fn attempt(&self, message: &Message, now: Timestamp) -> AttemptResult {
        // Checked when it was put, but perhaps under another setting.
        let Ok(url) = check_url(message.url.expose(), self.config.allow_private_endpoints) else {
            return not_sent("address_refused");
        };
        let secrets = match self.secrets(message) {
            Ok(secrets) => secrets,
            Err(error) => return not_sent(error.word()),
        };
        let headers = match headers(message, &secrets, now) {
            Ok(headers) => headers,
            Err(word) => return not_sent(word),
        };
        drop(secrets);
        let client = if url.scheme() == "http" { Some(&self.http) } else { self.https.as_ref() };
        let Some(client) = client else { return not_sent("no_certificate_authorities") };
        post(client, url, headers, message.body.to_string(), now).await
    }

    fn secrets(&self, message: &Message) -> Result<Vec<Secret>, Unopened> {
        let open = |sealed| self.keys.open(&message.workspace, &message.endpoint, sealed);
        message.secrets.iter().map(open).collect()
    }
}

#[async_trait]
impl Courier for Sender {
    async fn send(&self, message: &Message, now: Timestamp) -> AttemptResult {
        let result = self.attempt(message, now).await;
        self.made.of(&result).fetch_add(1, Ordering::Relaxed);
        result
    }

    fn counted(&self) -> Vec<Counted> {
        let Made { ok, refused, lost, not_sent } = &self.made;
        let words = [("ok", ok), ("refused", refused), ("lost", lost), ("not_sent", not_sent)];
        let one = |(word, count): (&'static str, &AtomicU64)| Counted {
            name: "notify_attempts",
            help: "Attempts to send a webhook, by what came of them",
            label: "outcome",
            word,
            count: count.load(Ordering::Relaxed),
        };
        words.map(one).into()
    }
}

async fn post(
    client: &Client,
    url: Url,
    headers: HeaderMap,
    body: String,
    now: Timestamp,
) -> AttemptResult {
    let sent = Instant::now();
    match client.post(url).headers(headers).body(body).send().await {
        Ok(answer) => AttemptResult::Answered {
            status: answer.status().as_u16(),
            retry_after_ms: retry_after(answer.headers(), after(now, sent.elapsed())),
        },
        Err(error) => failed(&error),
    }
}

/// One word for what happened: the error's own text may hold the URL, and so its tokens.
fn failed(error: &reqwest::Error) -> AttemptResult {
    if is_refused(error) {
        return not_sent("address_refused");
    }
    if error.is_builder() {
        return not_sent("request");
    }
    if error.is_connect() {
        return not_sent("connect");
    }
    let word = if error.is_timeout() { "timeout" } else { "connection_lost" };
    AttemptResult::Lost { error: word.to_owned() }
}

fn not_sent(word: &str) -> AttemptResult {
    AttemptResult::NotSent { error: word.to_owned() }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<Refused>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The headers of Standard Webhooks; one word for why there are none.
fn headers(
    message: &Message,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<HeaderMap, &'static str> {
    signed(message, secrets, now.as_millis().div_euclid(1_000)).ok_or("secret")
}

fn signed(message: &Message, secrets: &[Secret], seconds: i64) -> Option<HeaderMap> {
    let sign = |secret: &Secret| {
        let signer = standardwebhooks::Webhook::new(secret.expose()).ok()?;
        signer.sign(&message.id, seconds, message.body.as_bytes()).ok()
    };
    let signatures: Vec<String> = secrets.iter().map(sign).collect::<Option<_>>()?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HEADER_WEBHOOK_ID, message.id.parse().ok()?);
    headers.insert(HEADER_WEBHOOK_TIMESTAMP, seconds.into());
    headers.insert(HEADER_WEBHOOK_SIGNATURE, signatures.join(" ").parse().ok()?);
    Some(headers)
}

/// How long the receiver asked to be left alone, in milliseconds: given in seconds, or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(then).millis_since(now))
}

fn after(at: Timestamp, passed: Duration) -> Timestamp {
    at.plus_millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
}

fn client(looked: Looked) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("switchyard/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_MAX.0)
        .pool_idle_timeout(IDLE_MAX.1)
        .dns_resolver(Arc::new(looked))
}

/// Resolves names, and looks at every address before one is called.
#[derive(Debug, Clone, Copy)]
struct Looked {
    public: bool,
    private: bool,
}

/// A name leads where nothing may be sent.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the name leads to an address that is not allowed")]
struct Refused;

impl Looked {
    fn check(self, addresses: &[SocketAddr]) -> Result<(), Refused> {
        let allowed = |address: &SocketAddr| match Reach::of(address.ip()) {
            Reach::Public => self.public,
            Reach::Private => self.private,
            Reach::Never => false,
        };
        // One bad address among good ones is a trap as well.
        if addresses.iter().all(allowed) { Ok(()) } else { Err(Refused) }
    }
}

impl Resolve for Looked {
    fn resolve(&self, name: Name) -> Resolving {
        let looked = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            looked.check(&found)?;
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests;
