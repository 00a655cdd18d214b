//! `WatchTickets`.

use std::borrow::Cow;

use intake::{Filter, State, Ticket};
use kernel::{QueueId, TicketId, Timestamp, WorkspaceId};
use service_kit::paging::binding;
use service_kit::watch::{
    Item, Message, Page, WatchRequest, WatchStream, Watcher, checkpoint_every, watch as follow,
};
use service_kit::{Fields, convert};
use tonic::Status;
use wire::events::v1 as stored;
use wire::intake::v1 as api;
use wire::intake::v1::watch_tickets_response::Kind;

use super::{Api, find_workspace, render};
use crate::codec::{is_in_queue, is_of_ticket};

pub(super) type Changes = WatchStream<api::WatchTicketsResponse>;

/// What a watch lets through.
#[derive(Debug, Clone)]
struct Watched {
    workspace: WorkspaceId,
    ticket: Option<TicketId>,
    queue: Option<QueueId>,
}

pub(super) async fn watch(
    api: &Api,
    watcher: Watcher,
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
    let watched = Watched { workspace, ticket, queue };
    let named = watched.workspace.clone();
    let exists = move |state: &State| find_workspace(state, &named).map(|_| ());
    api.look(&watched.workspace, exists).await?;
    let partition = api.node.partition_of(watched.workspace.as_str());
    let (shown, then, workspace) = (watched.clone(), watched.clone(), watched.workspace);
    follow(
        partition,
        watcher,
        asked,
        move |state, below| shown.page(state, below),
        move |_, event| then.change(event),
        move |told| message(&workspace, told),
    )
    .await
}

impl Watched {
    /// Tickets with numbers below `below`, the newest first: those opened meanwhile are none of the snapshot.
    fn page(&self, state: &State, below: Option<u64>) -> Page<Ticket> {
        let Some(workspace) = state.workspace(&self.workspace) else { return Page::none() };
        let below = below.unwrap_or(u64::MAX);
        if let Some(ticket) = &self.ticket {
            let ticket = workspace.ticket(ticket).filter(|ticket| ticket.number < below);
            return Page::of(ticket.map(Cow::into_owned).into_iter().map(item));
        }
        let filter = Filter { queue: self.queue.clone(), ..Filter::default() };
        Page::of(workspace.candidates(&filter, below).map(|ticket| item(ticket.clone())))
    }

    fn change(&self, event: &stored::Event) -> Option<api::TicketChange> {
        let (of_type, data) = (event.r#type.as_str(), &event.data);
        let of_workspace = event.workspace == self.workspace.as_str() && is_of_ticket(of_type);
        let of_ticket = self.ticket.as_ref().is_none_or(|ticket| ticket.as_str() == event.entity);
        let of_queue = |queue: &QueueId| is_in_queue(of_type, data, queue);
        let passes = of_workspace && of_ticket && self.queue.as_ref().is_none_or(of_queue);
        let at = Timestamp::from_millis(event.occurred_at_ms);
        passes.then(|| api::TicketChange {
            event_type: event.r#type.clone(),
            ticket_id: event.entity.clone(),
            occurred_at: Some(convert::timestamp_to_wire(at)),
            revision: event.revision,
            data: event.data.clone(),
        })
    }
}

/// A ticket of a page, by its number, with its size in bytes.
fn item(ticket: Ticket) -> (u64, Ticket, usize) {
    let size = ticket.size();
    (ticket.number, ticket, size)
}

fn message(
    workspace: &WorkspaceId,
    told: Message<api::TicketChange, Ticket>,
) -> api::WatchTicketsResponse {
    let Message { resume_token, position, item } = told;
    let kind = match item {
        Item::Snapshot(ticket) => Kind::Snapshot(render::ticket(workspace, &ticket)),
        Item::SnapshotComplete => Kind::SnapshotComplete(true),
        Item::Change(change) => Kind::Change(change),
        Item::Checkpoint(checkpoint) => Kind::Checkpoint(checkpoint),
    };
    api::WatchTicketsResponse { resume_token, position: Some(position), kind: Some(kind) }
}
