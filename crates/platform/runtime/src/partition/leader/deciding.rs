//! From commands and deadlines to facts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use event_log::Seq;
use kernel::planted::{self, Bug};
use kernel::{Actor, Context, Decider, Fact, Timestamp, WorkspaceId};

use super::rota::Budget;
use super::{DECISION_BYTES_MAX, FACTS_AT_ONCE, Leader};
use crate::TraceContext;
use crate::call::{Call, Done, Failure, FailureOf, RequestKey};
use crate::partition::PendingCommand;
use crate::partition::batch::{Batch, Origin, send};
use crate::partition::timers::Next;
use crate::requests::{self, Key};
use crate::service::{Command, Event, Parked, Service};

/// A decision would write more than it may.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge;

impl<S: Service> Leader<'_, S> {
    pub(super) fn command(&mut self, pending: PendingCommand<S>, batch: &mut Batch<S>) {
        let PendingCommand { call, trace, reply } = pending;
        if reply.is_closed() {
            // The caller has gone before anything was done.
            return;
        }
        let Call { workspace, method, request, actor, command, render } = call;
        let mut reply = reply;
        let mut key = None;
        if let Some(request) = request {
            let its = requests::key(workspace.as_str(), method, &request.id);
            match self.remembered(&its, &request) {
                // Not before the log has what it says.
                Some(Ok(answer)) if self.is_on_its_way(answer.position.seq) => {
                    return batch.known(its, reply, answer);
                }
                Some(answer) => return send(reply, answer),
                None => {}
            }
            reply = match batch.repeat(&its, request.hash, reply) {
                Some(reply) => reply,
                None => return,
            };
            key = Some((its, request.hash));
        }
        let context = self.context(workspace, None, actor);
        let facts = match S::Decider::decide(&self.fold.state, &context, command) {
            Ok(facts) => facts,
            Err(rejection) => return batch.rejected(reply, rejection),
        };
        let origin = Origin { trace, cause: None };
        if !batch.store(&*self.core.service, &facts, origin, DECISION_BYTES_MAX) {
            return send(reply, Err(Failure::TooLarge));
        }
        let happened = self.happen(&context, facts, origin, batch);
        let result = Bytes::from(render(&self.fold.state, &happened));
        if let Some((key, hash)) = key.filter(|_| !happened.is_empty()) {
            batch.answer(key, hash, &result);
        }
        batch.done(reply, result);
    }

    fn is_on_its_way(&self, seq: Seq) -> bool {
        self.flight.is_some() && seq == self.fold.reader.seq
    }

    /// The answer of a request that was answered before, or can no longer be told from one.
    pub(super) fn remembered(
        &self,
        key: &Key,
        request: &RequestKey,
    ) -> Option<Result<Done, FailureOf<S>>> {
        let requests = &self.fold.meta.requests;
        match requests.get(key) {
            Some(_) if planted::is(Bug::RequestsNotChecked) => None,
            Some(answer) if answer.hash == request.hash || planted::is(Bug::RequestHashIgnored) => {
                Some(Ok(Done {
                    reply: Bytes::from(answer.reply.to_vec()),
                    position: self.core.position(answer.seq),
                    replayed: true,
                }))
            }
            Some(_) => Some(Err(Failure::RequestIdReused)),
            None => {
                let horizon = requests.horizon();
                let made_at = requests::uuid_v7_instant(&request.id)?;
                let too_old = made_at < horizon && !self.core.clock.is_manual();
                too_old.then_some(Err(Failure::RequestIdTooOld { horizon }))
            }
        }
    }

    /// Decides a command of the service's own; a refusal means that it is moot.
    pub(super) fn decide_own(
        &mut self,
        workspace: WorkspaceId,
        command: Command<S>,
        batch: &mut Batch<S>,
    ) -> bool {
        let actor = Actor::Service(S::ID.name().into());
        let context = self.context(workspace, None, actor);
        let span = self.root_span();
        let _entered = span.enter();
        let origin = Origin { trace: TraceContext::of(&span), cause: None };
        self.decide(&context, command, origin, batch).unwrap_or_else(|TooLarge| {
            // The domain bounds what its deadlines write. Should it fail to, that one waits, and nobody else.
            let partition = self.core.partition;
            tracing::error!(service = %S::ID, partition, "what is due would write more than a record may hold");
            false
        })
    }

    /// A deadline is a trace of its own.
    pub(super) fn root_span(&self) -> tracing::Span {
        if crate::trace::enabled() {
            tracing::info_span!(parent: None, "due", otel.name = %format!("{} due", S::ID))
        } else {
            tracing::Span::none()
        }
    }

    /// Decides a command, and lets its facts happen. Says whether there were any. If they would be more than one
    /// decision may write, nothing has happened.
    pub(super) fn decide(
        &mut self,
        context: &Context,
        command: Command<S>,
        origin: Origin,
        batch: &mut Batch<S>,
    ) -> Result<bool, TooLarge> {
        match S::Decider::decide(&self.fold.state, context, command) {
            Ok(facts) if batch.store(&*self.core.service, &facts, origin, DECISION_BYTES_MAX) => {
                Ok(!self.happen(context, facts, origin, batch).is_empty())
            }
            Ok(_) => Err(TooLarge),
            Err(rejection) => {
                tracing::debug!(service = %S::ID, %rejection, "moot");
                Ok(false)
            }
        }
    }

    /// Lets facts, whose stored form the commit has, happen, and what follows from them at once. Returns all of them.
    /// Where more than a few follow, the rest is due at once and has turns of its own.
    pub(super) fn happen(
        &mut self,
        context: &Context,
        facts: Vec<Fact<Event<S>>>,
        origin: Origin,
        batch: &mut Batch<S>,
    ) -> Vec<Fact<Event<S>>> {
        let service = &*self.core.service;
        let (mut all, mut new) = (Vec::new(), facts);
        loop {
            S::Decider::evolve_all(&mut self.fold.state, &new);
            for fact in &new {
                service.on_decided(self.core.partition, fact);
            }
            batch.effects.extend(service.effects(&self.fold.state, &new, origin.trace));
            // Mostly nothing follows, and nothing is moved.
            if all.is_empty() {
                all = new;
            } else {
                all.extend(new);
            }
            if all.len() >= FACTS_AT_ONCE {
                break;
            }
            let following = S::Decider::follow_up(&self.fold.state, context);
            if following.is_empty() {
                break;
            }
            batch.store(service, &following, origin, usize::MAX);
            new = following;
        }
        if !all.is_empty() {
            self.timers.moot = None;
        }
        all
    }

    /// The turn of what is due. Says whether anything was.
    pub(super) fn fire(&mut self, batch: &mut Batch<S>, budget: Budget) -> bool {
        let applied = &self.applied;
        let seq = |id| applied.iter().find(|(service, _)| *service == id).map_or(0, |(_, h)| h.seq);
        if self.timers.reach(seq) {
            self.core.unconfirmed.store(false, Ordering::Relaxed);
        }
        let Next::Due(until) = self.timers.next(self.core, &self.fold) else { return false };
        let (partition, service) = (self.core.partition, Arc::clone(&self.core.service));
        let parked = Parked(&self.fold.meta);
        let mut due = service.due(&self.fold.state, partition, until, parked);
        if let Some(last) = self.cut_after.take() {
            // The workspace that had the last turn's end goes behind the others, each of which then has its own.
            due.sort_by_key(|(workspace, _)| *workspace <= last);
        }
        let mut moved = false;
        for (workspace, command) in due {
            moved |= self.decide_own(workspace.clone(), command, batch);
            if batch.is_full() || budget.is_spent() {
                self.cut_after = Some(workspace);
                return true;
            }
        }
        if !moved {
            // Asking again would have the same answer until something else happens.
            let parked = Parked(&self.fold.meta);
            self.timers.moot = service.next_due(&self.fold.state, partition, parked);
        }
        true
    }

    /// What a command is decided in.
    pub(super) fn context(
        &mut self,
        workspace: WorkspaceId,
        input: Option<Timestamp>,
        actor: Actor,
    ) -> Context {
        let record = self.fold.reader.seq + 1;
        Context { workspace, at: self.decision_time(input), actor, record }
    }

    /// The later of the partition's time and the input's, and never before an earlier decision.
    pub(super) fn decision_time(&mut self, input: Option<Timestamp>) -> Timestamp {
        let time = &self.core.time;
        let now = time.now();
        let input = input.map_or(now, |input| time.of_input(input, now));
        self.decided_at = self.decided_at.max(now).max(input);
        self.decided_at
    }
}
