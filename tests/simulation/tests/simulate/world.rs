//! What all of a seed's actors share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::Record;
use event_log::memory::MemoryProvider;
use invariants::LogWalk;
use kernel::Timestamp;
use runtime::ServiceId;
use tokio::time::Instant;

use crate::call::Op;
use crate::cluster::Slots;
use crate::courier::Arrival;
use crate::disk::Disk;
use crate::rng::Rng;
use crate::swarm::Swarm;

/// When a seed's time begins.
const BEGIN: Timestamp = Timestamp::from_millis(1_750_000_000_000);
/// How long there is work, and faults with it but for the first and last seconds.
pub(crate) const WORK: Duration = Duration::from_secs(100);
/// When the last fault is over.
pub(crate) const HEALED: Duration = Duration::from_secs(90);
/// The least that a seed lasts.
pub(crate) const WHOLE: Duration = Duration::from_secs(120);
/// How long it may take to come to rest after that.
pub(crate) const REST_WITHIN: Duration = Duration::from_secs(240);

/// One seed's world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) logs: MemoryProvider,
    pub(crate) disk: Disk,
    pub(crate) slots: Slots,
    began: Instant,
    healed: AtomicBool,
    chance: Mutex<Rng>,
    told: Mutex<Told>,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) history: Vec<Op>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) operations: BTreeMap<&'static str, u64>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) walks: BTreeMap<ServiceId, LogWalk>,
    /// When each record was appended, in milliseconds of true time; the first is record 1.
    pub(crate) appended: BTreeMap<ServiceId, Vec<u64>>,
    pub(crate) trace: blake3::Hasher,
    /// How many nodes of each service were started.
    pub(crate) starts: BTreeMap<ServiceId, u64>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let swarm = Swarm::draw(&mut rng);
        Arc::new(Self {
            seed,
            swarm,
            logs: MemoryProvider::new(),
            disk: Disk::default(),
            slots: Slots::default(),
            began: Instant::now(),
            healed: AtomicBool::new(false),
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

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        BEGIN.plus_millis(u64::try_from(self.passed().as_millis()).unwrap_or(u64::MAX))
    }

    /// No fault happens from here on.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Whether there is still work to be made.
    pub(crate) fn works(&self) -> bool {
        self.passed() < WORK && !self.is_broken()
    }

    /// Whether a fault of this rate happens now; it is counted.
    pub(crate) fn fault(&self, kind: &'static str, of_10_000: u64) -> bool {
        let happens = !self.is_healed()
            && of_10_000 > 0
            && self.passed() > Duration::from_secs(3)
            && self.chance(|rng| rng.chance(of_10_000));
        if happens {
            self.count_fault(kind);
        }
        happens
    }

    pub(crate) fn count_fault(&self, kind: &'static str) {
        *self.told().faults.entry(kind).or_default() += 1;
        self.trace(&[b"fault", kind.as_bytes()]);
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
    pub(crate) fn appended(&self, service: ServiceId, record: &Record) {
        let at_ms = u64::try_from(self.passed().as_millis()).unwrap_or(u64::MAX);
        let found = {
            let mut told = self.told();
            told.appended.entry(service).or_default().push(at_ms);
            told.trace.update(&record.bytes);
            told.walks.get_mut(&service).map(|walk| walk.take(record).1).unwrap_or_default()
        };
        for violation in found {
            self.violation(violation.to_string());
        }
    }
}
