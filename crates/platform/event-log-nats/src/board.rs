//! The board of notices on NATS: a small stream in the servers' memory that keeps the last message of each subject for
//! a short while.
//!
//! The stream `SY_BOARD` takes `sy.board.notice.KEY` and `sy.board.pulse.ID`. Each board sends a pulse twice a second
//! and waits to see it come back by the way on which notices come: as long as it does, a silence of others means
//! something.
//!
//! What is on the board is worth nothing once it is gone, so the stream lives in memory, and whoever finds it missing
//! (a lone server forgets it when it is started again) makes it anew.

mod standing;
mod watching;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, DeleteStreamErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::{HeaderMap, Request};
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{BoardError, Cause, LeaseBoard, NOTICE_STANDS, Notices};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::connection::Connection;
use watching::Watching;

/// How long the servers keep a notice: long enough for everybody to hear of it, short enough that the stream stays
/// small.
const KEPT: Duration = NOTICE_STANDS.saturating_mul(3);
/// How long putting something up may take. What takes longer would be old news.
const PUT_WITHIN: Duration = Duration::from_secs(2);
/// The largest notice, in bytes.
const NOTICE_MAX_BYTES: i32 = 64 * 1024;
/// The most that the stream holds, in bytes; then the oldest notices give way.
const STREAM_MAX_BYTES: i64 = 16 * 1024 * 1024;
/// Marks a notice that is taken down.
const DOWN: &str = "Switchyard-Down";

/// The board of one NATS account under one stream prefix. Whoever watches it is told for as long as this lives.
pub struct NatsBoard {
    place: Place,
    connection: Arc<Connection>,
    notices: watch::Receiver<Notices>,
    watching: AbortHandle,
}

/// The stream, and what its subjects begin with.
#[derive(Clone, Debug)]
struct Place {
    stream: String,
    root: String,
}

impl Place {
    fn under(prefix: &str) -> Self {
        Self {
            stream: format!("{prefix}_BOARD"),
            root: format!("{}.board", prefix.to_ascii_lowercase()),
        }
    }

    fn notice(&self, key: &str) -> String {
        format!("{}.notice.{key}", self.root)
    }

    fn pulse(&self, id: &str) -> String {
        format!("{}.pulse.{id}", self.root)
    }

    fn all(&self) -> String {
        format!("{}.>", self.root)
    }

    fn config(&self, replicas: usize) -> Config {
        Config {
            name: self.stream.clone(),
            subjects: vec![self.all()],
            storage: StorageType::Memory,
            num_replicas: replicas,
            discard: DiscardPolicy::Old,
            max_messages_per_subject: 1,
            max_age: KEPT,
            max_message_size: NOTICE_MAX_BYTES,
            max_bytes: STREAM_MAX_BYTES,
            duplicate_window: Duration::from_secs(1),
            ..Config::default()
        }
    }
}

/// Makes the board's stream, unless it is there.
async fn make(connection: &Connection, place: &Place, replicas: usize) -> Result<(), Cause> {
    let Err(error) = connection.jetstream.create_stream(place.config(replicas)).await else {
        return Ok(());
    };
    match error.kind() {
        CreateStreamErrorKind::JetStream(reason)
            if reason.error_code() == ErrorCode::STREAM_NAME_EXIST =>
        {
            Ok(())
        }
        CreateStreamErrorKind::JetStream(_)
        | CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => Err(error.into()),
    }
}

impl NatsBoard {
    /// Makes the board's stream with as many replicas as configured, unless it is there.
    pub(crate) async fn create(connection: &Connection) -> Result<(), Cause> {
        let place = Place::under(&connection.config.stream_prefix);
        make(connection, &place, connection.config.replicas).await
    }

    /// Deletes the board's stream, if it is there.
    pub(crate) async fn delete(connection: &Connection) -> Result<(), Cause> {
        let place = Place::under(&connection.config.stream_prefix);
        match connection.jetstream.delete_stream(&place.stream).await {
            Err(error) => match error.kind() {
                DeleteStreamErrorKind::JetStream(reason)
                    if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(())
                }
                DeleteStreamErrorKind::JetStream(_)
                | DeleteStreamErrorKind::EmptyName
                | DeleteStreamErrorKind::InvalidStreamName
                | DeleteStreamErrorKind::Request => Err(error.into()),
            },
            Ok(_) => Ok(()),
        }
    }

    /// Begins to watch the board. What stands on it is known a little later; until then it looks empty.
    pub(crate) fn open(connection: Arc<Connection>) -> Self {
        let place = Place::under(&connection.config.stream_prefix);
        let (told, notices) = watch::channel(Notices::default());
        let watching = Watching::new(Arc::clone(&connection), place.clone(), told);
        let watching = tokio::spawn(watching.run()).abort_handle();
        Self { place, connection, notices, watching }
    }

    /// Stores one message under a key, and returns once the stream has it.
    async fn store(&self, key: &str, request: Request) -> Result<(), BoardError> {
        check(key)?;
        // Sent now, it would wait for the connection and arrive as old news.
        if !self.connection.is_up() {
            return Err(BoardError::NotConnected);
        }
        let request = request.timeout(Some(PUT_WITHIN));
        let sent = self.connection.client.send_request(self.place.notice(key), request).await;
        let reply = sent.map_err(|error| {
            if self.connection.is_up() {
                BoardError::Failed(error.to_string())
            } else {
                BoardError::NotConnected
            }
        })?;
        match serde_json::from_slice::<Response<PublishAck>>(&reply.payload) {
            Ok(Response::Ok(_)) => Ok(()),
            Ok(Response::Err { error }) => Err(BoardError::Failed(error.to_string())),
            Err(error) => Err(BoardError::Failed(error.to_string())),
        }
    }
}

/// A key becomes part of a subject, where an empty token or a wildcard would mean something else.
fn check(key: &str) -> Result<(), BoardError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = key.split('.').all(|token| !token.is_empty() && token.chars().all(fits));
    if good { Ok(()) } else { Err(BoardError::Failed(format!("{key:?} is no key"))) }
}

#[async_trait]
impl LeaseBoard for NatsBoard {
    async fn put(&self, key: &str, notice: Bytes) -> Result<(), BoardError> {
        self.store(key, Request::new().payload(notice)).await
    }

    async fn remove(&self, key: &str) -> Result<(), BoardError> {
        let mut headers = HeaderMap::new();
        headers.insert(DOWN, "1");
        self.store(key, Request::new().headers(headers).payload(Bytes::new())).await
    }

    fn watch(&self) -> watch::Receiver<Notices> {
        self.notices.clone()
    }
}

impl fmt::Debug for NatsBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBoard").field("stream", &self.place.stream).finish_non_exhaustive()
    }
}

impl Drop for NatsBoard {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parts_of_subjects() {
        for good in ["member.intake.a-1", "leader.sla.07", "a"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", ".a", "a b", "a.*", "a.>", "A", "ä"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_board_s_stream_is_no_log_s() {
        let place = Place::under("SY_D1");
        assert_eq!((place.stream.as_str(), place.all().as_str()), ("SY_D1_BOARD", "sy_d1.board.>"));
        assert_eq!(crate::stream::parse("SY_D1", &place.stream), None);
        assert_eq!(crate::stream::parse("SY", &place.stream), None);
    }
}
