//! What a ticket's life does to its clocks. Where several things happen at one instant, the order is: stop, cancel,
//! retarget, start, resume, pause.

use std::sync::Arc;

use kernel::{
    AgentId, Context, Fact, Packed, Priority, QueueId, TicketId, TicketStatus, Timestamp,
};

use super::Draft;
use crate::clock::Alarm;
use crate::{
    CancelReason, Clock, ClockKey, Event, Metric, Phase, Ticket, Traits, TraitsUpdate, Workspace,
};

/// The clocks of the whole ticket, which a resolution stops and a reopening takes up again.
const RESOLUTION: [Metric; 2] = [Metric::RequesterWait, Metric::TotalResolution];

/// What is said of a ticket at its opening.
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) priority: Option<Priority>,
    pub(super) traits: Arc<Traits>,
    pub(super) at: Timestamp,
}

/// A customer opened a ticket: the clocks of the first reply and of the whole ticket start.
pub(super) fn open(
    space: &Workspace,
    context: &Context,
    id: TicketId,
    opening: Opening,
) -> Vec<Fact<Event>> {
    if space.ticket(&id).is_some() {
        return Vec::new();
    }
    let Opening { number, priority, traits, at } = opening;
    let mut ticket = Ticket::unknown();
    ticket.priority = priority;
    ticket.traits = Some(Packed::new(&traits));
    let policy = space.choose(&ticket);
    let mut draft = Draft::begin(space, context, id, Ticket::unknown());
    draft.note(at, |note| {
        note.number = number;
        note.priority = priority;
        note.policy = policy;
        note.traits = Some(traits);
    });
    for metric in [Metric::FirstReply, Metric::RequesterWait, Metric::TotalResolution] {
        draft.start(ClockKey::first(metric), at);
    }
    draft.facts()
}

/// Fields changed: perhaps another policy, perhaps other targets.
pub(super) fn update(
    mut draft: Draft<'_>,
    update: TraitsUpdate,
    at: Timestamp,
) -> Vec<Fact<Event>> {
    let mut wanted = draft.ticket.clone();
    wanted.priority = update.priority.unwrap_or(wanted.priority);
    let mut traits = draft.ticket.traits.as_ref().and_then(Packed::get);
    if let Some(traits) = &mut traits {
        let TraitsUpdate { kind, tags, attributes, priority: _ } = update;
        traits.kind = kind.unwrap_or_else(|| std::mem::take(&mut traits.kind));
        traits.tags = tags.unwrap_or_else(|| std::mem::take(&mut traits.tags));
        traits.attributes = attributes.unwrap_or_else(|| traits.attributes.clone());
    }
    wanted.traits = traits.as_ref().map(Packed::new);
    let policy = draft.space.choose(&wanted);
    let changed = wanted.traits != draft.ticket.traits;
    draft.note(at, |note| {
        note.priority = wanted.priority;
        note.policy = policy;
        note.traits = traits.filter(|_| changed).map(Arc::new);
    });
    draft.retarget_all(at);
    draft.facts()
}

/// The customer wrote: once the first reply is over, the oldest unanswered message starts a clock.
pub(super) fn customer_message(mut draft: Draft<'_>, at: Timestamp) -> Vec<Fact<Event>> {
    let replies = || draft.ticket.clocks.iter().filter(|clock| clock.key.metric.is_reply());
    let answered = |clock: &Clock| matches!(clock.phase, Phase::Stopped(stopped) if at < stopped);
    if !replies().any(Clock::is_open) && !replies().any(answered) {
        let cycle = draft.ticket.cycles.saturating_add(1);
        draft.start(ClockKey { metric: Metric::NextReply, cycle }, at);
    }
    draft.facts()
}

/// A person replied: it answers all that the customer had written by then.
pub(super) fn reply(mut draft: Draft<'_>, at: Timestamp) -> Vec<Fact<Event>> {
    let answers = |clock: &Clock| match clock.key.metric {
        Metric::FirstReply => true,
        Metric::NextReply => clock.started_at <= at,
        Metric::RequesterWait | Metric::TotalResolution => false,
    };
    for key in draft.keys(answers) {
        draft.stop(key, at);
    }
    draft.facts()
}

/// The ticket moved on.
pub(super) fn change_status(
    mut draft: Draft<'_>,
    to: TicketStatus,
    at: Timestamp,
) -> Vec<Fact<Event>> {
    let from = draft.ticket.status;
    match (from.is_live(), to) {
        (true, TicketStatus::Resolved) => {
            for metric in RESOLUTION {
                draft.stop(ClockKey::first(metric), at);
            }
            cancel_open(&mut draft, at, CancelReason::NoReply);
        }
        (true, TicketStatus::Closed) => cancel_open(&mut draft, at, CancelReason::Closed),
        (false, TicketStatus::Resolved | TicketStatus::Closed) => {}
        (
            was_live,
            TicketStatus::New | TicketStatus::Open | TicketStatus::Pending | TicketStatus::OnHold,
        ) => {
            if !was_live {
                for metric in RESOLUTION {
                    draft.reopen(metric, at);
                }
            }
            if to == TicketStatus::Pending {
                draft.pause(Metric::RequesterWait, at);
            } else {
                draft.resume(Metric::RequesterWait, at);
            }
        }
    }
    draft.note(at, |note| note.status = to);
    draft.facts()
}

fn cancel_open(draft: &mut Draft<'_>, at: Timestamp, reason: CancelReason) {
    for key in draft.keys(Clock::is_open) {
        draft.cancel(key, at, reason);
    }
}

/// The owner changed.
pub(super) fn note_owner(
    mut draft: Draft<'_>,
    agent: Option<AgentId>,
    queue: Option<QueueId>,
    at: Timestamp,
) -> Vec<Fact<Event>> {
    draft.note(at, |note| {
        note.agent = agent;
        note.queue = queue.or_else(|| note.queue.take());
    });
    draft.facts()
}

/// The ticket took its place in a queue.
pub(super) fn note_queue(mut draft: Draft<'_>, queue: QueueId, at: Timestamp) -> Vec<Fact<Event>> {
    draft.note(at, |note| note.queue = Some(queue));
    draft.facts()
}

/// Decides what is due, in order of its instants.
pub(super) fn run_timers(mut draft: Draft<'_>, until: Timestamp) -> Vec<Fact<Event>> {
    while let Some((at, key, alarm)) = draft.ticket.next_alarm().filter(|(at, _, _)| *at <= until) {
        match alarm {
            Alarm::Warn(permille) => draft.warn(key, at, permille),
            Alarm::Breach => draft.breach(key),
        }
    }
    draft.facts()
}
