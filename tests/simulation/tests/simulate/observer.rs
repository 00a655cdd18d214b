//! Looks at the instances from within, as no caller could: who leads, what each shows, and whether a log is left
//! without a leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::{FailureOf, Health, PartitionHandle};

use crate::cluster::{Slot, Staged};
use crate::instance::Instance;
use crate::ledger::Shown;
use crate::world::{LogKey, PARTITIONS, World};

/// How often it is looked whether every log is led.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a log may be without a leader although somebody could lead it: a notice's time, the time that is left to
/// whoever is silent, and a claim whose answers are lost now and then.
const LEADERLESS_MAX: Duration = Duration::from_secs(20);

/// Observes one instance until it dies.
pub(crate) fn run<S: Staged>(slot: &Slot<S>) {
    for partition in slot.node.partitions() {
        let place = Seat { instance: slot.instance.clone(), partition: partition.clone() };
        drop(tokio::spawn(place.leads()));
    }
    drop(tokio::spawn(look_now_and_then(slot.clone())));
}

/// One partition at one instance.
struct Seat<S: Staged> {
    instance: Instance,
    partition: PartitionHandle<S>,
}

impl<S: Staged> Seat<S> {
    fn key(&self) -> LogKey {
        (S::ID, self.partition.id())
    }

    /// Follows how leadership comes and goes.
    async fn leads(self) {
        let world = Arc::clone(&self.instance.world);
        let mut health = self.partition.watch_health();
        let leads = |health: &Health| matches!(health, Health::Ready | Health::Halted(_));
        let led = |health: &Health| {
            !matches!(health, Health::Ready | Health::LogUnavailable | Health::LogFull)
        };
        loop {
            let begun = tokio::select! {
                biased;
                () = self.instance.dead.cancelled() => return,
                begun = health.wait_for(leads) => begun.map(|health| health.clone()),
            };
            match begun {
                Ok(Health::Halted(reason)) => {
                    let (service, partition) = self.key();
                    world.violation(format!("I5: {service}/{partition} halted: {reason}"));
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
            let epoch = self.partition.epoch();
            self.look(true).await;
            tokio::select! {
                biased;
                () = self.instance.dead.cancelled() => return,
                ended = health.wait_for(led) => if ended.is_err() { return },
            }
            world.ledger(self.key(), |ledger| ledger.give_up(epoch));
        }
    }

    /// Looks at the state as a caller's read does: what is shown must be the latest (I49), and what the log gives
    /// (I10).
    async fn look(&self, whole: bool) {
        let world = &self.instance.world;
        self.instance.running().await;
        let (said, said_in) = world.ledger(self.key(), |ledger| ledger.last_word());
        let look = self
            .partition
            .view(move |view| (view.head, whole.then(|| view.state_hash().ok()).flatten()));
        let seen = tokio::select! {
            biased;
            () = self.instance.dead.cancelled() => return,
            seen = look => seen,
        };
        world.count_look("a leader's state");
        let Ok((head, hash)) = seen else { return };
        let epoch = world.ledger(self.key(), |ledger| ledger.epoch_of(head));
        if head < said && epoch < said_in {
            let ((service, partition), name) = (self.key(), &self.instance.name);
            world.violation(format!(
                "I49: {name} shows {service}/{partition} at {head} of epoch {epoch}, after {said} of epoch {said_in}"
            ));
        }
        self.shown(head, hash);
    }

    /// Looks at the state wherever it stands: what a standby has is what the log gives, too (I50).
    async fn glance(&self) {
        self.instance.running().await;
        let look = self.partition.glance(|view| (view.head, view.state_hash().ok()));
        let seen: Result<_, FailureOf<S>> = tokio::select! {
            biased;
            () = self.instance.dead.cancelled() => return,
            seen = look => seen,
        };
        self.instance.world.count_look("a standby's state");
        if let Ok((head, hash)) = seen {
            self.shown(head, hash);
        }
    }

    fn shown(&self, seq: u64, hash: Option<[u8; 32]>) {
        let Some(hash) = hash else { return };
        let shown = Shown { seq, hash, by: self.instance.name.to_string() };
        self.instance.world.ledger(self.key(), |ledger| ledger.shown.push(shown));
    }
}

async fn look_now_and_then<S: Staged>(slot: Slot<S>) {
    let world = Arc::clone(&slot.instance.world);
    let mut rng = world.rng(&format!("look-{}", slot.instance.name));
    while !slot.instance.dead.is_cancelled() && !world.is_broken() {
        tokio::time::sleep(rng.millis(200..1_200)).await;
        let Some(partition) = rng.pick(slot.node.partitions()).cloned() else { return };
        let place = Seat { instance: slot.instance.clone(), partition };
        if rng.chance(1_000) {
            place.glance().await;
        } else {
            place.look(rng.chance(500)).await;
        }
    }
}

/// Whether every log of a service gets a leader as long as somebody could lead it (I51).
pub(crate) async fn mind<S: Staged>(world: Arc<World>) {
    let mut without: BTreeMap<u16, Duration> = BTreeMap::new();
    while !world.is_broken() {
        tokio::time::sleep(LOOK_EVERY).await;
        let living = world.seats.living::<S>();
        let able = living.iter().any(|slot| slot.instance.is_able());
        for partition in 0..PARTITIONS {
            let index = usize::from(partition);
            let leads = |slot: &Slot<S>| {
                let partition = slot.node.partitions().get(index);
                partition.is_some_and(|partition| partition.health().is_ready())
            };
            let led = living.iter().any(|slot| !slot.instance.is_stopped() && leads(slot));
            let disturbed = world.told().disturbed.contains(&(S::ID, partition));
            let without = without.entry(partition).or_default();
            if led || !able || disturbed {
                *without = Duration::ZERO;
                continue;
            }
            *without += LOOK_EVERY;
            if *without > LEADERLESS_MAX {
                let service = S::ID;
                world.violation(format!(
                    "I51: nobody has led {service}/{partition} for {without:?}, and somebody could"
                ));
                return;
            }
        }
    }
}
