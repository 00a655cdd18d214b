//! What the operator's services ask of a service.

use std::fmt::Debug;
use std::sync::Arc;

use event_log::EventLog;
use prometheus_client::metrics::gauge::Gauge;
use runtime::metrics::Counted;
use runtime::{
    Failure, Health, LogId, Metrics, Node, PartitionHandle, Release, Released, Resting, ServiceId,
    TimeDoubt,
};
use tokio::sync::watch;
use tonic::{Status, async_trait};
use wire::admin::v1::{InvariantViolations, ParkedEntity, PartitionStatus};

use crate::convert::timestamp_to_wire;
use crate::error::{Refuse, status_of};
use crate::metrics::PartitionFigures;

/// How many entities with inputs set aside are shown of a partition.
const PARKED_MAX: usize = 1_000;

/// A service of this process, as the operator sees it.
#[async_trait]
pub trait AdminSource: Debug + Send + Sync {
    /// Which one.
    fn service(&self) -> ServiceId;

    /// Whether it rests, and where it stands.
    fn rest(&self) -> Result<Resting, Status>;

    /// Changes after it has done anything.
    fn turns(&self) -> watch::Receiver<u64>;

    /// Every partition's status; one that doesn't answer says why. The lag is left 0.
    async fn status(&self, with_state_hash: bool) -> Vec<PartitionStatus>;

    /// The entities with inputs set aside, of the partitions led here. One that has halted is passed over: its status
    /// says so.
    async fn parked(&self) -> Result<Vec<ParkedEntity>, Status>;

    /// Retries or drops inputs set aside.
    async fn release(&self, release: Release) -> Result<Released, Status>;

    /// A partition's log.
    fn partition_log(&self, partition: u16) -> Option<PartitionLog>;

    /// What speaks against the partitions' time, by partition. Asks no leader.
    fn time_doubts(&self) -> Vec<(u16, TimeDoubt)>;

    /// Every partition's figures. Asks no leader.
    fn figures(&self) -> Vec<PartitionFigures>;

    /// What the service counts of its own.
    fn counted(&self) -> Vec<Counted>;
}

/// A partition's log, for who reads it as it is stored.
#[derive(Debug, Clone)]
pub struct PartitionLog {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Its identity.
    pub log_id: LogId,
    /// The last record that this process has applied of it: tells that there is more to read.
    pub applied: watch::Receiver<u64>,
}

#[async_trait]
impl<S: Refuse> AdminSource for Node<S> {
    fn service(&self) -> ServiceId {
        S::ID
    }

    fn rest(&self) -> Result<Resting, Status> {
        self.resting().map_err(|failure| status_of::<S>(&failure))
    }

    fn turns(&self) -> watch::Receiver<u64> {
        Node::turns(self)
    }

    async fn status(&self, with_state_hash: bool) -> Vec<PartitionStatus> {
        let each = self.partitions().iter().map(|one| partition_status(one, with_state_hash));
        futures::future::join_all(each).await
    }

    async fn parked(&self) -> Result<Vec<ParkedEntity>, Status> {
        let mut all = Vec::new();
        for partition in self.partitions() {
            match partition.view(|view| view.parked_entities(PARKED_MAX)).await {
                Ok(some) => {
                    all.extend(
                        some.into_iter().map(|one| parked_entity(S::ID, partition.id(), one)),
                    );
                }
                Err(Failure::NotLeader { .. } | Failure::Halted(_)) => {}
                Err(failure) => return Err(status_of::<S>(&failure)),
            }
        }
        Ok(all)
    }

    async fn release(&self, release: Release) -> Result<Released, Status> {
        let partition = self.partition_of(&release.workspace);
        partition.release(release).await.map_err(|failure| status_of::<S>(&failure))
    }

    fn partition_log(&self, partition: u16) -> Option<PartitionLog> {
        let partition = self.partitions().get(usize::from(partition))?;
        let log = Arc::clone(partition.log());
        Some(PartitionLog {
            log,
            log_id: partition.head().log_id,
            applied: partition.watch_applied(),
        })
    }

    fn time_doubts(&self) -> Vec<(u16, TimeDoubt)> {
        let of = |one: &PartitionHandle<S>| {
            let partition = one.id();
            one.time_doubts().into_iter().map(move |doubt| (partition, doubt))
        };
        self.partitions().iter().flat_map(of).collect()
    }

    fn figures(&self) -> Vec<PartitionFigures> {
        let each = self.partitions().iter().map(|one| PartitionFigures {
            service: S::ID,
            partition: one.id(),
            health: one.health(),
            head: one.head(),
            epoch: one.epoch(),
            inputs: one.inputs(),
            unconfirmed: one.is_unconfirmed(),
            time_doubts: one.time_doubts(),
            snapshot: one.watch_snapshots().borrow().seq,
            metrics: one.metrics().clone(),
        });
        each.collect()
    }

    fn counted(&self) -> Vec<Counted> {
        self.partitions().first().map(|one| one.service().counted()).unwrap_or_default()
    }
}

fn parked_entity(
    service: ServiceId,
    partition: u16,
    parked: runtime::ParkedEntity,
) -> ParkedEntity {
    let (first_seq, first_index) = parked.first;
    ParkedEntity {
        service: service.to_wire().into(),
        partition: partition.into(),
        input: parked.input.to_wire().into(),
        workspace: parked.workspace,
        entity: parked.entity,
        error: parked.error,
        since: Some(timestamp_to_wire(parked.since)),
        first_seq,
        first_index,
        count: u64::try_from(parked.count).unwrap_or(u64::MAX),
    }
}

fn violations(metrics: &Metrics) -> Vec<InvariantViolations> {
    let violated = metrics.violated().into_iter().map(|(invariant, count)| InvariantViolations {
        invariant: invariant.number().to_owned(),
        count,
    });
    violated.collect()
}

fn sentences(doubts: &[TimeDoubt]) -> String {
    doubts.iter().map(TimeDoubt::to_string).collect::<Vec<_>>().join("; ")
}

fn seq(gauge: &Gauge) -> u64 {
    u64::try_from(gauge.get()).unwrap_or(0)
}

async fn partition_status<S: Refuse>(
    partition: &PartitionHandle<S>,
    with_state_hash: bool,
) -> PartitionStatus {
    let health = partition.health();
    let saved = partition.watch_snapshots().borrow().clone();
    let mut status = PartitionStatus {
        snapshot_seq: saved.seq,
        older_snapshot_seq: saved.older,
        snapshot_problem: saved.problem,
        position: Some(partition.head().to_wire()),
        epoch: partition.epoch(),
        leader: health.is_ready() || health == Health::LogFull,
        ready: health.is_ready(),
        reason: health.reason(),
        standby: matches!(health, Health::Standby { .. }),
        behind_records: partition.behind(),
        leader_address: partition.leader().unwrap_or_default(),
        inputs: partition.inputs().into_iter().map(runtime::Position::to_wire).collect(),
        violations: violations(partition.metrics()),
        checked_seq: seq(&partition.metrics().checked_seq),
        checked_since_seq: seq(&partition.metrics().checked_since),
        time_doubt: sentences(&partition.time_doubts()),
        ..PartitionStatus::default()
    };
    let head = partition.head();
    let looked = partition.glance(move |view| {
        let hash = with_state_hash.then(|| view.state_hash()).transpose();
        let counts = (view.events(), view.bytes(), view.parked(), view.requests());
        (view.head, hash, counts, view.request_horizon())
    });
    match looked.await {
        Ok((seq, hash, (events, bytes, parked, requests), horizon)) => {
            // The hash stands for this very record.
            status.position = Some(runtime::Position { seq, ..head }.to_wire());
            match hash {
                Ok(hash) => {
                    let hex = |hash| blake3::Hash::from(hash).to_hex().to_string();
                    status.state_hash = hash.map(hex).unwrap_or_default();
                }
                Err(error) => status.reason = error.to_string(),
            }
            status.events = events;
            status.bytes = bytes;
            status.parked = parked;
            status.requests = u64::try_from(requests).unwrap_or(u64::MAX);
            status.request_horizon = horizon.map(timestamp_to_wire);
        }
        Err(failure) => {
            status.ready = false;
            if status.reason.is_empty() {
                status_of::<S>(&failure).message().clone_into(&mut status.reason);
            }
        }
    }
    status
}
