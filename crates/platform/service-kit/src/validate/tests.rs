//! What is taken, and what is refused.

use std::collections::BTreeMap;

use kernel::{TicketId, WorkspaceId};
use wire::common::v1::attribute_value::Kind;

use super::*;

/// The fields that were refused.
fn refused(check: impl FnOnce(&mut Fields)) -> Vec<String> {
    let mut fields = Fields::new();
    check(&mut fields);
    fields.violations.into_iter().map(|violation| violation.field).collect()
}

#[test]
fn all_bad_fields_are_named_at_once() {
    let fields = refused(|fields| {
        let _: WorkspaceId = fields.id("workspace_id", "a.b");
        let _: Option<TicketId> = fields.optional_id("ticket_id", "a b");
        let _: Option<TicketId> = fields.optional_id("other_id", "");
        fields.line("subject", "", Size::Chars(1..=300));
        fields.channel("channel", 0);
        fields.priority("priority", 9);
        fields.request_id(&"x".repeat(65));
        fields.page_size("page_size", -1);
        fields.instant("at", Some(&prost_types::Timestamp { seconds: -1, nanos: 0 }));
    });
    assert_eq!(
        fields,
        [
            "workspace_id",
            "ticket_id",
            "subject",
            "channel",
            "priority",
            "request_id",
            "page_size",
            "at"
        ]
    );
}

#[test]
fn good_fields_are_taken() {
    let mut fields = Fields::new();
    assert_eq!(fields.id::<TicketId>("t", "T-1").as_str(), "T-1");
    assert_eq!(fields.line("l", "Grüße 👋", Size::Chars(1..=7)), "Grüße 👋");
    assert_eq!(fields.block("b", "a\n\tb", Size::Bytes(0..=4)), "a\n\tb");
    assert_eq!(fields.channel("c", 6), Channel::Email);
    assert_eq!(fields.priority("p", 0), None);
    assert_eq!(fields.priority("p", 1), Some(Priority::P1));
    assert_eq!(fields.page_size("s", 0), 50);
    assert_eq!(fields.page_size("s", 5_000), 1_000);
    fields.request_id("");
    fields.request_id("order 17/3 ~");
    let second = Duration::from_secs(1);
    let five = prost_types::Duration { seconds: 5, nanos: 0 };
    assert_eq!(fields.duration("d", Some(&five), second..=second * 5), Some(second * 5));
    fields.finish().unwrap();
}

#[test]
fn texts_have_bounds_and_no_control_characters() {
    let line = |text: &str, size| refused(|fields| drop(fields.line("f", text, size))).len();
    assert_eq!(line("ä", Size::Bytes(0..=1)), 1);
    assert_eq!(line("ä", Size::Chars(0..=1)), 0);
    assert_eq!(line("a\nb", Size::Chars(0..=9)), 1);
    assert_eq!(line("a\u{0}", Size::Chars(0..=9)), 1);
    assert_eq!(line("a\u{7f}", Size::Chars(0..=9)), 1);
    // Text that runs right to left is text.
    assert_eq!(line("\u{202e}abc", Size::Chars(0..=9)), 0);
    assert_eq!(refused(|fields| drop(fields.block("f", "a\rb", Size::Chars(0..=9)))).len(), 1);
}

#[test]
fn durations_have_bounds() {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(60);
    for (seconds, nanos) in [(0, 999_999_999), (61, 0), (-5, 0), (1, -1), (i64::MAX, 0)] {
        let duration = prost_types::Duration { seconds, nanos };
        let fields = refused(|fields| {
            fields.duration("d", Some(&duration), bounds.clone());
        });
        assert_eq!(fields, ["d"], "{duration:?}");
    }
}

#[test]
fn skills_have_levels_and_are_not_named_twice() {
    let skill =
        |skill: &str, min_level| common::SkillRequirement { skill: skill.into(), min_level };
    let fields = refused(|fields| {
        let taken = fields.skills(
            "s",
            &[skill("de", 1), skill("de", 2), skill("x y", 3), skill("en", 6)],
            4,
        );
        assert_eq!(taken.len(), 3);
    });
    assert_eq!(fields, ["s[1].skill", "s[2].skill", "s[3].min_level"]);
    assert_eq!(refused(|fields| drop(fields.skills("s", &[skill("de", 1)], 0))), ["s"]);
}

#[test]
fn attributes_have_names_types_and_limits() {
    let check = |name: &str, kind: Option<Kind>| {
        let value = common::AttributeValue { kind };
        refused(|fields| drop(fields.attributes("a", &BTreeMap::from([(name.to_owned(), value)]))))
    };
    assert!(check("amount_2", Some(Kind::Integer(1))).is_empty());
    assert_eq!(check("Amount", Some(Kind::Integer(1))), ["a"]);
    assert_eq!(check("", Some(Kind::Integer(1))), ["a"]);
    assert_eq!(check("x", None), ["a.x"]);
    assert_eq!(check("x", Some(Kind::Number(f64::NAN))), ["a.x"]);
    assert_eq!(check("x", Some(Kind::Text("y".repeat(1_025)))), ["a.x"]);
    assert_eq!(check("x", Some(Kind::Text("y\u{1b}".into()))), ["a.x"]);
    let values = vec![String::new(); 101];
    assert_eq!(check("x", Some(Kind::Texts(common::TextList { values }))), ["a.x"]);

    let text = common::AttributeValue { kind: Some(Kind::Text("y".repeat(1_000))) };
    let many = |count: usize| (0..count).map(|n| (format!("n{n}"), text.clone())).collect();
    assert!(refused(|fields| drop(fields.attributes("a", &many(65)))).is_empty());
    assert_eq!(refused(|fields| drop(fields.attributes("a", &many(66)))), ["a"]);
    assert_eq!(refused(|fields| drop(fields.attributes("a", &many(101)))), ["a", "a"]);
}
