//! `switchyard sla`: the promises made to customers.

use anyhow::Result;
use clap::{Args, Subcommand};
use wire::events::v1::ClockMetric;
use wire::sla::v1::{Clock, ClockState, GetClocksRequest, ListAtRiskRequest};

use crate::cli::Target;
use crate::out;

#[derive(Debug, Subcommand)]
pub(crate) enum SlaCommand {
    /// Shows a ticket's clocks
    Clocks(Clocks),
    /// Lists the clocks that are due soonest, the overdue ones first
    ///
    /// Example: `switchyard sla at-risk --within 7200`
    AtRisk(AtRisk),
}

#[derive(Debug, Args)]
pub(crate) struct Clocks {
    #[command(flatten)]
    target: Target,
    /// The ticket's id
    ticket: String,
}

#[derive(Debug, Args)]
pub(crate) struct AtRisk {
    #[command(flatten)]
    target: Target,
    /// Due within this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    within: i64,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,
}

/// Runs one of the commands.
pub(crate) async fn run(command: SlaCommand) -> Result<()> {
    match command {
        SlaCommand::Clocks(clocks) => self::clocks(clocks).await,
        SlaCommand::AtRisk(at_risk) => self::at_risk(at_risk).await,
    }
}

async fn clocks(command: Clocks) -> Result<()> {
    let request = GetClocksRequest {
        workspace_id: command.target.workspace.clone(),
        ticket_id: command.ticket,
    };
    let reply = command.target.connect().await?.sla().get_clocks(request).await?.into_inner();
    let name = "switchyard.sla.v1.GetClocksResponse";
    out::reply(command.target.output, name, &reply, |reply| table(&reply.clocks))
}

async fn at_risk(command: AtRisk) -> Result<()> {
    let request = ListAtRiskRequest {
        page_size: command.limit,
        workspace_id: command.target.workspace.clone(),
        within: Some(prost_types::Duration { seconds: command.within, nanos: 0 }),
        ..ListAtRiskRequest::default()
    };
    let reply = command.target.connect().await?.sla().list_at_risk(request).await?.into_inner();
    let name = "switchyard.sla.v1.ListAtRiskResponse";
    out::reply(command.target.output, name, &reply, |reply| table(&reply.clocks))
}

fn table(clocks: &[Clock]) -> String {
    let mut table = out::table(["ticket", "metric", "state", "due", "stopped", "breached", "note"]);
    for clock in clocks {
        let note = match (clock.overdue_unconfirmed, clock.doubtful) {
            (_, true) => "doubtful",
            (true, false) => "overdue, unconfirmed",
            (false, false) => "",
        };
        table.add_row([
            format!("#{}", clock.ticket_number),
            out::word::<ClockMetric>(clock.metric, "CLOCK_METRIC_"),
            out::word::<ClockState>(clock.state, "CLOCK_STATE_"),
            out::instant(clock.due_at),
            out::instant(clock.stopped_at),
            out::instant(clock.breached_at),
            note.to_owned(),
        ]);
    }
    table.to_string()
}
