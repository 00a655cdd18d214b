//! `switchyard clock`: a server's time, what speaks against it, and an operator's word that it is right.

use anyhow::Result;
use clap::{Args, Subcommand};
use wire::admin::v1::{
    AcceptClockRequest, ClockDoubt, ClockDoubtKind, GetTimeRequest, GetTimeResponse,
};
use wire::common::v1::Service;

use crate::out;
use crate::parked::Server;

#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Shows the time as a server sees it, and what speaks against it
    ///
    /// Example: `switchyard clock status --address 127.0.0.1:7403`
    Status(Status),
    /// Takes your word that a server's clock is right: timers and inputs that wait go on
    ///
    /// Compare the server's time with another clock first: what is decided under a wrong one stays in the log for ever.
    /// It is this one server's clock alone.
    ///
    /// Example: `switchyard clock accept --address 127.0.0.1:7403 --by olga --reason 'the host was 2 h behind'`
    Accept(Accept),
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    #[command(flatten)]
    server: Server,
    /// Who says so: for the server's log
    #[arg(long, env = "SWITCHYARD_ACTOR", value_name = "NAME")]
    by: String,
    /// Why: for the server's log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs one of the commands.
pub(crate) async fn run(command: ClockCommand) -> Result<()> {
    match command {
        ClockCommand::Status(status) => self::status(status).await,
        ClockCommand::Accept(accept) => self::accept(accept).await,
    }
}

async fn status(status: Status) -> Result<()> {
    let client = status.server.connect().await?;
    let reply = client.clock().get_time(GetTimeRequest::default()).await?.into_inner();
    let name = "switchyard.admin.v1.GetTimeResponse";
    out::reply(status.server.output, name, &reply, |reply| {
        let GetTimeResponse { now, doubts, .. } = reply;
        if doubts.is_empty() {
            format!("{}, nothing speaks against it", out::instant(*now))
        } else {
            format!("{}\n{}", out::instant(*now), table(doubts))
        }
    })
}

async fn accept(accept: Accept) -> Result<()> {
    let client = accept.server.connect().await?;
    let request = AcceptClockRequest { actor: accept.by, reason: accept.reason };
    let reply = client.clock().accept_clock(request).await?.into_inner();
    let name = "switchyard.admin.v1.AcceptClockResponse";
    out::reply(accept.server.output, name, &reply, |reply| {
        if reply.accepted.is_empty() {
            format!("{}, nothing was in doubt", out::instant(reply.now))
        } else {
            format!("{} is accepted\n{}", out::instant(reply.now), table(&reply.accepted))
        }
    })
}

fn table(doubts: &[ClockDoubt]) -> String {
    let mut table = out::table(["doubt", "of", "ahead by", "what waits"]);
    for doubt in doubts {
        let ahead = doubt.ahead.map(|ahead| format!("{} s", ahead.seconds)).unwrap_or_default();
        let of = match doubt.service() {
            Service::Unspecified => "the server".to_owned(),
            service @ (Service::Intake | Service::Routing | Service::Sla | Service::Notify) => {
                let name = out::word::<Service>(service.into(), "SERVICE_");
                format!("{name}/{}", doubt.partition)
            }
        };
        let waits = match doubt.kind() {
            ClockDoubtKind::InputAhead => {
                let input = out::word::<Service>(doubt.input, "SERVICE_");
                format!("inputs of {input} from record {} on", doubt.input_seq)
            }
            ClockDoubtKind::Unspecified | ClockDoubtKind::Step | ClockDoubtKind::LogAhead => {
                "timers".to_owned()
            }
        };
        let kind = out::word::<ClockDoubtKind>(doubt.kind, "CLOCK_DOUBT_KIND_");
        table.add_row([kind, of, ahead, waits]);
    }
    table.to_string()
}
