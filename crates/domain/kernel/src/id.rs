//! Plain ids: what callers name things by.
//!
//! An id of up to 23 bytes stands where it is kept, with nothing allocated: a state's maps compare ids all the time,
//! and most ids are short. Longer ones share their text.

mod shared;

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use smol_str::SmolStr;

pub use shared::sharing_ids;

/// The longest id that stands where it is kept, in bytes: `smol_str`'s measure.
const SHORT_MAX: usize = 23;

/// The longest id, in bytes.
pub const ID_LENGTH_MAX: usize = 64;

/// A text that can't be a plain id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// It has no characters.
    #[error("must not be empty")]
    Empty,
    /// It has more than [`ID_LENGTH_MAX`] bytes.
    #[error("must have at most {ID_LENGTH_MAX} characters")]
    TooLong,
    /// It has a character other than ASCII letters, digits, `-` and `_`.
    #[error("must consist of letters, digits, `-` and `_`")]
    Character,
}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > ID_LENGTH_MAX {
        return Err(InvalidId::TooLong);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.bytes().all(plain) { Ok(()) } else { Err(InvalidId::Character) }
}

macro_rules! plain_ids {
    ($($(#[$about:meta])* $name:ident;)*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize)]
        pub struct $name(SmolStr);

        // By text; one text that both share need not be read.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let (one, other) = (self.as_str(), other.as_str());
                if std::ptr::eq(one, other) { Ordering::Equal } else { one.cmp(other) }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Checks that the text is a plain id: 1 to [`ID_LENGTH_MAX`] ASCII letters, digits, `-` and `_`.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// Takes a text as it is: for what the log holds, which was checked when it was written, and for ids made
            /// here.
            pub fn trusted(text: &str) -> Self {
                Self(text.into())
            }

            /// Whether copies share its text, as they do where it is too long to stand in each.
            pub fn is_long(&self) -> bool {
                self.0.len() > SHORT_MAX
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", &self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(shared::Text).map(Self)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

plain_ids! {
    /// A tenant.
    WorkspaceId;
    /// A ticket.
    TicketId;
    /// A message of a ticket.
    MessageId;
    /// A person or program that works on tickets.
    AgentId;
    /// A queue.
    QueueId;
    /// A skill.
    SkillId;
    /// An offer of a ticket to an agent.
    OfferId;
    /// An SLA policy.
    PolicyId;
    /// A clock. Made by sla: `TICKET/METRIC/CYCLE`, so only ever [trusted](Self::trusted).
    ClockId;
    /// A rule of notify.
    RuleId;
    /// A webhook endpoint.
    EndpointId;
    /// A delivery: its stable key in hex.
    DeliveryId;
    /// A customer.
    RequesterId;
    /// Whatever a fact is about: it has that thing's id.
    EntityId;
}

macro_rules! entities {
    ($($name:ident)*) => {$(
        impl From<&$name> for EntityId {
            fn from(id: &$name) -> Self {
                Self(id.0.clone())
            }
        }
    )*};
}

entities! { WorkspaceId TicketId PolicyId }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_ids_are_shared() {
        for length in 1..=ID_LENGTH_MAX {
            let id = TicketId::trusted(&"x".repeat(length));
            let shares = std::ptr::eq(id.as_str(), id.clone().as_str());
            assert_eq!((id.is_long(), id.0.is_heap_allocated()), (shares, shares), "{length}");
        }
    }

    #[test]
    fn plain_ids_keep_out_what_a_subject_or_a_path_could_misread() {
        for good in ["a", "INC0000045", "0198-af_Z", &"x".repeat(64)] {
            assert!(TicketId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a.b", "a*", ">", "ä", "a/b", "a\n", &"x".repeat(65)] {
            assert!(TicketId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
