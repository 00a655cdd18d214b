//! The steps in which filters are priced are real work: none takes much longer than another's.

#![expect(clippy::print_stdout, reason = "the figures are worth reading")]
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::hint::black_box;
use std::time::Instant;

use kernel::{AttributeValue, Attributes, Channel, Priority};
use routing::rules::{Facts, Rule, TICKET, TicketView, ticket_facts};

/// How much longer a step of one kind may take than one of plain nodes.
const FACTOR: f64 = 20.0;
/// The shortest of so many runs counts: whatever else the machine does only makes them longer.
const RUNS: usize = 40;

/// As large a ticket as is accepted.
fn largest() -> Facts {
    let text = "a".repeat(1_000);
    let mut attributes: Attributes =
        (0..98).map(|number| (format!("a{number}"), AttributeValue::Integer(number))).collect();
    attributes.insert("text".to_owned(), AttributeValue::Text(text.clone()));
    attributes.insert("list".to_owned(), AttributeValue::Texts(vec![text.clone(); 63]));
    ticket_facts(TicketView {
        channel: Channel::Email,
        provider: "",
        subject: &"a".repeat(1_200),
        priority: Some(Priority::P3),
        kind: "incident",
        tags: &vec!["a".repeat(256); 50],
        attributes: &attributes,
        requester_id: "r",
        requester_name: "",
        requester_locale: "",
    })
}

/// Nanoseconds for each of the steps that a rule was priced at.
fn of_a_step(rule: &str, facts: &Facts) -> f64 {
    let rule = Rule::compile(rule, TICKET).unwrap();
    let times = rule.steps().max(1);
    // Short rules are run often, so that the clock's own steps don't count.
    let repeated = 1 + 20_000 / times;
    let run = || {
        let begin = Instant::now();
        for _ in 0..repeated {
            black_box(rule.matches(black_box(facts)));
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(repeated)
    };
    (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min) / f64::from(times)
}

#[test]
fn a_step_is_no_more_work_in_one_kind_of_filter_than_in_another() {
    let facts = largest();
    let floor = of_a_step("1 + 2 * 3 - 4 > 5 && !(6 < 7) || 8 == 9", &facts);
    let kinds = [
        "ticket.subject.contains('b') || ticket.attributes.text.contains('aab')",
        "ticket.subject.matches('b.*c') || ticket.subject.matches('(?i)(x|y|z)+q')",
        "ticket.subject == ticket.subject + 'b' || ticket.subject < ticket.subject",
        "ticket.subject.startsWith(ticket.subject) && ticket.subject.endsWith(ticket.subject)",
        "ticket.attributes.text in ticket.attributes.list && 'b' in ticket.tags",
        "ticket.attributes.list.exists(e, e.contains('aab'))",
        "ticket.attributes.list.all(e, e == ticket.attributes.text)",
        "ticket.tags.map(tag, tag + tag) == ticket.tags.filter(tag, tag != 'b')",
        "size(ticket.subject + ticket.subject) == 3 || size(string(1.5)) == 9",
        "{'a': 1, 'b': 2}['b'] == 2 && ticket.attributes.a50 == ticket.attributes['a51']",
        "timestamp('2026-01-01T00:00:00Z').getHours('Europe/Vienna') == 3",
        "int('12') + int(3.5) > 9 || double('1e300') > 1.0 || duration('1h') == duration('60m')",
    ];
    let measured: Vec<_> = kinds.iter().map(|kind| (of_a_step(kind, &facts), kind)).collect();
    for (nanos, kind) in &measured {
        println!("{:6.1} ns a step, {:5.1} times the floor: {kind}", nanos, nanos / floor);
    }
    let dearest = measured.iter().max_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    assert!(dearest.0 <= floor * FACTOR, "floor {floor:.1} ns, {:.1} ns: {}", dearest.0, dearest.1);
}
