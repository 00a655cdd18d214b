//! `ClockService`: the process's one clock, and whether all its services rest.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::{ClockError, Resting, ServiceId, TimeDoubt};
use tonic::{Request, Response, Status, async_trait};
use wire::admin::v1::clock_service_server::ClockService;
use wire::admin::v1::{
    AcceptClockRequest, AcceptClockResponse, AdvanceToRequest, AdvanceToResponse, ClockDoubt,
    ClockDoubtKind, GetTimeRequest, GetTimeResponse, PartitionHead,
};
use wire::common::v1::ErrorReason;

use super::{ACTOR_MAX, Admin, REASON_MAX};
use crate::convert::{millis_to_wire, rfc3339, timestamp_to_wire};
use crate::deadline::deadline;
use crate::{Fields, Refusal, Size};

/// A look is due so often even if nothing was done: a clock that was moved leaves no other trace.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[async_trait]
impl ClockService for Admin {
    async fn get_time(
        &self,
        request: Request<GetTimeRequest>,
    ) -> Result<Response<GetTimeResponse>, Status> {
        if request.get_ref().wait_until_idle {
            let within = deadline(request.metadata().as_ref())?;
            // A tenth is kept for the answer that it does not rest yet.
            let patience = within.saturating_sub(within / 10);
            if let Ok(rested) = tokio::time::timeout(patience, self.all_rested()).await {
                return Ok(Response::new(self.time(&rested?)));
            }
        }
        let resting = self.all_resting()?;
        Ok(Response::new(self.time(&resting)))
    }

    async fn advance_to(
        &self,
        request: Request<AdvanceToRequest>,
    ) -> Result<Response<AdvanceToResponse>, Status> {
        let mut fields = Fields::new();
        let instant = fields.required_instant("instant", request.get_ref().instant.as_ref());
        fields.finish()?;
        self.clock.advance_to(instant).map_err(|error| match error {
            ClockError::NotManual => Refusal::of(ErrorReason::ClockNotManual, error.to_string()),
            ClockError::Backwards { now } => {
                Refusal::of(ErrorReason::ClockNotManual, error.to_string())
                    .with("now", rfc3339(now))
            }
            ClockError::Beyond => Refusal::invalid("instant", error.to_string()),
        })?;
        let now = Some(timestamp_to_wire(self.clock.now()));
        Ok(Response::new(AdvanceToResponse { now }))
    }

    async fn accept_clock(
        &self,
        request: Request<AcceptClockRequest>,
    ) -> Result<Response<AcceptClockResponse>, Status> {
        let AcceptClockRequest { actor, reason } = request.into_inner();
        let mut fields = Fields::new();
        let actor = fields.line("actor", &actor, Size::Chars(1..=ACTOR_MAX));
        let reason = fields.line("reason", &reason, Size::Chars(1..=REASON_MAX));
        fields.finish()?;
        let accepted = self.clock_doubts();
        if !accepted.is_empty() {
            self.clock.accept();
            let doubts = accepted.len();
            tracing::warn!(actor, reason, doubts, "an operator accepts the time");
        }
        let now = Some(timestamp_to_wire(self.clock.now()));
        Ok(Response::new(AcceptClockResponse { accepted, now }))
    }
}

impl Admin {
    fn time(&self, resting: &Resting) -> GetTimeResponse {
        // Record 1 is a log's birth, record 2 a leader's claim at the earliest.
        let heads = resting.heads.iter().filter(|(head, _)| head.seq > 1);
        let heads = heads.map(|(head, inputs)| PartitionHead {
            head: Some(head.to_wire()),
            inputs: inputs.iter().map(|input| input.to_wire()).collect(),
        });
        GetTimeResponse {
            now: Some(timestamp_to_wire(self.clock.now())),
            next_due: resting.next_due.map(timestamp_to_wire),
            idle: resting.idle,
            manual: self.clock.is_manual(),
            heads: heads.collect(),
            doubts: self.clock_doubts(),
        }
    }

    /// What speaks against the time of the process, and of each partition.
    fn clock_doubts(&self) -> Vec<ClockDoubt> {
        let step = self.clock.doubt().map(|step| ClockDoubt {
            kind: ClockDoubtKind::Step.into(),
            ahead: Some(signed_millis_to_wire(step.by_ms)),
            ..ClockDoubt::default()
        });
        let partitions = self.sources.iter().flat_map(|source| {
            let service = source.service();
            let doubts = source.time_doubts().into_iter();
            doubts.filter_map(move |(partition, doubt)| of_partition(service, partition, doubt))
        });
        step.into_iter().chain(partitions).collect()
    }

    /// All services at one moment; together they rest only if none has yet to read what another has written.
    fn all_resting(&self) -> Result<Resting, Status> {
        let mut all = Resting { idle: true, next_due: None, heads: Vec::new() };
        for source in self.sources.iter() {
            let resting = source.rest()?;
            all.idle &= resting.idle;
            all.next_due = all.next_due.into_iter().chain(resting.next_due).min();
            all.heads.extend(resting.heads);
        }
        all.idle &= is_read_up(&all);
        Ok(all)
    }

    /// Returns once all rest, and rested still when looked at again: what one does last may wake one that was looked at
    /// first.
    async fn all_rested(&self) -> Result<Resting, Status> {
        let mut turns: Vec<_> = self.sources.iter().map(|source| source.turns()).collect();
        loop {
            for turn in &mut turns {
                turn.mark_unchanged();
            }
            let now = self.all_resting()?;
            if now.idle && now == self.all_resting()? {
                return Ok(now);
            }
            let changed = turns.iter_mut().map(|turn| Box::pin(turn.changed()));
            // Either way the next thing to do is to look again.
            drop(tokio::time::timeout(LOOK_EVERY, futures::future::select_all(changed)).await);
        }
    }
}

/// What speaks against one partition's time; the process's clock is not said again for each.
fn of_partition(service: ServiceId, partition: u16, doubt: TimeDoubt) -> Option<ClockDoubt> {
    let of = |kind: ClockDoubtKind, by_ms: u64| ClockDoubt {
        kind: kind.into(),
        ahead: Some(millis_to_wire(by_ms)),
        service: service.to_wire().into(),
        partition: partition.into(),
        ..ClockDoubt::default()
    };
    match doubt {
        TimeDoubt::Clock(_) => None,
        TimeDoubt::LogAhead { by_ms } => Some(of(ClockDoubtKind::LogAhead, by_ms)),
        TimeDoubt::InputAhead { input, seq, by_ms } => Some(ClockDoubt {
            input: input.to_wire().into(),
            input_seq: seq,
            ..of(ClockDoubtKind::InputAhead, by_ms)
        }),
    }
}

/// A duration that may be negative, for the wire.
fn signed_millis_to_wire(millis: i64) -> prost_types::Duration {
    let below = i32::try_from(millis % 1_000).unwrap_or(0);
    prost_types::Duration { seconds: millis / 1_000, nanos: below.saturating_mul(1_000_000) }
}

/// Whether every input was read up to its head, as far as its log is one of this process's.
fn is_read_up(all: &Resting) -> bool {
    let heads: BTreeMap<_, _> =
        all.heads.iter().map(|(head, _)| ((head.service, head.partition), head.seq)).collect();
    all.heads.iter().flat_map(|(_, inputs)| inputs).all(|input| {
        heads.get(&(input.service, input.partition)).is_none_or(|head| input.seq >= *head)
    })
}
