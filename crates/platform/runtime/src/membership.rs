//! Several instances of one service: who this one is, and where they tell each other.

use std::sync::Arc;

use event_log::LeaseBoard;

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
