//! The event log on NATS `JetStream`: one stream per log, one subject per stream.
//!
//! The stream `SY_INTAKE_07` with the subject `sy.v1.intake.07` is partition 7 of intake's log. A
//! record is a message, its number the stream's sequence, and the fence is the header
//! `Nats-Expected-Last-Sequence`. `JetStream` decides and nothing here guesses: an append without a
//! clear answer is [`event_log::AppendError::Unknown`].
//!
//! Readers never trust a single replica. What is delivered must be contiguous; a hole is looked for
//! on the stream's leader and then on any replica, and reported if nobody has the record.
//!
//! Beside the logs there is a board on which instances tell each other who leads: [`NatsBoard`].
//!
//! **Invariant:** this is the only crate that names `async_nats`, apart from tests.

mod append;
mod board;
mod config;
mod connection;
mod follow;
mod log;
mod monitor;
mod pipe;
mod publisher;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, DeleteStreamErrorKind, GetStreamErrorKind,
};
use async_nats::jetstream::stream::Info;
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{
    AppendError, Cause, EventLog, EventLogProvider, LogError, LogName, OpenError, RECORD_MAX_BYTES,
};
use futures::TryStreamExt;
use tokio::time::{Instant, sleep};

pub use board::NatsBoard;
pub use config::NatsConfig;
use connection::Connection;
use log::NatsLog;
pub use publisher::Publisher;

/// How long `create` goes on while the stream is there but has no leader yet.
const CREATE_TIMEOUT: Duration = Duration::from_secs(20);
const CREATE_RETRY_EVERY: Duration = Duration::from_millis(100);

/// The logs of one NATS account under one stream prefix. Clones share the connection.
#[derive(Clone, Debug)]
pub struct NatsProvider {
    connection: Arc<Connection>,
}

impl NatsProvider {
    /// Connects. Fails if no server answers or lets us in; afterwards lost connections are made
    /// again for as long as the provider lives.
    pub async fn connect(config: NatsConfig) -> Result<Self, OpenError> {
        stream::check_prefix(&config.stream_prefix)?;
        Ok(Self { connection: Arc::new(Connection::open(config).await?) })
    }

    /// Says whether the connection is up now.
    pub fn is_connected(&self) -> bool {
        self.connection.is_up()
    }

    /// Makes the board of notices with the configured replicas, or leaves the one that is there.
    pub async fn create_board(&self) -> Result<(), OpenError> {
        NatsBoard::create(&self.connection).await.map_err(OpenError::Unavailable)
    }

    /// Opens the board of notices, and watches it on this provider's connection.
    pub fn board(&self) -> NatsBoard {
        NatsBoard::open(Arc::clone(&self.connection))
    }

    /// Deletes every log under this provider's prefix, with all records, and says how many there
    /// were. For prefixes made for one run, as the demo's is.
    pub async fn remove_all(&self) -> Result<usize, OpenError> {
        let names = self.list().await?;
        NatsBoard::delete(&self.connection).await.map_err(OpenError::Unavailable)?;
        for name in &names {
            let stream = self.stream_of(name);
            if let Err(error) = self.connection.jetstream.delete_stream(stream).await {
                return Err(OpenError::Unavailable(error.into()));
            }
        }
        Ok(names.len())
    }

    /// Deletes one log with all its records, if it is there: an operator has given it up.
    pub async fn remove(&self, name: &LogName) -> Result<(), OpenError> {
        name.check()?;
        let deleted = self.connection.jetstream.delete_stream(self.stream_of(name)).await;
        match deleted {
            Err(error) => match error.kind() {
                DeleteStreamErrorKind::JetStream(reason)
                    if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(())
                }
                DeleteStreamErrorKind::JetStream(_)
                | DeleteStreamErrorKind::EmptyName
                | DeleteStreamErrorKind::InvalidStreamName
                | DeleteStreamErrorKind::Request => Err(OpenError::Unavailable(error.into())),
            },
            Ok(_) => Ok(()),
        }
    }

    /// What publishes to a log without a fence. For measurements alone: see [`Publisher`].
    pub fn publisher(&self, name: &LogName) -> Publisher {
        let subject = stream::subject(&self.connection.config.stream_prefix, name);
        Publisher::new(self.connection.jetstream.clone(), subject.into())
    }

    fn stream_of(&self, name: &LogName) -> String {
        stream::name(&self.connection.config.stream_prefix, name)
    }

    /// Asks the stream's leader about the stream, and refuses one that is not set up as it must be.
    async fn info(&self, name: &LogName) -> Result<Info, OpenError> {
        if !self.connection.comes_up().await {
            return Err(OpenError::Unavailable("not connected".into()));
        }
        let stream = match self.connection.jetstream.get_stream(self.stream_of(name)).await {
            Ok(stream) => stream,
            Err(error) => {
                return Err(match error.kind() {
                    GetStreamErrorKind::JetStream(reason)
                        if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                    {
                        OpenError::Missing { name: name.clone() }
                    }
                    GetStreamErrorKind::JetStream(_)
                    | GetStreamErrorKind::Request
                    | GetStreamErrorKind::EmptyName
                    | GetStreamErrorKind::InvalidStreamName => OpenError::Unavailable(error.into()),
                });
            }
        };
        let info = stream.cached_info().clone();
        let subject = stream::subject(&self.connection.config.stream_prefix, name);
        let mut faults = stream::faults(&info.config, &subject);
        faults.extend(self.connection.monitor.iter().flat_map(|monitor| monitor.syncing().faults));
        if faults.is_empty() {
            return Ok(info);
        }
        Err(OpenError::Misconfigured { name: name.clone(), reason: faults.join(", ") })
    }

    async fn create_stream(&self, name: &LogName) -> Result<(), OpenError> {
        let wanted = stream::config(&self.connection.config, name);
        let Err(error) = self.connection.jetstream.create_stream(wanted).await else {
            return Ok(());
        };
        match error.kind() {
            // Someone else made it in the meantime, perhaps with other replicas or limits.
            CreateStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                Ok(())
            }
            // Asking again can't help: one server can't keep three replicas.
            CreateStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED =>
            {
                Err(OpenError::Misconfigured { name: name.clone(), reason: reason.to_string() })
            }
            CreateStreamErrorKind::JetStream(_)
            | CreateStreamErrorKind::EmptyStreamName
            | CreateStreamErrorKind::InvalidStreamName
            | CreateStreamErrorKind::DomainAndExternalSet
            | CreateStreamErrorKind::JetStreamUnavailable
            | CreateStreamErrorKind::TimedOut
            | CreateStreamErrorKind::Response
            | CreateStreamErrorKind::NotFound
            | CreateStreamErrorKind::ResponseParse => Err(OpenError::Unavailable(error.into())),
        }
    }

    fn log(&self, name: &LogName, info: &Info) -> NatsLog {
        NatsLog::new(Arc::clone(&self.connection), name, info)
    }

    /// Makes sure that the stream has a record 1, and leaves one that it has alone.
    async fn ensure_genesis(&self, log: &NatsLog, genesis: &Bytes) -> Result<(), Cause> {
        match log.append(0, genesis.clone()).await {
            Ok(_) | Err(AppendError::Fenced { .. }) => return Ok(()),
            Err(AppendError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match log.read(1, 1).await {
            Ok(records) if !records.is_empty() => Ok(()),
            Err(LogError::Trimmed { .. }) => Ok(()),
            Ok(_) => Err("record 1 is not there yet".into()),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl EventLogProvider for NatsProvider {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        name.check()?;
        let info = self.info(name).await?;
        if info.state.last_sequence == 0 {
            // Whoever made the stream went away before its first record: create completes it.
            return Err(OpenError::Missing { name: name.clone() });
        }
        Ok(Arc::new(self.log(name, &info)))
    }

    async fn create(&self, name: &LogName, genesis: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        name.check()?;
        if genesis.len() > RECORD_MAX_BYTES {
            return Err(OpenError::TooLarge { bytes: genesis.len(), max: RECORD_MAX_BYTES });
        }
        let deadline = Instant::now() + CREATE_TIMEOUT;
        loop {
            let info = match self.info(name).await {
                // A cluster in which a member is just starting has no room for a moment.
                Err(OpenError::Missing { .. }) => match self.create_stream(name).await {
                    Ok(()) => self.info(name).await,
                    Err(error) => Err(error),
                },
                other => other,
            };
            let trouble = match info {
                Ok(info) if info.state.last_sequence > 0 => {
                    return Ok(Arc::new(self.log(name, &info)));
                }
                Ok(info) => {
                    let log = self.log(name, &info);
                    match self.ensure_genesis(&log, &genesis).await {
                        Ok(()) => return Ok(Arc::new(log)),
                        Err(cause) => OpenError::Unavailable(cause),
                    }
                }
                Err(error @ (OpenError::Unavailable(_) | OpenError::Missing { .. })) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(trouble);
            }
            sleep(CREATE_RETRY_EVERY).await;
        }
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        let names = self.connection.jetstream.stream_names();
        let names: Vec<String> =
            names.try_collect().await.map_err(|error| OpenError::Unavailable(error.into()))?;
        let prefix = &self.connection.config.stream_prefix;
        let mut logs: Vec<LogName> =
            names.iter().filter_map(|stream| stream::parse(prefix, stream)).collect();
        logs.sort();
        Ok(logs)
    }
}
