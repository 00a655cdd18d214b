//! What needs no other process: the house's rules, and the logs of earlier releases.

mod golden;
mod house;
mod names;
mod steps;
