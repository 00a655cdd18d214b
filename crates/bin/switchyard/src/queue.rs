//! `switchyard queue`: make and show queues.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use wire::common::v1::SkillRequirement;
use wire::events::v1::OfferMode;
use wire::routing::v1::{
    GetQueueStatsRequest, ListQueuesRequest, ListQueuesResponse, PutQueueRequest, Queue,
};

use crate::cli::Target;
use crate::out;
use crate::ticket::{request_id, skill_level};

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Makes or changes a queue; all its settings are replaced
    ///
    /// Example: `switchyard queue put billing --order 10 --filter 'ticket.attributes.topic == "bill"'`
    Put(Put),
    /// Lists the queues in their order
    List(List),
    /// Shows how a queue stands
    Stats(Stats),
}

/// How a queue gives out work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OfferModeWord {
    /// By the channel: voice and chat by hand, the rest by itself
    ByChannel,
    /// The agent accepts or declines
    Manual,
    /// Accepted the moment it is offered
    Auto,
}

impl OfferModeWord {
    const fn wire(self) -> OfferMode {
        match self {
            Self::ByChannel => OfferMode::Unspecified,
            Self::Manual => OfferMode::Manual,
            Self::Auto => OfferMode::AutoAccept,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    #[command(flatten)]
    target: Target,
    /// Its id
    queue: String,
    /// Its name for people; unset: the id
    #[arg(long)]
    name: Option<String>,
    /// Its place when a ticket looks for its queue: lower first
    #[arg(long, default_value_t = 0)]
    order: i32,
    /// CEL; a ticket for which it is true belongs here
    #[arg(long, default_value = "")]
    filter: String,
    /// A skill that its agents need, with the least level: `de:3`; may be given again
    #[arg(long = "skill", value_name = "SKILL:LEVEL", value_parser = skill_level)]
    skills: Vec<(String, u32)>,
    /// How it gives out work
    #[arg(long, default_value = "by-channel")]
    offer_mode: OfferModeWord,
    /// How many seconds an offer stands; unset: 30, for voice 15
    #[arg(long, value_name = "SECONDS")]
    accept_within: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    target: Target,
    /// Its id
    queue: String,
}

/// Runs one of the commands.
pub(crate) async fn run(command: QueueCommand) -> Result<()> {
    match command {
        QueueCommand::Put(put) => self::put(put).await,
        QueueCommand::List(list) => self::list(list).await,
        QueueCommand::Stats(stats) => self::stats(stats).await,
    }
}

async fn put(put: Put) -> Result<()> {
    let required_skills = put
        .skills
        .into_iter()
        .map(|(skill, min_level)| SkillRequirement { skill, min_level })
        .collect();
    let queue = Queue {
        display_name: put.name.unwrap_or_else(|| put.queue.clone()),
        queue_id: put.queue.clone(),
        order: put.order,
        filter: put.filter,
        required_skills,
        offer_mode: put.offer_mode.wire().into(),
        accept_within: put.accept_within.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        revision: 0,
    };
    let request = PutQueueRequest {
        workspace_id: put.target.workspace.clone(),
        request_id: request_id(),
        queue: Some(queue),
        expected_revision: 0,
    };
    let reply = put.target.connect().await?.routing().put_queue(request).await?.into_inner();
    out::reply(put.target.output, "switchyard.routing.v1.PutQueueResponse", &reply, |reply| {
        format!("queue {} at revision {}", put.queue, reply.revision)
    })
}

async fn list(list: List) -> Result<()> {
    let client = list.target.connect().await?;
    let mut all = ListQueuesResponse::default();
    loop {
        let request = ListQueuesRequest {
            page_token: std::mem::take(&mut all.next_page_token),
            workspace_id: list.target.workspace.clone(),
            ..ListQueuesRequest::default()
        };
        let page = client.routing().list_queues(request).await?.into_inner();
        all.queues.extend(page.queues);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    out::reply(list.target.output, "switchyard.routing.v1.ListQueuesResponse", &all, |all| {
        let mut table = out::table(["order", "queue", "name", "filter", "offers"]);
        for queue in &all.queues {
            table.add_row([
                queue.order.to_string(),
                queue.queue_id.clone(),
                queue.display_name.clone(),
                queue.filter.clone(),
                out::word::<OfferMode>(queue.offer_mode, "OFFER_MODE_"),
            ]);
        }
        table.to_string()
    })
}

async fn stats(stats: Stats) -> Result<()> {
    let request = GetQueueStatsRequest {
        workspace_id: stats.target.workspace.clone(),
        queue_id: stats.queue.clone(),
    };
    let client = stats.target.connect().await?;
    let reply = client.routing().get_queue_stats(request).await?.into_inner();
    let name = "switchyard.routing.v1.GetQueueStatsResponse";
    out::reply(stats.target.output, name, &reply, |reply| {
        let mut table = out::table([
            "queue",
            "waiting",
            "oldest since",
            "offered",
            "assigned",
            "unroutable",
            "agents",
        ]);
        table.add_row([
            stats.queue.clone(),
            reply.waiting.to_string(),
            out::instant(reply.oldest_queued_at),
            reply.offered.to_string(),
            reply.assigned.to_string(),
            reply.unroutable.to_string(),
            reply.agents_available.to_string(),
        ]);
        table.to_string()
    })
}
