//! What holds for every rule: the same answer as the interpreter of `cel`, no more steps than were computed, and no
//! text or bytes that do harm.

mod equivalence;
mod hostile;
mod model;
mod sources;
mod times;

use std::collections::BTreeMap;

use kernel::{AttributeValue, Attributes, Channel, Priority};

use crate::{Facts, TicketView, ticket_facts};

/// An ordinary ticket.
fn ordinary() -> Facts {
    let attributes = BTreeMap::from([
        ("n".to_owned(), AttributeValue::Integer(3)),
        ("number".to_owned(), AttributeValue::Number(2.5)),
        ("truth".to_owned(), AttributeValue::Boolean(true)),
        ("text".to_owned(), AttributeValue::Text("abc".to_owned())),
        ("list".to_owned(), AttributeValue::Texts(vec!["a".into(), "abc".into(), "1".into()])),
    ]);
    ticket("a refund of 3", &["vip".to_owned(), "abc".to_owned()], &attributes)
}

/// As large a ticket as is accepted, with this in all its texts.
fn largest(text: &str) -> Facts {
    let long = |bytes: usize| text.repeat(bytes / text.len());
    // Together they are what all attributes may have.
    let texts = vec![long(1_000); 64];
    let mut attributes: Attributes =
        (0..97).map(|number| (format!("a{number}"), AttributeValue::Integer(number))).collect();
    attributes.insert("text".to_owned(), AttributeValue::Text(texts[0].clone()));
    attributes.insert("list".to_owned(), AttributeValue::Texts(texts));
    attributes.insert("n".to_owned(), AttributeValue::Integer(i64::MAX));
    ticket(&long(1_200), &vec![long(256); 50], &attributes)
}

fn ticket(subject: &str, tags: &[String], attributes: &Attributes) -> Facts {
    ticket_facts(TicketView {
        channel: Channel::WebForm,
        provider: "",
        subject,
        priority: Some(Priority::P2),
        kind: "incident",
        tags,
        attributes,
        requester_id: "r-1",
        requester_name: "",
        requester_locale: "de-AT",
    })
}
