//! The logs folded once more: I10, I11, I36, I50.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_log::Record;
use notify_service::NotifyService;
use runtime::{Fold, Health, ServiceId};

use super::{Logs, records};
use crate::cluster::{self, Slot, Staged};
use crate::instance::{Instance, Place};
use crate::ledger::Shown;
use crate::run::log_id;
use crate::world::{LogKey, PARTITIONS, World};

/// How often an instance is asked for a state that it can't show, and how long after.
const GLANCES: usize = 300;
const GLANCED_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// I10, I11, I50: the log folded from its first record gives the state that is live, every hash that a leader wrote,
/// and every state that an instance has shown.
pub(super) async fn replay<S: Staged>(world: &Arc<World>) -> anyhow::Result<()> {
    let place = Place { service: S::ID, number: 0 };
    let instance = Instance::new(world, place, &Arc::default(), "replay");
    let service = S::make(&instance);
    for partition in 0..PARTITIONS {
        let key = (S::ID, partition);
        // Looked at before the log is read: while it is, something else may fall due and be written.
        for slot in world.seats.living::<S>() {
            show_live(&slot, partition).await;
        }
        let records = records(world, key).await?;
        fold(world, &service, key, &records);
    }
    Ok(())
}

async fn show_live<S: Staged>(slot: &Slot<S>, partition: u16) {
    let (world, name) = (&slot.instance.world, &slot.instance.name);
    let Some(partition) = slot.node.partitions().get(usize::from(partition)) else { return };
    let key = (S::ID, partition.id());
    let glance = || partition.glance(|view| (view.head, view.state_hash().ok()));
    let mut looked = glance().await;
    // It may be passing to another instance just now, which nobody who rests hinders.
    for _ in 0..GLANCES {
        if looked.is_ok() {
            break;
        }
        tokio::time::sleep(GLANCED_AGAIN_AFTER).await;
        looked = glance().await;
    }
    let Ok((head, Some(hash))) = looked else {
        world.violation(format!("I46: {}/{} can't be read at {name}", S::ID, partition.id()));
        return;
    };
    let shown = Shown { seq: head, hash, by: name.to_string() };
    world.ledger(key, |ledger| ledger.shown.push(shown));
}

fn fold<S: Staged>(world: &World, service: &S, key: LogKey, records: &[Record]) {
    let mut shown: BTreeMap<u64, Vec<Shown>> = BTreeMap::new();
    for one in world.ledger(key, |ledger| std::mem::take(&mut ledger.shown)) {
        shown.entry(one.seq).or_default().push(one);
    }
    let (id, partition) = key;
    let mut fold = Fold::<S>::at_start(log_id(world.seed, key));
    for record in records {
        match fold.take_and_check(service, record) {
            Ok(Some(check)) if check.written != check.folded => {
                let seq = check.seq;
                world.violation(format!("I10: {id}/{partition} hashed another state at {seq}"));
            }
            Ok(_) => {}
            Err(doubt) => {
                world.violation(format!("I10: {id}/{partition} can't be folded: {doubt}"));
            }
        }
        let Some(shown) = shown.remove(&fold.seq()) else { continue };
        let hash = fold.state_hash().ok();
        for Shown { seq, by, .. } in shown.into_iter().filter(|one| Some(one.hash) != hash) {
            world.violation(format!(
                "I50: {by} showed another state of {id}/{partition} at {seq} than its log gives"
            ));
        }
    }
    if let Some(seq) = shown.keys().next() {
        let last = fold.seq();
        world.violation(format!("I50: a state of {id}/{partition} at {seq} was shown, of {last}"));
    }
}

/// I36: an instance that folds notify's log from its first record sends nothing that is over.
pub(super) async fn no_replay_storm(world: &Arc<World>, logs: &Logs) {
    world.seats.close();
    for old in world.seats.living::<NotifyService>() {
        old.instance.dead.cancel();
        old.node.crash();
    }
    let before = world.told().arrivals.len();
    // At a place without a snapshot.
    let place = Place { service: ServiceId::Notify, number: usize::MAX };
    let slot = cluster::start::<NotifyService>(world, place, &mut 0).await;
    for partition in slot.node.partitions() {
        let mut health = partition.watch_health();
        let leads =
            tokio::time::timeout(Duration::from_secs(30), health.wait_for(Health::is_ready));
        if !matches!(leads.await, Ok(Ok(_))) {
            world.violation("I46: notify does not come back");
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let arrivals = world.told().arrivals.iter().skip(before).cloned().collect::<Vec<_>>();
    for arrival in arrivals {
        let known = (0..PARTITIONS)
            .find_map(|partition| logs.notify(partition)?.deliveries().get(&arrival.id));
        // What was intended since may be sent, and what was to be tried again.
        if known.is_some_and(|delivery| delivery.over) {
            world.violation(format!("I36: a rebuild sent {} again", arrival.id));
        }
    }
}
