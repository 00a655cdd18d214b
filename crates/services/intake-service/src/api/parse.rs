//! Requests into wishes. Every field that can't be used is named at once.

mod create;

use intake::Command;
use intake::command::{AddMessage, Move, PutWorkspace, Step, UpdateTicket};
use intake::event::{AuthorKind, Visibility};
use kernel::{MessageId, TicketId, Timestamp, WorkspaceId};
use prost::Message;
use runtime::Clock;
use service_kit::{Fields, PlainId, Refusal, Size, convert, hash_of};
use wire::common::v1 as common;
use wire::events::v1 as stored;
use wire::intake::v1 as api;

use crate::codec::words;

pub(super) use create::create;

/// What a mutating request asks for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) workspace: WorkspaceId,
    pub(super) request_id: String,
    pub(super) hash: u64,
    pub(super) command: Command,
}

/// Takes the request's id out and hashes the rest.
fn identity<M: Message>(
    request: &mut M,
    id: impl Fn(&mut M) -> &mut String,
    fields: &mut Fields,
) -> (String, u64) {
    let request_id = std::mem::take(id(request));
    fields.request_id(&request_id);
    (request_id, hash_of(request))
}

/// A made id: a UUIDv7.
fn made<T: PlainId>(clock: &Clock) -> T {
    T::trusted(&clock.unique_id().to_string())
}

const fn expected(revision: u64) -> Option<u64> {
    match revision {
        0 => None,
        revision => Some(revision),
    }
}

pub(super) fn put_workspace(mut request: api::PutWorkspaceRequest) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    fields.require(request.workspace.is_some(), "workspace", "must be set");
    let put = request.workspace.unwrap_or_default();
    let workspace = fields.id("workspace.workspace_id", &put.workspace_id);
    let name = fields.line("workspace.display_name", &put.display_name, Size::Chars(0..=200));
    let command = Command::PutWorkspace(PutWorkspace {
        display_name: name.into(),
        default_priority: fields.priority("workspace.default_priority", put.default_priority),
        expected: expected(request.expected_revision),
    });
    fields.finish()?;
    Ok(Wish { workspace, request_id, hash, command })
}

pub(super) fn add_message(
    mut request: api::AddMessageRequest,
    clock: &Clock,
) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let (author_kind, visibility) = authorship(&mut fields, &request);
    let body = fields.block("body", &request.body, Size::Bytes(1..=BODY_MAX_BYTES));
    let command = Command::AddMessage(Box::new(AddMessage {
        ticket: fields.id("ticket_id", &request.ticket_id),
        message: made::<MessageId>(clock),
        follow_up: made::<TicketId>(clock),
        author_kind,
        author: request.author_id.into(),
        visibility,
        body: body.into(),
        occurred_at: fields.instant("occurred_at", request.occurred_at.as_ref()),
        expected: expected(request.expected_revision),
    }));
    fields.finish()?;
    Ok(Wish { workspace, request_id, hash, command })
}

/// The largest message, in bytes.
const BODY_MAX_BYTES: usize = 64 * 1024;

fn authorship(fields: &mut Fields, request: &api::AddMessageRequest) -> (AuthorKind, Visibility) {
    fields.required::<stored::AuthorKind>("author_kind", request.author_kind);
    fields.required::<stored::Visibility>("visibility", request.visibility);
    let kind = words::author_kind(request.author_kind).unwrap_or(AuthorKind::Bot);
    let visibility = words::visibility(request.visibility).unwrap_or(Visibility::Internal);
    let author = fields.optional_id::<kernel::AgentId>("author_id", &request.author_id);
    match kind {
        AuthorKind::EndUser => fields.require(
            visibility == Visibility::Public || request.visibility == 0,
            "visibility",
            "must be public for a customer's message",
        ),
        AuthorKind::Agent => fields.require(
            author.is_some() || !request.author_id.is_empty(),
            "author_id",
            "must name the agent",
        ),
        AuthorKind::Bot => {}
    }
    (kind, visibility)
}

pub(super) fn update(mut request: api::UpdateTicketRequest) -> Result<(TicketId, Wish), Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let ticket: TicketId = fields.id("ticket_id", &request.ticket_id);
    let mut update = UpdateTicket {
        ticket: ticket.clone(),
        priority: None,
        kind: None,
        tags: None,
        attributes: None,
        expected: expected(request.expected_revision),
    };
    let paths = request.update_mask.unwrap_or_default().paths;
    fields.require(!paths.is_empty(), "update_mask", "must name a field");
    for path in paths.iter().take(fields.count("update_mask", paths.len(), 16)) {
        match path.as_str() {
            "priority" => {
                let priority: common::Priority = fields.required("priority", request.priority);
                update.priority = convert::priority_from_wire(priority);
            }
            "type" => update.kind = Some(create::kind(&mut fields, &request.r#type)),
            "tags" => update.tags = Some(create::tags(&mut fields, &request.tags)),
            "attributes" => {
                update.attributes = Some(fields.attributes("attributes", &request.attributes));
            }
            _ => fields.refuse(
                "update_mask",
                "must name only `priority`, `type`, `tags` and `attributes`",
            ),
        }
    }
    fields.finish()?;
    let command = Command::UpdateTicket(Box::new(update));
    Ok((ticket, Wish { workspace, request_id, hash, command }))
}

/// What the requests for a step in a ticket's life have in common.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    workspace_id: &'a str,
    ticket_id: &'a str,
    reason: &'a str,
    expected_revision: u64,
    occurred_at: Option<&'a prost_types::Timestamp>,
}

fn step(
    mut fields: Fields,
    (request_id, hash): (String, u64),
    step: Step,
    asked: Asked<'_>,
) -> Result<(TicketId, Wish), Refusal> {
    let workspace = fields.id("workspace_id", asked.workspace_id);
    let ticket: TicketId = fields.id("ticket_id", asked.ticket_id);
    let reason = fields.line("reason", asked.reason, Size::Chars(0..=300));
    let occurred_at: Option<Timestamp> = fields.instant("occurred_at", asked.occurred_at);
    fields.finish()?;
    let command = Command::Move(Move {
        ticket: ticket.clone(),
        step,
        reason: reason.into(),
        expected: expected(asked.expected_revision),
        occurred_at,
    });
    Ok((ticket, Wish { workspace, request_id, hash, command }))
}

macro_rules! steps {
    ($($(#[$about:meta])* $name:ident($request:ident) = $step:ident;)*) => {$(
        $(#[$about])*
        pub(super) fn $name(mut request: api::$request) -> Result<(TicketId, Wish), Refusal> {
            let mut fields = Fields::new();
            let identity = identity(&mut request, |it| &mut it.request_id, &mut fields);
            step(fields, identity, Step::$step, Asked {
                workspace_id: &request.workspace_id,
                ticket_id: &request.ticket_id,
                reason: &request.reason,
                expected_revision: request.expected_revision,
                occurred_at: None,
            })
        }
    )*};
}

steps! {
    resume(ResumeRequest) = Resume;
    reopen(ReopenTicketRequest) = Reopen;
    close(CloseTicketRequest) = Close;
}

pub(super) fn resolve(mut request: api::ResolveTicketRequest) -> Result<(TicketId, Wish), Refusal> {
    let mut fields = Fields::new();
    let identity = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let asked = Asked {
        workspace_id: &request.workspace_id,
        ticket_id: &request.ticket_id,
        reason: &request.reason,
        expected_revision: request.expected_revision,
        occurred_at: request.occurred_at.as_ref(),
    };
    step(fields, identity, Step::Resolve, asked)
}

pub(super) fn set_waiting(
    mut request: api::SetWaitingRequest,
) -> Result<(TicketId, Wish), Refusal> {
    let mut fields = Fields::new();
    let identity = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let wanted = match common::TicketStatus::try_from(request.status) {
        Ok(common::TicketStatus::Pending) => Step::AwaitCustomer,
        Ok(common::TicketStatus::OnHold) => Step::AwaitOthers,
        Ok(
            common::TicketStatus::Unspecified
            | common::TicketStatus::New
            | common::TicketStatus::Open
            | common::TicketStatus::Resolved
            | common::TicketStatus::Closed,
        )
        | Err(_) => {
            fields.refuse("status", "must be PENDING or ON_HOLD");
            Step::AwaitOthers
        }
    };
    let asked = Asked {
        workspace_id: &request.workspace_id,
        ticket_id: &request.ticket_id,
        reason: &request.reason,
        expected_revision: request.expected_revision,
        occurred_at: None,
    };
    step(fields, identity, wanted, asked)
}
