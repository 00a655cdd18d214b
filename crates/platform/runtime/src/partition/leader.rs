//! The leader: the one task that decides for a partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use event_log::{EventLogProvider, Seq};
use kernel::{Actor, Context, Decider, Timestamp, WorkspaceId};
use snapshots::SnapshotStore;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::events::v1::{Cause, Commit, Consumed, Note, Parked, StateHash, note::Kind};

use super::appending::{Appended, append};
use super::batch::{Batch, Origin, send};
use super::inputs::{self, Input};
use super::loading::{claim, load, snapshot_key};
use super::stop::Stop;
use super::timers::{Next, Timers};
use super::{Core, PartitionHandle, PendingCommand, Rest, View, Work};
use crate::call::{Call, Done, Failure};
use crate::commit::{FORMAT, READER, chain_after, seal};
use crate::fold::Fold;
use crate::health::Health;
use crate::meta::Handled;
use crate::requests::{self, Key};
use crate::service::{Command, InputEvent, Service};
use crate::{Position, ServiceId, TraceContext};

/// A leader writes its state's hash every so many commits, and when it stops.
pub const HASH_EVERY: Seq = 10_000;
/// A leader saves a snapshot every so many commits, and when it stops.
pub const SNAPSHOT_EVERY: Seq = 20_000;
/// Positions of inputs are written alone only after so many inputs ...
const POSITIONS_EVERY: u64 = 1000;
/// ... or so long.
const POSITIONS_AFTER: Duration = Duration::from_secs(10);
/// What one command may write, in bytes.
const COMMAND_BYTES_MAX: usize = 384 * 1024;
/// How many facts may follow at once from one command: a bound on a rule that never ends.
const FOLLOW_UPS_MAX: usize = 100_000;

/// What a leader needs to begin.
pub(crate) struct Setting {
    pub(crate) provider: Arc<dyn EventLogProvider>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    pub(crate) partitions: u16,
    pub(crate) writer: [u8; 16],
}

/// Leads a partition until it is told to stop, or must.
pub(crate) async fn lead<S: Service>(
    core: &Arc<Core<S>>,
    work: &mut mpsc::Receiver<Work<S>>,
    setting: &Setting,
    shutdown: &mut watch::Receiver<bool>,
) -> Stop {
    let loaded = tokio::select! {
        loaded = async {
            let mut fold = load(core, &*setting.snapshots).await?;
            core.clock.not_before(fold.meta.time());
            claim(core, &mut fold, setting.writer).await?;
            Ok(fold)
        } => loaded,
        _ = shutdown.wait_for(|stop| *stop) => Err(Stop::Shutdown),
    };
    match loaded {
        Ok(fold) => Leader::new(core, setting, fold).run(work, shutdown).await,
        Err(stop) => stop,
    }
}

/// What woke a leader.
enum Wake<S: Service> {
    Work(Work<S>),
    Input(Input),
    Timer,
    Positions,
    Shutdown,
}

struct Leader<'a, S: Service> {
    core: &'a Arc<Core<S>>,
    setting: &'a Setting,
    fold: Fold<S>,
    inputs: mpsc::Receiver<Input>,
    /// Inputs taken and not yet handled to their end.
    pending: VecDeque<Input>,
    applied: Vec<(ServiceId, Handled)>,
    /// Inputs handled since positions were last written, and when the first of them was.
    unwritten: u64,
    unwritten_since: Option<Instant>,
    timers: Timers,
    /// The last decision's time.
    decided_at: Timestamp,
    hashed_at: Seq,
    saved_at: Seq,
    /// The input followers; they end with the leader.
    _followers: JoinSet<()>,
}

impl<'a, S: Service> Leader<'a, S> {
    fn new(core: &'a Arc<Core<S>>, setting: &'a Setting, fold: Fold<S>) -> Self {
        let (sender, inputs) = mpsc::channel(inputs::WAITING_MAX);
        let mut followers = JoinSet::new();
        let mut applied = Vec::new();
        for service in S::INPUTS {
            let handled = fold.meta.consumed(*service);
            applied.extend(handled.map(|handled| (*service, handled)));
            followers.spawn(inputs::follow::<S>(
                Arc::clone(&setting.provider),
                *service,
                core.partition,
                handled,
                sender.clone(),
                core.inbox.clone(),
            ));
        }
        let (decided_at, hashed_at, saved_at) =
            (fold.meta.time(), fold.meta.hashed_at, fold.reader.seq);
        Self {
            core,
            setting,
            fold,
            inputs,
            pending: VecDeque::new(),
            applied,
            unwritten: 0,
            unwritten_since: None,
            timers: Timers::default(),
            decided_at,
            hashed_at,
            saved_at,
            _followers: followers,
        }
    }

    async fn run(
        mut self,
        work: &mut mpsc::Receiver<Work<S>>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Stop {
        if let Err(stop) = self.begin().await {
            return stop;
        }
        loop {
            let wake = self.wake(work, shutdown).await;
            let stopping = matches!(wake, Wake::Shutdown);
            let batch = match self.gather(wake, work) {
                Ok(batch) => batch,
                Err(stop) => return stop,
            };
            if let Err(stop) = self.conclude(batch).await {
                return stop;
            }
            if stopping {
                return self.end().await;
            }
            self.save_if_due();
        }
    }

    /// The first deeds of a leader: what must be there, and what was broken off.
    async fn begin(&mut self) -> Result<(), Stop> {
        self.core.epoch.store(self.fold.meta.epoch, Ordering::Relaxed);
        self.core.applied.send_replace(self.fold.reader.seq);
        self.publish_inputs();
        let mut batch = Batch::default();
        let wanted = self.core.service.bootstrap(
            &self.fold.state,
            self.core.partition,
            self.setting.partitions,
        );
        for (workspace, command) in wanted {
            self.decide_own(workspace, command, &mut batch);
        }
        self.conclude(batch).await?;
        let now = self.core.clock.now();
        let handle = PartitionHandle(Arc::clone(self.core));
        self.core.service.on_lead(&self.fold.state, now, &handle);
        self.core.health.send_replace(Health::Ready);
        tracing::info!(
            service = %S::ID,
            partition = self.core.partition,
            epoch = self.fold.meta.epoch,
            seq = self.fold.reader.seq,
            "leads"
        );
        Ok(())
    }

    async fn wake(
        &mut self,
        work: &mut mpsc::Receiver<Work<S>>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Wake<S> {
        if !self.pending.is_empty() {
            return Wake::Timer;
        }
        let next = self.timers.next(self.core, &self.fold.state);
        if next == Next::Unconfirmed {
            self.timers.confirm(self.core, &self.setting.provider);
        }
        let timer = async {
            match next {
                Next::Due(_) => {}
                Next::At(due) => self.core.clock.reached(due).await,
                Next::Nothing | Next::Unconfirmed => std::future::pending().await,
            }
        };
        let positions = async {
            match self.unwritten_since {
                Some(since) => tokio::time::sleep_until(since + POSITIONS_AFTER).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => Wake::Shutdown,
            Some(work) = work.recv() => Wake::Work(work),
            Some(input) = self.inputs.recv() => Wake::Input(input),
            () = timer => Wake::Timer,
            () = positions => Wake::Positions,
        }
    }

    /// Takes what waits, until the commit is full or nothing waits.
    fn gather(
        &mut self,
        wake: Wake<S>,
        work: &mut mpsc::Receiver<Work<S>>,
    ) -> Result<Batch<S>, Stop> {
        let mut batch = Batch::default();
        match wake {
            Wake::Work(work) => self.take(work, &mut batch)?,
            Wake::Input(input) => self.pending.push_back(input),
            Wake::Positions => batch.positions_due = true,
            Wake::Timer | Wake::Shutdown => {}
        }
        loop {
            self.handle_inputs(&mut batch);
            self.fire(&mut batch);
            if batch.is_full() {
                break;
            }
            if let Ok(work) = work.try_recv() {
                self.take(work, &mut batch)?;
            } else if let Ok(input) = self.inputs.try_recv() {
                self.pending.push_back(input);
            } else {
                break;
            }
        }
        let reached = self.fold.reader.seq;
        if reached >= self.hashed_at + HASH_EVERY && !batch.is_record() {
            batch.notes.push(self.state_hash());
        }
        Ok(batch)
    }

    fn take(&mut self, work: Work<S>, batch: &mut Batch<S>) -> Result<(), Stop> {
        batch.worked = true;
        match work {
            Work::Command(pending) => self.command(*pending, batch),
            Work::Look(look) => batch.look(look),
            Work::Rest(reply) => batch.rest(reply),
            Work::Heads { seen_at, heads } => self.timers.heads(self.core, seen_at, heads),
            Work::Doubt(reason) => return Err(Stop::Halted(reason)),
        }
        Ok(())
    }

    fn command(&mut self, pending: PendingCommand<S>, batch: &mut Batch<S>) {
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
            if let Some(answer) = self.remembered(&its, &request) {
                return send(reply, answer);
            }
            reply = match batch.repeat(&its, request.hash, reply) {
                Some(reply) => reply,
                None => return,
            };
            key = Some((its, request.hash));
        }
        let context = Context { workspace, at: self.decision_time(None), actor };
        let facts = match S::Decider::decide(&self.fold.state, &context, command) {
            Ok(facts) => facts,
            Err(rejection) => return batch.rejected(reply, rejection),
        };
        let size = |fact| self.core.service.encode(fact).data.len();
        if facts.iter().map(|fact| size(&fact.event)).sum::<usize>() > COMMAND_BYTES_MAX {
            return send(reply, Err(Failure::TooLarge));
        }
        let origin = Origin { trace, cause: None };
        let first = batch.committed.len();
        self.happen(&context, facts, origin, batch);
        let all = batch.committed.get(first..).unwrap_or_default();
        let all = all.iter().map(|committed| committed.fact.clone()).collect::<Vec<_>>();
        let result = Bytes::from(render(&self.fold.state, &all));
        if let (Some((key, hash)), false) = (key, all.is_empty()) {
            batch.answer(key, hash, &result);
        }
        batch.done(reply, result);
    }

    /// The answer of a request that was answered before, or can no longer be told from one.
    fn remembered(
        &self,
        key: &Key,
        request: &crate::call::RequestKey,
    ) -> Option<Result<Done, crate::call::FailureOf<S>>> {
        let requests = &self.fold.meta.requests;
        match requests.get(key) {
            Some(answer) if answer.hash == request.hash => Some(Ok(Done {
                reply: Bytes::from(answer.reply.to_vec()),
                position: self.core.position(answer.seq),
                replayed: true,
            })),
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
    fn decide_own(
        &mut self,
        workspace: WorkspaceId,
        command: Command<S>,
        batch: &mut Batch<S>,
    ) -> bool {
        let actor = Actor::Service(S::ID.name().to_owned());
        let context = Context { workspace, at: self.decision_time(None), actor };
        let span = self.root_span();
        let _entered = span.enter();
        let origin = Origin { trace: TraceContext::of(&span), cause: None };
        self.decide(&context, command, origin, batch)
    }

    /// A deadline is a trace of its own.
    fn root_span(&self) -> tracing::Span {
        if crate::trace::enabled() {
            tracing::info_span!(parent: None, "due", otel.name = %format!("{} due", S::ID))
        } else {
            tracing::Span::none()
        }
    }

    fn decide(
        &mut self,
        context: &Context,
        command: Command<S>,
        origin: Origin,
        batch: &mut Batch<S>,
    ) -> bool {
        match S::Decider::decide(&self.fold.state, context, command) {
            Ok(facts) => self.happen(context, facts, origin, batch),
            Err(rejection) => {
                tracing::debug!(service = %S::ID, %rejection, "moot");
                false
            }
        }
    }

    /// Lets facts happen, and what follows from them at once. Says whether there were any.
    fn happen(
        &mut self,
        context: &Context,
        facts: Vec<kernel::Fact<crate::service::Event<S>>>,
        origin: Origin,
        batch: &mut Batch<S>,
    ) -> bool {
        let any = !facts.is_empty();
        let mut next = facts;
        let mut followed = 0;
        loop {
            for fact in &next {
                S::Decider::evolve(&mut self.fold.state, fact);
            }
            batch.add(&self.core.service, &next, origin);
            next = S::Decider::follow_up(&self.fold.state, context);
            followed += next.len();
            if next.is_empty() {
                break;
            }
            if followed > FOLLOW_UPS_MAX {
                tracing::error!(service = %S::ID, "a rule follows itself without end");
                break;
            }
        }
        if any || followed > 0 {
            self.timers.moot = false;
        }
        any || followed > 0
    }

    /// Decides what is due.
    fn fire(&mut self, batch: &mut Batch<S>) {
        let applied = &self.applied;
        let seq = |id| applied.iter().find(|(service, _)| *service == id).map_or(0, |(_, h)| h.seq);
        self.timers.reach(seq);
        while let Next::Due(until) = self.timers.next(self.core, &self.fold.state) {
            if batch.is_full() {
                return;
            }
            batch.worked = true;
            let due = self.core.service.due(&self.fold.state, self.core.partition, until);
            let mut moved = false;
            for (workspace, command) in due {
                moved |= self.decide_own(workspace, command, batch);
            }
            if !moved {
                // Asking again would have the same answer until something else happens.
                self.timers.moot = true;
            }
        }
    }

    /// Handles waiting inputs, event by event, as far as the commit has room.
    fn handle_inputs(&mut self, batch: &mut Batch<S>) {
        while let Some(mut input) = self.pending.pop_front() {
            batch.worked = true;
            self.timers.moot = false;
            let seq = input.commit.seq;
            let commit = Arc::clone(&input.commit);
            for (index, event) in commit.events.iter().enumerate().skip(input.handled) {
                if batch.is_full() {
                    break;
                }
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                self.react(&input, index, event, batch);
                input.handled += 1;
            }
            let whole = input.handled >= commit.events.len();
            let handled = Handled {
                log_id: input.log_id,
                seq: if whole { seq } else { seq - 1 },
                events_of_next: if whole { 0 } else { u32::try_from(input.handled).unwrap_or(0) },
            };
            self.applied.retain(|(service, _)| *service != input.service);
            self.applied.push((input.service, handled));
            if !whole {
                self.pending.push_front(input);
                return;
            }
            if !commit.events.is_empty() {
                self.unwritten += 1;
                self.unwritten_since.get_or_insert_with(Instant::now);
                batch.positions_due |= self.unwritten >= POSITIONS_EVERY;
            }
        }
    }

    fn react(
        &mut self,
        input: &Input,
        index: u32,
        event: &wire::events::v1::Event,
        batch: &mut Batch<S>,
    ) {
        let cause = Cause { service: input.service.number(), seq: input.commit.seq, index };
        let park = |error: String| Parked {
            input: Some(cause),
            workspace: event.workspace.clone(),
            entity: event.entity.clone(),
            error,
        };
        let behind = self.fold.meta.is_parked(input.service, &event.workspace, &event.entity)
            || batch
                .parked
                .iter()
                .any(|parked| parked.workspace == event.workspace && parked.entity == event.entity);
        if behind {
            return batch.park(park("an earlier input of this entity is set aside".into()));
        }
        let committed_at = i64::try_from(input.commit.time_ns / 1_000_000).unwrap_or(i64::MAX);
        let committed_at = Timestamp::from_millis(committed_at);
        let foreign = InputEvent {
            service: input.service,
            partition: self.core.partition,
            seq: input.commit.seq,
            index,
            committed_at,
            event,
        };
        let commands = match self.core.service.react(&self.fold.state, &foreign) {
            Ok(commands) => commands,
            Err(error) => {
                tracing::error!(service = %S::ID, %error, "an input is set aside");
                return batch.park(park(error.to_string()));
            }
        };
        if commands.is_empty() {
            return;
        }
        let context = Context {
            workspace: WorkspaceId::trusted(&event.workspace),
            at: self.decision_time(Some(committed_at)),
            actor: Actor::from_text(&event.actor),
        };
        let span = process_span::<S>(event, context.at);
        let _entered = span.enter();
        let trace = TraceContext::of(&span);
        for command in commands {
            self.decide(&context, command, Origin { trace, cause: Some(cause) }, batch);
        }
    }

    /// The later of the clock and the input's time, and never before an earlier decision.
    fn decision_time(&mut self, input: Option<Timestamp>) -> Timestamp {
        let now = self.core.clock.now();
        self.decided_at = self.decided_at.max(now).max(input.unwrap_or(now));
        self.decided_at
    }

    /// Writes the commit, if there is one, and lets everybody hear.
    async fn conclude(&mut self, batch: Batch<S>) -> Result<(), Stop> {
        let mut batch = batch;
        if batch.is_record() {
            batch = self.write(batch).await?;
        }
        self.publish_inputs();
        let committed = std::mem::take(&mut batch.committed);
        if !committed.is_empty() {
            let now = self.core.clock.now();
            let handle = PartitionHandle(Arc::clone(self.core));
            self.core.service.on_committed(&self.fold.state, &committed, now, &handle);
        }
        let seq = self.fold.reader.seq;
        let view = View { state: &self.fold.state, head: seq, meta: &self.fold.meta };
        batch.conclude(self.core.position(seq), &view, || self.rest());
        Ok(())
    }

    async fn write(&mut self, mut batch: Batch<S>) -> Result<Batch<S>, Stop> {
        let commit = self.commit(&mut batch);
        let bytes = seal(&commit);
        let span = append_span::<S>(&batch, &commit);
        let appended =
            append(&*self.core.log, self.fold.reader.seq, &bytes, &self.core.health).await;
        drop(span);
        let (failure, stop) = match appended {
            Appended::Written => {
                self.fold.reader.chain = chain_after(&commit.prev, &bytes);
                self.fold.reader.seq = commit.seq;
                self.fold.meta.apply(&commit, bytes.len());
                self.unwritten = 0;
                self.unwritten_since = None;
                self.core.remember(Arc::new(commit));
                self.core.applied.send_replace(self.fold.reader.seq);
                return Ok(batch);
            }
            Appended::Full => (Failure::LogFull, Stop::Rebuild),
            Appended::Fenced => {
                (Failure::NotReady(Health::SteppedDown.reason()), Stop::SteppedDown)
            }
            Appended::Doubt(reason) => (Failure::Halted(reason.clone()), Stop::Halted(reason)),
        };
        batch.fail(&failure);
        Err(stop)
    }

    fn commit(&self, batch: &mut Batch<S>) -> Commit {
        let consumed = self.applied.iter().map(|(service, handled)| Consumed {
            service: service.number(),
            log_id: handled.log_id.to_vec(),
            seq: handled.seq,
            events_of_next: handled.events_of_next,
        });
        let moved = |consumed: &Consumed| {
            self.fold.meta.consumed.get(&consumed.service).is_none_or(|known| {
                (known.seq, known.events_of_next) != (consumed.seq, consumed.events_of_next)
            })
        };
        Commit {
            format: FORMAT,
            min_reader: READER,
            log_id: self.core.log_id.to_vec(),
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

    fn publish_inputs(&self) {
        let partition = self.core.partition;
        self.core.inputs.send_if_modified(|inputs| {
            let mut changed = false;
            for (service, handled) in &self.applied {
                let (log_id, seq) = (handled.log_id, handled.seq);
                let position = Position { service: *service, partition, log_id, seq };
                changed |= inputs.insert(*service, position) != Some(position);
            }
            changed
        });
    }

    fn rest(&self) -> Rest {
        let next_due = self.core.service.next_due(&self.fold.state, self.core.partition);
        let now = self.core.clock.now();
        let due = next_due.is_some_and(|due| due <= now) && !self.timers.moot;
        let waits = !self.pending.is_empty() || !self.inputs.is_empty();
        let busy = self.core.service.busy(&self.fold.state);
        Rest { idle: !due && !waits && !busy, next_due: next_due.filter(|due| *due > now) }
    }

    fn state_hash(&mut self) -> Note {
        let seq = self.fold.reader.seq;
        self.hashed_at = seq;
        let hash = self.fold.state_hash().to_vec();
        Note { kind: Some(Kind::StateHash(StateHash { seq, hash })) }
    }

    /// Leaves the log in order: positions and the state's hash are written, and a snapshot is saved.
    async fn end(&mut self) -> Stop {
        let mut batch = Batch::default();
        batch.positions_due = self.unwritten > 0;
        batch.notes.push(self.state_hash());
        if let Err(stop) = self.conclude(batch).await {
            return stop;
        }
        self.save().await;
        Stop::Shutdown
    }

    fn snapshot(&self) -> Option<snapshots::Snapshot> {
        let reader = &self.fold.reader;
        match self.fold.snapshot() {
            Ok(bytes) => Some(snapshots::Snapshot {
                version: S::STATE_VERSION,
                log_id: reader.log_id,
                seq: reader.seq,
                chain: reader.chain,
                bytes: bytes.into(),
            }),
            Err(error) => {
                tracing::error!(%error, "the state can't be encoded for a snapshot");
                None
            }
        }
    }

    async fn save(&self) {
        let Some(snapshot) = self.snapshot() else { return };
        let key = snapshot_key(self.core);
        if let Err(error) = self.setting.snapshots.save(&key, snapshot).await {
            tracing::warn!(%error, "a snapshot could not be saved");
        }
    }

    fn save_if_due(&mut self) {
        if self.fold.reader.seq < self.saved_at + SNAPSHOT_EVERY {
            return;
        }
        self.saved_at = self.fold.reader.seq;
        let Some(snapshot) = self.snapshot() else { return };
        let (key, store) = (snapshot_key(self.core), Arc::clone(&self.setting.snapshots));
        tokio::spawn(async move {
            if let Err(error) = store.save(&key, snapshot).await {
                tracing::warn!(%error, "a snapshot could not be saved");
            }
        });
    }
}

/// The handling of one input: a child of its cause if that is young, and linked to it always. On no path but the live one.
fn process_span<S: Service>(event: &wire::events::v1::Event, at: Timestamp) -> tracing::Span {
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

/// The append of a commit: a root, linked with the calls and reactions that it carries.
fn append_span<S: Service>(batch: &Batch<S>, commit: &Commit) -> tracing::Span {
    use tracing_opentelemetry::OpenTelemetrySpanExt;
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
