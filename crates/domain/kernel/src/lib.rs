//! What every context of the domain shares: time, ids, the field's words, and the shape of a decider.
//!
//! A decider is a pure fold: `decide` turns a command into facts, `evolve` turns facts into state, and nothing else
//! happens. Time, ids and seeds arrive inside the command. **Invariant:** no clock, randomness, I/O, async or hash-map
//! order anywhere below `crates/domain`. A type enters this crate when two contexts use it. The ids of all contexts are
//! here, of whichever use, so that they are made, bounded and stored in one way.
//!
//! `State`s derive serde, so that snapshots (disposable caches) and state hashes need no second hand-written codec.
//! Facts do not: what is stored for ever has an explicit schema in `proto/`.

mod closed;
mod decider;
mod id;
pub mod in_order;
mod packed;
mod time;
mod words;
pub mod planted;
pub mod scenario;

pub use closed::{CLOSED_KEPT_MS, Closed, SENT_AWAY_AT_ONCE};
pub use decider::{Context, Decider, Fact};
pub use id::{
    AgentId, ClockId, DeliveryId, EndpointId, EntityId, ID_LENGTH_MAX, InvalidId, MessageId,
    OfferId, PolicyId, QueueId, RequesterId, RuleId, SkillId, TicketId, WorkspaceId, sharing_ids,
};
pub use packed::Packed;
pub use time::Timestamp;
pub use words::{
    Actor, AttributeValue, Attributes, Channel, Priority, SkillLevel, SkillRequirement,
    TicketStatus,
};
