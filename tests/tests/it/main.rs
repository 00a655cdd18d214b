//! What can only be seen of real processes: each module is one story about the product's binary, about NATS, or about
//! both.
//!
//! One executable, since each one more is linked with all of the product again.

#![expect(clippy::print_stdout, reason = "figures are told to whoever runs a test by itself")]

mod backup;
mod bad_input;
mod bench;
mod chaos;
mod clients;
mod crowds;
mod demo;
mod doctor;
mod edge;
mod failover;
mod failure_modes;
mod filters;
mod full_disk;
mod fuzz;
mod halted;
mod hanging_receivers;
mod kill;
mod later_intake;
mod later_release;
mod lease_board;
mod log_away;
mod lost;
mod sealed;
mod secure;
mod story;
mod templates;
mod trace;
mod trim;
mod turns;
mod watches;
mod wrong_clock;
