//! From facts to a record, and to those who wait for it.

use std::sync::Arc;

use kernel::planted::{self, Bug};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wire::events::v1::{Commit, Consumed};

use super::Leader;
use crate::call::{Failure, FailureOf};
use crate::commit::{FORMAT, chain_after, reader_of, seal};
use crate::health::Health;
use crate::partition::appending::{Appended, append};
use crate::partition::batch::Batch;
use crate::partition::stop::Stop;
use crate::partition::watchdog::intruder;
use crate::partition::{PartitionHandle, Rest, View};
use crate::service::{Parked, Service};

impl<S: Service> Leader<'_, S> {
    /// Writes the commit, if there is one, and lets everybody hear.
    pub(super) async fn conclude(&mut self, batch: Batch<S>) -> Result<(), Stop> {
        let mut batch = batch;
        if batch.is_record() {
            batch = self.write(batch).await?;
        } else if batch.is_shown()
            && let Err(stop) = self.make_sure().await
        {
            batch.fail(&self.fenced());
            return Err(stop);
        }
        self.publish_inputs();
        let seq = self.fold.reader.seq;
        let view = View { state: &self.fold.state, head: seq, meta: &self.fold.meta };
        batch.conclude(self.core.position(seq), &view);
        // A look may have renewed what a service remembers outside the log.
        self.publish_rest();
        self.core.turns.send_modify(|turns| *turns = turns.wrapping_add(1));
        Ok(())
    }

    pub(super) async fn write(&mut self, mut batch: Batch<S>) -> Result<Batch<S>, Stop> {
        let mut commit = self.commit(&mut batch);
        if planted::is(Bug::RequestsNotPersisted) {
            commit.answered.clear();
        }
        if planted::is(Bug::PositionNotWritten) && !commit.events.is_empty() {
            commit.consumed.clear();
        }
        if planted::is(Bug::EffectBeforeIntent) {
            self.tell_service(&batch);
        }
        let bytes = seal(&commit);
        let span = append_span::<S>(&batch, &commit);
        let appended = append(
            &*self.core.log,
            self.fold.reader.seq,
            &bytes,
            &self.core.health,
            &self.core.metrics,
        )
        .await;
        drop(span);
        let (failure, stop) = match appended {
            Appended::Written => {
                self.fold.reader.chain = chain_after(&commit.prev, &bytes);
                self.fold.reader.seq = commit.seq;
                self.fold.meta.apply(&commit, commit.events.len(), bytes.len());
                self.core.metrics.committed(commit.events.len(), bytes.len());
                self.unwritten = 0;
                self.unwritten_since = None;
                self.tell_service(&batch);
                self.publish_rest();
                self.core.remember(Arc::new(commit));
                self.core.reached(&self.fold);
                return Ok(batch);
            }
            Appended::Full => (Failure::LogFull, Stop::Rebuild),
            Appended::Fenced => match intruder(self.core, &self.fold.reader).await {
                Some(reason) => (Failure::Halted(reason.clone()), Stop::Halted(reason)),
                None => (self.fenced(), Stop::SteppedDown),
            },
            Appended::Doubt(reason) => (Failure::Halted(reason.clone()), Stop::Halted(reason)),
        };
        batch.fail(&failure);
        Err(stop)
    }

    /// What those hear who asked a leader that no longer is one: nothing was written.
    fn fenced(&self) -> FailureOf<S> {
        if self.setting.seat.is_some() {
            Failure::NotLeader { leader: None }
        } else {
            Failure::NotReady(Health::SteppedDown.reason())
        }
    }

    /// The service hears of its facts first: what it remembers outside the log decides what is due next.
    fn tell_service(&self, batch: &Batch<S>) {
        if !batch.committed.is_empty() {
            let now = self.core.clock.now();
            let handle = PartitionHandle(Arc::clone(self.core));
            self.core.service.on_committed(&self.fold.state, &batch.committed, now, &handle);
        }
    }

    pub(super) fn commit(&self, batch: &mut Batch<S>) -> Commit {
        let consumed = self.applied.iter().map(|(service, handled)| Consumed {
            service: service.number(),
            log_id: handled.log_id.to_vec(),
            seq: handled.seq,
            events_of_next: handled.events_of_next,
            chain: handled.chain.to_vec(),
        });
        let moved = |consumed: &Consumed| {
            self.fold.meta.consumed.get(&consumed.service).is_none_or(|known| {
                (known.seq, known.events_of_next) != (consumed.seq, consumed.events_of_next)
            })
        };
        Commit {
            format: FORMAT,
            min_reader: reader_of(&batch.notes),
            log_id: self.fold.reader.log_id.to_vec(),
            seq: self.fold.reader.seq + 1,
            epoch: self.fold.meta.epoch,
            writer: self.setting.writer.to_vec(),
            prev: self.fold.reader.chain.to_vec(),
            time_ns: self.fold.time_ns(self.decided_at.max(self.core.clock.now())),
            consumed: consumed.filter(moved).collect(),
            events: std::mem::take(&mut batch.events),
            answered: std::mem::take(&mut batch.answered),
            parked: std::mem::take(&mut batch.parked),
            notes: std::mem::take(&mut batch.notes),
            crc32c: 0,
        }
    }

    /// Says what is still to be done, before anybody can see what was.
    pub(super) fn publish_rest(&self) {
        let parked = Parked(&self.fold.meta);
        let held = self.held.values().any(|held| !held.is_empty());
        let waits = held || !self.pending.is_empty();
        let next_due = self.core.service.next_due(&self.fold.state, self.core.partition, parked);
        let rest = Rest {
            next_due,
            moot: self.timers.is_moot(next_due),
            busy: waits || self.core.service.busy(&self.fold.state),
        };
        self.core.rest.send_replace(rest);
    }
}

/// The append of a commit: a root, linked with the calls and reactions that it carries.
fn append_span<S: Service>(batch: &Batch<S>, commit: &Commit) -> tracing::Span {
    const LINKS_MAX: usize = 32;
    if !crate::trace::enabled() {
        return tracing::Span::none();
    }
    let traces = batch.traces();
    if traces.is_empty() {
        return tracing::Span::none();
    }
    let span = tracing::info_span!(
        parent: None,
        "append",
        otel.name = %format!("append sy.v1.{}", S::ID),
        otel.kind = "producer",
        messaging.operation.name = "append",
        messaging.operation.type = "send",
        messaging.batch.message_count = commit.events.len(),
        switchyard.log.seq = commit.seq,
        switchyard.log.epoch = commit.epoch,
    );
    for trace in traces.iter().take(LINKS_MAX) {
        span.add_link(trace.span_context());
    }
    span
}
