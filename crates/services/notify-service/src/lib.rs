//! The notify service.
//!
//! # Owns
//! Rules, endpoints and deliveries, as the [`notify`] crate decides them; and the sending, the only effect outside of
//! Switchyard.
//!
//! # Serves
//! `switchyard.notify.v1.NotifyService`.
//!
//! # Listens to
//! intake, routing and sla: every event, for rules may name any; and tickets, to write about them.
//!
//! # Publishes
//! The facts of its log, which nobody but its own watches follows.

mod api;
mod codec;
mod config;
mod effects;
mod error;
mod fields;
mod reactions;
mod secrets;
mod service;
mod start;

pub use api::{Api, server};
pub use config::Config;
pub use effects::{Courier, Message, SenderError};
pub use secrets::{KEYS_MAX, Keys, KeysError};
pub use service::NotifyService;
pub use start::{fold, start};
