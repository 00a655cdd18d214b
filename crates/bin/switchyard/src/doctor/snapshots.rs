//! What the snapshots of a data directory show: whether any was set aside, and whether the logs are those that they
//! were taken of.

use std::path::Path;

use anyhow::{Context as _, Result};
use event_log::{EventLog, EventLogProvider};
use runtime::{ChainReader, LogId, ServiceId, identify};
use snapshots::{SledSnapshots, Snapshot, SnapshotKey, SnapshotStore as _};

use super::{Page, advice};
use crate::logs;

/// Looks at the snapshots beside a log.
pub(super) async fn look(data_dir: &Path, log: Option<&dyn EventLogProvider>, page: &mut Page) {
    let place = data_dir.join("snapshots");
    let entries = match std::fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            page.ok(place.display(), "snapshots", "there are none; the log has everything");
            return;
        }
        Err(error) => {
            page.wrong(place.display(), "snapshots", error, advice::SNAPSHOTS);
            return;
        }
    };
    let is_aside = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("quarantine-");
    match entries.flatten().filter(|entry| is_aside(&entry.file_name())).count() {
        0 => page.ok(place.display(), "snapshots", "nothing was set aside"),
        count => {
            let finding = format!("{count} times the store failed and was set aside");
            page.wrong(place.display(), "snapshots", finding, advice::SNAPSHOTS);
        }
    }
    // Only who has the log may open what lies beside it: a running node has both.
    let Some(log) = log else { return };
    if let Err(error) = compare(&place, log, page).await {
        page.unknown(place.display(), "snapshots", format!("{error:#}"), advice::SNAPSHOTS);
    }
}

/// Compares each partition's newest snapshot with its log.
async fn compare(place: &Path, provider: &dyn EventLogProvider, page: &mut Page) -> Result<()> {
    let of = place.to_owned();
    let store = tokio::task::spawn_blocking(move || SledSnapshots::open(of)).await??;
    for service in ServiceId::ALL {
        for partition in 0..logs::EMBEDDED_PARTITIONS {
            let key = SnapshotKey::new(service.name(), partition);
            let Some(snapshot) = store.before(&key, u64::MAX).await else { continue };
            let subject = format!("{service}/{partition}");
            match fault(provider, service, partition, &snapshot).await {
                Ok(None) => page.ok(subject, "snapshot", "the log is the one that it was taken of"),
                Ok(Some(found)) => page.wrong(subject, "snapshot", found, advice::LOST),
                Err(error) => {
                    page.unknown(subject, "snapshot", format!("{error:#}"), advice::LOST);
                }
            }
        }
    }
    store.close().await?;
    Ok(())
}

/// Why a log isn't the one that a snapshot was taken of.
async fn fault(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
    snapshot: &Snapshot,
) -> Result<Option<String>> {
    let log = provider.open(&service.log(partition)).await?;
    let id = identify(&*log, service, partition).await?.log_id;
    let (seq, known) = (snapshot.seq, hex::encode(snapshot.log_id));
    if id != snapshot.log_id {
        let is = hex::encode(id);
        return Ok(Some(format!(
            "a snapshot knows record {seq} of log {known}, and it is log {is}"
        )));
    }
    let tail = log.tail().await?;
    if tail.last < seq {
        let last = tail.last;
        return Ok(Some(format!("a snapshot knows record {seq}, and it ends at record {last}")));
    }
    let there = holds(&*log, id, snapshot, tail.first).await?;
    Ok((!there).then(|| format!("a snapshot knows another record {seq}")))
}

async fn holds(log: &dyn EventLog, id: LogId, snapshot: &Snapshot, first: u64) -> Result<bool> {
    if snapshot.seq < first {
        return Ok(true);
    }
    let records = log.read(snapshot.seq, 1).await?;
    let record = records.first().context("the record isn't there")?;
    let place = ChainReader::after(id, record)?;
    Ok(place.chain().as_slice() == snapshot.chain)
}
