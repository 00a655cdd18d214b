//! `switchyard log`: what is in the log of a running server.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt as _;
use prost::Message as _;
use wire::admin::v1::{FollowRequest, LogRecord, ReadRequest};
use wire::common::v1::Service;
use wire::events::v1::Commit;

use crate::cli::{LogChoice, LogCommand, LogFollow, LogShow, Role};
use crate::client::Client;
use crate::out::{self, Output};
use crate::signals;

const DEADLINE: Duration = Duration::from_secs(15);
/// Records a call; the server's limit.
const PAGE: u64 = 1000;

impl Role {
    /// The contract's word.
    pub(crate) const fn wire(self) -> Service {
        match self {
            Self::Intake => Service::Intake,
            Self::Routing => Service::Routing,
            Self::Sla => Service::Sla,
            Self::Notify => Service::Notify,
        }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: LogCommand) -> Result<()> {
    match command {
        LogCommand::Show(show) => self::show(show).await,
        LogCommand::Follow(follow) => self::follow(follow).await,
    }
}

async fn show(show: LogShow) -> Result<()> {
    let mut log = Client::connect(&show.choice.address, DEADLINE).await?.log();
    let mut from_seq = show.from.max(1);
    let mut left = show.limit;
    while left > 0 {
        let request = ReadRequest {
            service: show.choice.service.wire().into(),
            partition: show.choice.partition,
            from_seq,
            max_records: i32::try_from(left.min(PAGE))?,
            decode: show.choice.output == Output::Json,
        };
        let page = log.read(request).await?.into_inner();
        if page.records.is_empty() {
            break;
        }
        for record in &page.records {
            print(&show.choice, record)?;
            from_seq = from_seq.max(record.position.as_ref().map_or(0, |at| at.seq) + 1);
        }
        left = left.saturating_sub(u64::try_from(page.records.len())?);
    }
    Ok(())
}

async fn follow(follow: LogFollow) -> Result<()> {
    let client = Client::connect(&follow.choice.address, DEADLINE).await?;
    let request = FollowRequest {
        service: follow.choice.service.wire().into(),
        partition: follow.choice.partition,
        from_seq: follow.from,
        decode: follow.choice.output == Output::Json,
    };
    let mut records = client.endless_log().follow(request).await?.into_inner();
    let stop = signals::stop();
    tokio::pin!(stop);
    loop {
        let next = tokio::select! {
            next = records.next() => next,
            () = &mut stop => return Ok(()),
        };
        let Some(reply) = next else { return Ok(()) };
        print(&follow.choice, &reply?.record.context("the reply has no record")?)?;
    }
}

fn print(choice: &LogChoice, record: &LogRecord) -> Result<()> {
    match choice.output {
        Output::Json => out::line(&record.json),
        Output::Table => {
            let commit = Commit::decode(record.data.clone())?;
            for text in lines(&commit) {
                out::line(&text)?;
            }
            Ok(())
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
