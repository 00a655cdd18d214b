//! The tickets that a log knows: for whoever compares what the services know of each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use event_log::memory::MemoryProvider;
use event_log::{EventLog, EventLogProvider};
use kernel::{TicketId, WorkspaceId};
use runtime::{Fold, LogId, ReplayError, replay};

use crate::IntakeService;

/// Those of `tickets`, each as workspace and id, that a log doesn't know at its end; it is folded for it. `born`: the
/// identity of its first record.
pub async fn unknown_tickets(
    log: &dyn EventLog,
    born: LogId,
    tickets: &BTreeSet<(String, String)>,
) -> Result<Vec<(String, String)>, ReplayError> {
    // A fold serves no timelines, so there is nothing to read them from.
    let nowhere: Arc<dyn EventLogProvider> = Arc::new(MemoryProvider::new());
    let service = Arc::new(IntakeService::new(nowhere));
    let fold = replay(&service, log, Fold::at_start(born)).await?;
    let is_known = |(workspace, ticket): &&(String, String)| {
        let (workspace, ticket) = (WorkspaceId::trusted(workspace), TicketId::trusted(ticket));
        fold.state().ticket(&workspace, &ticket).is_some()
    };
    Ok(tickets.iter().filter(|ticket| !is_known(ticket)).cloned().collect())
}
