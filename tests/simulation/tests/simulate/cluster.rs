//! The nodes: started, crashed, restarted in order, and raced by a second one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use intake_service::IntakeService;
use notify_service::{Config, Keys, NotifyService};
use routing_service::RoutingService;
use runtime::{Clock, Health, Node, NodeConfig, Service, ServiceId};
use service_kit::Drain;
use sla_service::SlaService;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::courier::Post;
use crate::disk::NodeDisk;
use crate::log::{FarLogs, Instance};
use crate::world::World;

/// A service that can be put on this stage.
pub(crate) trait Staged: Service {
    /// Its gRPC trait's implementation.
    type Api: Clone + Send + Sync + 'static;

    fn make(instance: &Instance) -> Self;
    fn api(node: Node<Self>) -> Self::Api;
    fn slot(slots: &Slots) -> &Mutex<Vec<Slot<Self>>>;
}

/// A node and the way to call it.
pub(crate) struct Slot<S: Staged> {
    pub(crate) node: Node<S>,
    pub(crate) api: S::Api,
    pub(crate) instance: Instance,
}

impl<S: Staged> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self { node: self.node.clone(), api: self.api.clone(), instance: self.instance.clone() }
    }
}

/// The nodes that callers know, the newest last: two at most.
#[derive(Default)]
pub(crate) struct Slots {
    intake: Mutex<Vec<Slot<IntakeService>>>,
    routing: Mutex<Vec<Slot<RoutingService>>>,
    sla: Mutex<Vec<Slot<SlaService>>>,
    notify: Mutex<Vec<Slot<NotifyService>>>,
    orders: Mutex<BTreeMap<ServiceId, mpsc::UnboundedSender<Order>>>,
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

macro_rules! staged {
    ($service:ty, $slot:ident, $api:ty, |$instance:ident| $make:expr) => {
        impl Staged for $service {
            type Api = $api;

            fn make($instance: &Instance) -> Self {
                $make
            }

            fn api(node: Node<Self>) -> Self::Api {
                <$api>::new(node, Drain::new())
            }

            fn slot(slots: &Slots) -> &Mutex<Vec<Slot<Self>>> {
                &slots.$slot
            }
        }
    };
}

/// The keys of webhooks' secrets, the same for every instance and run.
fn keys() -> Keys {
    Keys::parse("c2ltdWxhdGVkIGtleXMgc2VhbCBubyByZWFsIHNlY3I=").unwrap_or_default()
}

staged!(IntakeService, intake, intake_service::Api, |instance| IntakeService::new(Arc::new(
    FarLogs(instance.clone())
)));
staged!(RoutingService, routing, routing_service::Api, |_instance| RoutingService::new());
staged!(SlaService, sla, sla_service::Api, |_instance| SlaService);
staged!(NotifyService, notify, notify_service::Api, |instance| NotifyService::sending_by(
    Arc::new(Post(instance.clone())),
    Config { allow_private_endpoints: true },
    keys()
));

/// What the nemesis asks of a service's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Crash,
    Restart,
    Race,
}

impl Slots {
    /// Gives an order, if somebody takes it.
    pub(crate) fn order(&self, service: ServiceId, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = orders.get(&service) {
            orders.send(order).ok();
        }
    }

    /// The node to call; sometimes, while there are two, the older one.
    pub(crate) fn current<S: Staged>(&self, older: bool) -> Option<Slot<S>> {
        let slots = S::slot(self).lock().unwrap_or_else(PoisonError::into_inner);
        if older { slots.first().cloned() } else { slots.last().cloned() }
    }

    fn enter<S: Staged>(&self, slot: &Slot<S>) {
        let mut slots = S::slot(self).lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| !slot.instance.dead.is_cancelled());
        slots.push(slot.clone());
    }
}

/// Runs a service's nodes for as long as the world stands.
pub(crate) fn run<S: Staged>(world: &Arc<World>) {
    let (sender, orders) = mpsc::unbounded_channel();
    let mut all = world.slots.orders.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(S::ID, sender);
    drop(tokio::spawn(supervise::<S>(Arc::clone(world), orders)));
}

/// Why a node is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Order(Order),
    Died,
    SteppedDown,
    Halted,
}

async fn supervise<S: Staged>(world: Arc<World>, mut orders: mpsc::UnboundedReceiver<Order>) {
    loop {
        let slot = start::<S>(&world).await;
        let next = tokio::select! {
            biased;
            () = slot.instance.dead.cancelled() => Next::Died,
            next = ended(&slot) => next,
            Some(order) = orders.recv() => Next::Order(order),
        };
        world.trace(&[b"node", S::ID.name().as_bytes(), format!("{next:?}").as_bytes()]);
        match next {
            Next::Order(Order::Crash) | Next::Died => {
                slot.instance.dead.cancel();
                tokio::time::sleep(world.chance(|rng| rng.millis(100..3_000))).await;
            }
            Next::Order(Order::Restart) => {
                let shutdown = tokio::time::timeout(Duration::from_secs(15), slot.node.shutdown());
                tokio::select! {
                    biased;
                    () = slot.instance.dead.cancelled() => {}
                    _ = shutdown => {}
                }
                slot.instance.dead.cancel();
                tokio::time::sleep(world.chance(|rng| rng.millis(10..1_000))).await;
            }
            // The old one goes on until it finds out, and dies some time after.
            Next::Order(Order::Race) => {
                let (dead, pause) =
                    (slot.instance.dead, world.chance(|rng| rng.millis(500..8_000)));
                drop(tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    dead.cancel();
                }));
            }
            Next::SteppedDown => {
                slot.instance.dead.cancel();
                tokio::time::sleep(world.chance(|rng| rng.millis(10..500))).await;
            }
            Next::Halted => return,
        }
    }
}

/// Returns when a node has stopped leading by itself.
async fn ended<S: Staged>(slot: &Slot<S>) -> Next {
    let Some(partition) = slot.node.partitions().first() else { return Next::Halted };
    let mut health = partition.watch_health();
    let over = |health: &Health| matches!(health, Health::SteppedDown | Health::Halted(_));
    let found = health.wait_for(over).await.map(|health| health.clone());
    match found {
        Ok(Health::Halted(reason)) => {
            slot.instance.world.violation(format!("I5: {} halted: {reason}", S::ID));
            Next::Halted
        }
        Ok(_) => Next::SteppedDown,
        Err(_) => std::future::pending().await,
    }
}

/// A node of its own, with a clock of its own.
pub(crate) async fn start<S: Staged>(world: &Arc<World>) -> Slot<S> {
    loop {
        let instance = Instance { world: Arc::clone(world), dead: CancellationToken::new() };
        match instance_of::<S>(world, &instance).await {
            Some(slot) => return slot,
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn instance_of<S: Staged>(world: &Arc<World>, instance: &Instance) -> Option<Slot<S>> {
    let (skew, seed) = world.chance(|rng| (rng.range(0..world.swarm.skew_ms * 2 + 1), rng.next()));
    let clock = world.now().plus_millis(skew).minus_millis(world.swarm.skew_ms);
    let config = NodeConfig {
        provider: Arc::new(FarLogs(instance.clone())),
        snapshots: Arc::new(NodeDisk(instance.clone())),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: Clock::simulated(clock, seed),
        cluster: None,
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
    *world.told().starts.entry(S::ID).or_default() += 1;
    let slot = Slot { api: S::api(node.clone()), node, instance: instance.clone() };
    world.slots.enter(&slot);
    Some(slot)
}
