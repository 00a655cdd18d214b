//! An event and its ticket as rules and templates see them, and what a notification says of them.
//!
//! A template that fails when it runs (it met an attribute that is absent, or holds what can't be used there) gives
//! the one line of a rule without a template: what happened is told in any case.

use kernel::TicketId;
use rules::Value;

use crate::template::{Template, rendered};
use crate::{Observation, Ticket};

/// How long the one line of a rule without a template is, in bytes.
const LINE_MAX: usize = 1_000;

/// What rules and templates look at: `event` and `ticket`.
#[derive(Debug)]
pub(crate) struct View {
    event: Value,
    ticket: Value,
    line: String,
}

impl View {
    pub(crate) fn new(observation: &Observation, ticket: Option<(&TicketId, &Ticket)>) -> Self {
        let mut event = observation.fields.clone();
        event.insert("type".to_owned(), observation.event_type.as_str().into());
        Self {
            event: Value::Map(event),
            ticket: ticket_value(ticket),
            line: line(&observation.event_type, ticket.map(|(_, ticket)| ticket)),
        }
    }

    /// The facts of a filter.
    pub(crate) fn facts(&self) -> rules::Facts {
        let facts = rules::Facts::new().with("event", self.event.clone());
        facts.with("ticket", self.ticket.clone())
    }

    /// The text; the one line if there is no template, or if it fails.
    pub(crate) fn text(&self, template: Option<&Template>) -> String {
        let Some(template) = template else { return self.line.clone() };
        let (text, _) = rendered(template, &self.event, &self.ticket);
        text.unwrap_or_else(|_| self.line.clone())
    }
}

/// Every name is there always, so that a template over a ticket can be checked when the rule is put.
fn ticket_value(ticket: Option<(&TicketId, &Ticket)>) -> Value {
    let unknown = Ticket::default();
    let (id, ticket) = ticket.map_or(("", &unknown), |(id, ticket)| (id.as_str(), ticket));
    let owner = ticket.owner.as_ref().map_or("", |id| id.as_str());
    let queue = ticket.queue.as_ref().map_or("", |id| id.as_str());
    let priority = ticket.priority.map_or("", kernel::Priority::as_str);
    Value::map([
        ("id", id.into()),
        ("number", i64::try_from(ticket.number).unwrap_or(i64::MAX).into()),
        ("requester_name", ticket.requester_name.as_str().into()),
        ("subject", ticket.subject.as_str().into()),
        ("agent_id", owner.into()),
        ("queue_id", queue.into()),
        ("priority", Value::from(priority)),
    ])
}

fn line(event_type: &str, ticket: Option<&Ticket>) -> String {
    match ticket {
        Some(ticket) => {
            cut(&format!("{event_type}: #{} {}", ticket.number, ticket.subject), LINE_MAX)
        }
        None => event_type.to_owned(),
    }
}

/// The text, or as much of it as `limit` bytes hold, with a sign that it was cut.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub('…'.len_utf8());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kernel::{Priority, Timestamp};

    use super::*;
    use crate::{Cause, Shape, Shapes};

    fn view() -> View {
        let attributes = Value::map([("tier", Value::from("gold"))]);
        let observation = Observation {
            cause: Cause { service: 2, partition: 0, seq: 1, index: 0 },
            event_type: "OfferMade".to_owned(),
            at: Timestamp::from_millis(0),
            fields: BTreeMap::from([("attributes".to_owned(), attributes)]),
        };
        let ticket = Ticket {
            number: 7,
            subject: "Where is it?".to_owned(),
            priority: Some(Priority::P2),
            ..Ticket::default()
        };
        View::new(&observation, Some((&TicketId::trusted("t-1"), &ticket)))
    }

    fn text(source: &str) -> String {
        let fields = Shapes::from([("attributes".to_owned(), Shape::Attributes)]);
        view().text(Some(&Template::check(source, &fields).unwrap()))
    }

    #[test]
    fn a_template_sees_the_event_and_its_ticket() {
        let source = "{{ event.type }} #{{ ticket.number }} {{ ticket.id }} {{ ticket.priority }} \
                      {{ ticket.subject }}{{ ticket.agent_id }} {{ event.attributes.tier }}";
        assert_eq!(text(source), "OfferMade #7 t-1 P2 Where is it? gold");
    }

    #[test]
    fn without_a_template_or_where_it_fails_one_line_tells_what_happened() {
        assert_eq!(view().text(None), "OfferMade: #7 Where is it?");
        assert_eq!(text("{{ event.attributes.absent }}"), "OfferMade: #7 Where is it?");
    }

    #[test]
    fn what_is_cut_shows_it() {
        assert_eq!(cut("ääää", 6), "ä…");
        assert_eq!(cut("ab", 1), "…");
        assert_eq!(cut("ab", 2), "ab");
    }
}
