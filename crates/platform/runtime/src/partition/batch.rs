//! One commit in the making: what was decided since the last one, and who waits for it.

use bytes::Bytes;
use kernel::Fact;
use tokio::sync::oneshot;
use wire::events::v1::note::Kind;
use wire::events::v1::{Answered, Cause, Event as StoredEvent, Note, Parked};

use super::queue::Lane;
use super::work::{Look, Report, Shown};
use crate::call::{Done, Failure, FailureOf, Overload};
use crate::meta::ParkedKey;
use crate::partition::View;
use crate::requests::Key;
use crate::service::{Effect, Event, Rejection, Service};
use crate::{Position, TraceContext};

/// A commit takes no more work once it has so many events, ...
pub const EVENTS_MAX: usize = 512;
/// ... or so many bytes.
pub const BYTES_MAX: usize = 256 * 1024;
/// How many traces the span of an append is linked with at most.
const LINKS_MAX: usize = 32;
/// How many repetitions of a request in flight wait with it.
pub const REPETITIONS_MAX: usize = 16;

/// What a caller will hear once the commit is in the log.
enum Outcome<S: Service> {
    Done(Bytes),
    /// What an earlier call of the same commit was answered.
    Repeated(Bytes),
    /// What an earlier call of the commit before this one was answered.
    Known(Done),
    Rejected(Rejection<S>),
}

struct Waiting<S: Service> {
    reply: oneshot::Sender<Result<Done, FailureOf<S>>>,
    outcome: Outcome<S>,
}

/// Where a fact came from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    pub(crate) trace: Option<TraceContext>,
    pub(crate) cause: Option<Cause>,
}

pub(crate) struct Batch<S: Service> {
    pub(crate) events: Vec<StoredEvent>,
    /// What begins once this is written.
    pub(crate) effects: Vec<Effect<S>>,
    pub(crate) answered: Vec<Answered>,
    pub(crate) parked: Vec<Parked>,
    /// The entities of which nothing is set aside any more, once this is written.
    pub(crate) freed: Vec<ParkedKey>,
    pub(crate) notes: Vec<Note>,
    /// The positions of the inputs are to be written even if nothing else is.
    pub(crate) positions_due: bool,
    bytes: usize,
    keys: Vec<(Key, u64, usize, usize)>,
    /// The requests of the commit before that are repeated here, once for each time.
    known: Vec<Key>,
    /// The traces of what was decided, once each, as many as an append's span is linked with.
    traces: Vec<TraceContext>,
    waiting: Vec<Waiting<S>>,
    /// What is told of the state right after it, and never without it.
    reports: Vec<Report<S>>,
    /// Those who have looked, whose turn it was, and whether they count on the state being the latest.
    looked: Vec<(Lane, Look<S>, bool)>,
    /// What those who looked have seen.
    shown: Vec<Shown>,
}

impl<S: Service> Default for Batch<S> {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            effects: Vec::new(),
            answered: Vec::new(),
            parked: Vec::new(),
            freed: Vec::new(),
            notes: Vec::new(),
            positions_due: false,
            bytes: 0,
            keys: Vec::new(),
            known: Vec::new(),
            traces: Vec::new(),
            waiting: Vec::new(),
            reports: Vec::new(),
            looked: Vec::new(),
            shown: Vec::new(),
        }
    }
}

impl<S: Service> Batch<S> {
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }

    /// Whether there is something to write.
    pub(crate) fn is_record(&self) -> bool {
        !self.events.is_empty()
            || !self.parked.is_empty()
            || !self.notes.is_empty()
            || self.positions_due
    }

    /// Whether it has nothing to write, and nobody waits for it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_record() && self.waiting.is_empty() && self.reports.is_empty()
    }

    /// An empty one with room for as much as this one has, unless that is far more than usual.
    pub(crate) fn successor(&self) -> Self {
        Self {
            events: Vec::with_capacity(self.events.len().min(EVENTS_MAX)),
            effects: Vec::with_capacity(self.effects.len().min(EVENTS_MAX)),
            waiting: Vec::with_capacity(self.waiting.len()),
            ..Self::default()
        }
    }

    /// Takes facts in, in their stored form, unless they have more than `max_bytes`. Says whether they were taken.
    pub(crate) fn store(
        &mut self,
        service: &S,
        facts: &[Fact<Event<S>>],
        origin: Origin,
        max_bytes: usize,
    ) -> bool {
        let first = self.events.len();
        self.events.extend(facts.iter().map(|fact| stored(service, fact, origin)));
        let data: usize = self.events.iter().skip(first).map(|event| event.data.len()).sum();
        let mut bytes = data + ENVELOPE_BYTES * facts.len();
        if bytes > BYTES_MAX / 4 {
            // So much is seldom, and then an estimate won't do.
            bytes = self.events.iter().skip(first).map(prost::Message::encoded_len).sum();
        }
        if bytes > max_bytes {
            self.events.truncate(first);
            return false;
        }
        self.bytes += bytes;
        if let Some(trace) = origin.trace
            && self.traces.len() < LINKS_MAX
            && !self.traces.contains(&trace)
        {
            self.traces.push(trace);
        }
        true
    }

    /// Whether inputs of this entity are released already: what is known of them is then out of date.
    pub(crate) fn releases(&self, key: &ParkedKey) -> bool {
        self.notes.iter().any(|note| match &note.kind {
            Some(Kind::InputsRetried(released) | Kind::InputsDropped(released)) => {
                (released.service, &released.workspace, &released.entity) == (key.0, &key.1, &key.2)
            }
            Some(
                Kind::Genesis(_)
                | Kind::LeaderClaimed(_)
                | Kind::StateHash(_)
                | Kind::Restored(_)
                | Kind::Origin(_)
                | Kind::Supersedes(_),
            )
            | None => false,
        })
    }

    pub(crate) fn park(&mut self, parked: Parked) {
        self.bytes += parked.error.len() + ENVELOPE_BYTES;
        self.parked.push(parked);
    }

    /// Remembers the answer of a request that changed something.
    pub(crate) fn answer(&mut self, key: Key, request_hash: u64, result: &Bytes) {
        self.keys.push((key, request_hash, self.waiting.len(), 0));
        self.bytes += result.len() + ENVELOPE_BYTES;
        self.answered.push(Answered { key: key.to_vec(), request_hash, result: result.to_vec() });
    }

    /// The repetition of a request that this very commit answers waits with it. Gives the sender back if the request is
    /// another.
    pub(crate) fn repeat(
        &mut self,
        key: &Key,
        request_hash: u64,
        reply: oneshot::Sender<Result<Done, FailureOf<S>>>,
    ) -> Option<oneshot::Sender<Result<Done, FailureOf<S>>>> {
        let Some((_, hash, first, repetitions)) =
            self.keys.iter_mut().find(|(known, ..)| known == key)
        else {
            return Some(reply);
        };
        if *hash != request_hash {
            send(reply, Err(Failure::RequestIdReused));
        } else if *repetitions == REPETITIONS_MAX {
            send(reply, Err(Failure::Overloaded(Overload::Request)));
        } else if let Some(Waiting { outcome: Outcome::Done(result), .. }) =
            self.waiting.get(*first)
        {
            *repetitions += 1;
            let outcome = Outcome::Repeated(result.clone());
            self.waiting.push(Waiting { reply, outcome });
        }
        None
    }

    pub(crate) fn done(
        &mut self,
        reply: oneshot::Sender<Result<Done, FailureOf<S>>>,
        result: Bytes,
    ) {
        self.waiting.push(Waiting { reply, outcome: Outcome::Done(result) });
    }

    /// The repetition of a request whose answer is on its way into the log waits until it is there.
    pub(crate) fn known(
        &mut self,
        key: Key,
        reply: oneshot::Sender<Result<Done, FailureOf<S>>>,
        answer: Done,
    ) {
        if self.known.iter().filter(|known| **known == key).count() == REPETITIONS_MAX {
            return send(reply, Err(Failure::Overloaded(Overload::Request)));
        }
        self.known.push(key);
        self.waiting.push(Waiting { reply, outcome: Outcome::Known(answer) });
    }

    pub(crate) fn rejected(
        &mut self,
        reply: oneshot::Sender<Result<Done, FailureOf<S>>>,
        rejection: Rejection<S>,
    ) {
        self.waiting.push(Waiting { reply, outcome: Outcome::Rejected(rejection) });
    }

    /// Tells somebody of the state right after this commit: the last word of what is decided in it. Nobody if it isn't
    /// written.
    pub(crate) fn report(&mut self, report: Report<S>) {
        self.reports.push(report);
    }

    /// Whether anybody will hear something that only a leader may say: what the state is, or that it allows something
    /// or doesn't.
    pub(crate) fn is_shown(&self) -> bool {
        !self.reports.is_empty() || !self.waiting.is_empty()
    }

    /// Lets those look who wanted to see this commit. They are told what they saw once it is in the log.
    pub(crate) fn show(&mut self, view: &View<'_, S>) {
        for report in std::mem::take(&mut self.reports) {
            self.shown.push(report(Ok(view)));
        }
    }

    /// Somebody else has looked, and is told what was seen once this is in the log; or looks again, if it can't be.
    pub(crate) fn seen(&mut self, shown: Shown, again: (Lane, Look<S>, bool)) {
        self.shown.push(shown);
        self.looked.push(again);
    }

    /// Whoever has looked and has not been told what was seen: to look again, since it can't be written.
    pub(crate) fn take_looked(&mut self) -> Vec<(Lane, Look<S>, bool)> {
        std::mem::take(&mut self.looked)
    }

    /// The log has it (or there was nothing to write): everybody hears.
    pub(crate) fn answer_all(self, position: Position) {
        for Waiting { reply, outcome } in self.waiting {
            let answer = match outcome {
                Outcome::Done(reply) => Ok(Done { reply, position, replayed: false }),
                Outcome::Repeated(reply) => Ok(Done { reply, position, replayed: true }),
                Outcome::Known(answer) => Ok(answer),
                Outcome::Rejected(rejection) => Err(Failure::Rejected(rejection)),
            };
            send(reply, answer);
        }
        for tell in self.shown {
            tell();
        }
    }

    /// It can't be written: everybody hears why.
    pub(crate) fn fail(self, why: &FailureOf<S>) {
        for Waiting { reply, .. } in self.waiting {
            send(reply, Err(why.clone()));
        }
    }

    /// The traces that this belongs to, at most [`LINKS_MAX`].
    pub(crate) fn traces(&self) -> &[TraceContext] {
        &self.traces
    }
}

/// What an event takes beside its payload, roughly.
const ENVELOPE_BYTES: usize = 160;

/// An answer to somebody who may have gone.
pub(crate) fn send<T>(reply: oneshot::Sender<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::trace!("nobody waits for an answer any more");
    }
}

/// A fact as it is stored.
fn stored<S: Service>(service: &S, fact: &Fact<Event<S>>, origin: Origin) -> StoredEvent {
    let payload = service.encode(&fact.event);
    StoredEvent {
        r#type: payload.event_type.to_owned(),
        version: payload.version,
        workspace: fact.workspace.as_str().to_owned(),
        entity: fact.entity.as_str().to_owned(),
        revision: fact.revision,
        occurred_at_ms: fact.at.as_millis(),
        trace: origin.trace.map(|trace| trace.as_bytes().to_vec()).unwrap_or_default(),
        actor: fact.actor.to_string(),
        cause: origin.cause,
        data: payload.data,
    }
}
