//! The step model: what is counted never passes what was computed.

use proptest::prelude::*;

use super::sources::source;
use super::{largest, ordinary};
use crate::{Names, Rule, RuleError, STEPS_MAX, Shape, TICKET, Value, Verdict};

/// Texts that are equal as often as not, and hard to compare and to search.
const TEXTS: &[&str] = &["a", "ab", "aaaaaaab", "ä", "1"];

proptest! {
    #[test]
    fn no_rule_takes_more_steps_than_were_computed(
        source in source(),
        text in proptest::sample::select(TEXTS),
    ) {
        let Ok(rule) = Rule::compile(&source, TICKET) else { return Ok(()) };
        for facts in [largest(text), ordinary()] {
            let (verdict, taken) = rule.measured(&facts);
            prop_assert!(verdict != Verdict::Exceeded, "{source}");
            prop_assert!(taken <= u64::from(rule.steps()), "{source}: {taken} > {}", rule.steps());
        }
        prop_assert!(rule.steps() <= STEPS_MAX);
    }
}

/// How much of what was computed the largest ticket takes, in hundredths.
fn used(source: &str) -> u64 {
    let rule = Rule::compile(source, TICKET).unwrap_or_else(|error| panic!("{source}: {error}"));
    let (verdict, taken) = rule.measured(&largest("a"));
    assert_ne!(verdict, Verdict::Missing, "{source}");
    let steps = u64::from(rule.steps());
    assert!(taken <= steps, "{source}: {taken} of {steps}");
    taken * 100 / steps
}

#[test]
fn what_was_computed_is_near_to_what_the_largest_ticket_takes() {
    for source in [
        "ticket.subject.contains('b')",
        "ticket.subject.matches('b.*c')",
        "ticket.subject == ticket.subject",
        "ticket.subject + ticket.subject < ticket.subject + 'a'",
        "size(ticket.subject) > 3",
        "'b' in ticket.tags",
        "ticket.tags.exists(tag, tag.startsWith('b'))",
        "ticket.tags.all(tag, tag == tag)",
        "ticket.tags.map(tag, tag + tag) == ticket.tags",
        "ticket.attributes.text.endsWith('b') || ticket.attributes.text.contains('b')",
        "size(ticket.attributes.list.filter(text, text.contains('b'))) == 0",
        "ticket.subject.contains(ticket.attributes.text)",
        "string(ticket.attributes.text) == string(ticket.subject)",
        "duration(ticket.attributes.text) == duration('1h') || timestamp(ticket.subject) == timestamp(0)",
        "int(ticket.attributes.text) == 1 || double(ticket.subject) > 1.0",
    ] {
        let used = used(source);
        assert!(used >= 45, "{source}: {used} %");
    }
}

#[test]
fn ordinary_rules_are_far_from_the_limit() {
    let number_of = |source: &str| Rule::compile(source, TICKET).unwrap().steps();
    for (source, most) in [
        ("ticket.channel == 'web_form' && ticket.priority == 'P2'", 30),
        ("ticket.priority in ['P1', 'P2']", 30),
        ("ticket.attributes.topic == 'bill'", 20),
        ("ticket.attributes.flat == 9 && 'router' in ticket.tags", 150),
        ("ticket.subject.contains('refund')", 60),
        ("ticket.subject.matches('(?i)refund|chargeback|money back')", 100),
        ("ticket.requester.locale.startsWith('de')", 30),
        ("ticket.tags.exists(tag, tag.startsWith('vip-'))", 400),
        ("ticket.attributes.due.getHours('Europe/Vienna') < 9", 60),
    ] {
        let steps = number_of(source);
        assert!(steps <= most, "{source}: {steps}");
    }
}

#[test]
fn what_stopped_a_partition_is_refused_or_cheap() {
    // Each of these four patterns was compiled at each evaluation, which took 13 ms.
    let word = format!("ticket.subject.matches(r'{}')", r"\w".repeat(48));
    let patterns = [word.as_str(); 4].join(" || ");
    assert!(patterns.len() < 1_000);
    assert!(Rule::compile(&patterns, TICKET).unwrap().steps() < 500);
    // Copied two thousand lists of a hundred texts: 130 MB.
    let (numbers, lists) = (vec!["0"; 100].join(","), vec!["ticket.attributes.l"; 20].join(","));
    let copies = format!("[{numbers}].map(i, [{lists}]) == []");
    let refused = Rule::compile(&copies, TICKET);
    let Err(RuleError::TooManySteps { steps, part, .. }) = refused else { panic!("{refused:?}") };
    assert!(steps > u64::from(STEPS_MAX), "{steps}");
    assert_eq!(part, "….map(…)");
}

#[test]
fn the_costliest_part_is_named() {
    let big = Names(&[("body", Shape::Text { bytes: 128 * 1024 })]);
    let refused = Rule::compile("body == '' || body.matches('a') || body.contains('a')", big);
    let Err(error @ RuleError::TooManySteps { .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(
        error.to_string(),
        "the expression could be costly: it may take 12299 steps on the largest facts, 8193 of them at `body.matches(\"a\")`; a rule \
         may take 10000"
    );
}

#[test]
fn what_walks_a_text_is_priced_by_its_bytes() {
    let names = Names(&[("text", Shape::Text { bytes: 1_024 })]);
    for (source, steps) in [
        ("duration(text)", 2 + 256),
        ("int(text)", 2 + 256),
        ("timestamp(text)", 2 + 8 + 256),
        ("double(text)", 2 + 1_024 + 256),
        ("double('1.5')", 2 + 3),
        ("string(text)", 2 + 8 + 64),
        ("text + text", 3 + 2 + 32),
        ("text.contains(text)", 3 + 32 + 64),
        ("text.matches('a')", 2 + 64),
    ] {
        assert_eq!(Rule::compile(source, names).unwrap().steps(), steps, "{source}");
    }
    // It was priced at 7,902 steps of more than a microsecond.
    let ones = vec!["1"; 100].join(",");
    let attack = format!("[{ones}].exists(i, duration(ticket.attributes.a) < duration(\"0s\"))");
    let refused = Rule::compile(&attack, TICKET);
    assert!(matches!(refused, Err(RuleError::TooManySteps { .. })), "{refused:?}");
}

#[test]
fn facts_larger_than_their_names_allow_end_a_rule() {
    let small = Names(&[("text", Shape::Text { bytes: 10 })]);
    let rule = Rule::compile("text.contains('b') || true", small).unwrap();
    let facts = |bytes: usize| crate::Facts::new().with("text", Value::from("a".repeat(bytes)));
    assert_eq!(rule.matches(&facts(10)), Verdict::True);
    let before = crate::exceeded();
    assert_eq!(rule.matches(&facts(1 << 20)), Verdict::Exceeded);
    assert!(crate::exceeded() > before);
}
