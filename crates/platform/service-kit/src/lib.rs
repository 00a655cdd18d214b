//! What the services share at their gRPC edge: refusals, checks of requests, pages, watches, hygiene, the server, telemetry.
//!
//! **Invariant:** no business rule lives here, and nothing here decodes an event's payload but the operator's log reader.

pub mod convert;
pub mod error;
pub mod mutate;
pub mod paging;
pub mod validate;
mod token;

pub use error::{
    DOMAIN, Refusal, Refuse, code_of, internal, reason_text, refuse_failure, status_of,
};
pub use mutate::{Mutation, hash_of, mutate, reply_of};
pub use paging::Page;
pub use validate::{Fields, PlainId, Size};
