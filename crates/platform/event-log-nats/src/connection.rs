//! The connection that all logs of a provider share.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use event_log::OpenError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::NatsConfig;
use crate::monitor::Monitor;

/// How long nothing may come from the server before it is asked for a sign of life. The third question without an
/// answer ends the connection, so a server that is gone without a word is noticed after three of these: within the five
/// seconds that are promised.
const PING_EVERY: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const RECONNECT_STEP: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) config: NatsConfig,
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    /// Counts how often the connection was made.
    pub(crate) made: watch::Receiver<u64>,
    /// Whether it is up, as it changes.
    pub(crate) up: watch::Receiver<bool>,
    /// Asks the servers whether they sync, if their ports were named.
    pub(crate) monitor: Option<Monitor>,
}

impl Connection {
    pub(crate) async fn open(config: NatsConfig) -> Result<Self, OpenError> {
        let (count, made) = watch::channel(0u64);
        let (state, up) = watch::channel(true);
        let options = options(&config).await?.event_callback(move |event| {
            if matches!(event, Event::Connected) {
                count.send_modify(|count| *count = count.wrapping_add(1));
            }
            follow(&event, &state);
            note(&event);
            async {}
        });
        let client = options.connect(config.urls.as_slice()).await.map_err(refused)?;
        let jetstream = ContextBuilder::new().timeout(config.request_timeout).build(client.clone());
        let monitor = Monitor::start(&config).await?;
        Ok(Self { config, client, jetstream, made, up, monitor })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits for a connection that is just being made again, as long as for any answer, and says whether it is up: for
    /// who opens a log and has nothing to serve meanwhile.
    pub(crate) async fn comes_up(&self) -> bool {
        let deadline = Instant::now() + self.config.request_timeout;
        let mut up = self.up.clone();
        while !self.is_up() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // What is told comes a little before or after what is so.
            let changed = timeout(left.min(LOOK_AGAIN_EVERY), up.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                return self.is_up();
            }
        }
        true
    }
}

/// Keeps known whether the connection is up, and says once when it is lost and once when it is back.
fn follow(event: &Event, up: &watch::Sender<bool>) {
    let is_up = match event {
        Event::Connected => true,
        Event::Disconnected | Event::Closed => false,
        Event::LameDuckMode
        | Event::Draining
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => return,
    };
    if up.send_replace(is_up) == is_up {
        return;
    }
    match event {
        Event::Connected => tracing::info!("the log can be reached again"),
        Event::Disconnected => {
            tracing::warn!(
                "the log can't be reached: its NATS server is gone; calls are refused until it is back"
            );
        }
        Event::Closed
        | Event::LameDuckMode
        | Event::Draining
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => {}
    }
}

/// What the server's permissions forbid is answered by nobody: whoever asked only sees that time has passed.
fn note(event: &Event) {
    match event {
        Event::ServerError(ServerError::Other(text))
            if text.to_ascii_lowercase().contains("permissions violation") =>
        {
            tracing::error!(
                reason = text,
                "the NATS server does not allow this user what it needs"
            );
        }
        Event::Connected
        | Event::Disconnected
        | Event::LameDuckMode
        | Event::Draining
        | Event::Closed
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => tracing::debug!(%event, "nats"),
    }
}

async fn options(config: &NatsConfig) -> Result<ConnectOptions, OpenError> {
    let mut options = ConnectOptions::new()
        .name(&config.client_name)
        .require_tls(config.tls_required)
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(config.request_timeout))
        .reconnect_delay_callback(reconnect_delay);
    if let Some(file) = &config.credentials_file {
        options = credentials(options, file).await?;
    }
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    if let Some(file) = &config.tls_ca_file {
        options = options.add_root_certificates(readable(file).await?);
    }
    if let (Some(cert), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) {
        options = options.add_client_certificate(readable(cert).await?, readable(key).await?);
    }
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    Ok(options)
}

/// Takes the user from a credentials file. What is wrong with it is told with its name, and never with the seed.
async fn credentials(options: ConnectOptions, file: &Path) -> Result<ConnectOptions, OpenError> {
    let bad = |error| unusable(file, &error);
    // The last line's end, which some stores of secrets take away, is looked for.
    let text = tokio::fs::read_to_string(file).await.map_err(bad)? + "\n";
    options.credentials(&text).map_err(bad)
}

/// The client would try a file of TLS again and again, and never say which one it lacks.
async fn readable(file: &Path) -> Result<PathBuf, OpenError> {
    let read = tokio::fs::read(file).await;
    read.map(|_| file.to_owned()).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &io::Error) -> OpenError {
    OpenError::Denied(format!("the file {} can't be used: {error}", file.display()).into())
}

/// The first attempt comes at once, later ones further and further apart.
fn reconnect_delay(attempts: usize) -> Duration {
    let steps = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    RECONNECT_STEP.saturating_mul(steps).min(RECONNECT_MAX)
}

fn refused(error: async_nats::ConnectError) -> OpenError {
    match error.kind() {
        // Certificates don't mend themselves either.
        ConnectErrorKind::Authentication
        | ConnectErrorKind::AuthorizationViolation
        | ConnectErrorKind::Tls => OpenError::Denied(error.into()),
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => OpenError::Unavailable(error.into()),
    }
}
