//! Templates as operators write them, and as an enemy would.

use kernel::{Priority, Timestamp};

use super::*;
use crate::Cause;

fn names() -> BTreeSet<String> {
    ["event.agent_id", "event.requester.name", "event.attributes.*", "event.tags"]
        .map(str::to_owned)
        .into()
}

fn view() -> View {
    let fields = BTreeMap::from([
        ("agent_id".to_owned(), Value::from("ada")),
        ("tags".to_owned(), Value::texts(["a", "b"])),
        ("body".to_owned(), Value::from("x".repeat(9_000))),
        ("attributes".to_owned(), Value::map([("tier", Value::from("gold"))])),
    ]);
    let observation = Observation {
        cause: Cause { service: 2, partition: 0, seq: 1, index: 0 },
        event_type: "OfferMade".to_owned(),
        at: Timestamp::from_millis(0),
        fields,
    };
    let ticket = Ticket {
        number: 7,
        requester_name: "Grace".to_owned(),
        subject: "Where is it?".to_owned(),
        priority: Some(Priority::P2),
        ..Ticket::default()
    };
    View::new(&observation, Some((&TicketId::trusted("t-1"), &ticket)))
}

#[test]
fn a_template_sees_the_event_and_its_ticket() {
    let source = "#{{ ticket.number }} {{ ticket.priority }} for {{ event.agent_id | upper }}: \
                  {{ event.tags | join('+') }} {{ event.attributes.tier }} {{ event.type }}";
    assert_eq!(check(source, &names()), Ok(()));
    assert_eq!(view().text(source), "#7 P2 for ADA: a+b gold OfferMade");
}

#[test]
fn without_a_template_one_line_tells_what_happened() {
    assert_eq!(view().text(""), "OfferMade: #7 Where is it?");
}

#[test]
fn what_cannot_be_meant_is_refused_when_the_rule_is_put() {
    for bad in [
        "{{ event.agent }}",
        "{{ event.requester.nam }}",
        "{{ ticket.body }}",
        "{{ agent_id }}",
        "{{ event }}",
        "{% set e = event %}{{ e.nothing }}",
        "{{ event['agent_id'] }}",
        "{{ event.agent_id | shout }}",
        "{{ now() }}",
        "{% include 'other' %}",
        "{{ ticket.number",
        "{% for a in 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 30 %}{% for b in 'x' * 900 %}{{ b }}{% endfor %}{% endfor %}",
        &"x".repeat(TEMPLATE_MAX + 1),
    ] {
        assert!(check(bad, &names()).is_err(), "{bad}");
    }
}

#[test]
fn a_template_that_fails_when_it_runs_still_tells_what_happened() {
    for source in ["{{ event.attributes.absent }}", "{{ event.tags.first.name }}", "{{ 1 / 0 }}"] {
        assert_eq!(view().text(source), "OfferMade: #7 Where is it?", "{source}");
    }
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = view().text("ä{{ event.body }}");
    assert!(text.len() <= TEXT_MAX && text.ends_with('…'), "{}", text.len());
    assert_eq!(cut("ääää", 6), "ä…");
    assert_eq!(cut("ab", 1), "…");
}
