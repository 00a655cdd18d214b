//! The state as the contract shows it.

use intake::{Ticket, Workspace};
use kernel::{AgentId, QueueId, TicketId, WorkspaceId};
use service_kit::convert;
use wire::intake::v1 as api;

use crate::codec::values;

pub(super) fn workspace(id: &WorkspaceId, workspace: &Workspace) -> api::Workspace {
    api::Workspace {
        workspace_id: id.to_string(),
        display_name: workspace.display_name.to_string(),
        default_priority: convert::priority_to_wire(workspace.default_priority).into(),
        revision: workspace.revision,
    }
}

pub(super) fn ticket(workspace: &WorkspaceId, ticket: &Ticket) -> api::Ticket {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let details = ticket.details();
    api::Ticket {
        workspace_id: workspace.to_string(),
        ticket_id: ticket.id.to_string(),
        number: ticket.number,
        external_id: text(details.external_id.as_deref()),
        status: convert::status_to_wire(ticket.status).into(),
        channel: convert::channel_to_wire(ticket.channel).into(),
        provider: details.provider.to_string(),
        requester: Some(values::requester_to_wire(&ticket.requester(&details))),
        subject: details.subject.to_string(),
        priority: convert::priority_to_wire(ticket.priority).into(),
        r#type: ticket.kind.to_string(),
        tags: values::texts_to_wire(&ticket.tags),
        attributes: convert::attributes_to_wire(&details.attributes),
        required_skills: convert::skills_to_wire(&details.required_skills),
        queue_id: text(ticket.queue.as_ref().map(QueueId::as_str)),
        agent_id: text(ticket.agent.as_ref().map(AgentId::as_str)),
        follows_ticket_id: text(details.follows.as_ref().map(TicketId::as_str)),
        opened_at: Some(convert::timestamp_to_wire(ticket.opened_at)),
        updated_at: Some(convert::timestamp_to_wire(ticket.updated_at)),
        message_count: ticket.message_count,
        revision: ticket.revision,
        is_stub: ticket.is_stub,
    }
}
