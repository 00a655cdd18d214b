//! What logs say of themselves, and opening all those of a service: one that can't be trusted keeps none of the others
//! from being led.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_log::{EventLog, EventLogProvider, LogError, OpenError, Record};

use super::StartError;
use crate::commit::{Doubt, identity_of, open_record, read_first, supersedes_in};
use crate::partition::MissingLog;
use crate::{LogId, ServiceId};

/// The most partitions that a service may have.
pub const PARTITIONS_MAX: u16 = 100;

/// What a log says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who it is now: the identity of its last record.
    pub log_id: LogId,
    /// Who it was at the first record that it still has.
    pub born: LogId,
    /// Whether it begins in the place of a log that was lost and given up.
    pub supersedes: bool,
    /// How many partitions its service has.
    pub partitions: u16,
}

impl Identity {
    /// That of a log that can't say: zeros, which no log has.
    const NONE: Self = Self { log_id: [0; 16], born: [0; 16], supersedes: false, partitions: 0 };
}

/// What the first record that a log still has says: the log's identity there, and its number of partitions.
pub async fn first_record(
    log: &dyn EventLog,
    service: ServiceId,
    partition: u16,
) -> Result<(LogId, u16), StartError> {
    let first = first_of(log).await?;
    Ok(read_first(&first, service, partition)?)
}

async fn first_of(log: &dyn EventLog) -> Result<Record, StartError> {
    let tail = log.tail().await?;
    if tail.last < tail.first {
        let reason = format!("it holds no record, and its next one is {}: purged", tail.first);
        return Err(Doubt::Genesis { reason }.into());
    }
    let first = log.read(tail.first, 1).await?.into_iter().next();
    first.ok_or_else(|| Doubt::Genesis { reason: "the log is empty".into() }.into())
}

/// Reads what a log says of itself, from the first record that it has and the last.
pub async fn identify(
    log: &dyn EventLog,
    service: ServiceId,
    partition: u16,
) -> Result<Identity, StartError> {
    let first = first_of(log).await?;
    let (born, partitions) = read_first(&first, service, partition)?;
    let supersedes = supersedes_in(&open_record(&first)?).is_some();
    let tail = log.tail().await?;
    // A last record that can't be read is met again by whoever folds the log, and stops that partition alone.
    let last = match log.read(tail.last, 1).await {
        Ok(records) => records.into_iter().next(),
        Err(error @ LogError::Unavailable(_)) => return Err(error.into()),
        Err(_) => None,
    };
    let log_id = last.as_ref().and_then(identity_of).unwrap_or(born);
    Ok(Identity { log_id, born, supersedes, partitions })
}

/// A partition's log as it was found.
pub(super) struct Opened {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) identity: Identity,
    /// Why it can't be trusted.
    pub(super) trouble: Option<String>,
}

impl Opened {
    fn broken(log: Arc<dyn EventLog>, trouble: String) -> Self {
        Self { log, identity: Identity::NONE, trouble: Some(trouble) }
    }
}

/// Opens all logs of a service. What is wrong with one is told with it, and is no reason to leave the others alone;
/// what concerns all of them is an error.
pub(super) async fn open_all(
    provider: &dyn EventLogProvider,
    service: ServiceId,
) -> Result<Vec<Opened>, StartError> {
    let mut all = Vec::new();
    // Logs that are there: one of them may tell how many there must be. Until one does, all that there could be are
    // asked for.
    let mut there = 0;
    let mut refused = None;
    for partition in 0..PARTITIONS_MAX {
        let told = all.iter().map(|one: &Opened| one.identity.partitions).max();
        if told.is_some_and(|told| told > 0 && partition >= told) {
            break;
        }
        let missing = |error: &OpenError| Opened::broken(Arc::new(MissingLog), error.to_string());
        let opened = match provider.open(&service.log(partition)).await {
            Ok(log) => look_at(log, service, partition).await?,
            Err(error @ OpenError::Missing { .. }) => {
                all.push(missing(&error));
                continue;
            }
            Err(error @ OpenError::Misconfigured { .. }) => {
                let opened = missing(&error);
                refused.get_or_insert(error);
                opened
            }
            Err(error) => return Err(error.into()),
        };
        all.push(opened);
        there = all.len();
    }
    if there == 0 {
        return Err(StartError::NotInitialised { service });
    }
    let partitions = match (agreed(service, &all)?, refused) {
        // None can be used, and one reason is given for all.
        (None, Some(error)) if all.iter().all(|one| one.identity == Identity::NONE) => {
            return Err(error.into());
        }
        // None tells, so none is led: as many are shown as there are.
        (None, _) => u16::try_from(there).unwrap_or(PARTITIONS_MAX),
        (Some(partitions), _) => partitions,
    };
    all.truncate(usize::from(partitions));
    for one in &mut all {
        let its = one.identity.partitions;
        if its != partitions && one.trouble.is_none() {
            let trouble =
                format!("it says that there are {its} partitions, the others {partitions}");
            one.trouble = Some(trouble);
        }
        one.identity.partitions = partitions;
    }
    Ok(all)
}

/// The number of partitions that the logs tell: which workspace is where depends on it, so more than half must agree.
/// None tells one: none.
fn agreed(service: ServiceId, all: &[Opened]) -> Result<Option<u16>, StartError> {
    let mut votes: BTreeMap<u16, usize> = BTreeMap::new();
    for told in all.iter().map(|one| one.identity.partitions).filter(|told| *told > 0) {
        *votes.entry(told).or_default() += 1;
    }
    let Some((told, count)) = votes.iter().max_by_key(|(_, count)| **count) else {
        return Ok(None);
    };
    if count * 2 > votes.values().sum() {
        return Ok(Some(*told));
    }
    let reason = format!("the logs of {service} don't agree on how many partitions there are");
    Err(Doubt::Genesis { reason }.into())
}

/// Looks at a log that could be opened.
async fn look_at(
    log: Arc<dyn EventLog>,
    service: ServiceId,
    partition: u16,
) -> Result<Opened, StartError> {
    match identify(&*log, service, partition).await {
        Ok(identity) => Ok(Opened { log, identity, trouble: None }),
        Err(
            error @ (StartError::Read(LogError::Unavailable(_))
            | StartError::NotInitialised { .. }
            | StartError::Open(_)),
        ) => Err(error),
        Err(StartError::Read(error)) => Ok(Opened::broken(log, error.to_string())),
        Err(StartError::Doubt(doubt)) => Ok(Opened::broken(log, doubt.to_string())),
    }
}
