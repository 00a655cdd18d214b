//! Plays the file: row by row, deadline by deadline, and never on before all services rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::act;
use super::desk::{Answer, Desk, answer};
use super::fleet::Fleet;
use super::plan::{Plan, Wish};

/// What is not yet done for a ticket.
#[derive(Debug, Default)]
struct Waiting {
    wishes: VecDeque<Wish>,
}

/// The one who plays.
#[derive(Debug)]
pub(crate) struct Driver<'a> {
    fleet: &'a mut Fleet,
    plan: &'a Plan,
    seed: u64,
    now_ms: i64,
    pub(crate) desk: Desk,
    /// Tickets whose next wish needs an owner that they don't have, by their place in the plan.
    waiting: BTreeMap<usize, Waiting>,
    opened: BTreeSet<usize>,
    /// Calls made, for request ids that are the same in every run.
    calls: u64,
}

impl<'a> Driver<'a> {
    /// A driver whose clocks stand at the plan's start.
    pub(crate) fn new(fleet: &'a mut Fleet, plan: &'a Plan, seed: u64) -> Self {
        Self {
            fleet,
            plan,
            seed,
            now_ms: plan.starts_at_ms,
            desk: Desk::default(),
            waiting: BTreeMap::new(),
            opened: BTreeSet::new(),
            calls: 0,
        }
    }

    /// Plays the whole file, and then what is still offered.
    pub(crate) async fn play(&mut self, progress: &ProgressBar) -> Result<()> {
        self.rest().await?;
        for step in &self.plan.steps {
            self.go_to(step.at_ms).await?;
            for wish in &step.wishes {
                self.wish(step.ticket, wish.clone()).await?;
            }
            progress.inc(1);
        }
        while self.desk.has_standing_offers() {
            let due = self.fleet.next_due_ms().context("an offer stands without a deadline")?;
            self.tick(due).await?;
        }
        Ok(())
    }

    /// The number of tickets opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.opened.len()
    }

    /// Moves time to a row's instant, over every deadline on the way.
    async fn go_to(&mut self, at_ms: i64) -> Result<()> {
        while let Some(due) = self.fleet.next_due_ms().filter(|due| *due <= at_ms) {
            self.tick(due).await?;
        }
        if at_ms > self.now_ms {
            self.tick(at_ms).await?;
        }
        Ok(())
    }

    async fn tick(&mut self, at_ms: i64) -> Result<()> {
        if at_ms <= self.now_ms {
            bail!("something was due at {at_ms}, it is {}, and nothing moves", self.now_ms);
        }
        self.fleet.advance_to(at_ms).await?;
        self.now_ms = at_ms;
        self.rest().await
    }

    /// Lets the services come to rest, the agents answer, and what has waited for an owner be done; until nothing is
    /// left.
    async fn rest(&mut self) -> Result<()> {
        loop {
            self.settle().await?;
            if !self.answer_offers().await? && !self.catch_up().await? {
                return Ok(());
            }
        }
    }

    async fn settle(&mut self) -> Result<()> {
        self.fleet.settle().await?;
        self.desk.read(self.fleet).await
    }

    /// Answers every offer that nobody has looked at; says whether there was one.
    async fn answer_offers(&mut self) -> Result<bool> {
        let unseen = self.desk.take_unseen();
        let mut answered = false;
        for standing in unseen {
            let id = self.request_id();
            match answer(self.seed, &standing) {
                Answer::Ignore => continue,
                Answer::Accept => act::accept(self.fleet, &standing, id).await,
                Answer::Decline => act::decline(self.fleet, &standing, id).await,
            }
            .with_context(|| format!("the offer of {} to {}", standing.ticket, standing.agent))?;
            answered = true;
            self.settle().await?;
        }
        Ok(answered)
    }

    /// Does what has waited for tickets that have an owner by now; says whether there was anything.
    async fn catch_up(&mut self) -> Result<bool> {
        let ready: Vec<usize> =
            self.waiting.keys().copied().filter(|ticket| self.has_owner(*ticket)).collect();
        let any = !ready.is_empty();
        for ticket in ready {
            let Some(mut waiting) = self.waiting.remove(&ticket) else { continue };
            while let Some(wish) = waiting.wishes.pop_front() {
                if wish.needs_owner() && !self.has_owner(ticket) {
                    waiting.wishes.push_front(wish);
                    self.waiting.insert(ticket, waiting);
                    break;
                }
                self.fulfil(ticket, &wish).await?;
                self.settle().await?;
            }
        }
        Ok(any)
    }

    /// Fulfils a wish now, or lets it wait for an owner.
    async fn wish(&mut self, ticket: usize, wish: Wish) -> Result<()> {
        let waits =
            self.waiting.contains_key(&ticket) || (wish.needs_owner() && !self.has_owner(ticket));
        if waits && !wish.overtakes() {
            self.waiting.entry(ticket).or_default().wishes.push_back(wish);
            return Ok(());
        }
        self.fulfil(ticket, &wish).await?;
        self.rest().await
    }

    fn has_owner(&self, ticket: usize) -> bool {
        let plan = self.plan.tickets.get(ticket);
        plan.is_some_and(|plan| self.desk.owner(&plan.id).is_some())
    }

    fn request_id(&mut self) -> String {
        self.calls += 1;
        format!("demo-{}", self.calls)
    }

    async fn fulfil(&mut self, ticket: usize, wish: &Wish) -> Result<()> {
        let plan = self.plan.tickets.get(ticket).context("a step of no ticket")?;
        let owner = self.desk.owner(&plan.id).map(str::to_owned).unwrap_or_default();
        let id = self.request_id();
        if *wish == Wish::Ask {
            // Two calls: the question, then the waiting.
            let question = format!("{id}-question");
            act::ask(self.fleet, plan, &owner, question).await.context("asking")?;
            self.settle().await?;
        }
        act::fulfil(self.fleet, plan, wish, &owner, self.now_ms, id)
            .await
            .with_context(|| format!("{} of {} for {owner:?}", wish.word(), plan.id))?;
        if *wish == Wish::Open {
            self.opened.insert(ticket);
        }
        Ok(())
    }
}
