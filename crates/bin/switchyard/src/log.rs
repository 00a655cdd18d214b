//! `switchyard log`: what is in a log.

use anyhow::Result;
use event_log::Record;
use futures::StreamExt as _;
use prost::Message as _;
use runtime::ServiceId;
use service_kit::admin::commit_json;
use wire::common::v1::Service;
use wire::events::v1::Commit;

use crate::cli::{LogChoice, LogCommand, LogFollow, LogShow, Role};
use crate::copying;
use crate::out::{self, Output};
use crate::source::Source;
use crate::{parked, signals, trim};

impl Role {
    /// The contract's word.
    pub(crate) const fn wire(self) -> Service {
        self.id().to_wire()
    }

    /// The service.
    pub(crate) const fn id(self) -> ServiceId {
        match self {
            Self::Intake => ServiceId::Intake,
            Self::Routing => ServiceId::Routing,
            Self::Sla => ServiceId::Sla,
            Self::Notify => ServiceId::Notify,
        }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: LogCommand) -> Result<()> {
    match command {
        LogCommand::Show(show) => self::show(show).await,
        LogCommand::Follow(follow) => self::follow(follow).await,
        LogCommand::Parked(command) => parked::run(command).await,
        LogCommand::Archive(settings) => copying::run(settings).await,
        LogCommand::Trim(settings) => trim::run(settings).await,
    }
}

async fn show(show: LogShow) -> Result<()> {
    let LogChoice { service, partition, source, nats, output } = show.choice;
    let source = Source::open(&source, &nats, false).await?;
    let mut from = show.from.max(1);
    let end = from.saturating_add(show.limit);
    while from < end {
        let records = source.read(service.id(), partition, from).await?;
        if records.is_empty() {
            break;
        }
        for record in records.iter().filter(|record| record.seq < end) {
            print(output, record)?;
        }
        from = records.last().map_or(end, |record| record.seq + 1);
    }
    Ok(())
}

async fn follow(follow: LogFollow) -> Result<()> {
    let LogChoice { service, partition, source, nats, output } = follow.choice;
    let source = Source::open(&source, &nats, false).await?;
    let mut records = source.follow(service.id(), partition, follow.from).await?;
    let stop = signals::stop();
    tokio::pin!(stop);
    loop {
        let next = tokio::select! {
            next = records.next() => next,
            () = &mut stop => return Ok(()),
        };
        match next {
            Some(record) => print(output, &record?)?,
            None => return Ok(()),
        }
    }
}

fn print(output: Output, record: &Record) -> Result<()> {
    match output {
        Output::Json => out::line(&commit_json(&record.bytes).map_err(anyhow::Error::msg)?),
        Output::Table => {
            let commit = Commit::decode(record.bytes.clone())?;
            lines(&commit).iter().try_for_each(|text| out::line(text))
        }
    }
}

/// A line for the record, and one for each of its events.
fn lines(commit: &Commit) -> Vec<String> {
    let nanos = i128::from(commit.time_ns);
    let at = jiff::Timestamp::from_nanosecond(nanos).unwrap_or_default();
    let mut lines = vec![format!(
        "{:>8}  {at}  epoch {}  {} events, {} answers, {} parked, {} notes",
        commit.seq,
        commit.epoch,
        commit.events.len(),
        commit.answered.len(),
        commit.parked.len(),
        commit.notes.len(),
    )];
    for event in &commit.events {
        lines.push(format!(
            "          {}  {} {} r{}  by {}",
            event.r#type, event.workspace, event.entity, event.revision, event.actor
        ));
    }
    lines
}
