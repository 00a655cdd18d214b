//! What all of a seed's actors share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::Record;
use event_log::memory::{MemoryBoard, MemoryProvider};
use invariants::LogWalk;
use kernel::Timestamp;
use runtime::{ServiceId, partition_of};
use tokio::time::Instant;

use crate::call::{Key, Op};
use crate::cluster::Seats;
use crate::courier::Arrival;
use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::swarm::Swarm;

/// How many partitions each service has.
pub(crate) const PARTITIONS: u16 = 2;
/// How many instances each service has.
pub(crate) const INSTANCES: usize = 2;
/// When a seed's time begins.
const BEGIN: Timestamp = Timestamp::from_millis(1_750_000_000_000);
/// How long there is work, and faults with it but for the first and last seconds.
pub(crate) const WORK: Duration = Duration::from_secs(100);
/// When the last fault begins.
pub(crate) const HEALED: Duration = Duration::from_secs(90);
/// The least that a seed lasts.
pub(crate) const WHOLE: Duration = Duration::from_secs(120);
/// How long it may take to come to rest after that.
pub(crate) const REST_WITHIN: Duration = Duration::from_secs(240);

/// A log: whose, and which partition's.
pub(crate) type LogKey = (ServiceId, u16);

/// All logs.
pub(crate) fn log_keys() -> impl Iterator<Item = LogKey> {
    ServiceId::ALL.into_iter().flat_map(|service| (0..PARTITIONS).map(move |part| (service, part)))
}

/// One seed's world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) logs: MemoryProvider,
    pub(crate) board: MemoryBoard,
    pub(crate) disk: Disk,
    pub(crate) seats: Seats,
    /// One workspace of each partition.
    pub(crate) workspaces: Vec<Arc<str>>,
    began: Instant,
    troubled: AtomicBool,
    chance: Mutex<Rng>,
    told: Mutex<Told>,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) history: Vec<Op>,
    /// Every request that was ever made.
    pub(crate) asked: BTreeSet<Key>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) operations: BTreeMap<&'static str, u64>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) hand_overs: BTreeMap<&'static str, u64>,
    pub(crate) looks: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) walks: BTreeMap<LogKey, LogWalk>,
    pub(crate) ledgers: BTreeMap<LogKey, Ledger>,
    /// The latest acknowledged revision of each ticket, by workspace and ticket.
    pub(crate) revisions: BTreeMap<(Arc<str>, String), u64>,
    /// Calls whose passing on has broken off: nobody knows whether they were served, so nobody may pass them on again.
    pub(crate) broken_off: BTreeSet<String>,
    /// The logs that can't be reached, or stall.
    pub(crate) disturbed: BTreeSet<LogKey>,
    pub(crate) trace: blake3::Hasher,
}

impl World {
    /// Must be called on a tokio runtime, which keeps the time.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let swarm = Swarm::draw(&mut rng);
        Arc::new(Self {
            seed,
            swarm,
            logs: MemoryProvider::new(),
            board: MemoryBoard::new(),
            disk: Disk::default(),
            seats: Seats::default(),
            workspaces: workspaces(),
            began: Instant::now(),
            troubled: AtomicBool::new(false),
            chance: Mutex::new(rng.fork("chance")),
            told: Mutex::new(Told::default()),
        })
    }

    /// A generator of its own for whoever bears this name.
    pub(crate) fn rng(&self, name: &str) -> Rng {
        Rng::new(self.seed).fork(name)
    }

    /// Something of chance that belongs to nobody.
    pub(crate) fn chance<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much time has passed.
    pub(crate) fn passed(&self) -> Duration {
        self.began.elapsed()
    }

    fn passed_ms(&self) -> u64 {
        u64::try_from(self.passed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        BEGIN.plus_millis(self.passed_ms())
    }

    /// Faults happen from here on: the scene is set.
    pub(crate) fn trouble(&self) {
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// No fault happens from here on.
    pub(crate) fn heal(&self) {
        self.troubled.store(false, Ordering::Relaxed);
    }

    /// Whether faults happen now.
    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    /// Whether the last fault is over.
    pub(crate) fn is_healed(&self) -> bool {
        !self.is_troubled() && self.passed() >= HEALED
    }

    /// Whether there is still work to be made.
    pub(crate) fn works(&self) -> bool {
        self.passed() < WORK && !self.is_broken()
    }

    /// Whether a fault of this rate happens now; it is counted.
    pub(crate) fn fault(&self, kind: &'static str, of_10_000: u64) -> bool {
        let happens =
            self.is_troubled() && of_10_000 > 0 && self.chance(|rng| rng.chance(of_10_000));
        if happens {
            self.count_fault(kind);
        }
        happens
    }

    pub(crate) fn count_fault(&self, kind: &'static str) {
        *self.told().faults.entry(kind).or_default() += 1;
        self.trace(&[b"fault", kind.as_bytes()]);
    }

    pub(crate) fn count_operation(&self, kind: &'static str) {
        *self.told().operations.entry(kind).or_default() += 1;
    }

    /// Counts what was seen beside operations.
    pub(crate) fn count_look(&self, kind: &'static str) {
        *self.told().looks.entry(kind).or_default() += 1;
    }

    /// Notes what happened, for two runs of a seed must tell the same story.
    pub(crate) fn trace(&self, what: &[&[u8]]) {
        let passed = self.passed().as_millis().to_le_bytes();
        let mut told = self.told();
        told.trace.update(&passed);
        for part in what {
            told.trace.update(&part.len().to_le_bytes()).update(part);
        }
    }

    /// Something that must never be was seen.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        let what = format!("{:.3} s: {}", self.passed().as_secs_f64(), what.into());
        self.told().violations.push(what);
    }

    /// Whether going on makes no sense.
    pub(crate) fn is_broken(&self) -> bool {
        !self.told().violations.is_empty()
    }

    /// A record is in a log: looks at it.
    pub(crate) fn appended(&self, key: LogKey, record: &Record) {
        let at_ms = self.passed_ms();
        let found = {
            let mut told = self.told();
            let Told { trace, walks, ledgers, hand_overs, .. } = &mut *told;
            trace.update(&record.bytes);
            let taken = walks.get_mut(&key).map(|walk| walk.take(record)).unwrap_or_default();
            if let Some(hand_over) = ledgers.entry(key).or_default().note(at_ms, taken.0.as_ref()) {
                *hand_overs.entry(hand_over.name()).or_default() += 1;
            }
            taken.1
        };
        for violation in found {
            self.violation(violation.to_string());
        }
    }

    /// What is known of a log's leaders.
    pub(crate) fn ledger<T>(&self, key: LogKey, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(self.told().ledgers.entry(key).or_default())
    }
}

/// One workspace of each partition: the one that is always there, and others.
fn workspaces() -> Vec<Arc<str>> {
    let names = std::iter::once("default".to_owned());
    let names: Vec<_> = names.chain((1..100).map(|number| format!("workspace-{number}"))).collect();
    (0..PARTITIONS)
        .filter_map(|partition| {
            names.iter().find(|name| partition_of(name, PARTITIONS) == partition)
        })
        .map(|name| Arc::from(name.as_str()))
        .collect()
}
