//! One seed, from the first record to the verdict.

use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLogProvider, Record};
use intake_service::IntakeService;
use invariants::LogWalk;
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::{Health, LogId, ServiceId, genesis};
use sla_service::SlaService;

use crate::agents::Watched;
use crate::call::Caller;
use crate::cluster::{self, Staged};
use crate::report::Report;
use crate::world::{INSTANCES, LogKey, PARTITIONS, REST_WITHIN, WHOLE, World, log_keys};
use crate::{agents, backends, check, nemesis, observer, scene};

/// How many backends each workspace has.
const BACKENDS: u64 = 2;
/// When the first start is over: from here on nothing changes hands unless something happens.
const SETTLED: Duration = Duration::from_secs(15);

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
    for key in log_keys() {
        let (service, partition) = key;
        let log_id = log_id(world.seed, key);
        let first = genesis(service, partition, PARTITIONS, log_id);
        world.logs.create(&service.log(partition), first.clone()).await?;
        world.told().walks.insert(key, LogWalk::new(service, log_id));
        world.appended(key, &Record { seq: 1, bytes: first });
    }
    begin::<IntakeService>(world);
    begin::<RoutingService>(world);
    begin::<SlaService>(world);
    begin::<NotifyService>(world);
    let callers = |name: &'static str| {
        let world = Arc::clone(world);
        move |workspace: &Arc<str>| Caller::new(&world, workspace, name)
    };
    let scenes = world.workspaces.iter().map(callers("scene")).map(scene::set);
    futures::future::join_all(scenes).await;
    let watched = Arc::new(Watched::default());
    for workspace in &world.workspaces {
        for number in 0..scene::AGENTS {
            agents::run(world, workspace, &watched, number);
        }
        for number in 0..BACKENDS {
            let caller = Caller::new(world, workspace, &format!("backend-{number}"));
            drop(tokio::spawn(backends::run(caller)));
        }
    }
    world.trouble();
    drop(tokio::spawn(nemesis::run(Arc::clone(world))));
    let mut epochs = None;
    while world.passed() < WHOLE && !world.is_broken() {
        if world.swarm.is_calm() && world.passed() >= SETTLED && epochs.is_none() {
            epochs = Some(all_epochs(world));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Watches look for a new instance every few seconds.
    tokio::time::sleep(Duration::from_secs(16)).await;
    // Timers go on meanwhile, so that it is waited for rest once more.
    let good = rests(world).await && stays(world, epochs).await && rests(world).await;
    if good {
        check::end(world, &watched).await?;
    }
    Ok(())
}

fn begin<S: Staged>(world: &Arc<World>) {
    cluster::run::<S>(world);
    drop(tokio::spawn(observer::mind::<S>(Arc::clone(world))));
}

/// A log's identity follows from the seed too.
pub(crate) fn log_id(seed: u64, (service, partition): LogKey) -> LogId {
    let hash = blake3::hash(format!("log {seed} {service} {partition}").as_bytes());
    let (id, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 16], &[]));
    *id
}

/// Waits until nothing is left to be done; a violation if that takes too long (I46).
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
    for partition in 0..PARTITIONS {
        one_rests::<IntakeService>(world, partition).await?;
        one_rests::<RoutingService>(world, partition).await?;
        one_rests::<SlaService>(world, partition).await?;
        one_rests::<NotifyService>(world, partition).await?;
    }
    Ok(())
}

/// A log rests when one instance leads it and has nothing to do, and the other has read all of it and knows who leads.
async fn one_rests<S: Staged>(world: &Arc<World>, partition: u16) -> Result<(), String> {
    let name = format!("{}/{partition}", S::ID);
    let living = world.seats.living::<S>();
    let mut leaders = 0;
    for slot in &living {
        let instance = &slot.instance.name;
        let handle = slot.node.partitions().get(usize::from(partition));
        let handle = handle.ok_or_else(|| format!("{name} is not at {instance}"))?;
        reached(world, handle.head().seq, (S::ID, partition), instance).await?;
        match handle.health() {
            Health::Ready => leaders += 1,
            Health::Standby { leader: Some(_) } => continue,
            other @ (Health::Starting
            | Health::LogUnavailable
            | Health::LogFull
            | Health::Standby { leader: None }
            | Health::SteppedDown
            | Health::Halted(_)
            | Health::Draining) => return Err(format!("{name} is {other:?} at {instance}")),
        }
        for input in handle.inputs() {
            reached(world, input.seq, (input.service, partition), instance).await?;
        }
        let resting = slot.node.resting().map_err(|_| format!("{instance} is not ready"))?;
        if !resting.idle {
            return Err(format!("{instance} is busy: {resting:?}"));
        }
    }
    if leaders == 1 && living.len() == INSTANCES {
        Ok(())
    } else {
        Err(format!("{name} has {leaders} leaders at {} instances", living.len()))
    }
}

async fn reached(world: &World, seq: u64, key: LogKey, by: &str) -> Result<(), String> {
    let (service, partition): (ServiceId, u16) = key;
    let log = world.logs.open(&service.log(partition)).await.map_err(|error| error.to_string())?;
    let last = log.tail().await.map_err(|error| error.to_string())?.last;
    if seq < last {
        return Err(format!("{by} is at {seq} of {service}/{partition}, which ends at {last}"));
    }
    Ok(())
}

fn all_epochs(world: &World) -> Vec<u64> {
    log_keys().map(|key| world.ledger(key, |ledger| ledger.epoch())).collect()
}

/// I52: at rest nothing changes hands any more, nor did it ever where no fault happened. `before`: the epochs since
/// when.
async fn stays(world: &World, before: Option<Vec<u64>>) -> bool {
    let before = before.unwrap_or_else(|| all_epochs(world));
    tokio::time::sleep(Duration::from_secs(6)).await;
    for ((key, before), after) in log_keys().zip(before).zip(all_epochs(world)) {
        if before != after {
            let (service, partition) = key;
            world.violation(format!(
                "I52: {service}/{partition} went from epoch {before} to {after} without a reason"
            ));
        }
    }
    !world.is_broken()
}
