//! The verdict: what clients were told, what the receiver got and what the watches said, against the logs.

mod across;
mod calls;
mod folds;

use std::collections::BTreeMap;
use std::sync::Arc;

use event_log::{EventLogProvider, Record};
use intake_service::IntakeService;
use invariants::{LogWalk, NotifyWalk, ServiceWalk};
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::{ServiceId, open_record};
use sla_service::SlaService;
use wire::events::v1::Commit;

use crate::agents::Watched;
use crate::run::log_id;
use crate::world::{LogKey, PARTITIONS, World, log_keys};

/// The logs as they stand in the end.
struct Logs {
    walks: BTreeMap<LogKey, LogWalk>,
    commits: BTreeMap<LogKey, Vec<Commit>>,
}

impl Logs {
    fn commits(&self, key: LogKey) -> &[Commit] {
        self.commits.get(&key).map_or(&[], Vec::as_slice)
    }

    fn walk(&self, key: LogKey) -> Option<&LogWalk> {
        self.walks.get(&key)
    }

    fn notify(&self, partition: u16) -> Option<&NotifyWalk> {
        match self.walk((ServiceId::Notify, partition))?.events() {
            ServiceWalk::Notify(walk) => Some(walk),
            ServiceWalk::Intake(_) | ServiceWalk::Routing(_) | ServiceWalk::Sla(_) => None,
        }
    }
}

pub(crate) async fn end(world: &Arc<World>, watched: &Watched) -> anyhow::Result<()> {
    let mut logs = Logs { walks: BTreeMap::new(), commits: BTreeMap::new() };
    for key in log_keys() {
        let mut walk = LogWalk::new(key.0, log_id(world.seed, key));
        let mut commits = Vec::new();
        for record in records(world, key).await? {
            let (_, found) = walk.take(&record);
            for one in found {
                world.violation(one.to_string());
            }
            commits.push(open_record(&record)?);
        }
        for one in walk.at_rest() {
            world.violation(one.to_string());
        }
        logs.walks.insert(key, walk);
        logs.commits.insert(key, commits);
    }
    calls::history(world, &logs);
    for partition in 0..PARTITIONS {
        across::nothing_is_lost(world, &logs, partition);
        across::breaches(world, &logs, partition);
        across::deliveries(world, &logs, partition);
    }
    across::nothing_unasked(world, &logs);
    across::watches(world, &logs, watched);
    folds::replay::<IntakeService>(world).await?;
    folds::replay::<RoutingService>(world).await?;
    folds::replay::<SlaService>(world).await?;
    folds::replay::<NotifyService>(world).await?;
    folds::no_replay_storm(world, &logs).await;
    Ok(())
}

async fn records(world: &World, (service, partition): LogKey) -> anyhow::Result<Vec<Record>> {
    let log = world.logs.open(&service.log(partition)).await?;
    Ok(log.read(1, usize::MAX).await?)
}
