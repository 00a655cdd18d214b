//! What leaves the system: attempts that the log holds are made, and their ends are reported.
//!
//! An attempt that was started and has no end when leadership begins is made again under the same key, but for
//! endpoints that chose at most once: there it ends as unknown. **Invariant:** nothing is sent that isn't started in
//! the log, and nothing on replay.

mod address;
mod sender;
mod slots;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kernel::planted::{self, Bug};
use kernel::{Actor, DeliveryId, Fact, Timestamp, WorkspaceId};
use notify::{AttemptResult, Command, Delivery, EndAttempt, Event, Reseal, State, Workspace};
use runtime::{Call, Effect, Failure, Health, PartitionHandle, TraceContext};
use tracing::Instrument;

pub(crate) use address::check_url;
pub(crate) use sender::Sender;
pub use sender::{Courier, Message, SenderError};
pub(crate) use slots::Slots;

use crate::NotifyService;

/// How long a command of our own waits before it is given again: from, and up to.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The making of the attempts that these facts start.
pub(crate) fn deliver(
    state: &State,
    facts: &[Fact<Event>],
    trace: Option<TraceContext>,
) -> Vec<Effect<NotifyService>> {
    let attempt = |fact: &Fact<Event>| -> Option<Effect<NotifyService>> {
        let Event::AttemptStarted(started) = &fact.event else { return None };
        let job = Job::of(state, &fact.workspace, &started.delivery, started.attempt)?;
        Some(Box::new(move |partition| job.start(partition, trace)))
    };
    facts.iter().filter_map(attempt).collect()
}

/// Takes up what a leader before, or this process before a restart, left without an end.
pub(crate) fn resume(state: &State, partition: &PartitionHandle<NotifyService>) {
    for (workspace, delivery) in state.in_flight() {
        let Some(job) = Job::of(state, workspace, &delivery.id, delivery.attempts) else {
            continue;
        };
        if job.at_most_once {
            job.give_up(partition);
        } else {
            job.start(partition, None);
        }
    }
}

/// An attempt to be made.
struct Job {
    workspace: WorkspaceId,
    delivery: DeliveryId,
    attempt: u32,
    made_at: Timestamp,
    at_most_once: bool,
    message: Message,
}

impl Job {
    fn of(
        state: &State,
        workspace_id: &WorkspaceId,
        delivery: &DeliveryId,
        attempt: u32,
    ) -> Option<Self> {
        let workspace: &Workspace = state.workspace(workspace_id)?;
        let delivery: &Delivery = workspace.delivery(delivery)?;
        let endpoint = workspace.endpoint(delivery.target.endpoint()?)?;
        let mut key = delivery.id.to_string();
        if planted::is(Bug::RetryWithNewKey) && attempt > 1 {
            key = format!("{key}-{attempt}");
        }
        Some(Self {
            workspace: workspace_id.clone(),
            delivery: delivery.id.clone(),
            attempt,
            made_at: delivery.made_at,
            at_most_once: endpoint.at_most_once,
            message: Message {
                workspace: workspace_id.clone(),
                endpoint: delivery.target.endpoint()?.clone(),
                id: key,
                url: endpoint.url.clone(),
                secrets: endpoint.secrets.clone(),
                body: Arc::clone(&delivery.body),
            },
        })
    }

    /// Sends it when it is its turn and reports what came of it, in a task of its own. The attempt's span is a child
    /// of what started the attempt: the first one belongs to the story of its cause, a retry to that of its deadline.
    fn start(self, partition: &PartitionHandle<NotifyService>, trace: Option<TraceContext>) {
        let partition = partition.clone();
        let span = self.span(trace);
        let turn =
            partition.service().slots().line_up(&self.message.workspace, &self.message.endpoint);
        let sent = async move {
            // An error would mean that the slots are gone, and the partition with them.
            let Ok(slot) = turn.await else { return };
            let result = partition.service().sender().send(&self.message, partition.now()).await;
            drop(slot);
            self.report(&partition, result).await;
        };
        drop(tokio::spawn(sent.instrument(span)));
    }

    fn span(&self, trace: Option<TraceContext>) -> tracing::Span {
        if !runtime::trace::enabled() {
            return tracing::Span::none();
        }
        let span = tracing::info_span!(
            parent: None,
            "notify.attempt",
            otel.kind = "client",
            switchyard.delivery.id = %self.delivery,
            switchyard.attempt = self.attempt,
            switchyard.intent.made_at_ms = self.made_at.as_millis(),
        );
        if let Some(trace) = trace {
            trace.adopt(&span, Duration::ZERO);
        }
        span
    }

    /// Ends it as one of unknown outcome.
    fn give_up(self, partition: &PartitionHandle<NotifyService>) {
        let partition = partition.clone();
        drop(tokio::spawn(async move {
            let result = AttemptResult::Lost { error: "restart".to_owned() };
            self.report(&partition, result).await;
        }));
    }

    /// Reports until the log has it. If this process stops leading, the next leader takes the attempt up.
    async fn report(&self, partition: &PartitionHandle<NotifyService>, result: AttemptResult) {
        tracing::debug!(?result, "an attempt was made");
        let end = EndAttempt { delivery: self.delivery.clone(), attempt: self.attempt, result };
        insist(partition, &self.workspace, "EndAttempt", &Command::EndAttempt(end)).await;
    }
}

/// Puts secrets that are sealed with an older key under the one in use, one after another, so that the older one can
/// be retired; and says which keys are missing. What a change of leaders cuts off, the next leader does.
pub(crate) fn reseal(state: &State, partition: &PartitionHandle<NotifyService>) {
    let keys = partition.service().keys().clone();
    let (mut commands, mut missing) = (Vec::new(), BTreeMap::<String, u64>::new());
    for (workspace, id, endpoint) in state.endpoints() {
        for from in endpoint.secrets.iter().filter(|secret| keys.is_old(secret)) {
            let opened = keys.open(workspace, id, from);
            let Some(to) = opened.ok().and_then(|opened| keys.seal(workspace, id, opened.expose()))
            else {
                let count = missing.entry(from.key_id.clone()).or_default();
                *count = count.saturating_add(1);
                continue;
            };
            let reseal = Reseal { endpoint: id.clone(), from: from.clone(), to };
            commands.push((workspace.clone(), Command::Reseal(reseal)));
        }
    }
    for (key, secrets) in missing {
        let partition = partition.id();
        tracing::error!(
            partition,
            %key,
            secrets,
            "webhooks are not sent: this key is not in the file of --secrets-key-file"
        );
    }
    if commands.is_empty() {
        return;
    }
    let partition = partition.clone();
    drop(tokio::spawn(async move {
        let (id, secrets) = (partition.id(), commands.len());
        for (workspace, command) in commands {
            if !insist(&partition, &workspace, "Reseal", &command).await {
                return;
            }
        }
        tracing::info!(partition = id, secrets, "secrets are sealed with the first key now");
    }));
}

/// Gives a command until the log has it; false: another process leads now, or the command was refused.
async fn insist(
    partition: &PartitionHandle<NotifyService>,
    workspace: &WorkspaceId,
    method: &'static str,
    command: &Command,
) -> bool {
    let (mut pause, longest) = AGAIN;
    loop {
        let call = Call {
            workspace: workspace.clone(),
            method,
            request: None,
            actor: Actor::Service("notify".into()),
            command: command.clone(),
            render: Box::new(|_, _| Vec::new()),
        };
        let Err(failure) = partition.execute(call).await else { return true };
        let stepped_down = partition.health() == Health::SteppedDown;
        match failure {
            Failure::Draining | Failure::Halted(_) | Failure::NotLeader { .. } => return false,
            Failure::NotReady(_) if stepped_down => return false,
            Failure::NotReady(_)
            | Failure::Overloaded(_)
            | Failure::LogFull
            | Failure::LogUnavailable
            | Failure::OutcomeUnknown => {}
            Failure::Rejected(_)
            | Failure::RequestIdReused
            | Failure::RequestIdTooOld { .. }
            | Failure::TooLarge => {
                tracing::error!(method, ?failure, "a command of our own was refused");
                return false;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
