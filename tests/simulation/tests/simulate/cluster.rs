//! The instances: two of each service, started, crashed, stopped in order and started again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use intake_service::IntakeService;
use notify_service::{Config, Keys, NotifyService};
use routing_service::RoutingService;
use runtime::{Clock, Membership, Node, NodeConfig, Service, ServiceId};
use service_kit::{Drain, PositionGate, Services};
use sla_service::SlaService;
use tokio::sync::{mpsc, watch};

use crate::board::FarBoard;
use crate::courier::Post;
use crate::disk::NodeDisk;
use crate::door::Door;
use crate::instance::{Instance, Link, Place};
use crate::log::FarLogs;
use crate::observer;
use crate::rng::Rng;
use crate::world::{INSTANCES, World};

/// A service that can be put on this stage.
pub(crate) trait Staged: Service {
    fn make(instance: &Instance) -> Self;

    /// Adds its gRPC service to a server's.
    fn serve(
        services: Services,
        node: Node<Self>,
        drain: Drain,
        ready: watch::Receiver<bool>,
        gate: Arc<dyn PositionGate>,
    ) -> Services;

    fn slots(seats: &Seats) -> &Mutex<Slots<Self>>;
}

/// An instance and the way to call it.
pub(crate) struct Slot<S: Staged> {
    pub(crate) node: Node<S>,
    pub(crate) door: Door,
    pub(crate) instance: Instance,
    drain: Drain,
}

impl<S: Staged> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
            door: self.door.clone(),
            instance: self.instance.clone(),
            drain: self.drain.clone(),
        }
    }
}

/// A service's instances, by the number of their place.
pub(crate) type Slots<S> = BTreeMap<usize, Slot<S>>;

/// The places, who is there, and what is asked of them.
#[derive(Default)]
pub(crate) struct Seats {
    intake: Mutex<Slots<IntakeService>>,
    routing: Mutex<Slots<RoutingService>>,
    sla: Mutex<Slots<SlaService>>,
    notify: Mutex<Slots<NotifyService>>,
    doors: Mutex<BTreeMap<String, Door>>,
    processes: Mutex<BTreeMap<Place, Instance>>,
    links: Mutex<BTreeMap<Place, Arc<Link>>>,
    orders: Mutex<BTreeMap<Place, mpsc::UnboundedSender<Order>>>,
    closed: AtomicBool,
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats").finish_non_exhaustive()
    }
}

macro_rules! staged {
    ($service:ty, $slots:ident, $server:path, |$instance:ident| $make:expr) => {
        impl Staged for $service {
            fn make($instance: &Instance) -> Self {
                $make
            }

            fn serve(
                services: Services,
                node: Node<Self>,
                drain: Drain,
                ready: watch::Receiver<bool>,
                gate: Arc<dyn PositionGate>,
            ) -> Services {
                services.with($server(node, drain), ready, gate)
            }

            fn slots(seats: &Seats) -> &Mutex<Slots<Self>> {
                &seats.$slots
            }
        }
    };
}

/// The keys of webhooks' secrets, the same for every instance and run.
fn keys() -> Keys {
    Keys::parse("c2ltdWxhdGVkIGtleXMgc2VhbCBubyByZWFsIHNlY3I=").unwrap_or_default()
}

staged!(IntakeService, intake, intake_service::server, |instance| IntakeService::new(Arc::new(
    FarLogs(instance.clone())
)));
staged!(RoutingService, routing, routing_service::server, |_instance| RoutingService::new());
staged!(SlaService, sla, sla_service::server, |_instance| SlaService);
staged!(NotifyService, notify, notify_service::server, |instance| NotifyService::sending_by(
    Arc::new(Post(instance.clone())),
    Config { allow_private_endpoints: true },
    keys()
));

/// What the nemesis asks of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The process dies.
    Crash,
    /// It stops in order, and gives away what it leads.
    Restart,
}

/// A poisoned lock holds a map whose every change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    /// Gives an order, if somebody takes it.
    pub(crate) fn order(&self, place: Place, order: Order) {
        if let Some(orders) = lock(&self.orders).get(&place) {
            orders.send(order).ok();
        }
    }

    /// Every place.
    pub(crate) fn places() -> impl Iterator<Item = Place> {
        let numbers = |service| (0..INSTANCES).map(move |number| Place { service, number });
        ServiceId::ALL.into_iter().flat_map(numbers)
    }

    /// The process at a place.
    pub(crate) fn process(&self, place: Place) -> Option<Instance> {
        lock(&self.processes).get(&place).cloned()
    }

    /// A place's network.
    pub(crate) fn link(&self, place: Place) -> Arc<Link> {
        Arc::clone(lock(&self.links).entry(place).or_default())
    }

    /// The way to the instance at an address, if one lives there.
    pub(crate) fn door(&self, address: &str) -> Option<Door> {
        lock(&self.doors).get(address).cloned()
    }

    /// A service's living instances.
    pub(crate) fn living<S: Staged>(&self) -> Vec<Slot<S>> {
        let slots = lock(S::slots(self));
        slots.values().filter(|slot| !slot.instance.dead.is_cancelled()).cloned().collect()
    }

    /// An instance to call: any that lives.
    pub(crate) fn any<S: Staged>(&self, rng: &mut Rng) -> Option<Slot<S>> {
        rng.pick(&self.living::<S>()).cloned()
    }

    /// Nobody is started any more at the places.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn enter<S: Staged>(&self, slot: &Slot<S>) {
        let place = slot.instance.place;
        lock(S::slots(self)).insert(place.number, slot.clone());
        lock(&self.doors).insert(place.address(), slot.door.clone());
        lock(&self.processes).insert(place, slot.instance.clone());
    }

    /// Ends a process, whatever it is about.
    fn leave<S: Staged>(&self, slot: &Slot<S>) {
        slot.instance.dead.cancel();
        slot.node.crash();
        lock(&self.doors).remove(&slot.instance.place.address());
    }
}

/// Runs a service's instances for as long as the world stands.
pub(crate) fn run<S: Staged>(world: &Arc<World>) {
    for number in 0..INSTANCES {
        let place = Place { service: S::ID, number };
        let (sender, orders) = mpsc::unbounded_channel();
        lock(&world.seats.orders).insert(place, sender);
        drop(tokio::spawn(supervise::<S>(Arc::clone(world), place, orders)));
    }
}

async fn supervise<S: Staged>(
    world: Arc<World>,
    place: Place,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut starts = 0;
    loop {
        let slot = start::<S>(&world, place, &mut starts).await;
        let order = tokio::select! {
            biased;
            () = slot.instance.dead.cancelled() => Order::Crash,
            Some(order) = orders.recv() => order,
        };
        world.trace(&[b"instance", slot.instance.name.as_bytes(), format!("{order:?}").as_bytes()]);
        let pause = match order {
            Order::Crash => 100..6_000,
            Order::Restart => {
                tokio::select! {
                    biased;
                    () = slot.instance.dead.cancelled() => {}
                    () = slot.instance.live(stop(&slot)) => {}
                }
                10..2_000
            }
        };
        world.seats.leave(&slot);
        slot.instance.pause(pause).await;
        if world.seats.is_closed() {
            return;
        }
        // What was asked of the one before is not asked of the next.
        while orders.try_recv().is_ok() {}
    }
}

/// Stops as the product does: what it leads is given away, calls end, positions and hashes are written.
async fn stop<S: Staged>(slot: &Slot<S>) {
    slot.node.retire(Duration::from_secs(3)).await;
    slot.drain.start();
    // One that takes longer is killed.
    drop(tokio::time::timeout(Duration::from_secs(15), slot.node.shutdown()).await);
}

/// Starts an instance, again and again until one begins to run.
pub(crate) async fn start<S: Staged>(
    world: &Arc<World>,
    place: Place,
    starts: &mut u64,
) -> Slot<S> {
    loop {
        *starts += 1;
        let name = format!("{}{}-{starts}", S::ID, place.number);
        let instance = Instance::new(world, place, &world.seats.link(place), name);
        if let Some(slot) = begin::<S>(&instance).await {
            return slot;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn begin<S: Staged>(instance: &Instance) -> Option<Slot<S>> {
    let world = &instance.world;
    let (skew, seed) = world.chance(|rng| (rng.range(0..world.swarm.skew_ms * 2 + 1), rng.next()));
    let clock = world.now().plus_millis(skew).minus_millis(world.swarm.skew_ms);
    let membership = Membership {
        instance: instance.name.to_string(),
        address: instance.place.address(),
        board: Arc::new(FarBoard::of(instance)),
    };
    let config = NodeConfig {
        provider: Arc::new(FarLogs(instance.clone())),
        snapshots: Arc::new(NodeDisk(instance.clone())),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: Clock::simulated(clock, seed),
        cluster: Some(membership),
    };
    let started = tokio::select! {
        biased;
        () = instance.dead.cancelled() => return None,
        started = Node::start(S::make(instance), config) => started,
    };
    let Ok(node) = started else {
        instance.dead.cancel();
        return None;
    };
    let drain = Drain::new();
    let door = Door::new(instance, &node, &drain);
    let slot = Slot { node, door, instance: instance.clone(), drain };
    world.seats.enter(&slot);
    observer::run(&slot);
    Some(slot)
}
