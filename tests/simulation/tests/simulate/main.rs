//! The simulation: two instances of each of the four services in one process, on logs and a board that fail, in a time
//! that runs as fast as it can.
//!
//! A seed is 120 simulated seconds: backends, agents and customers call any instance through all that a server puts
//! calls through, instances crash, stop, restart and are cut off, leadership moves, logs lose answers and stall,
//! webhooks come and go. Everything that happens follows from the seed, so a failure is repeated by it. Without
//! arguments it runs 60 seeds. See `tests/simulation/README.md` for the invariants.

mod agents;
mod asked;
mod backends;
mod board;
mod call;
mod check;
mod cluster;
mod courier;
mod disk;
mod door;
mod instance;
mod ledger;
mod log;
mod nemesis;
mod observer;
mod report;
mod rng;
mod run;
mod runner;
mod scene;
mod swarm;
mod world;

fn main() -> anyhow::Result<std::process::ExitCode> {
    runner::main()
}
