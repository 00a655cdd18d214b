//! Rules as operators write them, and as an enemy would.

use std::collections::BTreeMap;

use kernel::{AttributeValue, Attributes, Channel, Priority, Timestamp};

use super::*;
use crate::{Shape, TICKET, TicketView, Value, ticket_facts};

fn attributes() -> Attributes {
    BTreeMap::from([
        ("amount".to_owned(), AttributeValue::Integer(120)),
        ("score".to_owned(), AttributeValue::Number(0.5)),
        ("vip".to_owned(), AttributeValue::Boolean(true)),
        ("due".to_owned(), AttributeValue::Instant(Timestamp::from_millis(86_400_123))),
        ("codes".to_owned(), AttributeValue::Texts(vec!["a1".into(), "b2".into()])),
        ("many".to_owned(), AttributeValue::Texts((0..150).map(|n| n.to_string()).collect())),
    ])
}

const EVENT: Names = Names(&[("event", Shape::Scalar)]);

fn facts() -> Facts {
    let (attributes, tags) = (attributes(), ["billing".to_owned(), "refund".to_owned()]);
    ticket_facts(TicketView {
        channel: Channel::WebForm,
        provider: "",
        subject: "Where is my refund?",
        priority: Some(Priority::P2),
        kind: "incident",
        tags: &tags,
        attributes: &attributes,
        requester_id: "r-1",
        requester_name: "",
        requester_locale: "de-AT",
    })
}

fn verdict(source: &str) -> Verdict {
    Rule::compile(source, TICKET).unwrap().matches(&facts())
}

#[test]
fn rules_see_the_ticket_with_its_types() {
    for source in [
        "ticket.channel == 'web_form' && ticket.priority == 'P2'",
        "ticket.priority in ['P1', 'P2']",
        "'refund' in ticket.tags && ticket.tags.size() == 2",
        "ticket.tags.exists(tag, tag.startsWith('bill'))",
        "ticket.attributes.codes.all(code, size(code) == 2)",
        "ticket.attributes['codes'].exists_one(code, code == 'a1')",
        "ticket.attributes.amount > 100 && ticket.attributes.score < 0.6",
        "ticket.attributes.vip",
        "ticket.attributes.due == timestamp('1970-01-02T00:00:00.123Z')",
        "ticket.attributes.due.getFullYear() == 1970",
        "ticket.subject.matches('(?i)REFUND')",
        "has(ticket.attributes.vip) && !has(ticket.attributes.nothing)",
        "ticket.requester.locale.startsWith('de')",
        "ticket.type == 'incident' ? true : false",
        "size(ticket.tags.filter(tag, tag != 'refund')) == 1",
    ] {
        assert_eq!(verdict(source), Verdict::True, "{source}");
    }
}

#[test]
fn what_is_missing_or_makes_no_sense_is_not_true() {
    assert_eq!(verdict("ticket.attributes.nothing == 'x'"), Verdict::Missing);
    assert_eq!(verdict("ticket.requester.name == 'Ann'"), Verdict::Missing);
    assert_eq!(verdict("ticket.nothing.deep.er == 1"), Verdict::Missing);
    assert_eq!(
        Rule::compile("ticket.subject == ''", TICKET).unwrap().matches(&Facts::new()),
        Verdict::Missing
    );
    for source in [
        "ticket.subject",
        "ticket.subject > 3",
        "1 / 0 == 1",
        "ticket.attributes.amount * 9223372036854775807 > 0",
        "ticket.tags[7] == 'x'",
        "duration('nonsense') == duration('1s')",
        "ticket.channel == 'voice'",
    ] {
        assert!(!verdict(source).holds(), "{source}");
    }
}

#[test]
fn a_rule_sees_at_most_a_hundred_elements() {
    assert_eq!(verdict("size(ticket.attributes.many) == 100"), Verdict::True);
}

#[test]
fn what_could_be_costly_is_refused() {
    let numbers = (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for source in [
        "ticket.tags.exists(a, ticket.tags.exists(b, a == b))",
        "ticket.tags.map(a, ticket.tags.filter(b, a == b)) == []",
        "ticket.tags.map(a, a).exists(b, b == 'x')",
        "ticket.tags.filter(a, true).all(b, true)",
        "ticket.attributes.all(name, name != 'x')",
        "ticket.requester.exists(name, name == 'x')",
        "ticket.exists(name, name == 'x')",
        "{'a': 1}.all(name, name != 'x')",
        "(ticket.tags + ticket.tags).exists(tag, tag == 'x')",
        "(true ? ticket.attributes : ticket.attributes).exists(name, name == 'x')",
        "ticket.tags.exists(tag, tag.matches('a.*b'))",
        "ticket.subject.matches('(\\\\w{99}){99}')",
        "ticket.subject.matches('\\\\pL+')",
        "ticket.subject.matches(ticket.provider)",
        &format!("ticket.subject.matches('{}')", "a".repeat(101)),
        &["ticket.subject.matches('a')"; 5].join(" || "),
        &format!("1 in [{numbers}]"),
        &format!("'{}' == ticket.subject", "ä".repeat(1_000)),
        &format!("{}true", "!".repeat(2) + &"true ? false : ".repeat(60)),
        &format!("ticket{} == 1", ".a".repeat(400)),
        &format!("1{} == 1", " + 1".repeat(200)),
        &format!("{}1{} == 1", "(".repeat(13), ")".repeat(13)),
    ] {
        let refused = Rule::compile(source, TICKET);
        let costly = RuleError::TooCostly { limit: "" };
        assert!(
            refused
                .as_ref()
                .is_err_and(|it| std::mem::discriminant(it) == std::mem::discriminant(&costly)),
            "{source}: {refused:?}"
        );
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    for source in [
        "",
        "  ",
        "ticket.subject ==",
        "event.type == 'x'",
        ".ticket.subject == 'x'",
        "now() > 1",
        "ticket.subject.lowerAscii() == 'x'",
        "tag == 'x' || ticket.tags.exists(tag, tag == 'x')",
        "ticket{subject: 'x'}.subject == 'x'",
        "type(ticket) == map",
        "ticket.tags.exists(1, true)",
        "'\u{0}\u{7}",
        "optional.of(1) == optional.of(1)",
        "ticket.subject.matches('(')",
        "ticket.subject.size(1) == 1",
        "ticket.subject.string() == 'x'",
        "contains(ticket.subject, 'x')",
    ] {
        let refused = Rule::compile(source, TICKET);
        assert!(matches!(refused, Err(RuleError::Invalid(_))), "{source}: {refused:?}");
    }
}

#[test]
fn brackets_without_end_are_refused_and_not_a_crash() {
    for source in ["(", "[", "{", "-", "!", "a.b(", "[[", "{'a':", "a?b:", "x in "] {
        assert!(Rule::compile(&source.repeat(1_000 / source.len()), TICKET).is_err(), "{source}");
    }
}

#[test]
fn brackets_in_strings_and_comments_do_not_count() {
    let deep = "(".repeat(40);
    for text in
        ["'DEEP'", "\"DEEP\"", "'''DEEP'''", r"r'DEEP\'", r"'\'DEEP'", "'' // DEEP\n", "b'DEEP'"]
    {
        let source = format!("{} != ticket.subject", text.replace("DEEP", &deep));
        assert!(Rule::compile(&source, TICKET).is_ok(), "{source}");
    }
    for hidden in
        [r"r'\'DEEP'", "''DEEP", "'a' DEEP", "// '\nDEEP", r"'\\'DEEP'", "''''a'''DEEP", "xr'DEEP'"]
    {
        let source = hidden.replace("DEEP", &deep);
        assert!(Rule::compile(&source, TICKET).is_err(), "{source}");
    }
}

#[test]
fn the_deepest_rules_that_are_let_through_are_evaluated_on_an_ordinary_stack() {
    for source in [
        &format!("{}1{} == [1]", "[".repeat(12), "]".repeat(12)),
        &format!("1{} > 60", " + 1".repeat(20)),
        &format!("({}true)", "ticket.channel == 'x' ? false : ".repeat(20)),
        &format!("{}true{}", "(!".repeat(12), ")".repeat(12)),
    ] {
        let rule = Rule::compile(source, TICKET).unwrap();
        rule.matches(&facts());
    }
}

#[test]
fn a_map_that_was_not_foreseen_makes_a_macro_false() {
    let rule = Rule::compile("event.details.exists(name, true)", EVENT).unwrap();
    let details = Value::map([("details", Value::map([("a", Value::from(1))]))]);
    assert_eq!(rule.matches(&Facts::new().with("event", details)), Verdict::False);
}

#[test]
fn as_many_macros_are_let_through_as_a_rule_has_steps_for() {
    let source = |macros| vec!["ticket.attributes.many.all(a, a != 'x')"; macros].join("&&");
    let rule = Rule::compile(&source(16), TICKET).unwrap();
    assert_eq!(rule.matches(&facts()), Verdict::True);
    let refused = Rule::compile(&source(24), TICKET);
    assert!(matches!(refused, Err(RuleError::TooManySteps { .. })), "{refused:?}");
}

#[test]
fn equal_texts_are_equal_rules() {
    let rule = |source| Rule::compile(source, TICKET).unwrap();
    assert_eq!(rule("ticket.priority == 'P2'"), rule("ticket.priority == 'P2'"));
    assert_ne!(rule("ticket.priority == 'P2'"), rule("ticket.priority == 'P1'"));
}
