//! `switchyard restore`: the logs of a backup, made anew under a new identity.

mod begun;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use archive::{Archive, ArchiveProvider, CopiedLog, Manifest};
use bytes::Bytes;
use event_log::{AppendError, EventLog, EventLogProvider, LogError, LogName, Seq};
use event_log_embedded::EmbeddedProvider;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use runtime::{ChainReader, LogId, ServiceId, open_record, read_first};
use serde::Serialize;

use begun::{Begun, Written};

use crate::cli::Restore;
use crate::exit::bad_configuration;
use crate::logs;
use crate::out::{self, Output};
use crate::source::Source;
use crate::verify::{self, Wanted};

/// How many logs are written at the same time.
const LOGS_MAX: usize = 16;
/// Bytes a read, about.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// How often an append is tried while the log can't be reached.
const ATTEMPTS_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// What was made of one log.
#[derive(Debug, Serialize)]
struct Restored {
    service: String,
    partition: u16,
    /// The last record of the backup. The one after it is of the new identity.
    last: Seq,
    /// The state's hash there, as in the backup.
    state_hash: String,
    generation: u32,
    /// The identity from before, in hex ...
    old_log_id: String,
    /// ... and the new one.
    log_id: String,
}

/// Verifies the backup, writes the logs, and verifies them.
pub(crate) async fn run(settings: Restore) -> Result<()> {
    if ![1, 3, 5].contains(&settings.replicas) {
        return Err(bad_configuration("--replicas must be 1, 3 or 5"));
    }
    let archive = logs::archive(&settings.from)?;
    let manifest = Manifest::read(&archive).context("the backup can't be used")?;
    let backup = verify::source_of(archive.clone());
    check_all(&backup, &manifest).await.context("the backup can't be used")?;
    let restored = match (&settings.target.data_dir, &settings.target.log) {
        (Some(data_dir), _) => into_directory(&archive, &manifest, data_dir).await?,
        (None, Some(urls)) => {
            let provider = logs::nats(urls, &settings.nats, settings.replicas).await?;
            into(&archive, &manifest, Arc::new(provider)).await?
        }
        (None, None) => return Err(bad_configuration("--data-dir or --log must be given")),
    };
    print(settings.output, &restored)
}

/// A directory appears as a whole, so that no service can start on half of it.
async fn into_directory(
    archive: &Archive,
    manifest: &Manifest,
    data_dir: &Path,
) -> Result<Vec<Restored>> {
    let (place, aside) = (data_dir.join("log"), data_dir.join("log.restoring"));
    if place.exists() {
        let why = format!("{} has a log: restore to another directory", data_dir.display());
        return Err(bad_configuration(why));
    }
    if aside.exists() {
        fs::remove_dir_all(&aside).with_context(|| format!("removing {}", aside.display()))?;
    }
    let opened = aside.clone();
    let provider = tokio::task::spawn_blocking(move || EmbeddedProvider::open(opened)).await?;
    let provider = provider.map_err(logs::explain_open)?;
    let restored = into(archive, manifest, Arc::new(provider.clone())).await;
    provider.close().await;
    let restored = restored?;
    fs::rename(&aside, &place).with_context(|| format!("naming {}", place.display()))?;
    File::open(data_dir).and_then(|folder| folder.sync_all()).context("syncing the directory")?;
    Ok(restored)
}

/// Writes every log, and reads it back.
async fn into(
    archive: &Archive,
    manifest: &Manifest,
    target: Arc<dyn EventLogProvider>,
) -> Result<Vec<Restored>> {
    let backup = ArchiveProvider::new(archive.clone());
    let begun = Begun::find(&backup, &*target, manifest).await?;
    let written = manifest.logs.iter().map(|log| {
        let (backup, target, begun) = (&backup, &target, &begun);
        async move {
            let made = write(backup, &**target, manifest, log, begun.of(log)).await;
            made.with_context(|| format!("{}/{:02}", log.service, log.partition))
        }
    });
    let restored = stream::iter(written).buffered(LOGS_MAX).try_collect::<Vec<_>>().await;
    let restored = restored.context("it broke off: restore again, before any service starts")?;
    let source = Source::Stored(target);
    check_all(&source, manifest).await.context("what was written is not what was read")?;
    for log in &restored {
        let service = service_of(&log.service)?;
        let last = source.read(service, log.partition, log.last + 1).await?;
        let [last] = last.as_slice() else { return Err(anyhow!("{} has an odd end", log.service)) };
        ensure!(hex::encode(open_record(last)?.log_id) == log.log_id, "the identity is not there");
    }
    Ok(restored)
}

/// Folds all logs, which checks every record, and compares the states with the manifest's.
async fn check_all(source: &Source, manifest: &Manifest) -> Result<()> {
    for log in &manifest.logs {
        let service = service_of(&log.service)?;
        let state = verify::state_in(manifest, service, log.partition)?;
        let wanted = Wanted { states: vec![state], ..Wanted::default() };
        let (finding, _) = verify::fold(source, service, log.partition, wanted).await?;
        let name = service.log(log.partition);
        ensure!(finding.problem.is_empty(), "{name}: {}", finding.problem);
        ensure!(finding.records >= log.last, "{name}: it ends too early");
    }
    Ok(())
}

/// Writes the records of one log as they were, and then the one that gives it its new identity. What was written before
/// is passed over: it was compared.
async fn write(
    backup: &ArchiveProvider,
    target: &dyn EventLogProvider,
    manifest: &Manifest,
    copied: &CopiedLog,
    begun: Written,
) -> Result<Restored> {
    let service = service_of(&copied.service)?;
    let name: LogName = service.log(copied.partition);
    let from = backup.open(&name).await.map_err(logs::explain_open)?;
    let first = from.read(1, 1).await?.into_iter().next().context("it has no first record")?;
    let (born, _) = read_first(&first, service, copied.partition)?;
    let log = target.create(&name, first.bytes.clone()).await.map_err(logs::explain_open)?;
    ensure!(log.read(1, 1).await?.first() == Some(&first), "somebody else has made it");
    let (mut reader, mut time_ns) = (ChainReader::at_start(born), 0);
    while reader.seq < copied.last {
        for record in from.read(reader.seq + 1, READ_BYTES).await? {
            time_ns = reader.take(&record)?.time_ns;
            if record.seq > begun.records.max(1) {
                append(&*log, record.seq - 1, record.bytes).await?;
            }
        }
    }
    let generation = copied.generation + 1;
    let log_id = if let Some(log_id) = begun.log_id {
        log_id
    } else {
        let log_id: LogId = *uuid::Uuid::new_v4().as_bytes();
        let now = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
        let now = now.max(time_ns + 1);
        append(&*log, reader.seq, reader.restored(log_id, generation, &manifest.name, now)).await?;
        log_id
    };
    Ok(Restored {
        service: copied.service.clone(),
        partition: copied.partition,
        last: reader.seq,
        state_hash: copied.state_hash.clone(),
        generation,
        old_log_id: hex::encode(reader.log_id),
        log_id: hex::encode(log_id),
    })
}

/// Appends, and resolves what is unknown by reading. Anybody else's record in this place ends it.
async fn append(log: &dyn EventLog, fence: Seq, bytes: Bytes) -> Result<()> {
    let mut attempts = 0;
    loop {
        let error = match log.append(fence, bytes.clone()).await {
            Ok(_) => return Ok(()),
            Err(error @ (AppendError::Full | AppendError::TooLarge { .. })) => {
                return Err(error.into());
            }
            Err(
                error @ (AppendError::Fenced { .. }
                | AppendError::Unknown(_)
                | AppendError::Unavailable(_)),
            ) => error,
        };
        match log.read(fence + 1, 1).await {
            Ok(records) => match records.first() {
                Some(record) if record.bytes == bytes => return Ok(()),
                Some(_) => return Err(anyhow!("somebody else writes to it")),
                None => {}
            },
            Err(LogError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        attempts += 1;
        if attempts == ATTEMPTS_MAX {
            return Err(error.into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn service_of(name: &str) -> Result<ServiceId> {
    ServiceId::from_name(name).with_context(|| format!("there is no service {name:?}"))
}

fn print(output: Output, restored: &[Restored]) -> Result<()> {
    if output == Output::Json {
        return out::line(&serde_json::to_string_pretty(restored)?);
    }
    let columns = ["service", "partition", "records", "generation", "log", "state hash"];
    let mut table = out::table(columns);
    for log in restored {
        table.add_row([
            log.service.clone(),
            log.partition.to_string(),
            log.last.to_string(),
            log.generation.to_string(),
            log.log_id.clone(),
            log.state_hash.chars().take(16).collect(),
        ]);
    }
    out::line(&table.to_string())
}
