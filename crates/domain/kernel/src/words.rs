//! The field's words that more than one context uses.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::{AgentId, RequesterId, SkillId, Timestamp};

/// How a requester reached the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Channel {
    /// A live call.
    Voice,
    /// A live chat.
    Chat,
    /// A messenger.
    Messenger,
    /// A text message.
    Sms,
    /// A social network.
    Social,
    /// An e-mail.
    Email,
    /// A form on a site.
    WebForm,
    /// Another backend.
    Api,
}

impl Channel {
    /// The word that rules and people use: `voice`, `web_form`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Chat => "chat",
            Self::Messenger => "messenger",
            Self::Sms => "sms",
            Self::Social => "social",
            Self::Email => "email",
            Self::WebForm => "web_form",
            Self::Api => "api",
        }
    }
}

/// How urgent a ticket is. The order is by urgency: `P1 < P2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Everything stands still.
    P1,
    /// Much is hampered.
    P2,
    /// Ordinary.
    P3,
    /// Can wait.
    P4,
}

impl Priority {
    /// All four, the most urgent first.
    pub const ALL: [Self; 4] = [Self::P1, Self::P2, Self::P3, Self::P4];

    /// The word: `P1`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }

    /// 1 to 4.
    pub const fn number(self) -> u8 {
        match self {
            Self::P1 => 1,
            Self::P2 => 2,
            Self::P3 => 3,
            Self::P4 => 4,
        }
    }
}

/// A ticket's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TicketStatus {
    /// Opened; nobody has worked on it yet.
    New,
    /// Being worked on, or waiting for someone to do so.
    Open,
    /// Waiting on the customer.
    Pending,
    /// Waiting on others.
    OnHold,
    /// Solved, in the agent's eyes.
    Resolved,
    /// Over.
    Closed,
}

impl TicketStatus {
    /// The word: `new`, `on_hold`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Pending => "pending",
            Self::OnHold => "on_hold",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// Whether somebody still has to do something: neither resolved nor closed.
    pub const fn is_live(self) -> bool {
        match self {
            Self::New | Self::Open | Self::Pending | Self::OnHold => true,
            Self::Resolved | Self::Closed => false,
        }
    }
}

/// How well a skill is mastered: 1 (knows of it) to 5 (expert).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkillLevel(u8);

impl SkillLevel {
    /// The level, if it is one of 1 to 5.
    pub const fn new(level: u32) -> Option<Self> {
        match level {
            1 => Some(Self(1)),
            2 => Some(Self(2)),
            3 => Some(Self(3)),
            4 => Some(Self(4)),
            5 => Some(Self(5)),
            _ => None,
        }
    }

    /// 1 to 5.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A skill that a ticket needs, and how well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkillRequirement {
    /// The skill.
    pub skill: SkillId,
    /// The lowest level that will do.
    pub min_level: SkillLevel,
}

/// A typed value of a ticket's attribute. `T`: how it holds text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AttributeValue<T = String> {
    /// Text.
    Text(T),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// An instant.
    Instant(Timestamp),
    /// Several texts.
    Texts(Vec<T>),
}

/// A ticket's attributes, by name.
pub type Attributes = BTreeMap<String, AttributeValue>;

/// Who caused a fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Actor {
    /// The backend that called, in nobody's name.
    Backend,
    /// An agent.
    Agent(AgentId),
    /// A customer.
    Requester(RequesterId),
    /// A service of ours: `intake`, `routing`, `sla`, `notify`.
    Service(SmolStr),
}

impl Actor {
    /// Reads what [`Display`](fmt::Display) wrote; anything else is the backend.
    pub fn from_text(text: &str) -> Self {
        match text.split_once(':') {
            Some(("agent", id)) => Self::Agent(AgentId::trusted(id)),
            Some(("requester", id)) => Self::Requester(RequesterId::trusted(id)),
            Some(("service", name)) => Self::Service(name.into()),
            Some(_) | None => Self::Backend,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend => f.write_str("backend"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Requester(id) => write!(f, "requester:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_one_to_five() {
        assert!(SkillLevel::new(0).is_none());
        assert!(SkillLevel::new(6).is_none());
        assert_eq!(SkillLevel::new(5).unwrap().get(), 5);
    }

    #[test]
    fn an_actor_survives_its_text() {
        for actor in [
            Actor::Backend,
            Actor::Agent(AgentId::trusted("ada")),
            Actor::Requester(RequesterId::trusted("r-1")),
            Actor::Service("routing".into()),
        ] {
            assert_eq!(Actor::from_text(&actor.to_string()), actor);
        }
    }
}
