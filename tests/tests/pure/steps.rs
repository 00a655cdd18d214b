//! The steps in which filters and templates are priced are real work: none takes much longer than another's.

#![expect(clippy::panic, reason = "a test fails by it")]
#![expect(clippy::print_stdout, reason = "the figures are worth reading")]
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::hint::black_box;
use std::time::Instant;

use kernel::{
    Actor, AttributeValue, Attributes, Channel, Context, Decider as _, Priority, RuleId, Timestamp,
    WorkspaceId,
};
use notify::{Cause, Command, Notify, Observation, Observe, PutRule, Recipient, Shape, State, Way};
use routing::rules::{Facts, Rule, TICKET, TicketView, Value, ticket_facts};

/// How much longer a step of one kind may take than one of plain nodes.
const FACTOR: f64 = 20.0;
/// The shortest of so many runs counts: whatever else the machine does only makes them longer.
const RUNS: usize = 40;
/// Plain nodes.
const FLOOR: &str = "1 + 2 * 3 - 4 > 5 && !(6 < 7) || 8 == 9";

/// As large a ticket as is accepted.
fn largest() -> Facts {
    let text = "a".repeat(1_000);
    let mut attributes: Attributes =
        (0..93).map(|number| (format!("a{number}"), AttributeValue::Integer(number))).collect();
    for (name, text) in [
        ("text", text.clone()),
        ("durations", "1h".repeat(512)),
        ("decimals", ".1h".repeat(341)),
        ("zeros", format!("{}1", "0".repeat(1_000))),
        ("half", format!("{}e-1075", half())),
        ("instant", format!("2026-01-01T00:00:00.{}Z", "1".repeat(1_000))),
    ] {
        attributes.insert(name.to_owned(), AttributeValue::Text(text));
    }
    attributes.insert("list".to_owned(), AttributeValue::Texts(vec![text; 63]));
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

/// What lies between two doubles, times 10 to the 1,075th: nothing is harder to round.
fn half() -> String {
    let odd = format!("{:.1074}", f64::from_bits((1 << 52) - 1));
    let (mut halved, mut carry) = (String::new(), 0);
    for digit in odd.bytes().filter(u8::is_ascii_digit) {
        let value = carry * 10 + (digit - b'0');
        halved.push(char::from(b'0' + value / 2));
        carry = value % 2;
    }
    halved.push(char::from(b'0' + carry * 5));
    halved.trim_start_matches('0').to_owned()
}

/// The same with fewer digits: as hard for as long as it is longer than an integer.
fn short_half() -> String {
    let half = half();
    let (begin, rest) = half.split_at(25);
    format!("{begin}e-{}", 1_075 - rest.len())
}

/// Nanoseconds of one run. Short ones are run often, so that the clock's own steps don't count.
fn shortest(repeated: u32, run: impl Fn()) -> f64 {
    let timed = || {
        let begin = Instant::now();
        for _ in 0..repeated {
            run();
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(repeated)
    };
    (0..RUNS).map(|_| timed()).fold(f64::INFINITY, f64::min)
}

/// Nanoseconds for each of the steps that a rule was priced at.
fn of_a_step(rule: &str, facts: &Facts) -> f64 {
    let rule = Rule::compile(rule, TICKET).unwrap_or_else(|error| panic!("{rule}: {error}"));
    let steps = rule.steps().max(1);
    let run = || {
        black_box(rule.matches(black_box(facts)));
    };
    shortest(1 + 20_000 / steps, run) / f64::from(steps)
}

/// No kind takes much longer for a step than plain nodes of a filter do.
fn check(measured: &[(f64, String)]) {
    let floor = of_a_step(FLOOR, &largest());
    for (nanos, kind) in measured {
        let kind: String = kind.chars().take(120).collect();
        println!("{:6.1} ns a step, {:5.1} times the floor: {kind}", nanos, nanos / floor);
    }
    let dearest = measured.iter().max_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    assert!(dearest.0 <= floor * FACTOR, "floor {floor:.1} ns, {:.1} ns: {}", dearest.0, dearest.1);
}

/// What was priced too low once, and its like.
fn hard_filters() -> Vec<String> {
    let ones = vec!["1"; 30].join(",");
    let each = |body: &str| format!("[{ones}].exists(i, {body})");
    vec![
        each("duration(ticket.attributes.durations) < duration('0s')"),
        each("duration(ticket.attributes.decimals) < duration('0s')"),
        each("duration('.1h') < duration('0s')"),
        each("timestamp('2026-01-01T00:00:00.5+01:00') < timestamp(i)"),
        "timestamp(ticket.attributes.instant) < timestamp(0)".to_owned(),
        "int(ticket.attributes.zeros) == 2 || uint(ticket.attributes.zeros) == 2u".to_owned(),
        "double(ticket.attributes.zeros) > 2.0".to_owned(),
        "double(ticket.attributes.half) > 2.0".to_owned(),
        format!("double('{}') > 2.0", short_half()),
        each("string(1.5e300) == 'a' || string(timestamp(i)) == 'a'"),
        each("timestamp(i).getHours('Nowhere/Never') == 3"),
        each("timestamp(i).getDayOfYear('America/Los_Angeles') == 999"),
        each("'a' + 'b' == 'c' || [i] + [i] == [] || {'a': i}['a'] == 2"),
        "ticket.subject.contains(ticket.attributes.text + 'b')".to_owned(),
        "ticket.tags.map(tag, tag) == ticket.tags.filter(tag, true)".to_owned(),
        each("string(b'abc' + b'abc') == 'a' || bool('maybe')"),
    ]
}

#[test]
fn a_step_is_no_more_work_in_one_kind_of_filter_than_in_another() {
    let facts = largest();
    let plain = [
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
    let kinds = plain.map(str::to_owned).into_iter().chain(hard_filters());
    let measured: Vec<_> = kinds.map(|kind| (of_a_step(&kind, &facts), kind)).collect();
    check(&measured);
}

/// What the templates look at: each name with what it holds.
fn fields() -> [(&'static str, Shape, Value); 9] {
    let texts = || Shape::List(Box::new(Shape::Text));
    [
        ("body", Shape::Text, "a".repeat(8_190).into()),
        ("greek", Shape::Text, "ΐ".repeat(4_095).into()),
        ("words", Shape::Text, "ab-é ".repeat(1_365).into()),
        ("sigmas", Shape::Text, "ΟΣ ".repeat(1_638).into()),
        ("ends", Shape::Text, "ΟΑΣ ".repeat(1_170).into()),
        ("spaces", Shape::Text, "\u{3000}".repeat(2_730).into()),
        ("due_at", Shape::Instant, Timestamp::from_millis(1_500).into()),
        ("tags", texts(), Value::texts(vec!["a".repeat(1_000); 100])),
        ("letters", texts(), Value::texts(vec!["ΐ".repeat(500); 100])),
    ]
}

fn of_this_template(template: &str) -> PutRule {
    PutRule {
        rule: RuleId::trusted("rule"),
        event_types: vec!["MessageAdded".to_owned()],
        filter: None,
        way: Way::InApp(vec![Recipient::All]),
        template: template.to_owned(),
        disabled: false,
        expected_revision: 0,
        fields: fields().map(|(name, shape, _)| (name.to_owned(), shape)).into(),
    }
}

/// The steps of a template, and the nanoseconds of an event that it is rendered for.
fn of_an_event(template: &str) -> (u32, f64) {
    let at = Timestamp::from_millis(0);
    let workspace = WorkspaceId::trusted("acme");
    let context = Context { workspace, at, actor: Actor::Backend, record: 2 };
    let mut state = State::default();
    for command in [Command::SeeWorkspace, Command::PutRule(of_this_template(template))] {
        let decided = Notify::decide(&state, &context, command);
        for fact in decided.unwrap_or_else(|error| panic!("{template}: {error}")) {
            Notify::evolve(&mut state, &fact);
        }
    }
    let put = state.workspace(&context.workspace).unwrap().rule(&RuleId::trusted("rule")).unwrap();
    let steps = u32::try_from(put.template.as_ref().unwrap().steps()).unwrap();
    let observation = Observation {
        cause: Cause { service: 3, partition: 0, seq: 1, index: 0 },
        event_type: "MessageAdded".to_owned(),
        at,
        fields: fields().map(|(name, _, value)| (name.to_owned(), value)).into(),
    };
    let observe = Observe { ticket: None, change: None, observation };
    let nanos = shortest(1 + 5_000 / steps, || {
        let decided = Notify::decide(&state, &context, Command::Observe(observe.clone()));
        assert!(!black_box(decided).unwrap().is_empty());
    });
    (steps, nanos)
}

#[test]
fn a_step_is_no_more_work_in_one_kind_of_template_than_in_another() {
    let when = |condition: &str| format!("{{% if {condition} %}}{{% endif %}}");
    let each = |list: &str, condition: &str| {
        format!("{{% for it in event.{list} %}}{}{{% endfor %}}", when(condition))
    };
    let kinds = [
        when("1 == 2").repeat(150),
        when("event.body|replace('a','b')|replace('b','a') == 'x'"),
        when("event.body|replace('aaa','') == 'x'").repeat(5),
        when("event.body|replace('','b') == 'x'").repeat(2),
        when("event.body|replace(event.body,event.body) == 'x'"),
        when("event.greek|upper|lower == 'x'").repeat(9),
        when("event.words|title == 'x'").repeat(15),
        when("event.sigmas|title == 'x'").repeat(15),
        when("event.ends|title == 'x'").repeat(15),
        when("event.sigmas|lower == 'x'").repeat(15),
        when("event.spaces|trim == 'x'").repeat(15),
        when("event.greek|length == 1").repeat(80),
        when("event.due_at == 'x'").repeat(100),
        when("event.tags|join(', ') == 'x'").repeat(50),
        when("event.body == event.body").repeat(80),
        when("event.body in event.body").repeat(10),
        when("'aaab' in event.body").repeat(30),
        when("'b' in event.tags").repeat(50),
        each("tags", "'aab' in it"),
        each("tags", "it == 'x' or it|length == 1"),
        each("letters", "it|upper == 'x'"),
        each("letters", "it|title == 'x'"),
    ];
    // What an event takes beside its template.
    let (_, beside) = of_an_event("-");
    let measure = |kind: String| {
        let (steps, nanos) = of_an_event(&kind);
        ((nanos - beside) / f64::from(steps), kind)
    };
    let measured: Vec<_> = kinds.into_iter().map(measure).collect();
    check(&measured);
}
