//! The simulation: all four services in one process, on logs that fail, in a time that runs as fast as it can.
//!
//! It is a test, `tests/simulate`, so that it is built with what tests are built with; see
//! `tests/simulation/README.md`.
