//! The worked cases of SLA semantics in wall time, and what must hold after any history.

mod cases;
mod changes;
mod forgotten;
mod policies;
mod properties;
mod rig;
mod sweeps;
