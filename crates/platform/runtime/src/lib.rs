//! The runtime: what turns a pure decider into a service over a log.
//!
//! A service is a [`Service`]: its rules, its stored form, its reactions. A [`Node`] runs it: for each partition one
//! leader claims the log, folds it, follows the inputs, takes calls and deadlines, commits, and answers once the log
//! has acknowledged.
//!
//! ```text
//!  call ─┐                                       ┌─> reply, with the position
//!  input ┼─> decide ─> evolve ─> commit ─> ack ──┼─> effects
//!  timer ┘     pure      pure     one record     └─> followers, watches
//! ```
//!
//! **Invariants:** the log is the only fence; nobody sees state that the log hasn't; a doubt halts its partition;
//! nothing on the replay path has an effect; `runtime` never decodes a payload.

mod aside;
mod call;
mod clock;
mod commit;
mod event_type;
mod fold;
mod hash;
mod health;
mod lent_event;
mod membership;
mod meta;
pub mod metrics;
mod node;
mod parking;
mod partition;
mod position;
mod replay;
mod requests;
mod service;
mod snapshotting;
pub mod trace;

pub use call::{Call, Done, Failure, FailureOf, Overload, Render, RequestKey};
pub use clock::{Clock, ClockError, ClockStep, OffsetError};
pub use commit::{
    Chain, ChainReader, Doubt, FORMAT, READER, genesis, genesis_superseding, is_origin,
    open_record, origin_in, read_first, restored_in, supersedes_in,
};
pub use event_type::{
    DecodeError, EventType, Stored, Upcaster, Upcasters, decode_event, text, written_version,
};
pub use fold::{AnyFold, Fold, HashCheck};
pub use hash::Unhashable;
pub use health::Health;
pub use membership::{Instance, InstancePlace, Membership, instances};
pub use metrics::Metrics;
pub use node::{
    Identity, Node, NodeConfig, PARTITIONS_MAX, Resting, StartError, first_record, identify,
    initialise,
};
pub use parking::{ParkedEntity, Release, ReleaseHow, Released};
pub use partition::{
    BYTES_MAX, CommittedRecord, CommittedRecords, EVENTS_MAX, HASH_AT_LAST, HASH_EVERY,
    PartitionHandle, REPETITIONS_MAX, TimeDoubt, View, WAITING_MAX, WAITING_OF_WORKSPACE_MAX,
    WaitError, WeakPartition, last_read_of,
};
pub use position::{InvalidPosition, LogId, Position, Positions, ServiceId, partition_of};
pub use replay::{REPLAY_BYTES, ReplayError, replay};
pub use requests::{KEPT_MAX, KEPT_MILLIS};
pub use service::{
    Command, Effect, Event, InputError, InputEvent, Parked, Payload, Rejection, Service, State,
};
pub use snapshotting::{SNAPSHOT_AFTER, SNAPSHOT_BYTES, SNAPSHOT_EVENTS, SnapshotStatus};
pub use trace::TraceContext;
