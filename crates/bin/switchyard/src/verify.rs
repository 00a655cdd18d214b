//! `switchyard verify`: folds logs anew, compares what comes of it with what the leaders had, and looks for broken
//! invariants on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use archive::{Archive, Manifest};
use event_log::{LogError, Record, Seq};
use invariants::{LogWalk, Scope};
use runtime::{AnyFold, LogId, ServiceId, read_first};
use serde::Serialize;
use snapshots::Snapshot;

use crate::cli::Verify;
use crate::logs;
use crate::out::{self, Output};
use crate::source::{Live, Source};

/// What was found of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    service: &'static str,
    partition: u16,
    pub(crate) records: u64,
    events: u64,
    /// State hashes that were compared.
    pub(crate) compared: u64,
    /// The state's hash at the last one of them, in hex.
    state_hash: String,
    /// Invariants that were found violated, in all.
    violations: usize,
    /// The first of them; empty: there is none.
    first_violation: String,
    /// What is wrong; empty: nothing.
    pub(crate) problem: String,
}

impl Finding {
    /// Nothing was found yet.
    fn begin(service: ServiceId, partition: u16) -> Self {
        Self {
            service: service.name(),
            partition,
            records: 0,
            events: 0,
            compared: 0,
            state_hash: String::new(),
            violations: 0,
            first_violation: String::new(),
            problem: String::new(),
        }
    }

    /// Of a log that is not there.
    fn missing((service, partition): (ServiceId, u16)) -> Self {
        Self { problem: "there is no such log".to_owned(), ..Self::begin(service, partition) }
    }

    /// Whether its leaders should have written down a state by now, and none has. Those of a short log need not have: a
    /// leader writes one when it rests after many records, and when it stops and no other goes on.
    const fn lacks_states(&self) -> bool {
        self.compared == 0 && self.records > runtime::HASH_AT_LAST
    }
}

/// A state that a fold came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded {
    /// Its hash; none: nothing was folded, or the state has none, which is a problem of its own.
    pub(crate) hash: Option<[u8; 32]>,
    /// The version of what the hash is made of; 0: the log has no record.
    pub(crate) version: u32,
    /// How far the other services' logs are handled.
    pub(crate) consumed: BTreeMap<ServiceId, Seq>,
    /// The lowest record of each of them of which something is set aside.
    pub(crate) set_aside: BTreeMap<ServiceId, Seq>,
    /// Which of the wanted snapshots are of just the state that this fold had there, by record.
    pub(crate) confirmed: BTreeSet<Seq>,
}

/// What a fold of one partition is compared with, and how far it goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// States that are known besides those that the leaders wrote.
    pub(crate) states: Vec<Live>,
    /// Snapshots, to be compared with the states at their records.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The last record to read; `None`: all there are.
    pub(crate) upto: Option<Seq>,
}

/// Some partition is not what it should be; the findings say which.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} partitions can't be verified")]
struct Unverified {
    failed: usize,
    all: usize,
}

/// Verifies every partition of every service that the source has.
pub(crate) async fn run(settings: Verify) -> Result<()> {
    let source = Source::open(&settings.source, &settings.nats, true).await?;
    let source = source.with_archive(settings.archive.as_deref())?;
    let backup = match &settings.backup {
        Some(directory) => Some(Manifest::read(&logs::archive(directory)?)?),
        None => None,
    };
    let missing = source.missing().await?;
    let mut findings: Vec<_> = missing.into_iter().map(Finding::missing).collect();
    for (service, partition) in source.partitions().await? {
        let live = source.live(service, partition)?;
        let backed_up = backup.as_ref().map(|backup| state_in(backup, service, partition));
        let backed_up = backed_up.transpose()?;
        let wanted = Wanted {
            states: live.into_iter().chain(backed_up).collect(),
            // A running server's log goes on; what it said of itself is about this much of it.
            upto: live.map(|live| live.seq),
            ..Wanted::default()
        };
        let (mut finding, _) = fold(&source, service, partition, wanted).await?;
        if finding.problem.is_empty() && finding.violations > 0 {
            let (count, first) = (finding.violations, &finding.first_violation);
            finding.problem = format!("{count} violations of invariants, the first: {first}");
        }
        if finding.problem.is_empty() && finding.lacks_states() {
            "no leader has written a state hash".clone_into(&mut finding.problem);
        }
        if let (true, Some(state)) = (finding.problem.is_empty(), backed_up)
            && state.seq > finding.records
        {
            finding.problem = format!("the backup goes on to record {}", state.seq);
        }
        findings.push(finding);
    }
    print(settings.output, &findings)?;
    let failed = findings.iter().filter(|finding| !finding.problem.is_empty()).count();
    if failed > 0 || findings.is_empty() {
        return Err(Unverified { failed, all: findings.len() }.into());
    }
    Ok(())
}

/// The state that a backup has recorded of a partition.
pub(crate) fn state_in(backup: &Manifest, service: ServiceId, partition: u16) -> Result<Live> {
    let is_it =
        |log: &&archive::CopiedLog| log.service == service.name() && log.partition == partition;
    let log = backup.logs.iter().find(is_it);
    let log = log.ok_or_else(|| anyhow::anyhow!("the backup has no {service}/{partition:02}"))?;
    let mut hash = [0; 32];
    hex::decode_to_slice(&log.state_hash, &mut hash)?;
    Ok(Live { seq: log.last, hash, version: Some(log.state_version) })
}

/// Folds one partition from its first record, comparing on the way. Returns also the state's hash at the end.
pub(crate) async fn fold(
    source: &Source,
    service: ServiceId,
    partition: u16,
    wanted: Wanted,
) -> Result<(Finding, Folded)> {
    let mut check = Check::new(service, partition, wanted);
    let mut from = 1;
    while check.finding.problem.is_empty() && !check.is_over() {
        let records = match source.read(service, partition, from).await {
            Ok(records) => records,
            Err(error) => match error.chain().find_map(|cause| cause.downcast_ref()) {
                Some(LogError::Trimmed { first }) => {
                    check.finding.problem =
                        format!("the log begins at record {first}: verify needs its --archive");
                    break;
                }
                Some(_) | None => return Err(error),
            },
        };
        let Some(last) = records.last() else { break };
        from = last.seq + 1;
        for record in &records {
            check.take(record);
        }
    }
    Ok(check.end())
}

/// A fold of this service's log that has read nothing.
pub(crate) fn fold_of(service: ServiceId, log_id: LogId) -> Result<Box<dyn AnyFold>> {
    Ok(match service {
        ServiceId::Intake => intake_service::fold(log_id),
        ServiceId::Routing => routing_service::fold(log_id),
        ServiceId::Sla => sla_service::fold(log_id),
        ServiceId::Notify => notify_service::fold(log_id)?,
    })
}

/// The logs of an archive or a backup, as a source.
pub(crate) fn source_of(archive: Archive) -> Source {
    Source::Stored(Arc::new(archive::ArchiveProvider::new(archive)))
}

/// One partition on the way.
struct Check {
    service: ServiceId,
    on_the_way: Option<(Box<dyn AnyFold>, LogWalk)>,
    wanted: Wanted,
    finding: Finding,
    confirmed: BTreeSet<Seq>,
}

impl Check {
    fn new(service: ServiceId, partition: u16, wanted: Wanted) -> Self {
        let finding = Finding::begin(service, partition);
        Self { service, on_the_way: None, wanted, finding, confirmed: BTreeSet::new() }
    }

    /// Takes the next record, unless something was wrong before or it is one too many.
    fn take(&mut self, record: &Record) {
        if self.finding.problem.is_empty()
            && !self.is_over()
            && let Err(problem) = self.try_take(record)
        {
            self.finding.problem = problem;
        }
    }

    fn try_take(&mut self, record: &Record) -> Result<(), String> {
        let next = self.finding.records + 1;
        if record.seq != next {
            return Err(format!("record {next} is missing, the next one is {}", record.seq));
        }
        if self.on_the_way.is_none() {
            let genesis = read_first(record, self.service, self.finding.partition);
            let (log_id, _) = genesis.map_err(|doubt| doubt.to_string())?;
            let fold = fold_of(self.service, log_id).map_err(|error| error.to_string())?;
            let walk = LogWalk::over(self.service, log_id, Scope::Whole);
            self.on_the_way = Some((fold, walk));
        }
        let Some((fold, walk)) = &mut self.on_the_way else { return Ok(()) };
        let checked = fold.take_and_check(record);
        let checked = checked.map_err(|doubt| doubt.to_string())?;
        let (_, violations) = walk.take(record);
        self.finding.violations += violations.len();
        if let (true, Some(first)) = (self.finding.first_violation.is_empty(), violations.first()) {
            self.finding.first_violation = first.to_string();
        }
        self.finding.records = record.seq;
        self.finding.events = fold.events();
        if let Some(check) = checked {
            compare(&mut self.finding, check.seq, check.written, check.folded)?;
        }
        let here = |state: &&Live| {
            state.seq == record.seq && state.version.is_none_or(|version| version == fold.layout())
        };
        for state in self.wanted.states.iter().filter(here) {
            let folded = fold.state_hash().map_err(|error| error.to_string())?;
            compare(&mut self.finding, state.seq, state.hash, folded)?;
        }
        let of_here = self.wanted.snapshots.iter().filter(|one| one.seq == record.seq);
        let confirmed = of_here.filter(|snapshot| fold.confirms(snapshot));
        self.confirmed.extend(confirmed.map(|snapshot| snapshot.seq));
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.wanted.upto.is_some_and(|upto| upto <= self.finding.records)
    }

    fn end(mut self) -> (Finding, Folded) {
        let mut folded = Folded {
            hash: None,
            version: 0,
            consumed: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            confirmed: self.confirmed,
        };
        if let Some((fold, _)) = self.on_the_way {
            match fold.state_hash() {
                Ok(hash) => folded.hash = Some(hash),
                Err(error) => self.finding.problem = error.to_string(),
            }
            folded.version = fold.layout();
            folded.consumed = fold.consumed();
            for (input, seq) in fold.set_aside() {
                let lowest = folded.set_aside.entry(input).or_insert(seq);
                *lowest = seq.min(*lowest);
            }
        }
        (self.finding, folded)
    }
}

fn compare(
    finding: &mut Finding,
    seq: u64,
    written: [u8; 32],
    folded: [u8; 32],
) -> Result<(), String> {
    finding.compared += 1;
    finding.state_hash = hex::encode(folded);
    if written == folded {
        return Ok(());
    }
    Err(format!("after record {seq} the leader had state {}, not this one", hex::encode(written)))
}

fn print(output: Output, findings: &[Finding]) -> Result<()> {
    if output == Output::Json {
        return out::line(&serde_json::to_string_pretty(findings)?);
    }
    let columns = [
        "service",
        "partition",
        "records",
        "events",
        "compared",
        "state hash",
        "violations",
        "verdict",
    ];
    let mut table = out::table(columns);
    for finding in findings {
        let verdict = match finding.problem.as_str() {
            "" if finding.compared == 0 => "ok, no state hash yet",
            "" => "ok",
            problem => problem,
        };
        table.add_row([
            finding.service.to_owned(),
            finding.partition.to_string(),
            finding.records.to_string(),
            finding.events.to_string(),
            finding.compared.to_string(),
            finding.state_hash.chars().take(16).collect(),
            finding.violations.to_string(),
            verdict.to_owned(),
        ]);
    }
    out::line(&table.to_string())
}
