//! `LogService`: the logs as they are stored.

use std::sync::Arc;

use event_log::{EventLog, LogError, Record};
use futures::stream::BoxStream;
use runtime::{LogId, Position, ServiceId};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use wire::admin::v1::log_service_server::LogService;
use wire::admin::v1::{FollowRequest, FollowResponse, LogRecord, ReadRequest, ReadResponse};
use wire::common::v1::{ErrorReason, Service as ServiceName};

use super::follow::follow;
use super::{Admin, PartitionLog, commit_json};
use crate::paging::REPLY_BYTES;
use crate::{Fields, Refusal, Watcher};

/// How many records a call returns if it doesn't say.
const RECORDS_DEFAULT: usize = 100;
/// How many it returns at most.
const RECORDS_MAX: usize = 1_000;
/// How many bytes a record may have together with its JSON, or it comes without: with one such more, a reply that is
/// full is still below the 4 MiB that clients take.
const RECORD_MAX_BYTES: usize = 2 * 1024 * 1024 - 64 * 1024;

/// One partition's log.
pub(super) struct Place {
    pub(super) log: Arc<dyn EventLog>,
    service: ServiceId,
    partition: u16,
    log_id: LogId,
    pub(super) applied: watch::Receiver<u64>,
}

#[async_trait]
impl LogService for Admin {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::new();
        let service = fields.required("service", request.service);
        let max = usize::try_from(request.max_records).ok().filter(|max| *max <= RECORDS_MAX);
        fields.require(max.is_some(), "max_records", "must lie between 0 and 1000");
        fields.finish()?;
        let max = max.filter(|max| *max > 0).unwrap_or(RECORDS_DEFAULT);
        let place = self.place(service, request.partition)?;
        let last_seq = place.log.tail().await.map_err(|error| refuse(&error))?.last;
        let mut next = request.from_seq.max(1);
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        while records.len() < max && bytes < REPLY_BYTES && next <= last_seq {
            let some = place.log.read(next, REPLY_BYTES.saturating_sub(bytes)).await;
            let some = some.map_err(|error| refuse(&error))?;
            if some.is_empty() {
                break;
            }
            for record in some {
                if records.len() == max || bytes >= REPLY_BYTES {
                    break;
                }
                next = record.seq.saturating_add(1);
                let shown = place.show(record, request.decode);
                bytes = bytes.saturating_add(shown.data.len()).saturating_add(shown.json.len());
                records.push(shown);
            }
        }
        Ok(Response::new(ReadResponse { records, last_seq }))
    }

    type FollowStream = BoxStream<'static, Result<FollowResponse, Status>>;

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let watcher = Watcher::of(&request, &self.drain);
        let request = request.into_inner();
        let mut fields = Fields::new();
        let service = fields.required("service", request.service);
        fields.finish()?;
        let place = self.place(service, request.partition)?;
        let from = match request.from_seq {
            0 => place.log.tail().await.map_err(|error| refuse(&error))?.last.saturating_add(1),
            from => from,
        };
        Ok(Response::new(follow(place, watcher, from, request.decode)))
    }
}

impl Admin {
    fn place(&self, service: ServiceName, partition: u32) -> Result<Place, Refusal> {
        let found = || {
            let service = ServiceId::from_wire(service)?;
            let partition = u16::try_from(partition).ok()?;
            let PartitionLog { log, log_id, applied } =
                self.source(service)?.partition_log(partition)?;
            Some(Place { log, service, partition, log_id, applied })
        };
        found().ok_or_else(|| {
            Refusal::of(ErrorReason::PartitionNotFound, "this server has no such partition")
                .with("partition", partition)
        })
    }
}

impl Place {
    pub(super) fn show(&self, record: Record, decode: bool) -> LogRecord {
        let Self { service, partition, log_id, .. } = *self;
        let position = Position { service, partition, log_id, seq: record.seq };
        // A record that can't be read, or whose JSON is too large, is shown as its bytes alone.
        let json = if decode { commit_json(&record.bytes).ok() } else { None };
        let fits =
            |json: &String| record.bytes.len().saturating_add(json.len()) <= RECORD_MAX_BYTES;
        let json = json.filter(fits).unwrap_or_default();
        LogRecord { position: Some(position.to_wire()), data: record.bytes, json }
    }
}

pub(super) fn refuse(error: &LogError) -> Refusal {
    match error {
        LogError::Trimmed { first } => Refusal::of(
            ErrorReason::ResumeTokenExpired,
            format!("the log begins at record {first}"),
        )
        .with("first_seq", first),
        LogError::Beyond { last } => {
            Refusal::invalid("from_seq", format!("lies beyond the end, which is {last}"))
        }
        LogError::Unavailable(_) => {
            Refusal::of(ErrorReason::LogUnavailable, "the log can't be read now")
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
