//! Instants, durations and patterns, which the interpreter of `cel` has only with other libraries.

use kernel::Timestamp;

use crate::{Facts, Names, Rule, Shape, Value, Verdict};

const NAMES: Names = Names(&[("at", Shape::Scalar), ("text", Shape::Text { bytes: 100 })]);

fn verdict(source: &str) -> Verdict {
    let rule = Rule::compile(source, NAMES).unwrap_or_else(|error| panic!("{source}: {error}"));
    // A Thursday.
    let at = Timestamp::from_millis(1_772_150_400_123);
    rule.matches(&Facts::new().with("at", at).with("text", Value::from("Größe: 12 Äpfel")))
}

#[test]
fn what_holds_of_times() {
    for source in [
        "at == timestamp('2026-02-27T00:00:00.123Z')",
        "at == timestamp('2026-02-27T01:00:00.123+01:00')",
        "at > timestamp('2026-02-26t23:59:59Z')",
        "at.getFullYear() == 2026 && at.getMonth() == 1 && at.getDate() == 27",
        "at.getDayOfMonth() == 26 && at.getDayOfYear() == 57 && at.getDayOfWeek() == 5",
        "at.getHours() == 0 && at.getMinutes() == 0 && at.getSeconds() == 0",
        "at.getMilliseconds() == 123",
        "at.getHours('Europe/Vienna') == 1 && at.getHours('-08:00') == 16",
        "at.getDate('America/Los_Angeles') == 26 && at.getMinutes('Asia/Kolkata') == 30",
        "at.getHours('05:30') == 5 && at.getHours('') == 0 && at.getHours('UTC') == 0",
        "timestamp('2026-07-01T12:00:00Z').getHours('Europe/Vienna') == 14",
        "at - timestamp('2026-02-26T22:00:00Z') == duration('2h0.123s')",
        "at + duration('1h') > at && at - duration('24h') < at",
        "duration('1h') + timestamp(0) == timestamp(3600)",
        "duration('1h30m') == duration('90m') && duration('-1.5s') < duration('0')",
        "duration('1h') - duration('1m') == duration('59m')",
        "duration('2h30m45s').getMinutes() == 150 && duration('-90s').getMinutes() == -1",
        "duration('1500ms').getMilliseconds() == 1500",
        "duration('.5s') == duration('1.s') - duration('500ms') && duration('+0.0000000009s') == duration('0s')",
        "duration('-9223372036854775808ns') < duration('-9223372036854775807ns')",
        "duration('1.99999999999999999999h') - duration('1h') == duration('59m59.999999999s')",
        "duration('00000000000000000000000001h') == duration('1h')",
        "timestamp('2026-02-27T00:00:00.1234567899Z') - at == duration('456789ns')",
        "string(at) == '2026-02-27T00:00:00.123Z' && string(timestamp(0)) == '1970-01-01T00:00:00Z'",
        "string(duration('-1.5s')) == '-1.5s' && string(duration('1h')) == '3600s'",
        "int(at) == 1772150400 && int(timestamp('1969-12-31T23:59:59.5Z')) == -1",
        "timestamp(at) == at && duration(duration('1s')) == duration('1s')",
        "timestamp('0001-01-01T00:00:00Z') < timestamp('9999-12-31T23:59:59.999999999Z')",
        "timestamp('9999-12-31T23:59:59Z').getFullYear() == 9999",
        "timestamp('2024-02-29T00:00:00Z').getDayOfYear() == 59",
        "duration('9223372036854775807ns').getHours() == 2562047",
        "at != duration('1s') && at != 1",
    ] {
        assert_eq!(verdict(source), Verdict::True, "{source}");
    }
}

#[test]
fn what_is_no_time_makes_a_rule_false() {
    for source in [
        "timestamp('2026-02-29T00:00:00Z') != at",
        "timestamp('2026-02-27') != at",
        "timestamp('2026-02-27T00:00:00') != at",
        "timestamp('2026-02-27T00:00:00.Z') != at",
        "timestamp('2026-02-27T24:00:00Z') != at",
        "timestamp('2026-02-27T00:00:00+1:00') != at",
        "timestamp('2026-02-27T00:00:00Z and more') != at",
        "timestamp('ä') != at",
        "timestamp('0000-12-31T00:00:00Z') != at",
        "timestamp('0001-01-01T00:00:00Z') - duration('1s') != at",
        "timestamp('9999-12-31T23:59:59Z') + duration('1s') != at",
        "timestamp('9999-12-31T23:59:59Z') - timestamp(0) != duration('1s')",
        "timestamp(253402300800) != at",
        "duration('1') != duration('1s')",
        "duration('') != duration('1s')",
        "duration('s') != duration('1s')",
        "duration('1s and more') != duration('1s')",
        "duration('1.2.3s') != duration('1s')",
        "duration('.s') != duration('1s') && duration('1ä') != duration('1s')",
        "duration('99999999999999999999h') != duration('1s') || duration('3000000h') != duration('1s')",
        "duration('-') != duration('1s')",
        "duration('9223372036854775808ns') != duration('1s')",
        "duration('9000000000s') + duration('9000000000s') != duration('1s')",
        "at.getHours('Mars/Base') == 0 || at.getHours('Mars/Base') != 0",
        "at.getHours('24:00') != 99",
        "at.getHours('+01:60') != 99",
        "at.getHours(1) != 99",
        "duration('1s').getDate() != 99",
        "text.getHours() != 99",
        "-at != at",
        "at + at != at",
    ] {
        assert_eq!(verdict(source), Verdict::False, "{source}");
    }
}

#[test]
fn patterns_are_those_of_re2() {
    for (pattern, found) in [
        ("Gr..e", true),
        ("(?i)ÄPFEL", true),
        ("^Größe: [0-9]+ ", true),
        ("Äpfel$", true),
        ("^Äpfel", false),
        (r"\d+", true),
        (r"\b12\b", true),
        (r"\b2\b", false),
        // Of ASCII, as in RE2.
        (r"Gr\wße", false),
        (r"Gr\Wße", true),
        (r"[^\w\s:]pfel", true),
        (r"1{1}2{1,2}", true),
        ("", true),
        ("x|y|Ä", true),
    ] {
        let expected = if found { Verdict::True } else { Verdict::False };
        assert_eq!(verdict(&format!("text.matches(r'{pattern}')")), expected, "{pattern}");
    }
    assert_eq!(verdict("matches(text, 'ß') && !text.matches('ss')"), Verdict::True);
}
