//! What a notification says: a rule's template over an event and its ticket.
//!
//! Templates run without a loader, with fuel, and with the few filters below. One that fails when it runs (it met a value that its
//! checks could not foresee) gives the one line of a rule without a template: what happened is told in any case.

use std::collections::{BTreeMap, BTreeSet};

use kernel::TicketId;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, filters};
use rules::Value;

use crate::{Observation, Ticket};

/// The longest template, in bytes.
pub const TEMPLATE_MAX: usize = 4_096;
/// The longest text of a notification, in bytes; what is longer is cut.
pub const TEXT_MAX: usize = 8_192;

/// About ten thousand steps and bytes: some milliseconds.
const FUEL: u64 = 10_000;
const RECURSION_MAX: usize = 32;
const TICKET_NAMES: [&str; 7] =
    ["id", "number", "requester_name", "subject", "agent_id", "queue_id", "priority"];

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

    /// The text; the one line if the template is empty or fails.
    pub(crate) fn text(&self, template: &str) -> String {
        if template.is_empty() {
            return self.line.clone();
        }
        let names = BTreeMap::from([
            ("event", to_minijinja(&self.event)),
            ("ticket", to_minijinja(&self.ticket)),
        ]);
        let rendered = environment().render_str(template, minijinja::Value::from(names));
        rendered.map_or_else(|_| self.line.clone(), |text| cut(&text, TEXT_MAX))
    }
}

/// Checks a template against the names that its events have. `names` as in [`PutRule::names`](crate::PutRule::names).
pub(crate) fn check(source: &str, names: &BTreeSet<String>) -> Result<(), String> {
    if source.len() > TEMPLATE_MAX {
        return Err(format!("it has more than {TEMPLATE_MAX} bytes"));
    }
    let environment = environment();
    let template = environment.template_from_str(source).map_err(|error| told(&error))?;
    let used: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
    if let Some(unknown) = used.iter().find(|name| !is_known(name, names)) {
        return Err(format!("there is no `{unknown}` in every one of the rule's event types"));
    }
    // A trial finds filters and functions that don't exist, and templates that never end.
    match template.render(sample(names)) {
        Err(error) if is_fault(error.kind()) => Err(told(&error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_known(name: &str, names: &BTreeSet<String>) -> bool {
    if let Some(field) = name.strip_prefix("ticket.") {
        return TICKET_NAMES.contains(&field);
    }
    let below = |(parent, _): (&str, &str)| names.contains(&format!("{parent}.*"));
    name == "event.type" || names.contains(name) || name.rsplit_once('.').is_some_and(below)
}

/// Faults of the template itself, not of the sample's values.
fn is_fault(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownTest
            | ErrorKind::TemplateNotFound
            | ErrorKind::OutOfFuel
    )
}

fn told(error: &minijinja::Error) -> String {
    let text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or_else(|| text.clone(), |line| format!("{text} (line {line})"))
}

fn sample(names: &BTreeSet<String>) -> minijinja::Value {
    let mut event = BTreeMap::from([("type".to_owned(), Value::from("text"))]);
    for name in names {
        let Some(path) = name.strip_prefix("event.") else { continue };
        insert(&mut event, path.strip_suffix(".*").unwrap_or(path));
    }
    let names = BTreeMap::from([
        ("event", to_minijinja(&Value::Map(event))),
        ("ticket", to_minijinja(&ticket_value(None))),
    ]);
    minijinja::Value::from(names)
}

fn insert(fields: &mut BTreeMap<String, Value>, path: &str) {
    let Some((first, rest)) = path.split_once('.') else {
        fields.entry(path.to_owned()).or_insert_with(|| "text".into());
        return;
    };
    let field = fields.entry(first.to_owned()).or_insert_with(|| Value::Map(BTreeMap::new()));
    if let Value::Map(fields) = field {
        insert(fields, rest);
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.add_filter("default", filters::default);
    environment.add_filter("join", filters::join);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("title", filters::title);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment
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
        Some(ticket) => cut(&format!("{event_type}: #{} {}", ticket.number, ticket.subject), 1_000),
        None => event_type.to_owned(),
    }
}

fn to_minijinja(value: &Value) -> minijinja::Value {
    match value {
        Value::Text(text) => minijinja::Value::from(text.as_str()),
        Value::Integer(number) => minijinja::Value::from(*number),
        Value::Number(number) => minijinja::Value::from(*number),
        Value::Boolean(truth) => minijinja::Value::from(*truth),
        Value::Instant(at) => minijinja::Value::from(crate::body::rfc3339(*at)),
        Value::List(values) => values.iter().map(to_minijinja).collect(),
        Value::Map(entries) => {
            let entry = |(name, value): (&String, &Value)| (name.clone(), to_minijinja(value));
            minijinja::Value::from(entries.iter().map(entry).collect::<BTreeMap<_, _>>())
        }
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
mod tests;
