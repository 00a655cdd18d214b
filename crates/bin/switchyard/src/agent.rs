//! `switchyard agent`: make and show agents.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use wire::events::v1::{Presence, Skill};
use wire::routing::v1::{
    Agent, AgentState, ListAgentsRequest, ListAgentsResponse, PutAgentRequest, SetPresenceRequest,
};

use crate::cli::Target;
use crate::out;
use crate::ticket::{request_id, skill_level};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Makes or changes an agent; all its settings are replaced
    ///
    /// Example: `switchyard agent put ada --name "Ada" --skill de:5 --queue billing --capacity-units 200`
    Put(Put),
    /// Lists the agents
    List(List),
    /// Sets an agent's presence
    ///
    /// Example: `switchyard agent presence ada available --lease 0`
    Presence(SetPresence),
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    #[command(flatten)]
    target: Target,
    /// Its id
    agent: String,
    /// Its name for people; unset: the id
    #[arg(long)]
    name: Option<String>,
    /// A skill with its level, 1 to 5: `de:3`; may be given again
    #[arg(long = "skill", value_name = "SKILL:LEVEL", value_parser = skill_level)]
    skills: Vec<(String, u32)>,
    /// A queue it works for; may be given again; unset: all
    #[arg(long = "queue")]
    queues: Vec<String>,
    /// Units of work at once: a call costs 100, a chat 25, anything else 20; unset: 100
    #[arg(long)]
    capacity_units: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    target: Target,
}

/// A presence's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresenceWord {
    Available,
    Busy,
    Away,
    Offline,
}

#[derive(Debug, Args)]
pub(crate) struct SetPresence {
    #[command(flatten)]
    target: Target,
    /// Its id
    agent: String,
    /// How available it is
    presence: PresenceWord,
    /// How many seconds that holds without a heartbeat; 0: until changed; unset: 45
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..))]
    lease: Option<i64>,
}

/// Runs one of the commands.
pub(crate) async fn run(command: AgentCommand) -> Result<()> {
    match command {
        AgentCommand::Put(put) => self::put(put).await,
        AgentCommand::List(list) => self::list(list).await,
        AgentCommand::Presence(presence) => self::presence(presence).await,
    }
}

async fn put(put: Put) -> Result<()> {
    let agent = Agent {
        display_name: put.name.unwrap_or_else(|| put.agent.clone()),
        agent_id: put.agent.clone(),
        skills: put.skills.into_iter().map(|(skill, level)| Skill { skill, level }).collect(),
        queue_ids: put.queues,
        capacity_units: put.capacity_units,
        revision: 0,
    };
    let request = PutAgentRequest {
        workspace_id: put.target.workspace.clone(),
        request_id: request_id(),
        agent: Some(agent),
        expected_revision: 0,
    };
    let reply = put.target.connect().await?.routing().put_agent(request).await?.into_inner();
    out::reply(put.target.output, "switchyard.routing.v1.PutAgentResponse", &reply, |reply| {
        format!("agent {} at revision {}", put.agent, reply.revision)
    })
}

async fn list(list: List) -> Result<()> {
    let client = list.target.connect().await?;
    let mut all = ListAgentsResponse::default();
    loop {
        let request = ListAgentsRequest {
            page_token: std::mem::take(&mut all.next_page_token),
            workspace_id: list.target.workspace.clone(),
            ..ListAgentsRequest::default()
        };
        let page = client.routing().list_agents(request).await?.into_inner();
        all.agents.extend(page.agents);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    out::reply(list.target.output, "switchyard.routing.v1.ListAgentsResponse", &all, |all| {
        let columns = ["agent", "name", "presence", "used", "capacity", "tickets", "skills"];
        let mut table = out::table(columns);
        for state in &all.agents {
            table.add_row(row(state));
        }
        table.to_string()
    })
}

fn row(state: &AgentState) -> [String; 7] {
    let agent = state.agent.clone().unwrap_or_default();
    let skills: Vec<String> =
        agent.skills.iter().map(|skill| format!("{}:{}", skill.skill, skill.level)).collect();
    [
        agent.agent_id,
        agent.display_name,
        out::word::<Presence>(state.presence, "PRESENCE_"),
        state.used_units.to_string(),
        agent.capacity_units.map(|units| units.to_string()).unwrap_or_default(),
        state.tickets.len().to_string(),
        skills.join(" "),
    ]
}

async fn presence(set: SetPresence) -> Result<()> {
    let presence = match set.presence {
        PresenceWord::Available => Presence::Available,
        PresenceWord::Busy => Presence::Busy,
        PresenceWord::Away => Presence::Away,
        PresenceWord::Offline => Presence::Offline,
    };
    let request = SetPresenceRequest {
        workspace_id: set.target.workspace.clone(),
        request_id: request_id(),
        agent_id: set.agent.clone(),
        presence: presence.into(),
        lease: set.lease.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
    };
    let reply = set.target.connect().await?.routing().set_presence(request).await?.into_inner();
    out::reply(set.target.output, "switchyard.routing.v1.SetPresenceResponse", &reply, |_| {
        format!("agent {} is {}", set.agent, out::word::<Presence>(presence.into(), "PRESENCE_"))
    })
}
