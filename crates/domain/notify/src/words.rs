//! The words of this context: what is kept out of every log line, and how a notification travels.

use std::fmt;
use std::sync::Arc;

use kernel::{AgentId, EndpointId, InvalidId, QueueId};
use serde::{Deserialize, Serialize};

/// An endpoint's signing secret, sealed: nobody without the key can read it, here or in a log, a snapshot or a
/// backup. Equal secrets of one endpoint are sealed to the same bytes, so that decisions can tell them apart without
/// opening them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Which key opens it.
    pub key_id: String,
    /// What was sealed; its form is the sealer's.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSecret").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A secret that a caller gave: sealed with the key in use, and with every other key that an endpoint may have it
/// under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenSecret {
    /// With the key in use.
    pub sealed: SealedSecret,
    /// With the other keys.
    pub elsewhere: Vec<SealedSecret>,
}

impl GivenSecret {
    /// Whether this is the same secret, under whichever key.
    pub fn is(&self, other: &SealedSecret) -> bool {
        self.sealed == *other || self.elsewhere.contains(other)
    }
}

/// Where an endpoint is. Paths and queries of such addresses often carry tokens, so `Debug` shows the scheme alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address(Arc<str>);

impl Address {
    /// Takes a URL; the caller has checked its form.
    pub fn new(url: impl Into<Arc<str>>) -> Self {
        Self(url.into())
    }

    /// The URL, for sending and for storing alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split_once("://").map_or("", |(scheme, _)| scheme);
        write!(f, "Address({scheme}://..)")
    }
}

/// Whom a rule tells in the app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Recipient {
    /// Everyone.
    All,
    /// An agent.
    Agent(AgentId),
    /// Whoever looks after a queue.
    Queue(QueueId),
    /// The ticket's owner at the time of the decision; nobody if it has none.
    Owner,
}

/// A text that names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecipient {
    /// It has another form.
    #[error("must be `agent:ID`, `queue:ID`, `owner` or `all`")]
    Form,
    /// Its id is none.
    #[error("the id {0}")]
    Id(InvalidId),
}

impl Recipient {
    /// Reads `agent:ID`, `queue:ID`, `owner` or `all`.
    pub fn parse(text: &str) -> Result<Self, InvalidRecipient> {
        match text.split_once(':') {
            Some(("agent", id)) => {
                AgentId::parse(id).map(Self::Agent).map_err(InvalidRecipient::Id)
            }
            Some(("queue", id)) => {
                QueueId::parse(id).map(Self::Queue).map_err(InvalidRecipient::Id)
            }
            None if text == "owner" => Ok(Self::Owner),
            None if text == "all" => Ok(Self::All),
            Some(_) | None => Err(InvalidRecipient::Form),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Queue(id) => write!(f, "queue:{id}"),
            Self::Owner => f.write_str("owner"),
        }
    }
}

/// How a rule tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// A signed POST to this endpoint.
    Webhook(EndpointId),
    /// The in-app stream, to these.
    InApp(Vec<Recipient>),
}

/// Where one delivery goes. An owner is resolved before, so [`Recipient::Owner`] doesn't occur.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A signed POST to this endpoint.
    Webhook(EndpointId),
    /// The in-app stream.
    InApp(Recipient),
}

impl Target {
    /// The endpoint, for a webhook.
    pub const fn endpoint(&self) -> Option<&EndpointId> {
        match self {
            Self::Webhook(endpoint) => Some(endpoint),
            Self::InApp(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_survive_their_text() {
        for text in ["all", "owner", "agent:ada", "queue:billing-2"] {
            assert_eq!(Recipient::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "agent:", "agent:a b", "team:x", "everyone"] {
            assert!(Recipient::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_secret_stays_out_of_debug() {
        let shown = format!(
            "{:?} {:?}",
            SealedSecret { key_id: "k".to_owned(), sealed: b"c2Vj".to_vec() },
            Address::new("https://hooks.example/services/T0/tok3n")
        );
        assert!(
            !shown.contains("c2Vj")
                && !shown.contains("99, 50")
                && !shown.contains("tok3n")
                && !shown.contains("hooks")
        );
    }
}
