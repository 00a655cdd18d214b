//! Bad input over the wire: each case gets its code, reason and field, and changes nothing.

mod fields;
mod logs;
mod rig;
mod rules;
mod state;
