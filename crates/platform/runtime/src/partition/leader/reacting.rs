//! From records of other services to facts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kernel::planted::{self, Bug};
use kernel::{Actor, Timestamp, WorkspaceId};
use tokio::time::Instant;
use wire::events::v1::{Cause, Commit, Event as StoredEvent, Parked};

use super::deciding::TooLarge;
use super::rota::{Budget, INPUTS_AT_ONCE};
use super::{Leader, POSITIONS_EVERY};
use crate::commit::written_at;
use crate::meta::Handled;
use crate::partition::batch::{Batch, Origin};
use crate::partition::inputs::Input;
use crate::service::{InputError, InputEvent, Service};
use crate::{Position, ServiceId, TraceContext};

/// How many inputs are held at most until what they were made from comes.
const HELD_MAX: usize = 1024;

impl<S: Service> Leader<'_, S> {
    /// Handles waiting inputs, event by event, as far as the commit has room and their turn goes.
    pub(super) fn handle_inputs(&mut self, batch: &mut Batch<S>, budget: Budget) {
        let mut taken = 0;
        while let Some(mut input) = self.pending.pop_front() {
            self.timers.moot = None;
            let seq = input.commit.seq;
            let commit = Arc::clone(&input.commit);
            for (index, event) in commit.events.iter().enumerate().skip(input.handled) {
                if batch.is_full() || taken >= INPUTS_AT_ONCE || budget.is_spent() {
                    break;
                }
                taken += 1;
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                self.react(&input, index, event, batch);
                input.handled += 1;
            }
            let whole = input.handled >= commit.events.len();
            let handled = Handled {
                log_id: input.log_id,
                seq: if whole {
                    seq + u64::from(planted::is(Bug::PositionAdvancedEarly))
                } else {
                    seq - 1
                },
                events_of_next: if whole { 0 } else { u32::try_from(input.handled).unwrap_or(0) },
                chain: if whole { input.chain } else { input.before },
            };
            self.applied.retain(|(service, _)| *service != input.service);
            self.applied.push((input.service, handled));
            if !whole {
                self.pending.push_front(input);
                return;
            }
            self.release();
            if !commit.events.is_empty() {
                self.unwritten += 1;
                self.unwritten_since.get_or_insert_with(Instant::now);
                batch.positions_due |= self.unwritten >= POSITIONS_EVERY;
            }
            if taken >= INPUTS_AT_ONCE || budget.is_spent() {
                return;
            }
        }
    }

    /// Lets an input wait in line, or holds it while it names a record of another input that isn't handled yet: so
    /// causes come before effects, whichever log was quicker. It is an order, not a promise: when too many are held,
    /// they go on as they came.
    pub(super) fn receive(&mut self, input: Input) {
        // What comes behind a record of the same log that is held must not overtake it.
        let behind = self.held.get(&input.service).is_some_and(|held| !held.is_empty());
        if !behind && !self.is_early(&input) {
            self.pending.push_back(input);
            return;
        }
        self.held.entry(input.service).or_default().push_back(input);
        if self.held.values().map(VecDeque::len).sum::<usize>() > HELD_MAX {
            self.pending.extend(std::mem::take(&mut self.held).into_values().flatten());
        }
    }

    /// Lets those held go on that are early no more.
    fn release(&mut self) {
        for service in S::INPUTS {
            while let Some(first) = self.held.get_mut(service).and_then(VecDeque::pop_front) {
                if self.is_early(&first) {
                    self.held.entry(*service).or_default().push_front(first);
                    break;
                }
                self.pending.push_back(first);
            }
        }
    }

    fn is_early(&self, input: &Input) -> bool {
        input.commit.consumed.iter().any(|cause| {
            let followed = S::INPUTS.iter().find(|service| service.number() == cause.service);
            followed.is_some_and(|service| {
                let handled = self.applied.iter().find(|(of, _)| of == service);
                let waiting = self
                    .pending
                    .iter()
                    .any(|one| one.service == *service && one.commit.seq >= cause.seq);
                // The lost log's records never come.
                let gone = handled.is_some_and(|(_, handled)| {
                    handled.log_id.as_slice() != cause.log_id.as_slice()
                        && self.core.anew.borrow().contains(service)
                });
                !gone && !waiting && handled.is_none_or(|(_, handled)| handled.seq < cause.seq)
            })
        })
    }

    pub(super) fn react(
        &mut self,
        input: &Input,
        index: u32,
        event: &StoredEvent,
        batch: &mut Batch<S>,
    ) {
        let cause = Cause { service: input.service.number(), seq: input.commit.seq, index };
        let park = |error: String| Parked {
            input: Some(cause),
            workspace: event.workspace.clone(),
            entity: event.entity.clone(),
            error,
        };
        if self.is_behind(input.service, event, batch) {
            return batch.park(park("an earlier input of this entity is set aside".into()));
        }
        if let Err(error) = self.apply(&input.commit, event, cause, input.service, batch) {
            let partition = self.core.partition;
            let (seq, of) = (cause.seq, input.service);
            tracing::error!(service = %S::ID, partition, input = %of, seq, index, %error, "an input is set aside");
            batch.park(park(error.to_string()));
        }
    }

    /// Whether an earlier input of its entity is set aside: then it must not overtake that one.
    fn is_behind(&self, service: ServiceId, event: &StoredEvent, batch: &Batch<S>) -> bool {
        let number = service.number();
        let same = |of: u32, workspace: &str, entity: &str| {
            of == number && workspace == event.workspace && entity == event.entity
        };
        let parked = batch.parked.iter().any(|parked| {
            same(parked.input.map_or(0, |at| at.service), &parked.workspace, &parked.entity)
        });
        let freed = batch.freed.iter().any(|(of, workspace, entity)| same(*of, workspace, entity));
        parked || (!freed && self.fold.meta.is_parked(service, &event.workspace, &event.entity))
    }

    /// Decides what one input asks for.
    pub(super) fn apply(
        &mut self,
        commit: &Commit,
        event: &StoredEvent,
        cause: Cause,
        service: ServiceId,
        batch: &mut Batch<S>,
    ) -> Result<(), InputError> {
        let committed_at = written_at(commit);
        let Cause { seq, index, .. } = cause;
        let partition = self.core.partition;
        let foreign = InputEvent { service, partition, seq, index, committed_at, event };
        let commands = self.core.service.react(&self.fold.state, &foreign)?;
        if commands.is_empty() {
            return Ok(());
        }
        let workspace = WorkspaceId::trusted(&event.workspace);
        let actor = Actor::from_text(&event.actor);
        let context = self.context(workspace, Some(committed_at), actor);
        let span = process_span::<S>(event, context.at);
        let _entered = span.enter();
        let trace = TraceContext::of(&span);
        for command in commands {
            let origin = Origin { trace, cause: Some(cause) };
            self.decide(&context, command, origin, batch).map_err(|TooLarge| {
                InputError("what follows from it is more than a record may hold".to_owned())
            })?;
        }
        Ok(())
    }

    /// Says how far the inputs are applied.
    pub(super) fn publish_inputs(&self, applied: &[(ServiceId, Handled)]) {
        let partition = self.core.partition;
        self.core.inputs.send_if_modified(|inputs| {
            let mut changed = false;
            for (service, handled) in applied {
                let (log_id, seq) = (handled.log_id, handled.seq);
                let position = Position { service: *service, partition, log_id, seq };
                changed |= inputs.insert(*service, position) != Some(position);
            }
            changed
        });
    }
}

/// The handling of one input: a child of its cause if that is young, and linked to it always. On no path but the live
/// one.
fn process_span<S: Service>(event: &StoredEvent, at: Timestamp) -> tracing::Span {
    let Some(cause) = TraceContext::from_bytes(&event.trace) else {
        return tracing::Span::none();
    };
    if !crate::trace::enabled() {
        return tracing::Span::none();
    }
    let age = at.millis_since(Timestamp::from_millis(event.occurred_at_ms));
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = %format!("{} process {}", S::ID, event.r#type),
        otel.kind = "consumer",
        switchyard.event.type = %event.r#type,
        switchyard.event.age_ms = age,
        switchyard.workspace.id = %event.workspace,
        switchyard.entity.id = %event.entity,
    );
    cause.adopt(&span, Duration::from_millis(age));
    span
}
