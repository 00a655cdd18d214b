//! Copying logs to files; and `switchyard log archive`.

use anyhow::{Context, Result, ensure};
use archive::{Archive, ArchivedLog};
use event_log::{LogError, Seq};
use runtime::ServiceId;
use serde::Serialize;
use wire::events::v1::Commit;

use crate::cli::LogArchive;
use crate::out::{self, Output};
use crate::source::Source;

/// What was archived of one log.
#[derive(Debug, Serialize)]
struct Row {
    service: &'static str,
    partition: u16,
    /// Records that were copied now.
    copied: u64,
    /// The archive's last record of this log.
    last: Seq,
    /// Files that the archive has of this log.
    segments: usize,
}

/// Archives every log of the source.
pub(crate) async fn run(settings: LogArchive) -> Result<()> {
    let source = Source::open(&settings.source, &settings.nats, false).await?;
    let archive = Archive::create(&settings.to)?;
    let mut all = Vec::new();
    for (service, partition) in source.partitions().await? {
        let mut archived = archive.log(&service.log(partition))?;
        let before = archived.last();
        let copied = go_on(&source, service, partition, &mut archived).await;
        copied.with_context(|| format!("archiving {service}/{partition:02}"))?;
        let (last, segments) = (archived.last(), archived.segments());
        let service = service.name();
        all.push(Row { service, partition, copied: last - before, last, segments });
    }
    ensure!(!all.is_empty(), "there are no logs to archive");
    print(settings.output, &all)?;
    let missing = source.missing().await?;
    let names = missing.iter().map(|(service, partition)| service.log(*partition).to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    ensure!(missing.is_empty(), "these logs are not there: {names}");
    Ok(())
}

/// Takes in what the log has beyond the archive, which must be the log's own past.
async fn go_on(
    source: &Source,
    service: ServiceId,
    partition: u16,
    archived: &mut ArchivedLog,
) -> Result<()> {
    let (end, last) = (archived.last(), source.last(service, partition).await?);
    ensure!(
        end <= last,
        "the archive goes to record {end}, the log ends at {last}: the log went backwards, or was restored to before that. Archive it to another directory"
    );
    if end > 0 {
        same_record(source, service, partition, archived).await?;
    }
    copy(source, service, partition, archived, last, |_| {}).await
}

/// The last archived record must be the log's, unless the log has trimmed it; then the chain of the next one tells.
async fn same_record(
    source: &Source,
    service: ServiceId,
    partition: u16,
    archived: &ArchivedLog,
) -> Result<()> {
    let end = archived.last();
    let stored = match source.read(service, partition, end).await {
        Ok(records) => records.into_iter().next(),
        Err(error) if is_trimmed(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let known = archived.read(end)?.into_iter().find(|record| record.seq == end);
    ensure!(
        stored == known,
        "the log has another record {end} than the archive: it is of another history. Archive it to another directory"
    );
    Ok(())
}

/// Copies records from where the archived part ends up to `upto`, and shows each.
pub(crate) async fn copy(
    source: &Source,
    service: ServiceId,
    partition: u16,
    archived: &mut ArchivedLog,
    upto: Seq,
    mut show: impl FnMut(&Commit),
) -> Result<()> {
    while archived.last() < upto {
        let from = archived.last() + 1;
        let records = source.read(service, partition, from).await?;
        ensure!(!records.is_empty(), "record {from} of {upto} is gone");
        for record in records.iter().take_while(|record| record.seq <= upto) {
            show(&archived.push(record)?);
        }
    }
    Ok(archived.flush()?)
}

fn is_trimmed(error: &anyhow::Error) -> bool {
    let trimmed = |cause: &LogError| matches!(cause, LogError::Trimmed { .. });
    error.chain().filter_map(|cause| cause.downcast_ref()).any(trimmed)
}

fn print(output: Output, all: &[Row]) -> Result<()> {
    if output == Output::Json {
        return out::line(&serde_json::to_string_pretty(all)?);
    }
    let mut table = out::table(["service", "partition", "copied", "archived up to", "segments"]);
    for one in all {
        table.add_row([
            one.service.to_owned(),
            one.partition.to_string(),
            one.copied.to_string(),
            one.last.to_string(),
            one.segments.to_string(),
        ]);
    }
    out::line(&table.to_string())
}
