//! `LogService`: the logs as they are stored.

use std::sync::Arc;

use event_log::{EventLog, LogError, Record};
use futures::stream::{self, BoxStream, StreamExt};
use runtime::{LogId, Position, ServiceId};
use tonic::{Request, Response, Status, async_trait};
use wire::admin::v1::log_service_server::LogService;
use wire::admin::v1::{FollowRequest, FollowResponse, LogRecord, ReadRequest, ReadResponse};
use wire::common::v1::{ErrorReason, Service as ServiceName};

use super::{Admin, commit_json};
use crate::{Fields, Refusal};

/// How many records a call returns if it doesn't say.
const RECORDS_DEFAULT: usize = 100;
/// How many it returns at most.
const RECORDS_MAX: usize = 1_000;
/// A reply's size in bytes at which no more records are added: with one more it is still below the 4 MiB that clients take.
const REPLY_BYTES: usize = 2 * 1024 * 1024;

/// One partition's log.
struct Place {
    log: Arc<dyn EventLog>,
    service: ServiceId,
    partition: u16,
    log_id: LogId,
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
        let request = request.into_inner();
        let mut fields = Fields::new();
        let service = fields.required("service", request.service);
        fields.finish()?;
        let place = self.place(service, request.partition)?;
        let from = match request.from_seq {
            0 => place.log.tail().await.map_err(|error| refuse(&error))?.last.saturating_add(1),
            from => from,
        };
        let (drain, drained) = (self.drain.clone(), self.drain.clone());
        let records = place.log.follow(from).map(move |record| match record {
            Ok(record) => Ok(FollowResponse { record: Some(place.show(record, request.decode)) }),
            Err(error) => Err(refuse(&error).into()),
        });
        let records = records.take_until(async move { drain.started().await });
        let end =
            stream::once(async move { drained.is_draining() }).filter_map(|draining| async move {
                let refusal =
                    Refusal::of(ErrorReason::ServerDraining, "the service is shutting down");
                draining.then(|| Err(refusal.into()))
            });
        Ok(Response::new(records.chain(end).boxed()))
    }
}

impl Admin {
    fn place(&self, service: ServiceName, partition: u32) -> Result<Place, Refusal> {
        let found = || {
            let service = ServiceId::from_wire(service)?;
            let partition = u16::try_from(partition).ok()?;
            let (log, log_id) = self.source(service)?.partition_log(partition)?;
            Some(Place { log, service, partition, log_id })
        };
        found().ok_or_else(|| {
            Refusal::of(ErrorReason::PartitionNotFound, "this server has no such partition")
                .with("partition", partition)
        })
    }
}

impl Place {
    fn show(&self, record: Record, decode: bool) -> LogRecord {
        let Self { service, partition, log_id, .. } = *self;
        let position = Position { service, partition, log_id, seq: record.seq };
        // A record that can't be read is shown as its bytes alone.
        let json =
            if decode { commit_json(&record.bytes).unwrap_or_default() } else { String::new() };
        LogRecord { position: Some(position.to_wire()), data: record.bytes, json }
    }
}

fn refuse(error: &LogError) -> Refusal {
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
