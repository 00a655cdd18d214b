//! Instances that come, go, and lose sight of the log or the board at random, under clients that repeat: a checker over
//! what they were told and what the log holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::{sleep, timeout};

use crate::cluster::world::{Instance, World, persist, until, within};

/// Random numbers of a seed, by `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(of).unwrap())).unwrap()
    }
}

type Slots = Arc<RwLock<Vec<Instance>>>;

/// Adds under one request id after the other, and after each looks wherever it may whether it is there.
async fn client(slots: Slots, name: u64, acked: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> u64 {
    let mut done = 0;
    let mut dice = Dice(name);
    while !stop.load(Ordering::Relaxed) {
        let id = format!("c{name}-{done}");
        loop {
            // Whoever is there now: an instance that went is not tried for ever.
            let now = slots.read().await.clone();
            let some = timeout(Duration::from_secs(3), persist(&now, "w", &id));
            if some.await.is_ok() {
                break;
            }
        }
        done += 1;
        let least = acked.fetch_add(1, Ordering::SeqCst) + 1;
        let now = slots.read().await.clone();
        let any = &now[dice.pick(now.len())];
        if let Ok(Ok(sum)) = timeout(Duration::from_secs(3), any.sum("w")).await {
            assert!(sum >= least, "{} says {sum}, {least} were acknowledged before", any.address);
        }
        sleep(Duration::from_millis(dice.roll(40))).await;
    }
    done
}

async fn disturb(world: &World, slots: &Slots, dice: &mut Dice, round: u64) {
    let slot = dice.pick(3);
    let chosen = slots.read().await[slot].clone();
    let a_while = Duration::from_millis(dice.roll(9_000));
    let replace = |by: Instance| async move { slots.write().await[slot] = by };
    match dice.roll(6) {
        0 => {
            chosen.crash();
            sleep(a_while / 2).await;
            replace(world.join(&format!("s{slot}-{round}")).await).await;
        }
        1 => {
            chosen.node.retire(Duration::from_secs(3)).await;
            chosen.node.shutdown().await;
            sleep(a_while / 2).await;
            replace(world.join(&format!("s{slot}-{round}")).await).await;
        }
        2 => {
            chosen.board.set_unreachable(true);
            sleep(a_while).await;
            chosen.board.set_unreachable(false);
        }
        3 => {
            chosen.link.cut(true);
            sleep(a_while).await;
            chosen.link.cut(false);
        }
        4 => {
            chosen.board.set_unreachable(true);
            chosen.link.hold_appends(true);
            sleep(a_while).await;
            chosen.link.hold_appends(false);
            sleep(a_while / 8).await;
            chosen.board.set_unreachable(false);
        }
        _ => {
            chosen.board.slow_puts(a_while / 4);
            sleep(a_while).await;
            chosen.board.slow_puts(Duration::ZERO);
        }
    }
    sleep(Duration::from_millis(dice.roll(2_000))).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_and_goes_every_acknowledged_call_is_there_once() {
    for seed in 1..=4 {
        let world = World::new(1).await;
        let mut first = Vec::new();
        for slot in 0..3 {
            first.push(world.join(&format!("s{slot}")).await);
        }
        let slots: Slots = Arc::new(RwLock::new(first));
        let (acked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..6)
            .map(|name| {
                let (acked, stop) = (Arc::clone(&acked), Arc::clone(&stop));
                tokio::spawn(client(Arc::clone(&slots), name, acked, stop))
            })
            .collect();
        let mut dice = Dice(seed);
        for round in 0..25 {
            disturb(&world, &slots, &mut dice, round).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut done = 0;
        for client in clients {
            done += within("a client ends", client).await.unwrap();
        }
        let (fold, epochs) = world.refold(0).await;
        assert_eq!((fold.state().sums["w"], fold.events()), (done, done), "seed {seed}");
        assert!(epochs.is_sorted_by(|one, next| one < next), "seed {seed}: {epochs:?}");
        assert!(epochs.len() > 5, "seed {seed}: leadership hardly moved: {epochs:?}");
        let slots = slots.read().await.clone();
        let one = || slots.iter().filter(|one| one.leads(0)).count() == 1;
        within("one leads", until(one)).await;
        let mut hashes = BTreeMap::new();
        for instance in &slots {
            let partition = &instance.node.partitions()[0];
            let caught_up = || partition.head().seq >= fold.seq();
            within("it catches up", until(caught_up)).await;
            let (head, hash) =
                partition.glance(|view| (view.head, view.state_hash().unwrap())).await.unwrap();
            assert_eq!(*hashes.entry(head).or_insert(hash), hash, "seed {seed}, record {head}");
            instance.crash();
        }
    }
}
