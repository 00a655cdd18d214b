//! `switchyard verify`: folds logs anew and compares what comes of it with what the leaders had.

use std::sync::Arc;

use anyhow::Result;
use event_log::memory::MemoryProvider;
use event_log::{EventLogProvider, Record};
use intake_service::IntakeService;
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::{Fold, Service, ServiceId, read_genesis};
use serde::Serialize;
use sla_service::SlaService;

use crate::cli::Verify;
use crate::out::{self, Output};
use crate::source::{Live, Source};

/// What was found of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    service: &'static str,
    partition: u16,
    records: u64,
    events: u64,
    /// State hashes that were compared.
    compared: u64,
    /// The state's hash at the last one of them, in hex.
    state_hash: String,
    /// What is wrong; empty: nothing.
    problem: String,
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
    // A fold serves no timelines, so there is nothing to read them from.
    let nowhere: Arc<dyn EventLogProvider> = Arc::new(MemoryProvider::new());
    let mut findings = Vec::new();
    for (service, partition) in source.partitions().await? {
        findings.push(match service {
            ServiceId::Intake => {
                one(&IntakeService::new(Arc::clone(&nowhere)), &source, partition).await?
            }
            ServiceId::Routing => one(&RoutingService::new(), &source, partition).await?,
            ServiceId::Sla => one(&SlaService, &source, partition).await?,
            ServiceId::Notify => {
                one(&NotifyService::new(notify_service::Config::default())?, &source, partition)
                    .await?
            }
        });
    }
    print(settings.output, &findings)?;
    let failed = findings.iter().filter(|finding| !finding.problem.is_empty()).count();
    if failed > 0 || findings.is_empty() {
        return Err(Unverified { failed, all: findings.len() }.into());
    }
    Ok(())
}

async fn one<S: Service>(service: &S, source: &Source, partition: u16) -> Result<Finding> {
    let live = source.live(S::ID, partition)?;
    let mut check = Check::<S>::new(service, partition, live);
    let mut from = 1;
    while check.finding.problem.is_empty() {
        let records = source.read(S::ID, partition, from).await?;
        let Some(last) = records.last() else { break };
        from = last.seq + 1;
        for record in &records {
            check.take(record);
        }
        if check.is_past_live() {
            break;
        }
    }
    Ok(check.end())
}

/// One partition on the way.
struct Check<'a, S: Service> {
    service: &'a S,
    fold: Option<Fold<S>>,
    /// What a running server says of it.
    live: Option<Live>,
    finding: Finding,
}

impl<'a, S: Service> Check<'a, S> {
    fn new(service: &'a S, partition: u16, live: Option<Live>) -> Self {
        let finding = Finding {
            service: S::ID.name(),
            partition,
            records: 0,
            events: 0,
            compared: 0,
            state_hash: String::new(),
            problem: String::new(),
        };
        Self { service, fold: None, live, finding }
    }

    /// Takes the next record, unless something was wrong before.
    fn take(&mut self, record: &Record) {
        if self.finding.problem.is_empty()
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
        if self.fold.is_none() {
            let genesis = read_genesis(record, S::ID, self.finding.partition);
            let (log_id, _) = genesis.map_err(|doubt| doubt.to_string())?;
            self.fold = Some(Fold::at_start(log_id));
        }
        let Some(fold) = &mut self.fold else { return Ok(()) };
        let checked = fold.take_and_check(self.service, record);
        let checked = checked.map_err(|doubt| doubt.to_string())?;
        self.finding.records = record.seq;
        self.finding.events = fold.events();
        if let Some(check) = checked {
            compare(&mut self.finding, check.seq, check.written, check.folded)?;
        }
        if let Some(live) = self.live.filter(|live| live.seq == record.seq) {
            compare(&mut self.finding, live.seq, live.hash, fold.state_hash())?;
        }
        Ok(())
    }

    /// A running server's log goes on; what it said of itself is about this much of it.
    fn is_past_live(&self) -> bool {
        self.live.is_some_and(|live| live.seq <= self.finding.records)
    }

    fn end(mut self) -> Finding {
        let finding = &mut self.finding;
        if finding.problem.is_empty() && finding.compared == 0 {
            "there is no state hash to compare with".clone_into(&mut finding.problem);
        }
        self.finding
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
    let columns =
        ["service", "partition", "records", "events", "compared", "state hash", "verdict"];
    let mut table = out::table(columns);
    for finding in findings {
        let verdict = if finding.problem.is_empty() { "ok" } else { &finding.problem };
        table.add_row([
            finding.service.to_owned(),
            finding.partition.to_string(),
            finding.records.to_string(),
            finding.events.to_string(),
            finding.compared.to_string(),
            finding.state_hash.chars().take(16).collect(),
            verdict.to_owned(),
        ]);
    }
    out::line(&table.to_string())
}
