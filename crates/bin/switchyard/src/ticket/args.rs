//! What the ticket commands take.

use clap::{Args, Subcommand, ValueEnum};
use wire::common::v1::{Channel, TicketStatus};
use wire::events::v1::AuthorKind;

use crate::cli::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum TicketCommand {
    /// Opens a ticket
    ///
    /// Example: `switchyard ticket create --subject "Card lost" --body "Since yesterday" --channel email --skill de:3`
    Create(Box<Create>),
    /// Shows a ticket, by id or number
    ///
    /// Example: `switchyard ticket get 12`
    Get(One),
    /// Lists tickets, newest first
    ///
    /// Example: `switchyard ticket list --status open --queue billing`
    List(List),
    /// Shows a ticket's whole story
    Timeline(One),
    /// Adds a message
    ///
    /// Example: `switchyard ticket reply 12 --as agent:ada --body "A new one is on its way"`
    Reply(Reply),
    /// Says that a ticket is solved
    Resolve(Resolve),
}

/// A channel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelWord {
    Voice,
    Chat,
    Messenger,
    Sms,
    Social,
    Email,
    WebForm,
    Api,
}

impl ChannelWord {
    pub(super) const fn wire(self) -> Channel {
        match self {
            Self::Voice => Channel::Voice,
            Self::Chat => Channel::Chat,
            Self::Messenger => Channel::Messenger,
            Self::Sms => Channel::Sms,
            Self::Social => Channel::Social,
            Self::Email => Channel::Email,
            Self::WebForm => Channel::WebForm,
            Self::Api => Channel::Api,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(super) target: Target,
    /// What it is about
    #[arg(long)]
    pub(super) subject: String,
    /// The first message; unset: the subject
    #[arg(long)]
    pub(super) body: Option<String>,
    /// How it came
    #[arg(long, default_value = "api")]
    pub(super) channel: ChannelWord,
    /// 1 (the most urgent) to 4; unset: the workspace's default
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=4))]
    pub(super) priority: Option<i32>,
    /// The requester's id
    #[arg(long, default_value = "")]
    pub(super) requester: String,
    /// The requester's name
    #[arg(long, default_value = "")]
    pub(super) requester_name: String,
    /// The queue; unset: by the queues' filters
    #[arg(long, default_value = "")]
    pub(super) queue: String,
    /// A skill that its agent needs, with the least level: `de:3`; may be given again
    #[arg(long = "skill", value_name = "SKILL:LEVEL", value_parser = skill_level)]
    pub(super) skills: Vec<(String, u32)>,
    /// An attribute: `name=text`; may be given again
    #[arg(long = "attribute", value_name = "NAME=TEXT", value_parser = attribute)]
    pub(super) attributes: Vec<(String, String)>,
    /// A tag; may be given again
    #[arg(long = "tag")]
    pub(super) tags: Vec<String>,
    /// Your own id for it, unique in the workspace
    #[arg(long, default_value = "")]
    pub(super) external_id: String,
    /// Makes a retry safe; unset: a new one
    #[arg(long)]
    pub(super) request_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    pub(super) target: Target,
    /// Its id, or its number
    pub(super) ticket: String,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) target: Target,
    /// In this status: new, open, pending, `on_hold`, resolved, closed; may be given again
    #[arg(long = "status", value_parser = status)]
    pub(super) statuses: Vec<TicketStatus>,
    /// In this queue
    #[arg(long, default_value = "")]
    pub(super) queue: String,
    /// Owned by this agent
    #[arg(long, default_value = "")]
    pub(super) agent: String,
    /// Of this requester
    #[arg(long, default_value = "")]
    pub(super) requester: String,
    /// With this tag
    #[arg(long, default_value = "")]
    pub(super) tag: String,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(super) limit: i32,
}

#[derive(Debug, Args)]
pub(crate) struct Reply {
    #[command(flatten)]
    pub(super) target: Target,
    /// The ticket's id, or its number
    pub(super) ticket: String,
    /// What it says
    #[arg(long)]
    pub(super) body: String,
    /// Who writes: `customer`, `agent:ID` or `bot:ID`
    #[arg(long = "as", value_name = "WHO", value_parser = author)]
    pub(super) author: (AuthorKind, String),
    /// For agents' eyes only
    #[arg(long)]
    pub(super) internal: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    pub(super) target: Target,
    /// The ticket's id, or its number
    pub(super) ticket: String,
    /// Why
    #[arg(long, default_value = "")]
    pub(super) reason: String,
}

/// `de:3`.
pub(crate) fn skill_level(text: &str) -> Result<(String, u32), String> {
    let (skill, level) = text.split_once(':').ok_or("SKILL:LEVEL is wanted, as in de:3")?;
    let level = level.parse().map_err(|_| format!("{level:?} is no level"))?;
    Ok((skill.to_owned(), level))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=TEXT is wanted")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn status(text: &str) -> Result<TicketStatus, String> {
    let name = format!("TICKET_STATUS_{}", text.to_uppercase().replace('-', "_"));
    TicketStatus::from_str_name(&name).ok_or_else(|| format!("{text:?} is no status"))
}

fn author(text: &str) -> Result<(AuthorKind, String), String> {
    match text.split_once(':') {
        Some(("agent", id)) => Ok((AuthorKind::Agent, id.to_owned())),
        Some(("bot", id)) => Ok((AuthorKind::Bot, id.to_owned())),
        None if text == "customer" => Ok((AuthorKind::EndUser, String::new())),
        Some(_) | None => Err("customer, agent:ID or bot:ID is wanted".to_owned()),
    }
}
