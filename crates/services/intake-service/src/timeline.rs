//! The read model behind `GetTimeline`: where the facts about each ticket stand in the four logs of its partition.
//!
//! It is kept in memory, fed by one follower for each log, and made anew from the logs after every start; it decides
//! nothing. The reading begins once the process is ready, or when the first timeline is asked for: a start has more
//! urgent things to do. It holds places (about 5 bytes a fact), never payloads: those are read from the logs on demand,
//! and handed out as they were stored.

mod index;
mod places;
mod follower;
mod order;
mod story;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_log::{EventLog, EventLogProvider, LogError, OpenError, Record, Seq};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use runtime::{PartitionHandle, ServiceId, WeakPartition, open_record};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::events::v1::Commit;

use crate::IntakeService;

use index::Index;
pub(crate) use places::Place;
pub(crate) use story::{Story, StoryError, Told};
pub(crate) use summary::summary;

/// The indexes of the partitions that this process has led or was asked about.
#[derive(Debug)]
pub(crate) struct Timelines {
    provider: Arc<dyn EventLogProvider>,
    /// Once true, the logs may be read before anybody asks.
    ready: watch::Receiver<bool>,
    partitions: Mutex<BTreeMap<u16, Arc<Partition>>>,
}

/// The index of one partition. Dropping it ends its followers.
#[derive(Debug)]
pub(crate) struct Partition {
    shared: Arc<Shared>,
    _followers: JoinSet<()>,
}

/// What a partition's followers and readers share.
#[derive(Debug)]
struct Shared {
    number: u16,
    /// Intake's own partition: what it has written it has in memory.
    own: WeakPartition<IntakeService>,
    provider: Arc<dyn EventLogProvider>,
    ready: watch::Receiver<bool>,
    /// Whether a timeline was asked for.
    wanted: watch::Sender<bool>,
    index: Mutex<Index>,
    logs: BTreeMap<ServiceId, Log>,
}

#[derive(Debug)]
struct Log {
    /// Set once the log was there to be opened.
    opened: Mutex<Option<Arc<dyn EventLog>>>,
    /// The last record indexed.
    indexed: watch::Sender<Seq>,
    /// The record that can't be trusted or read, for as long as it can't: what comes from there on isn't indexed.
    unreadable: watch::Sender<Option<Seq>>,
    /// Where the log begins for the index, if what lies before was trimmed away first.
    beginning: Mutex<Option<Beginning>>,
}

/// The first record that a follower has found of a log that has no earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beginning {
    first: Seq,
    /// Up to which records its service had read the other logs then, be it in part; `None`: it doesn't say.
    read: Option<BTreeMap<ServiceId, Seq>>,
}

/// What was read of a log's record.
enum Read {
    Record(Record),
    /// It was trimmed away, with all up to this one.
    Trimmed(Seq),
    /// The log ends before it.
    Beyond,
}

impl Timelines {
    pub(crate) fn new(provider: Arc<dyn EventLogProvider>, ready: watch::Receiver<bool>) -> Self {
        Self { provider, ready, partitions: Mutex::default() }
    }

    /// The partition's index. The first time, its followers are made; must be called on a tokio runtime.
    pub(crate) fn partition(&self, own: &PartitionHandle<IntakeService>) -> Arc<Partition> {
        let mut partitions = lock(&self.partitions);
        let partition =
            partitions.entry(own.id()).or_insert_with(|| Arc::new(Partition::start(own, self)));
        Arc::clone(partition)
    }
}

impl Partition {
    fn start(own: &PartitionHandle<IntakeService>, of: &Timelines) -> Self {
        let log = || Log {
            opened: Mutex::default(),
            indexed: watch::Sender::new(0),
            unreadable: watch::Sender::new(None),
            beginning: Mutex::default(),
        };
        let logs = ServiceId::ALL.into_iter().map(|service| (service, log())).collect();
        let shared = Arc::new(Shared {
            number: own.id(),
            own: own.downgrade(),
            provider: Arc::clone(&of.provider),
            ready: of.ready.clone(),
            wanted: watch::Sender::new(false),
            index: Mutex::default(),
            logs,
        });
        let mut followers = JoinSet::new();
        for service in ServiceId::ALL {
            followers.spawn(follower::run(Arc::clone(&shared), service));
        }
        Self { shared, _followers: followers }
    }

    /// Waits until everything is indexed that was in the logs when this was called, in intake's at least up to `own`. A
    /// log that isn't there, can't be reached or is damaged is not waited for.
    pub(crate) async fn catch_up(&self, own: Seq) {
        self.shared.wanted.send_replace(true);
        for (service, log) in &self.shared.logs {
            let last = match self.shared.open(*service).await {
                Ok(opened) => opened.tail().await.map_or(0, |tail| tail.last),
                Err(_) => 0,
            };
            let target = if *service == ServiceId::Intake { last.max(own) } else { last };
            let (mut indexed, mut unreadable) =
                (log.indexed.subscribe(), log.unreadable.subscribe());
            // The senders live as long as `self`.
            tokio::select! {
                _ = indexed.wait_for(|seq| *seq >= target) => {}
                _ = unreadable.wait_for(Option::is_some) => {}
            }
        }
    }

    /// The logs that are damaged, and from which record on nothing of them is in any story.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (ServiceId, Seq)> {
        self.shared
            .logs
            .iter()
            .filter_map(|(service, log)| Some((*service, (*log.unreadable.borrow())?)))
    }

    /// The facts about a ticket, oldest first.
    pub(crate) async fn story(&self, workspace: &str, ticket: &str) -> Result<Story, StoryError> {
        let places = lock(&self.shared.index).places(workspace, ticket);
        Story::read(Arc::clone(&self.shared), places).await
    }
}

impl Shared {
    /// Returns once the logs are to be read.
    async fn begin(&self) {
        let (mut ready, mut wanted) = (self.ready.clone(), self.wanted.subscribe());
        // Whoever would have said that it is ready and is gone keeps nothing waiting.
        tokio::select! {
            _ = ready.wait_for(|ready| *ready) => {}
            _ = wanted.wait_for(|wanted| *wanted) => {}
        }
    }

    fn log(&self, service: ServiceId) -> Option<&Log> {
        self.logs.get(&service)
    }

    /// The service's log of this partition, if it is there.
    async fn open(&self, service: ServiceId) -> Result<Arc<dyn EventLog>, OpenError> {
        if let Some(log) = self.log(service).and_then(|log| lock(&log.opened).clone()) {
            return Ok(log);
        }
        let opened = self.provider.open(&service.log(self.number)).await?;
        if let Some(log) = self.log(service) {
            *lock(&log.opened) = Some(Arc::clone(&opened));
        }
        Ok(opened)
    }

    /// The commits of a log from `from` on.
    fn commits(
        &self,
        service: ServiceId,
        log: &dyn EventLog,
        from: Seq,
    ) -> BoxStream<'static, Result<Arc<Commit>, LogError>> {
        if service == ServiceId::Intake {
            let own = self.own.upgrade().map(|own| own.follow(from));
            return stream::iter(own).flatten().map_ok(|(_, commit)| commit).boxed();
        }
        let opened = |record: Record| match open_record(&record) {
            Ok(commit) => Ok(Arc::new(commit)),
            Err(doubt) => Err(LogError::Corrupt { seq: record.seq, reason: doubt.to_string() }),
        };
        log.follow(from).map(move |record| record.and_then(opened)).boxed()
    }

    /// One record of a log.
    async fn record(&self, service: ServiceId, seq: Seq) -> Result<Read, StoryError> {
        let log = self.open(service).await?;
        match log.read(seq, 1).await {
            Ok(records) => {
                let found = records.into_iter().find(|record| record.seq == seq);
                Ok(found.map_or(Read::Beyond, Read::Record))
            }
            Err(LogError::Trimmed { first }) => Ok(Read::Trimmed(first.saturating_sub(1))),
            Err(error) => Err(error.into()),
        }
    }

    /// The parts of logs that were trimmed away and that may hold facts of a ticket: besides those that are known to
    /// have, `gone`, the ones that were never indexed. `firsts` are the ticket's first facts, in intake's log only if
    /// that is its opening: what a service has written of a ticket it wrote after it had read of it elsewhere.
    fn trimmed(
        &self,
        firsts: &BTreeMap<ServiceId, Seq>,
        gone: BTreeMap<ServiceId, Seq>,
    ) -> BTreeMap<ServiceId, Seq> {
        let mut trimmed = gone;
        // In the order of the services, each after those that it reads of a ticket's beginning in.
        for (service, log) in &self.logs {
            let Some(Beginning { first, read }) = lock(&log.beginning).clone() else { continue };
            let had_read_of_it = |(input, upto): (&ServiceId, &Seq)| {
                trimmed.contains_key(input) || firsts.get(input).is_some_and(|first| upto >= first)
            };
            let may_hold = match service {
                ServiceId::Intake => !firsts.contains_key(service),
                ServiceId::Routing | ServiceId::Sla | ServiceId::Notify => {
                    read.is_none_or(|read| read.iter().any(had_read_of_it))
                }
            };
            if may_hold {
                trimmed.insert(*service, first.saturating_sub(1));
            }
        }
        trimmed
    }
}

/// A poisoned lock holds an index that is at worst one record behind; it is no reason to fail every reader.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
