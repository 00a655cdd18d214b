//! The edge over real connections.

mod edge;
mod forward;
mod limits;
mod vigil;
