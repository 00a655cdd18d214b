//! Templates as operators write them, as an enemy would, and at random.

use std::cell::Cell;

use proptest::test_runner::TestRunner;
use rules::Value;

use super::render::Failed;
use super::*;

mod generated;

fn event() -> Shapes {
    let skill = [("skill".to_owned(), Shape::Text), ("min_level".to_owned(), Shape::Number)];
    let requester = [
        ("name".to_owned(), Shape::Text),
        ("addresses".to_owned(), Shape::List(Box::new(Shape::Text))),
    ];
    let fields = [
        ("agent_id", Shape::Text),
        ("body", Shape::Text),
        ("permille", Shape::Number),
        ("accepted", Shape::Boolean),
        ("due_at", Shape::Instant),
        ("tags", Shape::List(Box::new(Shape::Text))),
        ("required_skills", Shape::List(Box::new(Shape::Group(skill.into())))),
        ("requester", Shape::Group(requester.into())),
        ("attributes", Shape::Attributes),
    ];
    fields.map(|(name, shape)| (name.to_owned(), shape)).into()
}

fn values() -> (Value, Value) {
    let skill = |skill: &str, level: i64| {
        Value::map([("skill", Value::from(skill)), ("min_level", Value::Integer(level))])
    };
    let event = Value::map([
        ("type", Value::from("OfferMade")),
        ("agent_id", Value::from("ada")),
        ("body", Value::from("x".repeat(9_000))),
        ("permille", Value::Integer(750)),
        ("accepted", Value::Boolean(true)),
        ("due_at", Value::Instant(kernel::Timestamp::from_millis(1_500))),
        ("tags", Value::texts(["a", "b"])),
        ("required_skills", Value::List(vec![skill("billing", 3), skill("french", 1)])),
        (
            "requester",
            Value::map([
                ("name", Value::from("grace hopper")),
                ("addresses", Value::texts(["g@navy.example"])),
            ]),
        ),
        (
            "attributes",
            Value::map([
                ("tier", Value::from("gold")),
                ("codes", Value::texts(["x", "y"])),
                ("amount", Value::Number(12.0)),
                ("big", Value::Number(1e300)),
            ]),
        ),
    ]);
    let ticket = Value::map([
        ("id", Value::from("t-1")),
        ("number", Value::Integer(7)),
        ("requester_name", Value::from("Grace")),
        ("subject", Value::from("Where is it?")),
        ("agent_id", Value::from("")),
        ("queue_id", Value::from("billing")),
        ("priority", Value::from("P2")),
    ]);
    (event, ticket)
}

fn text(source: &str) -> Result<String, Failed> {
    let template = Template::check(source, &event()).unwrap_or_else(|it| panic!("{source}: {it}"));
    let (event, ticket) = values();
    let (text, steps) = rendered(&template, &event, &ticket);
    assert!(steps <= template.steps(), "{source}: {steps} of {}", template.steps());
    text
}

fn refusal(source: &str) -> String {
    match Template::check(source, &event()) {
        Ok(_) => panic!("{source} was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_template_says_what_the_language_says() {
    for (source, expected) in [
        (
            "#{{ ticket.number }} {{ ticket.priority }} for {{ event.agent_id | upper }}",
            "#7 P2 for ADA",
        ),
        (
            "{{ event.tags | join('+') }} {{ event.attributes.tier }} {{ event.type }}",
            "a+b gold OfferMade",
        ),
        ("{{ event.tags|join }}{{ event.tags | length }}{{ 'äb' | length }}", "ab22"),
        (
            "{% for tag in event.tags %}{{ loop.index }}{{ tag }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1a, 2b",
        ),
        (
            "{% for it in event.required_skills %}{{ it.skill }}>={{ it.min_level }} {% else %}-{% endfor %}",
            "billing>=3 french>=1 ",
        ),
        (
            "{% for a in event.requester.addresses %}{{ loop.first }}{{ loop.length }}{{ loop.index0 }}{% endfor %}",
            "true10",
        ),
        (
            "{%for c in event.attributes.codes%}{{c}}{%endfor%}{%for c in event.attributes.tier%}{{c}}{%endfor%}",
            "xygold",
        ),
        (
            "{% if event.permille >= 900 %}late{% elif event.permille > 500 %}soon{% else %}fine{% endif %}",
            "soon",
        ),
        ("{% if ticket.agent_id %}{{ ticket.agent_id }}{% else %}nobody{% endif %}", "nobody"),
        ("{{ ticket.agent_id or 'nobody' }} {{ ticket.agent_id and 'x' }}|", "nobody |"),
        ("{{ 'a' if event.accepted else 'b' }}{{ 'c' if not event.accepted }}", "a"),
        (
            "{{ event.attributes.absent | default('none') }} {{ '' | default('d', true) }}{{ '' | default('d') }}",
            "none d",
        ),
        (
            "{{ event.requester.name | title }} {{ 'o-k (NOW)' | title }} {{ 'ÀB' | lower }}",
            "Grace Hopper O-K (Now) àb",
        ),
        (
            "{{ ' a ' | trim }}{{ 'aXbX' | replace('X', '--') }}{{ 'ab' | replace('', '.') }}",
            "aa--b--.a.b.",
        ),
        (
            "{% if 'a' in event.tags and 'z' not in event.tags and 'da' in event.agent_id %}y{% endif %}",
            "y",
        ),
        (
            "{% if 'x' in event.attributes.codes and 'ol' in event.attributes.tier %}y{% endif %}",
            "y",
        ),
        (
            "{{ event.attributes.codes }} {{ event.attributes.amount }} {{ event.due_at }} {{ event.accepted }}",
            "x, y 12.0 1970-01-01T00:00:01.5Z true",
        ),
        (
            "{{ event.permille==750.0 }}{{ event.attributes.amount==12 }}{{ event.attributes.tier==3 }}{{ -1<0 }}",
            "truetruefalsetrue",
        ),
        ("{{ event.attributes.big }}", &format!("1{}.0", "0".repeat(300))),
        (
            "{%- if true -%}  a  {%- endif -%}{# nothing #}{% raw %}{{ b }}{% endraw %}\n",
            "a{{ b }}",
        ),
        ("{{ (event.agent_id | upper) == 'ADA' and (1 < 2 or false) }}", "true"),
    ] {
        assert_eq!(text(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn what_is_not_allowed_is_refused_with_its_place() {
    for (source, expected) in [
        ("{{ event.agent }}", "line 1, column 4: there is no `event.agent`"),
        ("a\nbö {{ event.requester.nam }}", "line 2, column 7: there is no `event.requester.nam`"),
        ("{{ ticket.body }}", "column 4: there is no `ticket.body`"),
        ("{{ agent_id }}", "there is no `agent_id`"),
        ("{{ loop.index }}", "there is no `loop.index`"),
        ("{{ event }}", "a group of fields can't be written"),
        ("{{ event.tags }}", "column 4: a list can't be written"),
        ("{{ event.tags == event.tags }}", "a list can't stand here"),
        ("{{ event.attributes }}", "a group of fields can't be written"),
        ("{{ 1 == 'a' }}", "a number and a text can't be compared"),
        ("{{ 1 in 'a' }}", "a number and a text can't be compared"),
        ("{{ 'a' == event.tags }}", "a text and a list can't be compared"),
        ("{% set e = event %}{{ e.nothing }}", "column 4: `set` is not allowed"),
        ("{% set e %}x{% endset %}", "`set` is not allowed"),
        ("{% with a = 1 %}{% endwith %}", "`with` is not allowed"),
        ("{% filter upper %}x{% endfilter %}", "a `filter` block is not allowed"),
        ("{% autoescape true %}{% endautoescape %}", "`autoescape` is not allowed"),
        ("{% do f() %}", "`do` is not allowed"),
        ("{% macro m() %}{% endmacro %}", "unknown statement macro"),
        ("{% include 'other' %}", "unknown statement include"),
        ("{% extends 'other' %}", "unknown statement extends"),
        ("{% import 'other' as o %}", "unknown statement import"),
        ("{{ event['agent_id'] }}", "`[…]` is not allowed"),
        ("{{ event.tags[0] }}", "`[…]` is not allowed"),
        ("{{ event.tags.0 }}", "`[…]` is not allowed"),
        ("{{ event.agent_id[1:] }}", "a part of a list is not allowed"),
        ("{{ event.agent_id | shout }}", "there is no filter `shout`"),
        ("{{ event.agent_id | upper(1) }}", "`upper` takes other arguments"),
        ("{{ event.agent_id | join('x') }}", "`join` can't be used on a text"),
        ("{{ event.permille is odd }}", "the test `odd` is not allowed"),
        ("{{ now() }}", "a call is not allowed"),
        ("{{ event.agent_id.upper() }}", "a call is not allowed"),
        ("{{ 1 + 1 }}", "arithmetic is not allowed"),
        ("{{ 'x' * 900 }}", "arithmetic is not allowed"),
        ("{{ 9 ** 9 }}", "arithmetic is not allowed"),
        ("{{ 'a' ~ 'b' }}", "`~` is not allowed"),
        ("{{ -event.permille }}", "`-` may stand before a number only"),
        ("{{ none }}", "the value `None` is not allowed"),
        ("{{ {'a': 1} }}", "a map written out is not allowed"),
        ("{{ [1] }}", "a list written out is not allowed"),
        ("{{ (1, 2) }}", "a tuple is not allowed"),
        ("{{ 1 < 2 < 3 }}", "a comparison has two sides"),
        ("{% for a in 'xyz' %}{% endfor %}", "a loop runs over a list of the event"),
        ("{% for a in [1] %}{% endfor %}", "a loop runs over a list of the event"),
        ("{% for a, b in event.tags %}{% endfor %}", "a loop has one name"),
        ("{% for event in event.tags %}{% endfor %}", "`event` is taken"),
        ("{% for a in event.tags if a %}{% endfor %}", "a loop has a name and a list"),
        ("{% for a in event.tags recursive %}{% endfor %}", "a loop has a name and a list"),
        (
            "{% for a in event.tags %}{% for b in event.tags %}{% endfor %}{% endfor %}",
            "a loop within a loop",
        ),
        ("{{ ticket.number", "unexpected end of input"),
        ("{{ 'x", "unexpected end of string"),
        ("{% endif %}", "unknown statement endif"),
        ("\u{feff}{% if", "unexpected end of input"),
        (
            "{{ event.body|upper|lower|upper|lower|upper|lower|upper|lower|upper|lower|upper|lower|trim }}",
            "levels within each other",
        ),
        (&"{{ event.body|upper }}".repeat(150), "steps, and 20000 are allowed"),
        (&"x".repeat(TEMPLATE_MAX + 1), "more than 4096 bytes"),
    ] {
        let refused = refusal(source);
        assert!(refused.contains(expected), "{source}: {refused}");
    }
}

/// What took a processor for ever, or for seconds, while templates could do anything.
#[test]
fn what_an_enemy_wrote_is_refused() {
    for source in [
        "{% if [[[[1]*900]*900]*900]*900==[[[[1]*900]*900]*900]*900 %}{% endif %}",
        "{% if [[1]*6000]*6000 == [[1]*6000]*6000 %}{% endif %}",
        "{% if [event.tags]*900 in [event.tags]*900 %}{% endif %}",
        "{% if (event.tags, event.tags) < (event.tags, event.tags) %}{% endif %}",
        "{% for a in 'x' * 900 %}{% for b in 'x' * 900 %}{{ b }}{% endfor %}{% endfor %}",
        "{% for a in event.tags %}{{ event.body | upper }}{% endfor %}",
        &format!("{{{{ event.body{} }}}}", " | replace('x', event.body) | upper | lower".repeat(5)),
        "{% for a in event.tags %}{% if event.body in event.body %}x{% endif %}{% endfor %}",
        "{% for a in event.attributes.codes %}{% if a in event.attributes.codes %}x{% endif %}{% endfor %}",
    ] {
        assert!(Template::check(source, &event()).is_err(), "{source}");
    }
}

#[test]
fn what_a_filter_reads_and_writes_and_replaces_is_priced() {
    let whole = cost::bytes(TEXT_MAX);
    for (source, steps) in [
        ("{{ event.body | upper }}", 3 + 1_024 + 2),
        ("{{ event.body | title }}", 3 + 1_024 + 2),
        ("{{ event.body | trim }}", 3 + 1_024 + 2),
        ("{{ event.body | length }}", 3 + 129 + 1),
        ("{{ event.body | replace('a', 'b') }}", 5 + 512 + 3 + 129 + 8_196),
        ("{{ event.body | replace('aa', '') }}", 5 + 512 + 3 + 129 + 4_098),
        ("{{ event.body | replace('', '---') }}", 5 + 512 + 3 + 129 + 2_733),
        ("{{ event.body | replace(event.body, '') }}", 6 + 512 + 512 + 3 + 129 + 8_197),
        ("{{ 'a' in event.body }}", 4 + 512 + 3),
        ("{{ event.due_at }}", 3 + 8),
    ] {
        let template = Template::check(source, &event()).unwrap();
        assert_eq!(template.steps(), steps + whole, "{source}");
    }
    // Nine of these were priced so low that 26 rules of them took half a second at each message.
    let replaced = "|replace('a','b')|replace('b','a')".repeat(4);
    let attack = format!("{{% if event.body{replaced} == 'x' %}}{{% endif %}}");
    assert!(refusal(&attack).contains("steps, and 20000 are allowed"));
    let words = "{% for tag in event.tags %}{{ tag | upper }}{% endfor %}";
    assert!(Template::check(words, &event()).is_ok(), "a list's words can be changed");
}

#[test]
fn letters_are_changed_as_the_standard_library_does() {
    for (source, expected) in [
        ("{{ 'straße ŉ ΐ ab' | upper }}", "straße ŉ ΐ ab".to_uppercase()),
        ("{{ 'ΟΔΟΣ ΣΑΣ İI' | lower }}", "ΟΔΟΣ ΣΑΣ İI".to_lowercase()),
        ("{{ 'ÄÖ İI Z' | lower }}", "ÄÖ İI Z".to_lowercase()),
        ("{{ 'ΟΔΟΣ ǆ-ß(ÄÄ  ' | title }}", "Οδος Ǆ-SS(Ää  ".to_owned()),
        ("{{ 'ΟΣ ΟΣΟ ΣΑΣ ΑΣ.Α Σ' | title }}", "Οσ Οσο Σας Ασ.α Σ".to_owned()),
        ("{{ '€€a€' | replace('€', 'ab') | replace('ab', '') }}", "a".to_owned()),
    ] {
        assert_eq!(text(source), Ok(expected), "{source}");
    }
    let long = text("{{ event.body | replace('x', '€') }}");
    assert!(long.is_ok_and(|text| text.len() <= TEXT_MAX && text.ends_with("€…")));
}

#[test]
fn parsing_takes_bounded_stack_however_it_is_nested() {
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("-", "1", ""),
        ("- ", "1", ""),
        ("not ", "1", ""),
        ("not -", "1", ""),
        ("1 if 1 else ", "1", ""),
        ("1+", "1", ""),
        ("1 or ", "1", ""),
        ("a.", "a", ""),
        ("f(", "1", ")"),
        ("1 is ", "1", ""),
        ("a[", "1", "]"),
        ("1|default(", "1", ")"),
        ("1|", "upper", ""),
        ("1**", "1", ""),
        ("*", "1", ""),
    ] {
        let times = TEMPLATE_MAX / (open.len() + close.len()) - 2;
        let source = format!("{{{{{}{inner}{}}}}}", open.repeat(times), close.repeat(times));
        assert!(Template::check(&source, &event()).is_err(), "{open}");
    }
    for (open, close) in [
        ("{%if 1%}", "{%endif%}"),
        ("{%if 1%}{%elif 1%}", "{%endif%}"),
        ("{%elif 1%}", ""),
        ("{%if 1%}", ""),
        ("{%for a in b%}", "{%endfor%}"),
        ("{%for a in b%}{%else%}", "{%endfor%}"),
        ("{%set a%}", "{%endset%}"),
        ("{%with%}", "{%endwith%}"),
        ("{%filter a%}", "{%endfilter%}"),
        ("{%raw%}", ""),
        ("{#", ""),
    ] {
        let times = (TEMPLATE_MAX - 32) / (open.len() + close.len());
        for start in ["", "{%if 1%}"] {
            let source = format!("{start}{}{}", open.repeat(times), close.repeat(times));
            drop(Template::check(&source, &event()));
        }
    }
    let alternatives = format!("{{%if 1%}}{}{{%endif%}}", "{%elif 1%}".repeat(49));
    assert!(Template::check(&alternatives, &event()).is_ok());
    let alternatives = format!("{{%if 1%}}{}{{%endif%}}", "{%elif 1%}".repeat(51));
    assert!(refusal(&alternatives).contains("more than 50"));
}

#[test]
fn an_attribute_that_is_absent_or_of_another_kind_fails_the_template() {
    for (source, expected) in [
        ("{{ event.attributes.absent }}", Failed::Absent),
        ("{% if event.attributes.absent %}{% endif %}", Failed::Absent),
        ("{% for a in event.attributes.absent %}{% endfor %}", Failed::Absent),
        ("{{ event.attributes.absent == 1 }}", Failed::Absent),
        ("{{ event.attributes.amount | length }}", Failed::Kind),
        ("{{ event.attributes.codes | upper }}", Failed::Kind),
        ("{{ event.attributes.codes == 'x' }}", Failed::Kind),
        ("{{ event.attributes.tier < 3 }}", Failed::Kind),
    ] {
        assert_eq!(text(source), Err(expected), "{source}");
    }
}

#[test]
fn a_long_text_is_cut_between_characters_and_shows_it() {
    for source in ["ä{{ event.body }}", "{{ event.body }}", "{{ event.body | upper }}ä"] {
        let text = text(source).unwrap();
        assert!(text.len() <= TEXT_MAX && text.ends_with('…'), "{source}: {}", text.len());
    }
    let (_, ticket) = values();
    let long = Value::map([("tags", Value::texts(vec!["ß".repeat(900); 150]))]);
    let template =
        Template::check("{% for it in event.tags %}{{ it | length }}{% endfor %}", &event());
    let (text, _) = rendered(&template.unwrap(), &long, &ticket);
    assert_eq!(text.unwrap(), "511".repeat(ELEMENTS_MAX), "each element is cut to 1,024 bytes");
}

#[test]
fn what_several_types_have_in_common_can_be_named() {
    let one: Shapes = [
        ("both".to_owned(), Shape::Text),
        ("other".to_owned(), Shape::Text),
        ("group".to_owned(), Shape::Group([("a".to_owned(), Shape::Text)].into())),
    ]
    .into();
    let other: Shapes = [
        ("both".to_owned(), Shape::Text),
        ("other".to_owned(), Shape::Number),
        ("group".to_owned(), Shape::Group([("b".to_owned(), Shape::Text)].into())),
    ]
    .into();
    let both = common(&one, &other);
    assert_eq!(both.get("both"), Some(&Shape::Text));
    assert_eq!(both.get("other"), None);
    assert_eq!(both.get("group"), Some(&Shape::Group(Shapes::new())));
}
