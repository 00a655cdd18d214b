//! The `ticket` that queue filters and SLA policies look at.

use kernel::{Attributes, Channel, Priority};

use crate::{Facts, LIST_MAX, Names, Shape, Value};

/// An attribute: a text of at most 1,024 bytes, as many as a hundred of them, or something without a size.
const ATTRIBUTE: Shape =
    Shape::Either(&[Shape::Text { bytes: 1_024 }, Shape::List { elements: LIST_MAX, of: &TEXT }]);
const TEXT: Shape = Shape::Text { bytes: 1_024 };
/// A word of ours: `web_form`.
const OURS: Shape = Shape::Text { bytes: 16 };
/// Sixty-four characters, of at most four bytes each.
const WORD: Shape = Shape::Text { bytes: 4 * 64 };

/// The names that a rule over a ticket may use: `ticket` alone. The sizes are those of the largest ticket that intake
/// accepts.
pub const TICKET: Names = Names(&[(
    "ticket",
    Shape::Map {
        entries: 8,
        key_bytes: 64,
        named: &[
            ("channel", OURS),
            ("provider", WORD),
            ("subject", Shape::Text { bytes: 4 * 300 }),
            ("priority", OURS),
            ("type", WORD),
            ("tags", Shape::List { elements: 50, of: &WORD }),
            (
                "attributes",
                Shape::Map { entries: 100, key_bytes: 64, named: &[], others: &ATTRIBUTE },
            ),
            (
                "requester",
                Shape::Map {
                    entries: 3,
                    key_bytes: 64,
                    named: &[],
                    others: &Shape::Text { bytes: 4 * 200 },
                },
            ),
        ],
        others: &Shape::Scalar,
    },
)]);

/// What a rule sees of a ticket.
#[derive(Debug, Clone, Copy)]
pub struct TicketView<'a> {
    /// `ticket.channel`: `voice`, `chat`, `web_form`, ...
    pub channel: Channel,
    /// `ticket.provider`: `telegram`, ...; may be empty.
    pub provider: &'a str,
    /// `ticket.subject`.
    pub subject: &'a str,
    /// `ticket.priority`: `P1` to `P4`; missing if it has none.
    pub priority: Option<Priority>,
    /// `ticket.type`; may be empty.
    pub kind: &'a str,
    /// `ticket.tags`.
    pub tags: &'a [String],
    /// `ticket.attributes`, each with its own type.
    pub attributes: &'a Attributes,
    /// `ticket.requester.id`; missing if empty.
    pub requester_id: &'a str,
    /// `ticket.requester.name`; missing if empty.
    pub requester_name: &'a str,
    /// `ticket.requester.locale`; missing if empty.
    pub requester_locale: &'a str,
}

/// The facts of a rule over a ticket: `ticket` {channel, provider, subject, priority, type, tags, attributes,
/// requester}.
pub fn ticket_facts(view: TicketView<'_>) -> Facts {
    let requester = [
        ("id", view.requester_id),
        ("name", view.requester_name),
        ("locale", view.requester_locale),
    ];
    let known = requester.into_iter().filter(|(_, text)| !text.is_empty());
    let mut entries = vec![
        ("channel", view.channel.as_str().into()),
        ("provider", view.provider.into()),
        ("subject", view.subject.into()),
        ("type", view.kind.into()),
        ("tags", Value::texts(view.tags.iter().cloned())),
        ("attributes", view.attributes.into()),
        ("requester", Value::map(known.map(|(name, text)| (name, text.into())))),
    ];
    entries.extend(view.priority.map(|priority| ("priority", priority.as_str().into())));
    Facts::new().with("ticket", Value::map(entries))
}
