//! The plain ids of the kernel, by one name.

use kernel::{
    AgentId, EndpointId, InvalidId, MessageId, OfferId, PolicyId, QueueId, RequesterId, RuleId,
    SkillId, TicketId, WorkspaceId,
};

/// A plain id that callers send: 1 to 64 ASCII letters, digits, `-` and `_`.
pub trait PlainId: Sized {
    /// Checks a text.
    fn parse(text: &str) -> Result<Self, InvalidId>;

    /// Takes a text as it is.
    fn trusted(text: &str) -> Self;
}

macro_rules! plain {
    ($($name:ident)*) => {$(
        impl PlainId for $name {
            fn parse(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }

            fn trusted(text: &str) -> Self {
                Self::trusted(text)
            }
        }
    )*};
}

plain! {
    AgentId EndpointId MessageId OfferId PolicyId QueueId RequesterId RuleId SkillId TicketId WorkspaceId
}
