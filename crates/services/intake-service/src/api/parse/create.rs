//! The largest request: a new ticket.

use intake::Command;
use intake::command::CreateTicket;
use intake::event::Requester;
use kernel::{MessageId, RequesterId, TicketId};
use runtime::Clock;
use service_kit::{Fields, Refusal, Size};
use wire::events::v1 as stored;
use wire::intake::v1 as api;

use super::{BODY_MAX_BYTES, Wish, identity, made};

/// How many skills a ticket may ask for.
const SKILLS_MAX: usize = 20;
/// How many tags a ticket may have.
const TAGS_MAX: usize = 50;
/// How many addresses a requester may have.
const ADDRESSES_MAX: usize = 20;

pub(in crate::api) fn create(
    mut request: api::CreateTicketRequest,
    clock: &Clock,
) -> Result<Wish, Refusal> {
    let mut fields = Fields::new();
    let (request_id, hash) = identity(&mut request, |it| &mut it.request_id, &mut fields);
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let ticket = fields.optional_id("ticket_id", &request.ticket_id);
    let command = Command::CreateTicket(Box::new(CreateTicket {
        ticket: ticket.unwrap_or_else(|| made::<TicketId>(clock)),
        message: made::<MessageId>(clock),
        external_id: external_id(&mut fields, &request.external_id),
        channel: fields.channel("channel", request.channel),
        provider: fields.line("provider", &request.provider, Size::Chars(0..=64)).into(),
        requester: requester(&mut fields, &request.requester.unwrap_or_default(), clock),
        subject: fields.line("subject", &request.subject, Size::Chars(1..=300)).into(),
        body: fields.block("body", &request.body, Size::Bytes(1..=BODY_MAX_BYTES)).into(),
        priority: fields.priority("priority", request.priority),
        kind: kind(&mut fields, &request.r#type),
        tags: tags(&mut fields, &request.tags),
        attributes: fields.attributes("attributes", &request.attributes),
        required_skills: fields
            .skills("required_skills", &request.required_skills, SKILLS_MAX)
            .into(),
        queue: fields.optional_id("queue_id", &request.queue_id),
        occurred_at: fields.instant("occurred_at", request.occurred_at.as_ref()),
    }));
    fields.finish()?;
    Ok(Wish { workspace, request_id, hash, command })
}

fn external_id(fields: &mut Fields, text: &str) -> Option<Box<str>> {
    let text = fields.line("external_id", text, Size::Chars(0..=128));
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn kind(fields: &mut Fields, text: &str) -> Box<str> {
    fields.line("type", text, Size::Chars(0..=64)).into()
}

pub(super) fn tags(fields: &mut Fields, tags: &[String]) -> Vec<Box<str>> {
    let tags = fields.lines("tags", tags, TAGS_MAX, &Size::Chars(1..=64));
    tags.into_iter().map(Box::from).collect()
}

fn requester(fields: &mut Fields, requester: &stored::Requester, clock: &Clock) -> Requester {
    let id = fields.optional_id("requester.requester_id", &requester.requester_id);
    let addresses = fields.lines(
        "requester.addresses",
        &requester.addresses,
        ADDRESSES_MAX,
        &Size::Chars(1..=320),
    );
    Requester {
        id: id.unwrap_or_else(|| made::<RequesterId>(clock)),
        name: fields.line("requester.name", &requester.name, Size::Chars(0..=200)).into(),
        addresses: addresses.into_iter().map(Box::from).collect(),
        locale: fields.line("requester.locale", &requester.locale, Size::Chars(0..=35)).into(),
    }
}
