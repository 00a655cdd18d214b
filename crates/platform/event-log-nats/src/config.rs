//! How to reach NATS, and how the logs there are kept.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What it takes to reach NATS. [`NatsConfig::new`] gives what a laptop needs.
#[derive(Clone)]
pub struct NatsConfig {
    /// The servers, as `nats://host:port` or `tls://host:port`. A user and password may be part of
    /// the address.
    pub urls: Vec<String>,
    /// How the client calls itself towards the server.
    pub client_name: String,
    /// A credentials file (`.creds`).
    pub credentials_file: Option<PathBuf>,
    /// A user, used together with `password`.
    pub user: Option<String>,
    /// The user's password. It is never printed.
    pub password: Option<String>,
    /// Certificates, in PEM, that the server's certificate may be signed by, beside the host's own.
    pub tls_ca_file: Option<PathBuf>,
    /// The client's certificate, in PEM, used together with `tls_key_file`.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of the client's certificate, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Whether a connection without TLS is refused.
    pub tls_required: bool,
    /// What streams' names begin with, `SY` by default: upper-case letters, digits, `_` and `-`.
    /// Subjects begin with the same in lower case.
    pub stream_prefix: String,
    /// How many servers keep each stream that `create` makes: 1, 3 or 5.
    pub replicas: usize,
    /// The size in bytes that a stream made by `create` may grow to; unlimited if unset.
    pub stream_max_bytes: Option<u64>,
    /// The servers' monitoring ports, as `http://host:port`: each is asked whether it syncs every append. None: nobody
    /// is asked.
    pub monitor_urls: Vec<String>,
    /// What replies are addressed to; the server's permissions may ask for one. `_INBOX` if unset.
    pub inbox_prefix: Option<String>,
    /// How long an append waits for its answer before its outcome counts as unknown.
    pub append_timeout: Duration,
    /// How long any other request waits for its answer.
    pub request_timeout: Duration,
}

impl NatsConfig {
    /// Reaches the servers at `urls`, separated by commas, and leaves all else at its default.
    pub fn new(urls: &str) -> Self {
        Self {
            urls: urls.split(',').map(|url| url.trim().to_owned()).collect(),
            client_name: "switchyard".to_owned(),
            credentials_file: None,
            user: None,
            password: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            tls_required: false,
            stream_prefix: "SY".to_owned(),
            replicas: 1,
            stream_max_bytes: None,
            monitor_urls: Vec::new(),
            inbox_prefix: None,
            append_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
        }
    }
}

/// Leaves out everything secret, and addresses too, for they may hold a password.
impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("servers", &self.urls.len())
            .field("stream_prefix", &self.stream_prefix)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}
