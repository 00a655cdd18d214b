//! The tickets that a log has open: for whoever compares what the services know of each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use event_log::EventLog;
use runtime::{Fold, LogId, ReplayError, replay};

use crate::RoutingService;

/// The tickets, each as workspace and id, that are neither resolved nor closed by the end of a log, which is folded for
/// it. `born`: the identity of its first record.
pub async fn open_tickets(
    log: &dyn EventLog,
    born: LogId,
) -> Result<BTreeSet<(String, String)>, ReplayError> {
    let fold = replay(&Arc::new(RoutingService::new()), log, Fold::at_start(born)).await?;
    let mut tickets = BTreeSet::new();
    for (workspace, state) in fold.state().workspaces() {
        tickets.extend(state.open_tickets().map(|id| (workspace.to_string(), id.to_string())));
    }
    Ok(tickets)
}
