//! Who breaks things, until the world is healed.

use std::sync::Arc;
use std::time::Duration;

use event_log::memory::Faults;
use runtime::ServiceId;

use crate::cluster::Order;
use crate::rng::Rng;
use crate::swarm::Deed;
use crate::world::{HEALED, World};

pub(crate) async fn run(world: Arc<World>) {
    let mut rng = world.rng("nemesis");
    tokio::time::sleep(Duration::from_secs(3)).await;
    while world.passed() < HEALED && !world.is_broken() {
        let pause = rng.millis(300..4_500);
        tokio::time::sleep(pause).await;
        if let (Some(deed), Some(service)) =
            (rng.pick(&world.swarm.deeds).copied(), rng.pick(&ServiceId::ALL).copied())
        {
            act(&world, &mut rng, deed, service).await;
        }
    }
    world.heal();
}

async fn act(world: &Arc<World>, rng: &mut Rng, deed: Deed, service: ServiceId) {
    match deed {
        Deed::Crash => order(world, service, Order::Crash, "crash"),
        Deed::Restart => order(world, service, Order::Restart, "restart"),
        Deed::Race => order(world, service, Order::Race, "fence race"),
        Deed::Outage => {
            world.count_fault("outage of a log");
            during(world, &[service], rng.millis(3_500..6_000), Faults::set_unavailable).await;
        }
        Deed::Blackout => {
            world.count_fault("outage of all logs");
            during(world, &ServiceId::ALL, rng.millis(2_000..5_000), Faults::set_unavailable).await;
        }
        Deed::StallAppends => {
            world.count_fault("stalled appends");
            during(world, &[service], rng.millis(200..3_000), Faults::stall_appends).await;
        }
        Deed::StallDelivery => {
            world.count_fault("stalled delivery");
            during(world, &[service], rng.millis(500..7_000), Faults::stall_followers).await;
        }
    }
}

fn order(world: &World, service: ServiceId, order: Order, kind: &'static str) {
    world.count_fault(kind);
    world.slots.order(service, order);
}

async fn during(
    world: &World,
    services: &[ServiceId],
    time: Duration,
    switch: impl Fn(&Faults, bool),
) {
    let faults = services.iter().filter_map(|service| world.logs.faults(&service.log(0)));
    let faults: Vec<Faults> = faults.collect();
    for one in &faults {
        switch(one, true);
    }
    tokio::time::sleep(time).await;
    for one in &faults {
        switch(one, false);
    }
}
