//! The stream of what happens to clocks.

use kernel::{TicketId, Timestamp, WorkspaceId};
use runtime::decode_event;
use service_kit::convert::timestamp_to_wire;
use service_kit::{
    Fields, Item, Message, SnapshotPage, WatchRequest, WatchStream, Watcher, checkpoint_every,
    paging,
};
use sla::{Event, clock_id};
use tonic::Status;
use wire::events::v1::Event as StoredEvent;
use wire::sla::v1 as wire_sla;
use wire_sla::watch_sla_response::Kind;

use super::Api;
use crate::codec::EVENTS;

/// Begins a watch of a workspace's clocks, or of one ticket's.
pub(super) async fn watch(
    api: &Api,
    watcher: Watcher,
    request: wire_sla::WatchSlaRequest,
) -> Result<WatchStream<wire_sla::WatchSlaResponse>, Status> {
    let mut fields = Fields::new();
    let workspace: WorkspaceId = fields.id("workspace_id", &request.workspace_id);
    let ticket: Option<TicketId> = fields.optional_id("ticket_id", &request.ticket_id);
    let checkpoint_every = checkpoint_every(&mut fields, request.checkpoint_every.as_ref());
    fields.finish()?;
    api.look(workspace.clone(), |_, _| Ok(())).await?;
    let filter = wire_sla::WatchSlaRequest {
        workspace_id: request.workspace_id,
        ticket_id: request.ticket_id,
        start: None,
        checkpoint_every: None,
    };
    let asked = WatchRequest {
        start: request.start,
        include_snapshot: false,
        checkpoint_every,
        binding: paging::binding("WatchSla", &filter),
    };
    let partition = api.node.partition_of(workspace.as_str());
    let change = move |_, event: &StoredEvent| change(event, &workspace, ticket.as_ref());
    service_kit::watch(partition, watcher, asked, |_, _| SnapshotPage::none(), change, message)
        .await
}

/// There are no snapshots here, so none of their items comes.
fn message(told: Message<wire_sla::ClockChange, ()>) -> wire_sla::WatchSlaResponse {
    let Message { resume_token, position, item } = told;
    let kind = match item {
        Item::Change(change) => Some(Kind::Change(change)),
        Item::Checkpoint(checkpoint) => Some(Kind::Checkpoint(checkpoint)),
        Item::Snapshot(()) | Item::SnapshotComplete => None,
    };
    wire_sla::WatchSlaResponse { resume_token, position: Some(position), kind }
}

/// The change of a clock that an event is, if it is one and of the ticket that was asked for (none: of any).
fn change(
    event: &StoredEvent,
    workspace: &WorkspaceId,
    ticket: Option<&TicketId>,
) -> Option<wire_sla::ClockChange> {
    let of_ticket = ticket.is_none_or(|ticket| event.entity == ticket.as_str());
    if event.workspace != workspace.as_str() || !of_ticket {
        return None;
    }
    match decode_event(EVENTS, &event.r#type, event.version, &event.data).ok()? {
        Event::Clock { ticket, key, change: _ } => Some(wire_sla::ClockChange {
            event_type: event.r#type.clone(),
            clock_id: clock_id(&ticket, key).to_string(),
            ticket_id: ticket.to_string(),
            occurred_at: Some(timestamp_to_wire(Timestamp::from_millis(event.occurred_at_ms))),
            data: event.data.clone(),
        }),
        Event::WorkspaceNoted(_)
        | Event::PolicyPut(_)
        | Event::PoliciesApplied { .. }
        | Event::TicketNoted(_) => None,
    }
}
