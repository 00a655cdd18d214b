//! The body of a webhook: JSON, made once and sent unchanged in every attempt.

use kernel::{Context, RuleId, TicketId, Timestamp};
use serde_json::Value;

use crate::view::cut;
use crate::{Observation, Ticket};

/// The largest body, in bytes; the text is cut until it fits.
pub const BODY_MAX: usize = 20_480;

const NAME_MAX: usize = 300;

/// Writes the body. The order of its members is fixed, and it is written member by member, so that there is no
/// failure after which it could be empty.
pub(crate) fn webhook(
    context: &Context,
    rule: &RuleId,
    observation: &Observation,
    ticket: Option<(&TicketId, &Ticket)>,
    text: &str,
) -> String {
    let unknown = Ticket::default();
    let (id, ticket) = ticket.map_or(("", &unknown), |(id, ticket)| (id.as_str(), ticket));
    let texts = [
        ("ticket_id", id),
        ("requester_name", &cut(&ticket.requester_name, NAME_MAX)),
        ("agent_id", ticket.owner.as_ref().map_or("", |id| id.as_str())),
        ("queue_id", ticket.queue.as_ref().map_or("", |id| id.as_str())),
        ("priority", ticket.priority.map_or("", kernel::Priority::as_str)),
        ("rule_id", rule.as_str()),
    ];
    let [ticket_id, rest @ ..] = texts.map(|(name, text)| member(name, text));
    let head = [
        member("type", &observation.event_type),
        member("timestamp", &rfc3339(observation.at)),
        format!("\"data\":{{{}", member("workspace_id", context.workspace.as_str())),
        ticket_id,
        format!("\"ticket_number\":{}", ticket.number),
    ];
    let before = [head.as_slice(), &rest].concat().join(",");
    let mut told = text.to_owned();
    loop {
        let json = format!("{{{before},{}}}}}", member("text", &told));
        if json.len() <= BODY_MAX || told.is_empty() {
            return json;
        }
        // Escapes make JSON longer than its text, so the limit is found by trying.
        told = cut(text, told.len() / 2);
    }
}

/// `"name":"text"`, with the escapes of JSON.
fn member(name: &str, text: &str) -> String {
    format!("{}:{}", Value::from(name), Value::from(text))
}

/// The instant as RFC 3339 says it, in UTC; the first or last that jiff knows, 9999 years from the year 0, beyond
/// those.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let beyond = if at.as_millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(beyond).to_string()
}
