//! `WatchTickets`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use intake::{Filter, State, Ticket, Workspace};
use kernel::{QueueId, TicketId, Timestamp, WorkspaceId};
use service_kit::paging::binding;
use service_kit::watch::{Item, WatchRequest, WatchStream, checkpoint_every, watch as follow};
use service_kit::{Fields, convert};
use tonic::Status;
use wire::events::v1 as stored;
use wire::intake::v1 as api;
use wire::intake::v1::watch_tickets_response::Kind;

use super::{Api, find_workspace, render};
use crate::codec::{Placed, placed};

pub(super) type Changes = WatchStream<api::WatchTicketsResponse>;

/// What a watch lets through.
#[derive(Debug, Clone)]
struct Watched {
    workspace: WorkspaceId,
    ticket: Option<TicketId>,
    queue: Option<InQueue>,
}

/// Which tickets are in a queue: at the watch's beginning by the state, from there by what passes. So a watch that resumes knows of
/// the tickets that are in the queue now or come into it, not of those that left it before.
#[derive(Debug, Clone)]
struct InQueue {
    queue: QueueId,
    known: Arc<Mutex<HashMap<TicketId, bool>>>,
}

pub(super) async fn watch(
    api: &Api,
    mut request: api::WatchTicketsRequest,
) -> Result<Changes, Status> {
    let mut fields = Fields::new();
    let workspace: WorkspaceId = fields.id("workspace_id", &request.workspace_id);
    let ticket: Option<TicketId> = fields.optional_id("ticket_id", &request.ticket_id);
    let queue: Option<QueueId> = fields.optional_id("queue_id", &request.queue_id);
    let every = request.checkpoint_every.take();
    let asked = WatchRequest {
        start: request.start.take(),
        include_snapshot: std::mem::take(&mut request.include_snapshot),
        checkpoint_every: checkpoint_every(&mut fields, every.as_ref()),
        binding: binding("WatchTickets", &request),
    };
    fields.finish()?;
    let queue = queue.map(|queue| InQueue { queue, known: Arc::default() });
    let watched = Watched { workspace, ticket, queue };
    let seen = watched.clone();
    let exists = move |state: &State| {
        seen.learn(find_workspace(state, &seen.workspace)?);
        Ok(())
    };
    api.look(&watched.workspace, exists).await?;
    let partition = api.node.partition_of(watched.workspace.as_str());
    let (first, then, workspace) = (watched.clone(), watched.clone(), watched.workspace);
    follow(
        partition,
        &api.drain,
        asked,
        move |state| first.snapshot(state),
        move |_, event| then.change(event),
        move |resume_token, item| message(&workspace, resume_token, item),
    )
    .await
}

impl Watched {
    /// Learns which tickets are in the queue now; what was known before is forgotten.
    fn learn(&self, workspace: &Workspace) {
        let Some(InQueue { queue, known }) = &self.queue else { return };
        let filter = Filter { queue: Some(queue.clone()), ..Filter::default() };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
        for ticket in workspace.candidates(&filter, u64::MAX) {
            known.insert(ticket.id.clone(), true);
        }
    }

    fn snapshot(&self, state: &State) -> Vec<Ticket> {
        let Some(workspace) = state.workspace(&self.workspace) else { return Vec::new() };
        self.learn(workspace);
        if let Some(ticket) = &self.ticket {
            return workspace.ticket(ticket).map(Cow::into_owned).into_iter().collect();
        }
        let queue = self.queue.as_ref().map(|in_queue| in_queue.queue.clone());
        let filter = Filter { queue, ..Filter::default() };
        workspace.candidates(&filter, u64::MAX).cloned().collect()
    }

    fn change(&self, event: &stored::Event) -> Option<api::TicketChange> {
        let placed = placed(&event.r#type, &event.data)?;
        let of_workspace = event.workspace == self.workspace.as_str();
        let of_ticket = self.ticket.as_ref().is_none_or(|ticket| ticket.as_str() == event.entity);
        let of_queue =
            self.queue.as_ref().is_none_or(|queue| of_workspace && queue.passes(event, &placed));
        let at = Timestamp::from_millis(event.occurred_at_ms);
        (of_workspace && of_ticket && of_queue).then(|| api::TicketChange {
            event_type: event.r#type.clone(),
            ticket_id: event.entity.clone(),
            occurred_at: Some(convert::timestamp_to_wire(at)),
            revision: event.revision,
            data: event.data.to_vec(),
        })
    }
}

impl InQueue {
    /// Whether the ticket was in the queue before the fact, or is after it.
    fn passes(&self, event: &stored::Event, placed: &Placed) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let was = known.get(event.entity.as_str()).copied().unwrap_or(false);
        let is = match placed {
            Placed::AsBefore => was,
            Placed::In(queue) => {
                let is = *queue == self.queue.as_str();
                known.insert(TicketId::trusted(&event.entity), is);
                is
            }
        };
        was || is
    }
}

fn message(
    workspace: &WorkspaceId,
    resume_token: String,
    item: Item<api::TicketChange, Ticket>,
) -> api::WatchTicketsResponse {
    let kind = match item {
        Item::Snapshot(ticket) => Kind::Snapshot(render::ticket(workspace, &ticket)),
        Item::SnapshotComplete => Kind::SnapshotComplete(true),
        Item::Change(change) => Kind::Change(change),
        Item::Checkpoint(checkpoint) => Kind::Checkpoint(checkpoint),
    };
    api::WatchTicketsResponse { resume_token, kind: Some(kind) }
}
