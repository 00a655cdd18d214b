//! Who breaks things, until the world is healed.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use event_log::memory::Faults;
use runtime::ServiceId;

use crate::cluster::{Order, Seats};
use crate::instance::{Fault, Place};
use crate::rng::Rng;
use crate::swarm::Deed;
use crate::world::{HEALED, LogKey, World, log_keys};

/// So many of them are at work at once.
const NEMESES: u32 = 2;

/// Lets them break things, and then all be healed.
pub(crate) async fn run(world: Arc<World>) {
    let all = (0..NEMESES).map(|number| tokio::spawn(rage(Arc::clone(&world), number)));
    for one in all.collect::<Vec<_>>() {
        // One that broke off broke its seed, too.
        drop(one.await);
    }
    world.heal();
}

async fn rage(world: Arc<World>, number: u32) {
    let mut rng = world.rng(&format!("nemesis-{number}"));
    let places: Vec<Place> = Seats::places().collect();
    let logs: Vec<LogKey> = log_keys().collect();
    while world.passed() < HEALED && !world.is_broken() {
        let pause = rng.millis(300..6_000);
        tokio::time::sleep(pause).await;
        let chosen = (rng.pick(&world.swarm.deeds), rng.pick(&places), rng.pick(&logs));
        if let (Some(deed), Some(place), Some(key)) = chosen {
            act(&world, &mut rng, *deed, *place, *key).await;
        }
    }
}

async fn act(world: &Arc<World>, rng: &mut Rng, deed: Deed, place: Place, key: LogKey) {
    let one = &[key];
    let all: Vec<LogKey> = log_keys().collect();
    world.count_fault(deed.name());
    match deed {
        Deed::Crash => world.seats.order(place, Order::Crash),
        Deed::Restart => world.seats.order(place, Order::Restart),
        Deed::CrashAll => {
            for place in Seats::places().filter(|it| it.service == place.service) {
                world.seats.order(place, Order::Crash);
            }
        }
        Deed::Stop => stop(world, place, rng.millis(1_000..12_000)).await,
        Deed::Outage => {
            logs(world, one, rng.millis(3_500..6_000), Faults::set_unavailable).await;
        }
        Deed::Blackout => {
            logs(world, &all, rng.millis(2_000..5_000), Faults::set_unavailable).await;
        }
        Deed::StallAppends => {
            logs(world, one, rng.millis(200..3_000), Faults::stall_appends).await;
        }
        Deed::StallDelivery => {
            logs(world, one, rng.millis(500..7_000), Faults::stall_followers).await;
        }
        Deed::CutLog => links(world, rng, &[place], &[Fault::Log], 1_000..12_000).await,
        Deed::CutBoard => links(world, rng, &[place], &[Fault::Board], 1_000..12_000).await,
        Deed::CutPeers => links(world, rng, &[place], &[Fault::Peers], 1_000..9_000).await,
        Deed::Isolate => {
            let faults = [Fault::Log, Fault::Board, Fault::Peers];
            links(world, rng, &[place], &faults, 1_000..12_000).await;
        }
        Deed::SlowBoard => links(world, rng, &[place], &[Fault::Slow], 2_000..12_000).await,
        Deed::StaleView => links(world, rng, &[place], &[Fault::View], 1_000..12_000).await,
        Deed::BoardOutage => {
            let places: Vec<Place> = Seats::places().collect();
            links(world, rng, &places, &[Fault::Board], 1_000..8_000).await;
        }
        Deed::BoardLoss => world.board.forget_all(),
    }
}

/// A process is stopped, as by a signal or a host that pauses, and goes on as if no time had passed.
async fn stop(world: &World, place: Place, time: Duration) {
    let Some(process) = world.seats.process(place) else { return };
    process.set_stopped(true);
    tokio::time::sleep(time).await;
    process.set_stopped(false);
}

async fn links(
    world: &World,
    rng: &mut Rng,
    places: &[Place],
    faults: &[Fault],
    millis: Range<u64>,
) {
    let time = rng.millis(millis);
    let set = |wrong: bool| {
        for place in places {
            let link = world.seats.link(*place);
            for fault in faults {
                link.set(*fault, wrong);
            }
        }
    };
    set(true);
    tokio::time::sleep(time).await;
    set(false);
}

async fn logs(world: &World, keys: &[LogKey], time: Duration, switch: impl Fn(&Faults, bool)) {
    let log = |(service, partition): &(ServiceId, u16)| service.log(*partition);
    let faults = keys.iter().filter_map(|key| world.logs.faults(&log(key)));
    let faults: Vec<Faults> = faults.collect();
    let set = |wrong: bool| {
        for one in &faults {
            switch(one, wrong);
        }
        let mut told = world.told();
        for key in keys {
            if wrong {
                told.disturbed.insert(*key);
            } else {
                told.disturbed.remove(key);
            }
        }
    };
    set(true);
    tokio::time::sleep(time).await;
    set(false);
}
