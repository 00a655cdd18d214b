//! What the file asks for: its rows as steps, each with the wishes that follow from what changed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use wire::common::v1::Priority;

use super::file::{FileState, Row};
use super::roster::{self, Roster};

/// The queue of tickets that name no group.
pub(crate) const DEFAULT_QUEUE: &str = "default";

/// Something that the file does to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The customer's ticket arrives.
    Open,
    /// The owner answers in public.
    Reply,
    /// The owner asks the customer something, and waits.
    Ask,
    /// The customer answers.
    Answer,
    /// The owner waits on others.
    Hold,
    /// Waiting on others is over.
    Resume,
    /// The owner solves it.
    Resolve,
    /// It was not solved after all.
    Reopen,
    /// It is over.
    Close,
    /// It got another priority.
    Prioritise(Priority),
    /// It goes to another group's queue.
    Move(String),
}

impl Wish {
    /// Whether it is the owner who does it: then it waits until there is one.
    pub(crate) const fn needs_owner(&self) -> bool {
        match self {
            Self::Reply | Self::Ask | Self::Hold | Self::Resolve => true,
            Self::Open
            | Self::Answer
            | Self::Resume
            | Self::Reopen
            | Self::Close
            | Self::Prioritise(_)
            | Self::Move(_) => false,
        }
    }

    /// Whether it is done at once, even while earlier wishes wait for an owner: they steer who that will be.
    pub(crate) const fn overtakes(&self) -> bool {
        matches!(self, Self::Prioritise(_) | Self::Move(_))
    }
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Which ticket: an index into [`Plan::tickets`].
    pub(crate) ticket: usize,
    /// What changed, in this order; often nothing that a router must know.
    pub(crate) wishes: Vec<Wish>,
}

/// A ticket as its first row opens it.
#[derive(Debug, Clone)]
pub(crate) struct TicketPlan {
    /// The file's number: the ticket's id.
    pub(crate) id: String,
    pub(crate) first: Row,
    /// What its agent must have: the skill and its least level.
    pub(crate) skill: Option<(String, u32)>,
    /// The priority in the last row.
    pub(crate) last_priority: Priority,
    /// The file's own verdict, of the last row.
    pub(crate) made_sla: bool,
}

/// The whole file.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) tickets: Vec<TicketPlan>,
    pub(crate) steps: Vec<Step>,
    pub(crate) roster: Roster,
    /// Just before the first row, in milliseconds since 1970.
    pub(crate) starts_at_ms: i64,
}

impl Plan {
    /// Makes the plan of rows that are in order.
    pub(crate) fn of(rows: &[Row]) -> Result<Self> {
        let starts_at_ms = rows.first().context("the file is empty")?.at_ms;
        let roster = Roster::of(rows);
        let mut histories: BTreeMap<&str, History> = BTreeMap::new();
        let mut tickets: Vec<TicketPlan> = Vec::new();
        let mut steps = Vec::with_capacity(rows.len());
        for row in rows {
            let history = histories.entry(&row.number).or_insert_with(|| {
                tickets.push(TicketPlan {
                    id: row.number.clone(),
                    first: row.clone(),
                    skill: None,
                    last_priority: row.priority,
                    made_sla: row.made_sla,
                });
                History::new(tickets.len() - 1, row)
            });
            let wishes = history.next(row);
            if let Some(ticket) = tickets.get_mut(history.ticket) {
                ticket.last_priority = row.priority;
                ticket.made_sla = row.made_sla;
            }
            steps.push(Step { at_ms: row.at_ms, ticket: history.ticket, wishes });
        }
        for history in histories.values() {
            if let Some(ticket) = tickets.get_mut(history.ticket) {
                ticket.skill =
                    roster.requirement(ticket.first.category.as_deref(), &history.queues);
            }
        }
        Ok(Self { tickets, steps, roster, starts_at_ms })
    }
}

/// What one ticket's rows said so far.
#[derive(Debug)]
struct History {
    ticket: usize,
    opened: bool,
    replied: bool,
    state: FileState,
    priority: Priority,
    queue: String,
    /// Every queue that it passes through.
    queues: Vec<String>,
}

impl History {
    fn new(ticket: usize, first: &Row) -> Self {
        let queue = roster::queue_of(first.group.as_deref());
        Self {
            ticket,
            opened: false,
            replied: false,
            state: FileState::New,
            priority: first.priority,
            queues: vec![queue.clone()],
            queue,
        }
    }

    /// What the row changes, as wishes.
    fn next(&mut self, row: &Row) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if !self.opened {
            self.opened = true;
            wishes.push(Wish::Open);
        }
        self.leave(row.state, &mut wishes);
        if row.state.is_live() {
            self.steer(row, &mut wishes);
        }
        self.enter(row.state, &mut wishes);
        self.state = row.state;
        wishes
    }

    /// The end of the state before.
    fn leave(&self, next: FileState, wishes: &mut Vec<Wish>) {
        if self.state == next {
            return;
        }
        match self.state {
            FileState::AwaitingUser => wishes.push(Wish::Answer),
            // What is solved while it waits on others needs no step in between.
            FileState::AwaitingOthers if next.is_live() => wishes.push(Wish::Resume),
            FileState::Resolved | FileState::Closed if next.is_live() => {
                wishes.push(Wish::Reopen);
            }
            FileState::New
            | FileState::Active
            | FileState::AwaitingOthers
            | FileState::Resolved
            | FileState::Closed => {}
        }
    }

    /// Another priority, or another group. A group that is missing changes nothing.
    fn steer(&mut self, row: &Row, wishes: &mut Vec<Wish>) {
        if row.priority != self.priority {
            self.priority = row.priority;
            wishes.push(Wish::Prioritise(row.priority));
        }
        let queue = roster::queue_of(row.group.as_deref());
        if row.group.is_some() && queue != self.queue {
            self.queue.clone_from(&queue);
            self.queues.push(queue.clone());
            wishes.push(Wish::Move(queue));
        }
    }

    /// The start of the new state.
    fn enter(&mut self, next: FileState, wishes: &mut Vec<Wish>) {
        if next == FileState::Active && !self.replied {
            self.replied = true;
            wishes.push(Wish::Reply);
        }
        if self.state == next {
            return;
        }
        match next {
            FileState::New | FileState::Active => {}
            FileState::AwaitingUser => wishes.push(Wish::Ask),
            FileState::AwaitingOthers => wishes.push(Wish::Hold),
            FileState::Resolved => wishes.push(Wish::Resolve),
            FileState::Closed => wishes.push(Wish::Close),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::file;

    fn plan() -> Plan {
        Plan::of(&file::rows().unwrap()).unwrap()
    }

    fn count(plan: &Plan, wanted: impl Fn(&Wish) -> bool) -> usize {
        plan.steps.iter().flat_map(|step| &step.wishes).filter(|wish| wanted(wish)).count()
    }

    #[test]
    fn every_incident_is_opened_once_and_closed() {
        let plan = plan();
        assert_eq!(plan.tickets.len(), 890);
        assert_eq!(plan.steps.len(), 5_998);
        assert_eq!(count(&plan, |wish| *wish == Wish::Open), 890);
        assert_eq!(count(&plan, |wish| *wish == Wish::Close), 890);
        // Eleven by the file's order, and one more by its dates: those of one incident are not in its order.
        assert_eq!(count(&plan, |wish| *wish == Wish::Reopen), 12);
    }

    #[test]
    fn what_waits_is_taken_up_again_before_it_is_solved() {
        let plan = plan();
        let asked = count(&plan, |wish| *wish == Wish::Ask);
        assert!(asked > 300);
        assert_eq!(count(&plan, |wish| *wish == Wish::Answer), asked);
        let first = plan.steps.iter().find(|step| step.wishes.contains(&Wish::Answer)).unwrap();
        assert_eq!(first.wishes.first(), Some(&Wish::Answer));
    }

    #[test]
    fn few_tickets_end_where_nobody_could_take_them() {
        let plan = plan();
        let mut queues = vec![String::new(); plan.tickets.len()];
        for (ticket, first) in plan.tickets.iter().enumerate() {
            queues[ticket] = roster::queue_of(first.first.group.as_deref());
        }
        for step in &plan.steps {
            for wish in &step.wishes {
                if let Wish::Move(queue) = wish {
                    queues[step.ticket].clone_from(queue);
                }
            }
        }
        let stuck = plan.tickets.iter().zip(&queues).filter(|(ticket, queue)| {
            !plan.roster.agents.iter().any(|agent| agent.could_take(queue, ticket.skill.as_ref()))
        });
        // Two groups, 4 tickets at their ends: the file shows nobody there at all.
        assert_eq!(stuck.count(), 4);
    }
}
