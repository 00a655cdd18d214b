//! The body of a webhook: JSON, made once and sent unchanged in every attempt.

use kernel::{Context, RuleId, TicketId, Timestamp};
use serde::Serialize;

use crate::template::cut;
use crate::{Observation, Ticket};

/// The largest body, in bytes; the text is cut until it fits.
pub const BODY_MAX: usize = 20_480;

const NAME_MAX: usize = 300;

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    workspace_id: &'a str,
    ticket_id: &'a str,
    ticket_number: u64,
    requester_name: String,
    agent_id: &'a str,
    queue_id: &'a str,
    priority: &'a str,
    rule_id: &'a str,
    text: String,
}

/// Writes the body. The order of its members is fixed.
pub(crate) fn webhook(
    context: &Context,
    rule: &RuleId,
    observation: &Observation,
    ticket: Option<(&TicketId, &Ticket)>,
    text: &str,
) -> String {
    let unknown = Ticket::default();
    let (id, ticket) = ticket.map_or(("", &unknown), |(id, ticket)| (id.as_str(), ticket));
    let mut body = Body {
        r#type: &observation.event_type,
        timestamp: rfc3339(observation.at),
        data: Data {
            workspace_id: context.workspace.as_str(),
            ticket_id: id,
            ticket_number: ticket.number,
            requester_name: cut(&ticket.requester_name, NAME_MAX),
            agent_id: ticket.owner.as_ref().map_or("", |id| id.as_str()),
            queue_id: ticket.queue.as_ref().map_or("", |id| id.as_str()),
            priority: ticket.priority.map_or("", kernel::Priority::as_str),
            rule_id: rule.as_str(),
            text: text.to_owned(),
        },
    };
    loop {
        // Strings and numbers alone: it can't fail.
        let json = serde_json::to_string(&body).unwrap_or_default();
        if json.len() <= BODY_MAX || body.data.text.is_empty() {
            return json;
        }
        // Escapes make JSON longer than its text, so the limit is found by trying.
        body.data.text = cut(text, body.data.text.len() / 2);
    }
}

/// The instant as RFC 3339 says it, in UTC; empty beyond the years that it knows.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |at| at.to_string())
}
