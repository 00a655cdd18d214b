//! The open workload: customers and backends come at a steady pace, however late the answers are; desks take what is
//! offered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use runtime::Position;
use tests::at_any;
use tests::cluster::Client;
use tests::load::WORKSPACES;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

use crate::chaos::asking::{self, change};
use crate::chaos::caller::{Asked, Caller, Manner};
use crate::chaos::rng::Rng;
use crate::chaos::visit::{Visit, manner, wish};

/// The agents of a workspace who work.
pub(crate) const AGENTS: usize = 3;
/// One comes every so often.
const ARRIVAL_EVERY: Duration = Duration::from_millis(40);
/// So many are under way at most; who comes then waits at the door.
const IN_FLIGHT_MAX: usize = 400;
/// How long a patient caller goes on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);
/// A desk looks so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// So many of the last tickets are spoken of.
pub(crate) const RECENT: usize = 200;

/// A ticket that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) workspace: &'static str,
    pub(crate) ticket_id: String,
    pub(crate) position: Position,
}

/// What all who come have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) caller: Caller,
    stop: AtomicBool,
    pub(crate) recent: Mutex<Vec<Known>>,
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
