//! Several instances of one service: who this one is, and how they tell each other who leads.
//!
//! Each instance puts one notice on the board every second: its address, and where it stands with each partition. From
//! the notices all come to the same owner of each partition ([`members`]). **Invariant:** the board only says who
//! should try; two who both believe to lead are told apart by the log's fence, and one whose notice may have gone
//! missing asks the log before it shows state.

mod instances;
mod keeper;
mod members;
mod notice;

use std::sync::Arc;

use event_log::LeaseBoard;

pub use instances::{Instance, InstancePlace, instances};
pub(crate) use keeper::{Keeper, Seat, Watched, Watcher};
pub(crate) use members::{Vacancy, Verdict};
pub(crate) use notice::Role;

/// This instance among the others of its service. Clones are the same instance.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Its name: `a-z`, `0-9` and `-`, unique among all instances, and new at every start.
    pub instance: String,
    /// Where the others reach it: `host:port`.
    pub address: String,
    /// Where the instances tell each other who is alive and who leads.
    pub board: Arc<dyn LeaseBoard>,
}
