//! What a restoring that was broken off has left, for the next one to go on from.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use archive::{ArchiveProvider, CopiedLog, Manifest};
use event_log::{EventLog, EventLogProvider, LogName, OpenError, Record, Seq};
use runtime::{LogId, open_record, restored_in};

use super::{READ_BYTES, service_of};
use crate::exit::bad_configuration;
use crate::logs;

/// How far one log was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Records of the backup that are there.
    pub(super) records: Seq,
    /// The new identity, if the record that gives it is there as well.
    pub(super) log_id: Option<LogId>,
}

/// How far each log was written.
#[derive(Debug, Default)]
pub(super) struct Begun(BTreeMap<LogName, Written>);

impl Begun {
    /// Compares what is there with the backup. Anything that this very backup wouldn't have put there is somebody's
    /// log: then nothing is written at all.
    pub(super) async fn find(
        backup: &ArchiveProvider,
        target: &dyn EventLogProvider,
        manifest: &Manifest,
    ) -> Result<Self> {
        let mut begun = BTreeMap::new();
        for name in target.list().await.map_err(logs::explain_open)? {
            let log = match target.open(&name).await {
                Ok(log) => log,
                // Made, and nothing written to it yet.
                Err(OpenError::Missing { .. }) => continue,
                Err(error) => return Err(logs::explain_open(error)),
            };
            let copied = manifest.logs.iter().find(|copied| is_of(copied, &name));
            let written = match copied {
                Some(copied) => compare(backup, &*log, &name, copied, manifest).await?,
                None => None,
            };
            let written = written.ok_or_else(|| {
                bad_configuration(format!(
                    "there are logs already, and {name} is not of a restoring of this backup that broke off: restore to an empty place"
                ))
            })?;
            begun.insert(name, written);
        }
        Ok(Self(begun))
    }

    pub(super) fn of(&self, copied: &CopiedLog) -> Written {
        let written = self.0.iter().find(|(name, _)| is_of(copied, name));
        written.map(|(_, written)| *written).unwrap_or_default()
    }
}

fn is_of(copied: &CopiedLog, name: &LogName) -> bool {
    *copied.service == *name.service && copied.partition == name.partition
}

/// How far a log was written of the backup's; `None`: it has other records.
async fn compare(
    backup: &ArchiveProvider,
    log: &dyn EventLog,
    name: &LogName,
    copied: &CopiedLog,
    manifest: &Manifest,
) -> Result<Option<Written>> {
    let tail = log.tail().await?;
    if tail.first != 1 || tail.last > copied.last + 1 {
        return Ok(None);
    }
    let name = service_of(&name.service)?.log(name.partition);
    let from = backup.open(&name).await.map_err(logs::explain_open)?;
    let records = tail.last.min(copied.last);
    let mut next = 1;
    while next <= records {
        let wanted = from.read(next, READ_BYTES).await?;
        let there = log.read(next, READ_BYTES).await?;
        let both = wanted.iter().zip(&there).take_while(|(one, _)| one.seq <= records);
        let before = next;
        for (one, other) in both {
            if one != other {
                return Ok(None);
            }
            next = one.seq + 1;
        }
        if next == before {
            return Ok(None);
        }
    }
    if tail.last <= copied.last {
        return Ok(Some(Written { records, log_id: None }));
    }
    let last =
        log.read(tail.last, 1).await?.into_iter().next().context("its last record is gone")?;
    let log_id = identity(&last, manifest, copied)?;
    Ok(log_id.map(|log_id| Written { records, log_id: Some(log_id) }))
}

/// The identity that a record gives a log that was restored from this backup.
fn identity(last: &Record, manifest: &Manifest, copied: &CopiedLog) -> Result<Option<LogId>> {
    let commit = open_record(last)?;
    let of_this = restored_in(&commit).is_some_and(|restored| {
        restored.backup == manifest.name && restored.from_seq == copied.last
    });
    Ok(if of_this { commit.log_id.try_into().ok() } else { None })
}
