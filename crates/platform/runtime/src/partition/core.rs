//! What a partition's leader, its standby and its callers share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event_log::{EventLog, Seq};
use tokio::sync::watch;
use wire::events::v1::Commit;

use super::Rest;
use super::queue::{Inlet, Outlet, queue};
use super::time::PartitionTime;
use crate::commit::ChainReader;
use crate::health::Health;
use crate::meta::{Handled, Meta};
use crate::metrics::Metrics;
use crate::node::Identity;
use crate::service::Service;
use crate::snapshotting::SnapshotStatus;
use crate::{Clock, LogId, Position, ServiceId};

/// How many recent commits a partition keeps for those who follow it.
const RECENT_MAX: usize = 1024;
/// How many bytes these had in the log at most.
const RECENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the leader and its callers share.
pub(crate) struct Core<S: Service> {
    pub(crate) partition: u16,
    pub(crate) identity: Identity,
    pub(crate) service: Arc<S>,
    pub(crate) clock: Clock,
    pub(crate) time: PartitionTime,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) inbox: Inlet<S>,
    pub(crate) health: watch::Sender<Health>,
    /// The last record applied.
    pub(crate) applied: watch::Sender<Seq>,
    /// The last record of each input applied in memory.
    pub(crate) inputs: watch::Sender<BTreeMap<ServiceId, Position>>,
    /// Who each input's log is at its end: what positions in it are named by.
    pub(crate) input_ids: watch::Sender<BTreeMap<ServiceId, LogId>>,
    /// The inputs whose logs took the place of lost ones.
    pub(crate) anew: watch::Sender<BTreeSet<ServiceId>>,
    pub(crate) epoch: AtomicU64,
    /// Events and bytes up to the last record applied.
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// A record that this instance knows of a log that the partition's log is not, or no longer: what the others are to
    /// hear.
    pub(crate) evidence: watch::Sender<Option<(LogId, Seq)>>,
    /// How far the partition is saved.
    pub(crate) saved: watch::Sender<SnapshotStatus>,
    /// The head of another instance that leads, as it last said.
    pub(crate) known_head: AtomicU64,
    /// True: something is due, and the inputs' heads couldn't be had for 30 s.
    pub(crate) unconfirmed: AtomicBool,
    /// What the leader still has to do.
    pub(crate) rest: watch::Sender<Rest>,
    /// Counts the leaders' turns of all partitions of the node: changes after anything was done.
    pub(crate) turns: watch::Sender<u64>,
    pub(crate) metrics: Metrics,
    recent: Mutex<Recent>,
    /// The leader's place in its log; none before it leads.
    place: Mutex<Option<ChainReader>>,
}

impl<S: Service> Core<S> {
    pub(crate) fn new(
        partition: u16,
        identity: Identity,
        service: Arc<S>,
        clock: Clock,
        log: Arc<dyn EventLog>,
        turns: watch::Sender<u64>,
    ) -> (Arc<Self>, Outlet<S>) {
        let (inbox, work) = queue();
        let core = Self {
            partition,
            identity,
            service,
            time: PartitionTime::new(S::ID, partition, clock.clone()),
            clock,
            log,
            inbox,
            health: watch::Sender::new(Health::Starting),
            applied: watch::Sender::new(0),
            inputs: watch::Sender::new(BTreeMap::new()),
            input_ids: watch::Sender::new(BTreeMap::new()),
            anew: watch::Sender::new(BTreeSet::new()),
            epoch: AtomicU64::new(0),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            evidence: watch::Sender::new(None),
            saved: watch::Sender::new(SnapshotStatus::default()),
            known_head: AtomicU64::new(0),
            unconfirmed: AtomicBool::new(false),
            rest: watch::Sender::new(Rest::default()),
            turns,
            metrics: Metrics::default(),
            recent: Mutex::default(),
            place: Mutex::new(None),
        };
        (Arc::new(core), work)
    }

    pub(crate) fn position(&self, seq: Seq) -> Position {
        Position { service: S::ID, partition: self.partition, log_id: self.identity.log_id, seq }
    }

    /// Says how far the log is applied.
    pub(crate) fn reached(&self, place: &ChainReader, meta: &Meta) {
        self.metrics.remembers(meta);
        self.advance(place, meta.events, meta.bytes);
    }

    /// Says that the log has so many events and bytes up to this place.
    pub(crate) fn advance(&self, place: &ChainReader, events: u64, bytes: u64) {
        self.events.store(events, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.set_place(place);
        self.applied.send_replace(place.seq);
    }

    /// The leader's place in its log: what its watchdog compares the log with.
    pub(crate) fn place(&self) -> Option<ChainReader> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_place(&self, reader: &ChainReader) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader.clone());
    }

    /// Keeps a commit, of so many bytes in the log, for those who follow.
    pub(crate) fn remember(&self, commit: Arc<Commit>, bytes: usize) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).push(commit, bytes);
    }

    /// Says how far the inputs are handled, by what the log has.
    pub(crate) fn publish_consumed(&self, meta: &Meta) {
        self.inputs.send_if_modified(|inputs| {
            let mut changed = false;
            for service in S::INPUTS {
                let Some(handled) = meta.consumed(*service) else { continue };
                let Handled { log_id, seq, .. } = handled;
                let position =
                    Position { service: *service, partition: self.partition, log_id, seq };
                let known = inputs.get(service);
                // One who led has seen more in memory than it wrote; what was seen is not unseen.
                if known.is_none_or(|known| known.log_id != log_id || known.seq < seq) {
                    inputs.insert(*service, position);
                    changed = true;
                }
            }
            changed
        });
    }

    /// Recent commits from `from` on, about `max_bytes` of them and at least one, and how many bytes they have in the
    /// log; none if the ring doesn't reach back so far.
    pub(super) fn recent(&self, from: Seq, max_bytes: usize) -> (Vec<Arc<Commit>>, usize) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).from(from, max_bytes)
    }
}

/// The last commits, without a gap, and their bytes in the log.
#[derive(Default)]
struct Recent {
    commits: VecDeque<(Arc<Commit>, usize)>,
    bytes: usize,
}

impl Recent {
    /// A commit that doesn't follow the last one begins anew.
    fn push(&mut self, commit: Arc<Commit>, bytes: usize) {
        if self.commits.back().is_some_and(|(last, _)| last.seq + 1 != commit.seq) {
            *self = Self::default();
        }
        self.bytes += bytes;
        self.commits.push_back((commit, bytes));
        while self.commits.len() > RECENT_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some((_, bytes)) = self.commits.pop_front() else { break };
            self.bytes -= bytes;
        }
    }

    fn from(&self, from: Seq, max_bytes: usize) -> (Vec<Arc<Commit>>, usize) {
        let missed = self.commits.front().and_then(|(first, _)| from.checked_sub(first.seq));
        let Some(Ok(earlier)) = missed.map(usize::try_from) else { return (Vec::new(), 0) };
        let (mut commits, mut bytes) = (Vec::new(), 0);
        for (commit, size) in self.commits.iter().skip(earlier) {
            commits.push(Arc::clone(commit));
            bytes += size;
            if bytes >= max_bytes {
                break;
            }
        }
        (commits, bytes)
    }
}
