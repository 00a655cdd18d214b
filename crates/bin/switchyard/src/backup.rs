//! `switchyard backup`: all logs of an installation, copied so that they fit together.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use archive::{Archive, CopiedLog, Manifest, Need, closed};
use event_log::Seq;
use runtime::{ServiceId, read_first, restored_in};
use wire::events::v1::Commit;

use crate::cli::Backup;
use crate::copying::copy;
use crate::exit::bad_configuration;
use crate::out::{self, Output};
use crate::source::Source;
use crate::verify::{self, Wanted};

/// Followers first: what they have read is then likely to be in what is copied after them.
const ORDER: [ServiceId; 4] =
    [ServiceId::Notify, ServiceId::Sla, ServiceId::Routing, ServiceId::Intake];

/// Copies, cuts back to what fits together, reads all of it back, and writes the manifest last.
pub(crate) async fn run(settings: Backup) -> Result<()> {
    let source = Source::open(&settings.source, &settings.nats, false).await?;
    let source = source.with_archive(settings.archive.as_deref())?;
    let archive = Archive::create(&settings.to)?;
    let mut entries = std::fs::read_dir(&settings.to)
        .with_context(|| format!("reading {}", settings.to.display()))?;
    if entries.next().is_some() {
        let why = format!(
            "{} is not empty: a backup goes to a directory of its own",
            settings.to.display()
        );
        return Err(bad_configuration(why));
    }
    let partitions = partitions(&source).await?;
    let mut logs = Vec::new();
    for partition in 0..partitions {
        let generations = copy_partition(&source, &archive, partition).await?;
        for service in ServiceId::ALL {
            let generation = generations.get(&service).copied().unwrap_or(1);
            logs.push(read_back(&archive, service, partition, generation).await?);
        }
    }
    logs.sort_by(|one, other| {
        (&one.service, one.partition).cmp(&(&other.service, other.partition))
    });
    let name = uuid::Uuid::new_v4().simple().to_string();
    let manifest = Manifest::new(name, jiff::Timestamp::now().to_string(), partitions, logs);
    manifest.write(&archive)?;
    print(settings.output, &manifest)
}

/// The number of partitions that all services have; all of their logs must be there.
async fn partitions(source: &Source) -> Result<u16> {
    let known = source.partitions().await?;
    let first =
        source.read(ServiceId::Intake, 0, 1).await.context("the first record of intake/00")?;
    let first = first.first().context("intake/00 is empty")?;
    let (_, partitions) = read_first(first, ServiceId::Intake, 0)?;
    for service in ServiceId::ALL {
        for partition in 0..partitions {
            let there = known.contains(&(service, partition));
            ensure!(
                there,
                "{service}/{partition:02} is not there: a backup needs all services' logs"
            );
        }
    }
    Ok(partitions)
}

/// Copies the logs of one partition to their heads of now, and takes back what would not fit together. Returns their
/// generations.
async fn copy_partition(
    source: &Source,
    archive: &Archive,
    partition: u16,
) -> Result<BTreeMap<ServiceId, u32>> {
    let mut heads = BTreeMap::new();
    for service in ORDER {
        heads.insert(service, source.last(service, partition).await?);
    }
    let mut needs: BTreeMap<ServiceId, Vec<Need>> = BTreeMap::new();
    let mut restored: BTreeMap<ServiceId, Vec<(Seq, u32)>> = BTreeMap::new();
    for (service, head) in &heads {
        let mut log = archive.log(&service.log(partition))?;
        let note = |commit: &Commit| {
            needs.entry(*service).or_default().extend(Need::all_of(commit));
            let generation = restored_in(commit).map(|restored| (commit.seq, restored.generation));
            restored.entry(*service).or_default().extend(generation);
        };
        let copied = copy(source, *service, partition, &mut log, *head, note).await;
        copied.with_context(|| format!("copying {service}/{partition:02}"))?;
    }
    let mut generations = BTreeMap::new();
    for (service, end) in closed(&heads, &needs) {
        let mut log = archive.log(&service.log(partition))?;
        log.cut_back(end)?;
        let all = restored.get(&service).into_iter().flatten();
        let last = all.take_while(|(seq, _)| *seq <= end).last();
        generations.insert(service, last.map_or(1, |(_, generation)| *generation));
    }
    Ok(generations)
}

/// Folds what was written, which checks every record of it, and says what it came to.
async fn read_back(
    archive: &Archive,
    service: ServiceId,
    partition: u16,
    generation: u32,
) -> Result<CopiedLog> {
    let written = verify::source_of(archive.clone());
    let (finding, state) = verify::fold(&written, service, partition, Wanted::default()).await?;
    if !finding.problem.is_empty() {
        return Err(anyhow!("{service}/{partition:02}: {}", finding.problem));
    }
    let log = archive.log(&service.log(partition))?;
    let end =
        log.end().with_context(|| format!("nothing was copied of {service}/{partition:02}"))?;
    ensure!(end.seq == finding.records, "{service}/{partition:02} is not all there");
    let hash = state.hash.with_context(|| format!("{service}/{partition:02} has no state"))?;
    Ok(CopiedLog {
        service: service.name().to_owned(),
        partition,
        log_id: hex::encode(end.log_id),
        generation,
        last: end.seq,
        chain: hex::encode(end.chain),
        state_hash: hex::encode(hash),
        state_version: state.version,
    })
}

fn print(output: Output, manifest: &Manifest) -> Result<()> {
    if output == Output::Json {
        return out::line(&serde_json::to_string_pretty(manifest)?);
    }
    let mut table = out::table(["service", "partition", "records", "generation", "state hash"]);
    for log in &manifest.logs {
        table.add_row([
            log.service.clone(),
            log.partition.to_string(),
            log.last.to_string(),
            log.generation.to_string(),
            log.state_hash.chars().take(16).collect(),
        ]);
    }
    out::line(&table.to_string())
}
