//! `switchyard log parked`: inputs that could not be applied, and what is to become of them.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use wire::admin::v1::{
    DropParkedRequest, ListParkedRequest, ParkedChoice, ParkedEntity, RetryParkedRequest,
};
use wire::common::v1::Service;

use crate::cli::Role;
use crate::client::Client;
use crate::out::{self, Output};

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedCommand {
    /// Lists the entities of which inputs are set aside
    ///
    /// Example: `switchyard log parked list --address 127.0.0.1:7400`
    List(List),
    /// Applies an entity's inputs anew, up to the first that still can't be: after a release that can
    ///
    /// Example: `switchyard log parked retry routing intake T-17 --by olga --reason 'release 2 reads it'`
    Retry(Retry),
    /// Drops the first of an entity's inputs for good; the log keeps who did so and why
    ///
    /// Example: `switchyard log parked drop routing intake T-17 --count 1 --by olga --reason 'a test gone wrong'`
    Drop(Drop),
}

/// The server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// The server: `up`, or the one with the role
    #[arg(
        long,
        env = "SWITCHYARD_ADDRESS",
        default_value = "127.0.0.1:7400",
        value_name = "ADDRESS"
    )]
    pub(crate) address: String,
    /// As a table, or as protobuf JSON
    #[arg(short, long, env = "SWITCHYARD_OUTPUT", default_value = "table")]
    pub(crate) output: Output,
    /// How many seconds a call may take
    #[arg(long, env = "SWITCHYARD_TIMEOUT", default_value_t = 15)]
    timeout: u64,
}

impl Server {
    pub(crate) async fn connect(&self) -> Result<Client> {
        Client::connect(&self.address, Duration::from_secs(self.timeout)).await
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    server: Server,
}

/// Which inputs, who speaks, and why.
#[derive(Debug, Clone, Args)]
pub(crate) struct Choice {
    /// The service that could not apply them
    service: Role,
    /// The service whose inputs they are
    input: Role,
    /// The entity
    entity: String,
    /// The workspace
    #[arg(short, long, env = "SWITCHYARD_WORKSPACE", default_value = "default", value_name = "ID")]
    workspace: String,
    /// Who says so: for the log
    #[arg(long, env = "SWITCHYARD_ACTOR", value_name = "NAME")]
    by: String,
    /// Why: for the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Choice {
    fn wire(self) -> ParkedChoice {
        ParkedChoice {
            service: self.service.wire().into(),
            input: self.input.wire().into(),
            workspace: self.workspace,
            entity: self.entity,
            actor: self.by,
            reason: self.reason,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Drop {
    #[command(flatten)]
    choice: Choice,
    /// How many of the first
    #[arg(long, value_name = "NUMBER")]
    count: u64,
    #[command(flatten)]
    server: Server,
}

/// Runs one of the commands.
pub(crate) async fn run(command: ParkedCommand) -> Result<()> {
    match command {
        ParkedCommand::List(list) => self::list(list).await,
        ParkedCommand::Retry(retry) => self::retry(retry).await,
        ParkedCommand::Drop(drop) => self::drop_first(drop).await,
    }
}

async fn list(list: List) -> Result<()> {
    let client = list.server.connect().await?;
    let reply = client.parked().list_parked(ListParkedRequest {}).await?.into_inner();
    let name = "switchyard.admin.v1.ListParkedResponse";
    out::reply(list.server.output, name, &reply, |reply| {
        let mut table = out::table([
            "service",
            "input",
            "workspace",
            "entity",
            "inputs",
            "since",
            "first",
            "why",
        ]);
        for entity in &reply.entities {
            table.add_row(row(entity));
        }
        table.to_string()
    })
}

fn row(entity: &ParkedEntity) -> [String; 8] {
    [
        out::word::<Service>(entity.service, "SERVICE_"),
        out::word::<Service>(entity.input, "SERVICE_"),
        entity.workspace.clone(),
        entity.entity.clone(),
        entity.count.to_string(),
        out::instant(entity.since),
        format!("{}/{}", entity.first_seq, entity.first_index),
        entity.error.clone(),
    ]
}

async fn retry(retry: Retry) -> Result<()> {
    let client = retry.server.connect().await?;
    let request = RetryParkedRequest { choice: Some(retry.choice.wire()) };
    let reply = client.parked().retry_parked(request).await?.into_inner();
    let name = "switchyard.admin.v1.RetryParkedResponse";
    out::reply(retry.server.output, name, &reply, |reply| match reply.left {
        0 => format!("{} applied, none left", reply.applied),
        left => format!("{} applied, {left} left: {}", reply.applied, reply.error),
    })
}

async fn drop_first(drop: Drop) -> Result<()> {
    let client = drop.server.connect().await?;
    let request = DropParkedRequest { choice: Some(drop.choice.wire()), count: drop.count };
    let reply = client.parked().drop_parked(request).await?.into_inner();
    let name = "switchyard.admin.v1.DropParkedResponse";
    out::reply(drop.server.output, name, &reply, |reply| {
        format!("{} dropped, {} left", reply.dropped, reply.left)
    })
}
