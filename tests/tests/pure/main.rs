//! What needs no other process: the house's rules, and the logs of earlier releases.

mod golden;
mod house;
mod invariants;
mod names;
mod steps;
