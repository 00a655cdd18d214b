//! One log: a stream, read through its leader where it matters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::Subject;
use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{
    DirectGetErrorKind, Info, LastRawMessageErrorKind, PurgeErrorKind,
};
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{AppendError, EventLog, Inspection, LogError, LogName, Record, Seq, Tail};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::connection::Connection;
use crate::{append, follow, stream};

/// The most records that one request for many asks for.
const BATCH_MAX_RECORDS: usize = 1000;
/// How often any replica is asked for a record, per replica: which one answers is up to chance.
const ASKS_PER_REPLICA: usize = 5;

/// Cheap to clone: followers keep their own.
#[derive(Clone, Debug)]
pub(crate) struct NatsLog {
    pub(crate) connection: Arc<Connection>,
    pub(crate) stream_name: String,
    pub(crate) subject: Subject,
    pub(crate) replicas: usize,
    /// When the stream was made, by its server's clock: another one of its name was made at another time.
    created: i128,
    /// Records that were missing in one copy and whole in another.
    repaired: Arc<AtomicU64>,
}

impl NatsLog {
    pub(crate) fn new(connection: Arc<Connection>, name: &LogName, info: &Info) -> Self {
        let prefix = &connection.config.stream_prefix;
        let stream_name = stream::name(prefix, name);
        let subject = Subject::from(stream::subject(prefix, name));
        let (replicas, created) = (info.config.num_replicas, created(info));
        Self { connection, stream_name, subject, replicas, created, repaired: Arc::default() }
    }

    /// A hole in one copy was filled from another: an alarm, for that copy's disk forgets.
    pub(crate) fn repaired(&self, seq: Seq) {
        self.repaired.fetch_add(1, Ordering::Relaxed);
        let stream = &self.stream_name;
        tracing::error!(stream, seq, "a copy of the stream lacks a record that another one has");
    }

    /// A request to a server that is gone would wait until it has taken too long.
    fn must_be_up(&self) -> Result<(), LogError> {
        let up = self.connection.is_up();
        if up { Ok(()) } else { Err(LogError::Unavailable("not connected".into())) }
    }

    /// Asks the leader about the stream.
    async fn info(&self) -> Result<Info, LogError> {
        self.must_be_up()?;
        match self.connection.jetstream.get_stream(&self.stream_name).await {
            Ok(stream) if created(stream.cached_info()) == self.created => {
                Ok(stream.cached_info().clone())
            }
            Ok(_) => Err(LogError::Replaced),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(reason)
                    if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Err(LogError::Missing)
                }
                GetStreamErrorKind::JetStream(_)
                | GetStreamErrorKind::Request
                | GetStreamErrorKind::EmptyName
                | GetStreamErrorKind::InvalidStreamName => Err(LogError::Unavailable(error.into())),
            },
        }
    }

    async fn stream(&self) -> Result<jetstream::stream::Stream<()>, LogError> {
        self.must_be_up()?;
        let stream = self.connection.jetstream.get_stream_no_info(&self.stream_name).await;
        stream.map_err(|error| LogError::Unavailable(error.into()))
    }

    /// Asks the leader for one record. None means that the leader doesn't have it.
    async fn ask_leader(&self, seq: Seq) -> Result<Option<Record>, LogError> {
        if seq == 0 {
            // The server takes this for a request that it doesn't understand.
            return Ok(None);
        }
        match self.stream().await?.get_raw_message(seq).await {
            Ok(message) if message.sequence == seq => {
                Ok(Some(Record { seq, bytes: message.payload }))
            }
            Ok(_) => Ok(None),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(reason) => match reason.error_code() {
                    ErrorCode::STREAM_NOT_FOUND => Err(LogError::Missing),
                    _ => Err(LogError::Unavailable(error.into())),
                },
                LastRawMessageErrorKind::InvalidSubject | LastRawMessageErrorKind::Other => {
                    Err(LogError::Unavailable(error.into()))
                }
            },
        }
    }

    /// Asks whichever replicas answer for one record that the leader doesn't have.
    async fn ask_replicas(&self, seq: Seq) -> Result<Option<Record>, LogError> {
        let stream = self.stream().await?;
        for _ in 0..self.replicas.saturating_mul(ASKS_PER_REPLICA) {
            match stream.direct_get(seq).await {
                Ok(message) if message.sequence == seq => {
                    return Ok(Some(Record { seq, bytes: message.payload }));
                }
                Ok(_) => {}
                Err(error) => match error.kind() {
                    DirectGetErrorKind::NotFound
                    | DirectGetErrorKind::InvalidSubject
                    | DirectGetErrorKind::ErrorResponse(..)
                    | DirectGetErrorKind::Other => {}
                    DirectGetErrorKind::TimedOut | DirectGetErrorKind::Request => {
                        return Err(LogError::Unavailable(error.into()));
                    }
                },
            }
        }
        Ok(None)
    }

    /// Gets a record that must be there: from the leader, else from any replica.
    pub(crate) async fn recover(&self, seq: Seq) -> Result<Record, LogError> {
        loop {
            if let Some(record) = self.ask_leader(seq).await? {
                return Ok(record);
            }
            let tail = self.tail().await?;
            tail.admits(seq)?;
            if seq > tail.last {
                // Delivered by a replica, yet the leader ends before it.
                return Err(LogError::WentBackwards { had: seq, last: tail.last });
            }
            if let Some(record) = self.ask_replicas(seq).await? {
                self.repaired(seq);
                return Ok(record);
            }
            // Asked for again, lest it was trimmed while it was looked for.
            if self.tail().await?.first <= seq {
                return Err(LogError::Gap {
                    expected: seq,
                    found: self.next_after(seq, tail).await,
                });
            }
        }
    }

    /// Returns the next number after a hole that the leader has.
    async fn next_after(&self, seq: Seq, tail: Tail) -> Seq {
        let end = tail.last.saturating_add(1);
        let Ok(stream) = self.stream().await else { return end };
        let builder = stream.raw_message_builder().sequence(seq);
        let found = builder.next_by_subject(self.subject.as_str()).send().await;
        found.map_or(end, |message| message.sequence)
    }

    /// Reads what any replica has from `from` on without a hole. It may be nothing, or end early;
    /// the caller has the leader's word for what comes before.
    async fn many(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, async_nats::Error> {
        let client = &self.connection.client;
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream_name);
        let request =
            format!(r#"{{"seq":{from},"batch":{BATCH_MAX_RECORDS},"max_bytes":{max_bytes}}}"#);
        client.publish_with_reply(subject, inbox, request.into()).await?;
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0usize;
        let mut expected = from;
        while let Ok(Some(reply)) =
            tokio::time::timeout(self.connection.config.request_timeout, replies.next()).await
        {
            let sequence = reply.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
            let sequence: Option<Seq> = sequence.and_then(|value| value.as_str().parse().ok());
            bytes = bytes.saturating_add(reply.payload.len());
            // A reply without a number ends the batch.
            if sequence != Some(expected) || bytes > max_bytes {
                break;
            }
            records.push(Record { seq: expected, bytes: reply.payload });
            expected = expected.saturating_add(1);
        }
        Ok(records)
    }
}

#[async_trait]
impl EventLog for NatsLog {
    async fn append(&self, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
        append::append(self, fence, record).await
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        let first = if let Some(record) = self.ask_leader(from).await? {
            record
        } else {
            let tail = self.tail().await?;
            tail.admits(from)?;
            if from > tail.last {
                return Ok(Vec::new());
            }
            // It was written just now, or it is a hole.
            self.recover(from).await?
        };
        let left = max_bytes.saturating_sub(first.bytes.len());
        let mut records = vec![first];
        if left > 0 {
            match self.many(from.saturating_add(1), left).await {
                Ok(more) => records.extend(more),
                Err(error) => tracing::debug!(%error, "a batch could not be read"),
            }
        }
        Ok(records)
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        Ok(tail_of(&self.info().await?))
    }

    async fn inspect(&self) -> Result<Inspection, LogError> {
        let info = self.info().await?;
        let mut faults = stream::faults(&info.config, &self.subject);
        faults.extend(stream::losses(&info));
        let mut warnings = stream::warnings(&info);
        if let Some(monitor) = &self.connection.monitor {
            let syncing = monitor.syncing();
            faults.extend(syncing.faults);
            warnings.extend(syncing.warnings);
        }
        let repaired = self.repaired.load(Ordering::Relaxed);
        Ok(Inspection { tail: tail_of(&info), faults, warnings, repaired })
    }

    fn connected(&self) -> Option<watch::Receiver<bool>> {
        Some(self.connection.up.clone())
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        follow::follow(self.clone(), from)
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        let tail = self.tail().await?;
        if upto > tail.last {
            return Err(LogError::Beyond { last: tail.last });
        }
        if upto < tail.first {
            return Ok(());
        }
        // The server keeps the sequence it is given, and what comes after.
        match self.stream().await?.purge().sequence(upto.saturating_add(1)).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                PurgeErrorKind::JetStream(reason)
                    if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Err(LogError::Missing)
                }
                PurgeErrorKind::JetStream(_)
                | PurgeErrorKind::Request
                | PurgeErrorKind::TimedOut => Err(LogError::Unavailable(error.into())),
            },
        }
    }
}

/// When a stream was made.
fn created(info: &Info) -> i128 {
    info.created.unix_timestamp_nanos()
}

fn tail_of(info: &Info) -> Tail {
    Tail { first: info.state.first_sequence.max(1), last: info.state.last_sequence }
}
