//! The simulation: all four services in one process, on logs that fail, in a time that runs as fast as it can.
//!
//! A seed is 120 simulated seconds: backends, agents and customers call the services' real gRPC traits, nodes crash, race and restart,
//! logs lose answers and stall, webhooks come and go. Everything that happens follows from the seed, so a failure is repeated by it.
//! Without arguments it runs 60 seeds. See `tests/simulation/README.md` for the invariants.

mod agents;
mod backends;
mod call;
mod check;
mod cluster;
mod courier;
mod disk;
mod log;
mod nemesis;
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
