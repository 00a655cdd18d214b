//! A commit on its way: from the record to those who wait for it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kernel::planted::{self, Bug};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wire::events::v1::Commit;

use super::Leader;
use crate::ServiceId;
use crate::call::{Failure, FailureOf};
use crate::commit::{ChainReader, Doubt, chain_after, seal};
use crate::health::Health;
use crate::meta::{Bookkeeping, Handled};
use crate::partition::appending::{Appended, append};
use crate::partition::batch::Batch;
use crate::partition::stop::Stop;
use crate::partition::watchdog::intruder;
use crate::partition::{PartitionHandle, View};
use crate::service::{Effect, Service};

/// A commit on its way into the log. The leader's state has it already; nobody else has seen anything of it.
pub(super) struct Flight<S: Service> {
    /// Becomes what became of it.
    pub(super) landing: BoxFuture<'static, Appended>,
    commit: Arc<Commit>,
    /// The place in the log before it, ...
    before: ChainReader,
    /// ... and after it, with the events and bytes up to there.
    after: ChainReader,
    events: u64,
    bytes: u64,
    /// Its own bytes.
    length: usize,
    /// How far the inputs were applied for it.
    applied: Vec<(ServiceId, Handled)>,
    /// Who waits for it, what they saw, and what begins with it.
    batch: Batch<S>,
}

impl<S: Service> Leader<'_, S> {
    /// Writes the commit, if there is one, and lets everybody hear. For when nothing else is to be done meanwhile.
    pub(super) async fn conclude(&mut self, batch: Batch<S>) -> Result<(), Stop> {
        if batch.is_record() {
            let flight = self.launch(batch)?;
            self.land(flight, &mut Batch::default()).await
        } else {
            self.show(batch).await
        }
    }

    /// Sends a commit on its way. From here on the state is that after it. A commit that nobody could read again is not
    /// sent.
    pub(super) fn launch(&mut self, mut batch: Batch<S>) -> Result<Flight<S>, Stop> {
        let mut commit = self.commit(&mut batch);
        if planted::is(Bug::RequestsNotPersisted) {
            commit.answered.clear();
        }
        if planted::is(Bug::PositionNotWritten) && !commit.events.is_empty() {
            commit.consumed.clear();
        }
        let read = match readable(&commit) {
            Ok(read) => read,
            Err(doubt) => {
                let reason = format!("what was decided can't be written: {doubt}");
                batch.fail(&Failure::Halted(reason.clone()));
                return Err(Stop::Halted(reason));
            }
        };
        let bytes = seal(&commit);
        let before = self.fold.reader.clone();
        self.fold.reader.chain = chain_after(&commit.prev, &bytes);
        self.fold.reader.seq = commit.seq;
        self.fold.meta.apply(&commit, &read, commit.events.len(), bytes.len());
        self.unwritten = 0;
        self.unwritten_since = None;
        self.show_to(&mut batch);
        if planted::is(Bug::EffectBeforeIntent) {
            self.begin_effects(std::mem::take(&mut batch.effects));
        }
        let (core, fence, length) = (Arc::clone(self.core), before.seq, bytes.len());
        let span = append_span::<S>(&batch, &commit);
        let landing = async move {
            let appended = append(&*core.log, fence, &bytes, &core.health, &core.metrics).await;
            drop(span);
            appended
        };
        Ok(Flight {
            landing: landing.boxed(),
            commit: Arc::new(commit),
            before,
            after: self.fold.reader.clone(),
            events: self.fold.meta.events,
            bytes: self.fold.meta.bytes,
            length,
            applied: self.applied.clone(),
            batch,
        })
    }

    /// Waits until it is known what became of a commit. `next`: what was decided since.
    pub(super) async fn land(
        &mut self,
        mut flight: Flight<S>,
        next: &mut Batch<S>,
    ) -> Result<(), Stop> {
        let appended = (&mut flight.landing).await;
        self.settle(flight, appended, next).await
    }

    /// Lets everybody hear what became of a commit. `next`: what was decided since, which stands or falls with it.
    pub(super) async fn settle(
        &mut self,
        mut flight: Flight<S>,
        appended: Appended,
        next: &mut Batch<S>,
    ) -> Result<(), Stop> {
        let (failure, stop) = match appended {
            Appended::Written => {
                self.written(flight, next);
                return Ok(());
            }
            Appended::Full => {
                self.again.extend(flight.batch.take_looked());
                self.again.extend(next.take_looked());
                self.again.extend(self.looks.take_all());
                (Failure::LogFull, Stop::Rebuild)
            }
            Appended::Fenced => match intruder(self.core, &flight.before).await {
                Some(reason) => (Failure::Halted(reason.clone()), Stop::Halted(reason)),
                None => (self.fenced(), Stop::SteppedDown),
            },
            Appended::Doubt(reason) => (Failure::Halted(reason.clone()), Stop::Halted(reason)),
        };
        flight.batch.fail(&failure);
        std::mem::take(next).fail(&failure);
        Err(stop)
    }

    fn written(&mut self, flight: Flight<S>, next: &Batch<S>) {
        let Flight { commit, after, events, bytes, length, applied, mut batch, .. } = flight;
        // The log took it from this leader, so there is no other.
        self.doubted = false;
        self.refused = 0;
        self.core.metrics.committed(commit.events.len(), length);
        self.core.metrics.remembers(&self.fold.meta);
        self.begin_effects(std::mem::take(&mut batch.effects));
        self.publish_rest(!next.is_empty() || !self.looks.is_empty());
        self.core.remember(commit, length);
        self.core.advance(&after, events, bytes);
        self.publish_inputs(&applied);
        batch.answer_all(self.core.position(after.seq));
        self.turned();
    }

    /// Lets those hear who wait for nothing to be written.
    pub(super) async fn show(&mut self, mut batch: Batch<S>) -> Result<(), Stop> {
        if (batch.is_shown() || self.looks.count())
            && let Err(stop) = self.make_sure().await
        {
            batch.fail(&self.fenced());
            return Err(stop);
        }
        self.publish_inputs(&self.applied);
        self.show_to(&mut batch);
        // A look may have renewed what a service remembers outside the log.
        self.publish_rest(false);
        batch.answer_all(self.core.position(self.fold.reader.seq));
        self.turned();
        Ok(())
    }

    /// Lets those look who want to see this commit, and then those whose turn it is.
    fn show_to(&mut self, batch: &mut Batch<S>) {
        let Self { fold, looks, .. } = self;
        let view = View { state: &fold.state, head: fold.reader.seq, meta: &fold.meta };
        batch.show(&view);
        looks.take_turns(&view, batch);
    }

    fn begin_effects(&self, effects: Vec<Effect<S>>) {
        if !effects.is_empty() {
            let handle = PartitionHandle(Arc::clone(self.core));
            for begin in effects {
                begin(&handle);
            }
        }
    }

    fn turned(&self) {
        self.core.turns.send_modify(|turns| *turns = turns.wrapping_add(1));
    }

    /// What those hear who asked a leader that no longer is one: nothing was written.
    fn fenced(&self) -> FailureOf<S> {
        if self.setting.seat.is_some() {
            Failure::NotLeader { leader: None }
        } else {
            Failure::NotReady(Health::SteppedDown.reason())
        }
    }
}

/// What a commit says, as whoever reads it will read it. An event of no version is one that its service's table doesn't
/// have.
fn readable(commit: &Commit) -> Result<Bookkeeping, Doubt> {
    match commit.events.iter().find(|event| event.version == 0) {
        None => Bookkeeping::of(commit),
        Some(event) => Err(Doubt::Event {
            seq: commit.seq,
            event_type: event.r#type.clone(),
            error: "this release doesn't know the version that it would write".to_owned(),
        }),
    }
}

/// The append of a commit: a root, linked with the calls and reactions that it carries.
fn append_span<S: Service>(batch: &Batch<S>, commit: &Commit) -> tracing::Span {
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
    for trace in traces {
        span.add_link(trace.span_context());
    }
    span
}
