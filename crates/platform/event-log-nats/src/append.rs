//! Appending one record, and telling what is known from what is not.

use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Error as JetStreamError, ErrorCode};
use async_nats::{HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use event_log::{AppendError, EventLog, RECORD_MAX_BYTES, Seq};
use tokio::time::{Instant, sleep};

use crate::log::NatsLog;

/// How often the leader is asked whether an append of ours on its way has arrived.
const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(20);

pub(crate) async fn append(log: &NatsLog, fence: Seq, record: Bytes) -> Result<Seq, AppendError> {
    if record.len() > RECORD_MAX_BYTES {
        return Err(AppendError::TooLarge { bytes: record.len(), max: RECORD_MAX_BYTES });
    }
    // Sent now, it would wait for the connection and be written at some later time.
    if !log.connection.is_up() {
        return Err(AppendError::Unavailable("not connected".into()));
    }
    let bytes = record.len();
    let request = Request::new()
        .headers(headers(log, fence))
        .payload(record)
        .timeout(Some(log.connection.config.append_timeout));
    let reply = match log.connection.client.send_request(log.subject.clone(), request).await {
        Ok(reply) => reply,
        Err(error) => {
            return Err(match error.kind() {
                RequestErrorKind::MaxPayloadExceeded => {
                    AppendError::TooLarge { bytes, max: log.connection.client.max_payload() }
                }
                RequestErrorKind::InvalidSubject => AppendError::Unavailable(error.into()),
                RequestErrorKind::TimedOut
                | RequestErrorKind::NoResponders
                | RequestErrorKind::Other => AppendError::Unknown(error.into()),
            });
        }
    };
    match serde_json::from_slice::<Response<PublishAck>>(&reply.payload) {
        Ok(Response::Ok(ack)) => acknowledged(log, fence, &ack),
        Ok(Response::Err { error }) => Err(refused(log, fence, bytes, error).await),
        Err(error) => Err(AppendError::Unknown(error.into())),
    }
}

fn headers(log: &NatsLog, fence: Seq) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_EXPECTED_LAST_SEQUENCE, fence.to_string());
    headers.insert(async_nats::header::NATS_EXPECTED_STREAM, log.stream_name.as_str());
    headers
}

fn acknowledged(log: &NatsLog, fence: Seq, ack: &PublishAck) -> Result<Seq, AppendError> {
    let wanted = fence.saturating_add(1);
    if ack.stream == log.stream_name && ack.sequence == wanted && !ack.duplicate {
        return Ok(wanted);
    }
    let told = format!("acknowledged as record {} of {}", ack.sequence, ack.stream);
    Err(AppendError::Unknown(told.into()))
}

async fn refused(log: &NatsLog, fence: Seq, bytes: usize, error: JetStreamError) -> AppendError {
    match error.error_code() {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE => fenced(log, fence, error).await,
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => AppendError::Full,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => {
            AppendError::TooLarge { bytes, max: RECORD_MAX_BYTES }
        }
        ErrorCode::STREAM_NOT_MATCH | ErrorCode::STREAM_SEALED => {
            AppendError::Unavailable(error.into())
        }
        _ => AppendError::Unknown(error.into()),
    }
}

/// The refusal may come from an append of our own that is accepted but not yet applied, so it is
/// believed only once the leader's last record differs from the fence.
async fn fenced(log: &NatsLog, fence: Seq, error: JetStreamError) -> AppendError {
    let deadline = Instant::now() + log.connection.config.append_timeout;
    while Instant::now() < deadline {
        match log.tail().await {
            Ok(tail) if tail.last != fence => return AppendError::Fenced { last: tail.last },
            Ok(_) | Err(_) => sleep(LOOK_AGAIN_EVERY).await,
        }
    }
    AppendError::Unknown(error.into())
}
