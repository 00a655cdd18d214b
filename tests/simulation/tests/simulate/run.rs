//! One seed, from the first record to the verdict.

use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLogProvider, Record};
use intake_service::IntakeService;
use invariants::LogWalk;
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::{LogId, ServiceId, genesis};
use sla_service::SlaService;

use crate::agents::Watched;
use crate::call::Caller;
use crate::cluster::{self, Staged};
use crate::report::Report;
use crate::world::{REST_WITHIN, WHOLE, World};
use crate::{agents, backends, check, nemesis, scene};

/// How many backends there are.
const BACKENDS: u64 = 4;

/// Runs a seed. The process must not have run another: what is random in it begins anew only with the process.
pub(crate) fn seed(seed: u64) -> anyhow::Result<Report> {
    entropy::seed(seed);
    let started = std::time::Instant::now();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let world = World::new(seed);
        play(&world).await?;
        Ok(Report::of(&world, started.elapsed()))
    })
}

async fn play(world: &Arc<World>) -> anyhow::Result<()> {
    for service in ServiceId::ALL {
        let log_id = log_id(world.seed, service);
        let first = genesis(service, 0, 1, log_id);
        world.logs.create(&service.log(0), first.clone()).await?;
        world.told().walks.insert(service, LogWalk::new(service, log_id));
        world.appended(service, &Record { seq: 1, bytes: first });
    }
    cluster::run::<IntakeService>(world);
    cluster::run::<RoutingService>(world);
    cluster::run::<SlaService>(world);
    cluster::run::<NotifyService>(world);
    scene::set(&mut Caller::new(world, "scene")).await;
    let watched = Arc::new(Watched::default());
    for number in 0..scene::AGENTS {
        agents::run(world, &watched, number);
    }
    for number in 0..BACKENDS {
        drop(tokio::spawn(backends::run(Arc::clone(world), number)));
    }
    drop(tokio::spawn(nemesis::run(Arc::clone(world))));
    while world.passed() < WHOLE && !world.is_broken() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Watches look for a new node every few seconds.
    tokio::time::sleep(Duration::from_secs(10)).await;
    if !world.is_broken() && rests(world).await {
        check::end(world, &watched).await?;
    }
    Ok(())
}

/// A log's identity follows from the seed too.
pub(crate) fn log_id(seed: u64, service: ServiceId) -> LogId {
    let hash = blake3::hash(format!("log {seed} {service}").as_bytes());
    let (id, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 16], &[]));
    *id
}

/// Waits until nothing is left to be done; a violation if that takes too long.
async fn rests(world: &Arc<World>) -> bool {
    let until = WHOLE + REST_WITHIN;
    let mut quiet = 0;
    let mut last = String::new();
    while world.passed() < until && !world.is_broken() {
        match all_rest(world).await {
            Ok(()) => quiet += 1,
            Err(why) => (quiet, last) = (0, why),
        }
        if quiet == 4 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if !world.is_broken() {
        world.violation(format!("I46: no rest: {last}"));
    }
    false
}

async fn all_rest(world: &Arc<World>) -> Result<(), String> {
    one_rests::<IntakeService>(world).await?;
    one_rests::<RoutingService>(world).await?;
    one_rests::<SlaService>(world).await?;
    one_rests::<NotifyService>(world).await
}

async fn one_rests<S: Staged>(world: &Arc<World>) -> Result<(), String> {
    let slot = world.slots.current::<S>(false).ok_or_else(|| format!("{} is down", S::ID))?;
    let resting = slot.node.resting().map_err(|_| format!("{} is not ready", S::ID))?;
    for (head, inputs) in &resting.heads {
        for position in inputs.iter().chain([head]) {
            let tail = tail(world, position.service).await?;
            if position.seq < tail {
                return Err(format!("{} is at {position:?} of {tail}", S::ID));
            }
        }
    }
    if resting.idle { Ok(()) } else { Err(format!("{} is busy: {resting:?}", S::ID)) }
}

async fn tail(world: &World, service: ServiceId) -> Result<u64, String> {
    let log = world.logs.open(&service.log(0)).await.map_err(|error| error.to_string())?;
    log.tail().await.map(|tail| tail.last).map_err(|error| error.to_string())
}
