//! Where a watch stands, and the tokens that say so.

use event_log::LogError;
use runtime::{PartitionHandle, Position, Service};
use wire::common::v1::{ErrorReason, WatchStart, watch_start::From as WatchFrom};

use crate::Refusal;
use crate::token::{self, Kind};

/// Everything up to record `position.seq` was delivered, and of the next one the first `events` events. Within a
/// snapshot: its items up to the key `shown` were, and changes are to follow from `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) position: Position,
    pub(super) events: u32,
    pub(super) shown: Option<u64>,
}

impl Cursor {
    /// Just after a record.
    pub(super) const fn at(position: Position) -> Self {
        Self { position, events: 0, shown: None }
    }

    /// The next record to look at.
    pub(super) const fn next_commit(&self) -> u64 {
        self.position.seq.saturating_add(1)
    }

    pub(super) fn token(&self, binding: u64) -> String {
        let mut payload = Vec::with_capacity(39);
        payload.extend_from_slice(&self.position.log_id);
        payload.extend_from_slice(&self.position.partition.to_be_bytes());
        payload.extend_from_slice(&self.position.seq.to_be_bytes());
        payload.extend_from_slice(&self.events.to_be_bytes());
        payload.push(u8::from(self.shown.is_some()));
        payload.extend_from_slice(&self.shown.unwrap_or_default().to_be_bytes());
        token::seal(Kind::Resume, binding, &payload)
    }
}

/// Reads where a watch is to begin.
pub(super) async fn begin<S: Service>(
    partition: &PartitionHandle<S>,
    start: Option<&WatchStart>,
    binding: u64,
) -> Result<Cursor, Refusal> {
    let head = partition.head();
    let from = start.and_then(|start| start.from.as_ref());
    let earliest = || async {
        let tail = partition.log().tail().await.map_err(|error| unreadable(&error))?;
        Ok(Cursor::at(Position { seq: tail.first.saturating_sub(1), ..head }))
    };
    match from {
        Some(WatchFrom::Earliest(true)) => earliest().await,
        Some(WatchFrom::ResumeToken(text)) => {
            let cursor = read(text, binding, head)?;
            let earliest: Cursor = earliest().await?;
            if cursor.position.seq < earliest.position.seq {
                return Err(expired(&earliest.token(binding)));
            }
            Ok(cursor)
        }
        Some(WatchFrom::Latest(_) | WatchFrom::Earliest(false)) | None => Ok(Cursor::at(head)),
    }
}

fn read(text: &str, binding: u64, head: Position) -> Result<Cursor, Refusal> {
    let payload = token::open(Kind::Resume, binding, text).ok_or_else(invalid)?;
    let parsed = || {
        let (log_id, rest) = payload.split_first_chunk()?;
        let (partition, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (events, rest) = rest.split_first_chunk()?;
        let (&[within], rest) = rest.split_first_chunk()?;
        let shown = rest.try_into().map(u64::from_be_bytes).ok()?;
        let partition = u16::from_be_bytes(*partition);
        let seq = u64::from_be_bytes(*seq);
        let position = Position { service: head.service, partition, log_id: *log_id, seq };
        let events = u32::from_be_bytes(*events);
        Some(Cursor { position, events, shown: (within == 1).then_some(shown) })
    };
    let cursor = parsed().filter(|cursor| cursor.position.partition == head.partition);
    let cursor = cursor.ok_or_else(invalid)?;
    if cursor.position.log_id != head.log_id {
        let log_id = uuid::Uuid::from_bytes(cursor.position.log_id).simple();
        return Err(Refusal::of(
            ErrorReason::LogGenerationChanged,
            "the resume token belongs to another generation of the log",
        )
        .with("log_id", log_id));
    }
    Ok(cursor)
}

fn invalid() -> Refusal {
    Refusal::of(
        ErrorReason::ResumeTokenInvalid,
        "the resume token was changed, or belongs to another filter",
    )
    .at_field("start.resume_token")
}

fn expired(earliest: &str) -> Refusal {
    Refusal::of(
        ErrorReason::ResumeTokenExpired,
        "the resume token is older than what the log keeps",
    )
    .with("earliest_resume_token", earliest)
}

/// Why a log can't be read any further.
pub(super) fn unreadable(error: &LogError) -> Refusal {
    match error {
        LogError::Trimmed { .. } | LogError::Beyond { .. } | LogError::Unavailable(_) => {
            Refusal::of(ErrorReason::LogUnavailable, "the log can't be read now; resume later")
        }
        LogError::Gap { .. }
        | LogError::WentBackwards { .. }
        | LogError::Missing
        | LogError::Replaced
        | LogError::Corrupt { .. } => {
            Refusal::of(ErrorReason::PartitionHalted, format!("the log is in doubt: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use runtime::ServiceId;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_token(
            log_id in any::<[u8; 16]>(), partition in any::<u16>(), seq in any::<u64>(), events in any::<u32>(),
            shown in any::<Option<u64>>(),
        ) {
            let position = Position { service: ServiceId::Sla, partition, log_id, seq };
            let cursor = Cursor { position, events, shown };
            prop_assert_eq!(read(&cursor.token(3), 3, position).unwrap(), cursor);
            let elsewhere = Position { partition: partition.wrapping_add(1), ..position };
            prop_assert!(read(&cursor.token(3), 3, elsewhere).is_err());
        }

        /// A checksum is no secret: whoever makes one of his own names a place, or is refused.
        #[test]
        fn a_forged_token_names_a_place_or_is_refused(
            payload in prop_oneof![vec(any::<u8>(), 0..64), vec(any::<u8>(), 39..=39)], partition in any::<u16>(),
        ) {
            let head = Position { service: ServiceId::Sla, partition, log_id: [1; 16], seq: 9 };
            if let Ok(cursor) = read(&token::seal(Kind::Resume, 3, &payload), 3, head) {
                let at = cursor.position;
                prop_assert_eq!((at.service, at.partition, at.log_id), (head.service, head.partition, head.log_id));
            }
        }
    }
}
