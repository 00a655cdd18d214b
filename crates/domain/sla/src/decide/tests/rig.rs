//! One workspace, told what happens, and asked what its clocks say.

use std::sync::Arc;

use kernel::{
    Actor, Attributes, Channel, Context, Decider, Fact, Packed, PolicyId, Priority, TicketId,
    TicketStatus, Timestamp, WorkspaceId,
};

use crate::{
    Change, Clock, ClockKey, Command, Counts, Event, Metric, PolicyDraft, Rejection, Sla, State,
    Targets, Ticket, Traits, TraitsUpdate, Workspace,
};

pub(super) const MINUTE: u64 = 60_000;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// A Monday's time of day.
pub(super) fn at(hour: u64, minute: u64) -> Timestamp {
    Timestamp::from_millis(1_772_409_600_000).plus_millis(hour * HOUR + minute * MINUTE)
}

pub(super) fn ticket() -> TicketId {
    TicketId::trusted("t")
}

pub(super) struct Rig {
    pub(super) state: State,
    pub(super) facts: Vec<Fact<Event>>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let mut rig = Self { state: State::default(), facts: Vec::new() };
        rig.tell(at(0, 0), Command::NoteWorkspace);
        rig
    }

    /// With a policy `p` that promises every priority this.
    pub(super) fn promising(metric: Metric, within_ms: u64) -> Self {
        let mut rig = Self::new();
        let all = Priority::ALL.map(|priority| ((metric, priority), within_ms));
        rig.tell(at(0, 0), put(policy("p", Targets::from(all))));
        rig
    }

    pub(super) fn context(now: Timestamp) -> Context {
        Context { workspace: WorkspaceId::trusted("w"), at: now, actor: Actor::Backend, record: 2 }
    }

    pub(super) fn take(&mut self, facts: Vec<Fact<Event>>) -> Vec<Event> {
        for fact in &facts {
            Sla::evolve(&mut self.state, fact);
        }
        self.facts.extend(facts.clone());
        facts.into_iter().map(|fact| fact.event).collect()
    }

    pub(super) fn ask(
        &mut self,
        now: Timestamp,
        command: Command,
    ) -> Result<Vec<Event>, Rejection> {
        let context = Self::context(now);
        let facts = Sla::decide(&self.state, &context, command)?;
        let mut events = self.take(facts);
        loop {
            let more = Sla::follow_up(&self.state, &context);
            if more.is_empty() {
                return Ok(events);
            }
            events.extend(self.take(more));
        }
    }

    #[track_caller]
    pub(super) fn tell(&mut self, now: Timestamp, command: Command) -> Vec<Event> {
        self.ask(now, command).unwrap()
    }

    /// Lets time pass: fires all timers up to now.
    pub(super) fn pass(&mut self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        while Sla::next_due(&self.state).is_some_and(|due| due <= now) {
            for (_, command) in Sla::due(&self.state, now) {
                events.extend(self.tell(now, command));
            }
        }
        events
    }

    /// A step of the sweep, if one is on its way.
    pub(super) fn sweep_step(&mut self, now: Timestamp) -> Vec<Event> {
        self.tell(now, Command::ApplyPolicies)
    }

    /// What is left of the sweep.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        while self.space().sweep.is_some() {
            self.sweep_step(now);
        }
    }

    /// Fires all timers up to now, and lets a sweep stay where it is.
    pub(super) fn ring(&mut self, now: Timestamp) {
        loop {
            let due = Sla::due(&self.state, now).into_iter().map(|(_, command)| command);
            let timers: Vec<_> =
                due.filter(|command| matches!(command, Command::RunTimers { .. })).collect();
            if timers.is_empty() {
                return;
            }
            for timer in timers {
                self.tell(now, timer);
            }
        }
    }

    pub(super) fn open(&mut self, id: &str, priority: Option<Priority>, at: Timestamp) {
        let traits = Arc::new(traits());
        let command =
            Command::OpenTicket { ticket: TicketId::trusted(id), number: 1, priority, traits, at };
        self.tell(at, command);
    }

    pub(super) fn reply(&mut self, now: Timestamp, at: Timestamp) -> Vec<Event> {
        self.tell(now, Command::NoteReply { ticket: ticket(), at })
    }

    pub(super) fn message(&mut self, at: Timestamp) -> Vec<Event> {
        self.tell(at, Command::NoteCustomerMessage { ticket: ticket(), at })
    }

    pub(super) fn status(&mut self, to: TicketStatus, at: Timestamp) -> Vec<Event> {
        self.tell(at, Command::ChangeStatus { ticket: ticket(), to, at })
    }

    pub(super) fn priority(&mut self, to: Priority, at: Timestamp) -> Vec<Event> {
        let update = TraitsUpdate { priority: Some(Some(to)), ..TraitsUpdate::default() };
        self.tell(at, Command::UpdateTicket { ticket: ticket(), update: Box::new(update), at })
    }

    pub(super) fn space(&self) -> &Workspace {
        self.state.workspace(&WorkspaceId::trusted("w")).unwrap()
    }

    pub(super) fn ticket(&self) -> &Ticket {
        self.space().ticket(&ticket()).unwrap()
    }

    pub(super) fn clock(&self, metric: Metric) -> &Clock {
        self.cycle(metric, 1)
    }

    pub(super) fn cycle(&self, metric: Metric, cycle: u32) -> &Clock {
        self.ticket().clock(ClockKey { metric, cycle }).unwrap()
    }

    pub(super) fn counts(&self, metric: Metric, priority: Priority) -> Counts {
        let mut counts = self.space().counts();
        counts
            .find(|(m, p, _)| (*m, *p) == (metric, priority))
            .map_or(Counts::default(), |(_, _, counts)| *counts)
    }
}

pub(super) fn traits() -> Traits {
    Traits {
        channel: Channel::Email,
        provider: String::new(),
        subject: "No heat".to_owned(),
        kind: String::new(),
        tags: Vec::new(),
        attributes: Packed::new(&Attributes::new()),
        requester_id: "r".to_owned(),
        requester_name: String::new(),
        requester_locale: String::new(),
    }
}

pub(super) fn policy(id: &str, targets: Targets) -> PolicyDraft {
    PolicyDraft {
        policy: PolicyId::trusted(id),
        display_name: String::new(),
        order: 0,
        filter: None,
        targets,
        warn_at_permille: vec![500, 800],
    }
}

pub(super) fn put(policy: PolicyDraft) -> Command {
    Command::PutPolicy { policy: Box::new(policy), expected_revision: None }
}

/// The changes of one metric's clocks, in order.
pub(super) fn changes(events: &[Event], metric: Metric) -> Vec<Change> {
    let of = |event: &Event| match event {
        Event::Clock { key, change, .. } if key.metric == metric => Some(change.clone()),
        Event::Clock { .. }
        | Event::WorkspaceNoted(_)
        | Event::PolicyPut(_)
        | Event::PoliciesApplied { .. }
        | Event::TicketNoted(_) => None,
    };
    events.iter().filter_map(of).collect()
}
