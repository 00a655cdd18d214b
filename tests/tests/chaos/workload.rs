//! The open workload: customers and backends come at a steady pace, however late the answers are; desks take what is offered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use runtime::{Position, ServiceId};
use tests::at_any;
use tests::cluster::Client;
use tests::load::WORKSPACES;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

use crate::asking;
use crate::caller::{Asked, Caller, Manner};
use crate::history::Look;
use crate::rng::Rng;

/// The agents of a workspace who work.
pub(crate) const AGENTS: usize = 3;
/// One comes every so often.
const ARRIVAL_EVERY: Duration = Duration::from_millis(40);
/// So many are under way at most; who comes then waits at the door.
const IN_FLIGHT_MAX: usize = 400;
/// How long a patient caller goes on.
const PATIENCE: Duration = Duration::from_secs(25);
/// A desk looks so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// So many of the last tickets are spoken of.
const RECENT: usize = 200;

/// A ticket that was acknowledged.
#[derive(Debug, Clone)]
struct Known {
    workspace: &'static str,
    ticket_id: String,
    position: Position,
}

#[derive(Debug)]
struct Shared {
    caller: Caller,
    stop: AtomicBool,
    recent: Mutex<Vec<Known>>,
    /// How many waited at the door.
    held_back: AtomicUsize,
}

/// A workload under way.
#[derive(Debug)]
pub(crate) struct Workload {
    shared: Arc<Shared>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Workload {
    /// Begins. `looking`: a client for desks to look around with.
    pub(crate) fn start(caller: Caller, looking: &Client, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            caller,
            stop: AtomicBool::new(false),
            recent: Mutex::default(),
            held_back: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(arrivals(Arc::clone(&shared), Rng::new(seed)));
        for workspace in WORKSPACES {
            for agent in 0..AGENTS {
                let (shared, looking) = (Arc::clone(&shared), looking.clone());
                tasks.spawn(desk(shared, looking, workspace, format!("agent-{agent}")));
            }
        }
        Self { shared, tasks }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.shared.caller
    }

    /// How many waited at the door.
    pub(crate) fn held_back(&self) -> usize {
        self.shared.held_back.load(Ordering::Relaxed)
    }

    /// Fails if some part of it has.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended??;
            anyhow::ensure!(self.shared.stop.load(Ordering::SeqCst), "the workload has ended");
        }
        Ok(())
    }

    /// Ends it: nobody comes any more, and whoever came has an answer or has given up.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Ticket,
    Message,
    Look,
    Agent,
    Policy,
    Endpoint,
    /// What the contract refuses.
    Wrong,
}

/// Out of 100.
const WISHES: [(Wish, usize); 7] = [
    (Wish::Ticket, 32),
    (Wish::Message, 22),
    (Wish::Look, 12),
    (Wish::Agent, 10),
    (Wish::Policy, 10),
    (Wish::Endpoint, 10),
    (Wish::Wrong, 4),
];

fn wish(rng: &mut Rng) -> Wish {
    let mut drawn = rng.below(100);
    for (wish, share) in WISHES {
        if drawn < share {
            return wish;
        }
        drawn -= share;
    }
    Wish::Ticket
}

fn manner(rng: &mut Rng) -> Manner {
    let is_patient = rng.percent(88);
    let patience = if is_patient { PATIENCE } else { Duration::ZERO };
    Manner { patience, is_doubled: rng.percent(6), only: None }
}

async fn arrivals(shared: Arc<Shared>, mut rng: Rng) -> anyhow::Result<()> {
    let doors = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut pace = interval(ARRIVAL_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = JoinSet::new();
    let mut number = 0_usize;
    while !shared.stop.load(Ordering::SeqCst) {
        pace.tick().await;
        number += 1;
        if doors.available_permits() == 0 {
            shared.held_back.fetch_add(1, Ordering::Relaxed);
        }
        let place = Arc::clone(&doors).acquire_owned().await?;
        let visit = Visit {
            shared: Arc::clone(&shared),
            wish: wish(&mut rng),
            manner: manner(&mut rng),
            workspace: rng.pick(&WORKSPACES).context("no workspaces")?,
            which: rng.below(RECENT),
            with_position: rng.percent(50),
            number,
        };
        calls.spawn(async move {
            visit.run().await;
            drop(place);
        });
        while let Some(ended) = calls.try_join_next() {
            ended?;
        }
    }
    while let Some(ended) = calls.join_next().await {
        ended?;
    }
    Ok(())
}

/// One who comes with a wish.
struct Visit {
    shared: Arc<Shared>,
    wish: Wish,
    manner: Manner,
    workspace: &'static str,
    which: usize,
    with_position: bool,
    number: usize,
}

/// Asks for a change: `change!(caller, manner, routing.accept_offer, asked)`.
macro_rules! change {
    ($caller:expr, $manner:expr, $service:ident . $method:ident, $asked:expr) => {
        $caller.change($asked, $manner, |api, request| {
            let mut client = api.$service;
            async move { client.$method(request).await }
        })
    };
}

impl Visit {
    fn known(&self) -> Option<Known> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(self.which % recent.len().max(1)).cloned()
    }

    async fn run(self) {
        let Self { shared, manner, workspace, number, .. } = &self;
        let (caller, manner) = (&shared.caller, *manner);
        let name = format!("{workspace}-{number}");
        match (self.wish, self.known()) {
            (Wish::Message, Some(known)) => {
                let body = format!("message {number}");
                let asked = asking::message(known.workspace, &known.ticket_id, &body);
                change!(caller, manner, intake.add_message, asked).await;
            }
            (Wish::Look, Some(known)) => self.look(&known).await,
            (Wish::Agent, _) => {
                let asked = asking::agent(workspace, &name);
                change!(caller, manner, routing.put_agent, asked).await;
            }
            (Wish::Policy, _) => {
                let asked = asking::policy(workspace, &name);
                change!(caller, manner, sla.put_policy, asked).await;
            }
            (Wish::Endpoint, _) => {
                let asked = asking::endpoint(workspace, &name);
                change!(caller, manner, notify.put_endpoint, asked).await;
            }
            (Wish::Wrong, known) => self.wrong(known).await,
            (Wish::Ticket | Wish::Message | Wish::Look, _) => {
                self.open(&name).await;
            }
        }
    }

    async fn open(&self, ticket_id: &str) {
        let asked = asking::ticket(self.workspace, ticket_id);
        let opened = change!(self.shared.caller, self.manner, intake.create_ticket, asked).await;
        let Some((_, position)) = opened else { return };
        let known = Known { workspace: self.workspace, ticket_id: ticket_id.to_owned(), position };
        let mut recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() < RECENT {
            recent.push(known);
        } else if let Some(place) = recent.get_mut(self.which) {
            *place = known;
        }
    }

    /// A message for a ticket that isn't there, or a ticket under an id that is taken.
    async fn wrong(&self, known: Option<Known>) {
        let (caller, manner) = (&self.shared.caller, self.manner);
        match known {
            Some(known) if self.with_position => {
                let bare = asking::ticket(known.workspace, &known.ticket_id).bare;
                // The same id with another content: the mark is of its own, and must not be found.
                let mut asked = asking::wrong(asking::ticket(known.workspace, &known.ticket_id));
                asked.bare =
                    intake::CreateTicketRequest { subject: format!("not {}", self.number), ..bare };
                asked.message = intake::CreateTicketRequest {
                    request_id: asked.request_id.clone(),
                    ..asked.bare.clone()
                };
                asked.effect.mark = format!("never {}", self.number);
                change!(caller, manner, intake.create_ticket, asked).await;
            }
            Some(_) | None => {
                let nobody = format!("nobody-{}", self.number);
                let body = format!("message {}", self.number);
                let asked = asking::wrong(asking::message(self.workspace, &nobody, &body));
                change!(caller, manner, intake.add_message, asked).await;
            }
        }
    }

    /// Looks at a ticket: at intake with or without the position, at routing with it.
    async fn look(&self, known: &Known) {
        let caller = &self.shared.caller;
        let position = self.with_position.then_some(known.position);
        let is_derived = self.with_position && self.number.is_multiple_of(2);
        let began = caller.recorder.moment();
        let (workspace_id, ticket_id) = (known.workspace.to_owned(), known.ticket_id.clone());
        let (service, read) = if is_derived {
            let asked = routing::ExplainRoutingRequest { workspace_id, ticket_id };
            let read = caller.read(&asked, self.manner, position, |api, request| {
                let mut client = api.routing;
                async move { client.explain_routing(request).await }
            });
            // It isn't routed any more once it is resolved, but was heard of.
            let found = read.await.map(|read| match read {
                Err(reason) => reason == "TICKET_NOT_ROUTABLE",
                Ok(_) => true,
            });
            (ServiceId::Routing, found)
        } else {
            let by = Some(intake::get_ticket_request::By::TicketId(ticket_id));
            let asked = intake::GetTicketRequest { workspace_id, by };
            let read = caller.read(&asked, self.manner, position, |api, request| {
                let mut client = api.intake;
                async move { client.get_ticket(request).await }
            });
            (ServiceId::Intake, read.await.map(|read| read.is_ok()))
        };
        let ticket = known.ticket_id.clone();
        let with_position = self.with_position;
        caller.recorder.look(Look { service, ticket, with_position, began, found: read });
    }
}

/// An agent's desk: takes what is offered, declines some of it, completes what it has.
async fn desk(
    shared: Arc<Shared>,
    looking: Client,
    workspace: &'static str,
    agent_id: String,
) -> anyhow::Result<()> {
    let caller = &shared.caller;
    let manner = Manner { patience: PATIENCE, is_doubled: false, only: None };
    let mut turn = 0_usize;
    while !shared.stop.load(Ordering::SeqCst) {
        let get = routing::GetAgentRequest {
            workspace_id: workspace.to_owned(),
            agent_id: agent_id.clone(),
        };
        let (got, _) = at_any!(looking, routing.get_agent, get).await.context("looking")?;
        let agent = got.agent.context("no agent")?;
        for offer in agent.offers {
            turn += 1;
            let id = offer.offer_id;
            if turn.is_multiple_of(9) {
                let asked = asking::decline(workspace, &agent_id, &id);
                change!(caller, manner, routing.decline_offer, asked).await;
            } else {
                let asked = asking::accept(workspace, &agent_id, &id);
                change!(caller, manner, routing.accept_offer, asked).await;
            }
        }
        for owned in agent.tickets {
            if owned.state() == events::WorkState::Active {
                let asked = asking::complete(workspace, &agent_id, &owned.ticket_id);
                change!(caller, manner, routing.complete_work, asked).await;
            }
        }
        sleep(LOOK_EVERY).await; // the next look
    }
    Ok(())
}

/// Sends tickets to one instance alone, and doesn't wait for what it says.
pub(crate) fn send_to(
    caller: &Caller,
    instance: usize,
    asked: Vec<Asked<intake::CreateTicketRequest>>,
) -> JoinSet<()> {
    let manner = Manner { patience: Duration::ZERO, is_doubled: false, only: Some(instance) };
    let mut sent = JoinSet::new();
    for one in asked {
        let caller = caller.clone();
        sent.spawn(async move {
            change!(caller, manner, intake.create_ticket, one).await;
        });
    }
    sent
}
