//! `switchyard log trim`: forgets records that the archive has and that nobody needs any more.
//!
//! All logs are proven and planned first; only then does anything go. Who still needs what is in [`needs`], how far a
//! log may go in [`plan`].

mod needs;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use archive::{Archive, WithArchive};
use event_log::{EventLog, EventLogProvider, Seq, Tail};
use runtime::ServiceId;
use serde::Serialize;

use crate::cli::LogTrim;
use crate::exit::{Refused, bad_configuration};
use crate::logs;
use crate::out::{self, Output};
use crate::source::Source;
use crate::verify::{self, Folded, Wanted};

use needs::{Holder, Needs};
use plan::{Bounds, Plan};

/// Everything that is read.
struct Trim {
    archive: Archive,
    logs: Arc<dyn EventLogProvider>,
    /// The same logs, and what the archive has of them.
    whole: Source,
    needs: Needs,
}

/// A log whose every record, archived or not, was read and folded.
#[derive(Debug)]
struct Proven {
    log: Arc<dyn EventLog>,
    tail: Tail,
    /// The archive's last record of it.
    archived: Seq,
    folded: Folded,
    /// How many state hashes were compared.
    compared: u64,
    /// Who keeps snapshots of its states.
    holders: Vec<Holder>,
}

/// What becomes of one log.
#[derive(Debug, Serialize)]
struct Row {
    service: &'static str,
    partition: u16,
    /// The first record that was there before.
    first: Seq,
    last: Seq,
    /// The last record that goes; `first - 1`: none does.
    upto: Seq,
    /// How many records go.
    records: u64,
    /// Why no more of them do.
    in_the_way: String,
}

/// Proves and plans every log, and then trims.
pub(crate) async fn run(settings: LogTrim) -> Result<()> {
    let bounds = Bounds::new(settings.upto, settings.keep_days)?;
    let trim = Trim::open(&settings).await?;
    let planned = trim.plan(&settings, &bounds).await;
    trim.needs.close().await;
    let planned = planned?;
    if !settings.dry_run {
        for (log, row) in &planned {
            let cut = cut(&**log, row).await;
            cut.with_context(|| format!("trimming {}/{:02}", row.service, row.partition))?;
        }
    }
    let rows: Vec<Row> = planned.into_iter().map(|(_, row)| row).collect();
    print(settings.output, &rows, settings.dry_run)
}

impl Trim {
    async fn open(settings: &LogTrim) -> Result<Self> {
        let archive = logs::archive(&settings.archive)?;
        let (logs, needs): (Arc<dyn EventLogProvider>, _) =
            match (&settings.place.data_dir, &settings.place.log) {
                (Some(data_dir), _) => {
                    let provider = logs::existing(data_dir).await?;
                    let known = provider.list().await.map_err(logs::explain_open)?;
                    let needs = Needs::of_stopped(std::slice::from_ref(data_dir), &known).await?;
                    (Arc::new(provider), needs)
                }
                (None, Some(urls)) => {
                    let provider = logs::nats(urls, &settings.nats, 1).await?;
                    let known = provider.list().await.map_err(logs::explain_open)?;
                    let needs = Needs::of_stopped(&settings.stopped, &known).await?;
                    let needs = needs.with_running(&provider.board()).await?;
                    (Arc::new(provider), needs)
                }
                (None, None) => return Err(bad_configuration("--data-dir or --log must be given")),
            };
        let whole = Source::Stored(Arc::new(WithArchive::new(Arc::clone(&logs), archive.clone())));
        Ok(Self { archive, logs, whole, needs })
    }

    /// Plans all logs that were chosen. How far one may go is in the logs that follow it, so all of a partition are
    /// read.
    async fn plan(
        &self,
        settings: &LogTrim,
        bounds: &Bounds,
    ) -> Result<Vec<(Arc<dyn EventLog>, Row)>> {
        let known = self.whole.partitions().await?;
        let mut numbers: BTreeSet<u16> = known.iter().map(|(_, partition)| *partition).collect();
        numbers.retain(|number| settings.partition.is_none_or(|chosen| chosen == *number));
        if numbers.is_empty() {
            return Err(bad_configuration("there is no such log"));
        }
        let chosen =
            |service: &ServiceId| settings.service.is_none_or(|chosen| chosen.id() == *service);
        let mut planned = Vec::new();
        for partition in numbers {
            let mut proven = BTreeMap::new();
            for service in ServiceId::ALL {
                let one = self.prove(service, partition).await;
                proven.insert(service, one.with_context(|| format!("{service}/{partition:02}"))?);
            }
            for (service, one) in proven.iter().filter(|(service, _)| chosen(service)) {
                let plan = Plan::of(*service, &proven, bounds).await?;
                if plan.limit < bounds.upto.unwrap_or(0) {
                    let Plan { limit, in_the_way, .. } = plan;
                    return Err(Refused(format!(
                        "{service}/{partition:02} may go up to record {limit} at most: {in_the_way}"
                    ))
                    .into());
                }
                let Tail { first, last } = one.tail;
                let records = (plan.upto + 1).saturating_sub(first);
                let (upto, in_the_way) = (plan.upto, plan.in_the_way);
                let service = service.name();
                let row = Row { service, partition, first, last, upto, records, in_the_way };
                planned.push((Arc::clone(&one.log), row));
            }
        }
        Ok(planned)
    }

    /// Reads a log from its birth on: every segment of the archive, whether the archive is this log's past, and what
    /// the records come to.
    async fn prove(&self, service: ServiceId, partition: u16) -> Result<Proven> {
        let name = service.log(partition);
        let log = self.logs.open(&name).await.map_err(logs::explain_open)?;
        let tail = log.tail().await?;
        let archived = self.archive.log(&name)?;
        let archived = tokio::task::spawn_blocking(move || archived.verify()).await??;
        let holders = self.needs.holders(service, partition).await;
        let snapshots = holders.iter().flat_map(Holder::snapshots).cloned().collect();
        let wanted = Wanted { snapshots, ..Wanted::default() };
        let (finding, folded) = verify::fold(&self.whole, service, partition, wanted).await?;
        if !finding.problem.is_empty() {
            bail!(finding.problem);
        }
        Ok(Proven { log, tail, archived, folded, compared: finding.compared, holders })
    }
}

/// Lets the records go, and looks whether just those have gone.
async fn cut(log: &dyn EventLog, row: &Row) -> Result<()> {
    if row.records == 0 {
        return Ok(());
    }
    log.trim(row.upto).await?;
    let Tail { first, last } = log.tail().await?;
    ensure!(
        first == row.upto + 1 && last >= row.last,
        "the log now has records {first} to {last}, not {} to {} or more",
        row.upto + 1,
        row.last
    );
    Ok(())
}

fn print(output: Output, rows: &[Row], dry_run: bool) -> Result<()> {
    if output == Output::Json {
        return out::line(&serde_json::to_string_pretty(rows)?);
    }
    let goes = if dry_run { "would go" } else { "gone" };
    let mut table = out::table(["service", "partition", "records", goes, "kept because"]);
    for row in rows {
        let gone = match row.records {
            0 => "-".to_owned(),
            _ => format!("{} to {}", row.first, row.upto),
        };
        table.add_row([
            row.service.to_owned(),
            row.partition.to_string(),
            format!("{} to {}", row.first, row.last),
            gone,
            row.in_the_way.clone(),
        ]);
    }
    out::line(&table.to_string())
}
