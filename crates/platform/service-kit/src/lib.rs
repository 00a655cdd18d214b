//! What the services share at their gRPC edge: refusals, checks of requests, pages, watches, hygiene, the server,
//! telemetry.
//!
//! **Invariant:** no business rule lives here, and nothing here decodes an event's payload but the operator's log
//! reader and the vigil.

pub mod admin;
pub mod convert;
pub mod deadline;
pub mod drain;
pub mod error;
pub mod filter;
pub mod forward;
pub mod gate;
pub mod hygiene;
pub mod launch;
pub mod metrics;
pub mod mutate;
pub mod paging;
pub mod readiness;
mod readers;
pub mod server;
pub mod telemetry;
pub mod trace;
pub mod validate;
pub mod vigil;
pub mod watch;
mod token;

pub use admin::{Admin, AdminSource};
pub use drain::Drain;
pub use error::{
    DOMAIN, Refusal, Refuse, code_of, internal, reason_text, refuse_failure, status_of,
};
pub use forward::{Dial, FORWARDED_HEADER, Peers, Unanswered};
pub use gate::{Gates, POSITION_HEADER, PositionGate};
pub use launch::{Launch, Launched};
pub use mutate::{Mutation, hash_of, mutate, reply_of};
pub use paging::Page;
pub use readiness::Readiness;
pub use server::{
    CONNECTIONS_MAX, DRAIN_WITHIN, EdgeMetrics, Limits, SLOW_AFTER, Server, ServerError, Services,
    Stack, UNSENT_BYTES_MAX, WATCHES_MAX,
};
pub use telemetry::{Telemetry, TelemetryError};
pub use validate::{Fields, PlainId, Size};
pub use vigil::{Allowance, keep_vigil};
pub use watch::{
    Item, Message, Page as SnapshotPage, WatchRequest, WatchStream, Watcher, checkpoint_every,
    watch,
};
