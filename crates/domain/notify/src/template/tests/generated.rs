//! Templates at random: what is accepted keeps within its bound over the largest values, and nothing makes the checks
//! panic.

use proptest::prelude::*;

use super::*;

/// The largest values, of letters that grow when they are changed.
fn largest() -> (Value, Value) {
    let text = || Value::from("ΐ ".repeat(40_000));
    let element = || Value::from("ΐ".repeat(2_000));
    let elements = || Value::List((0..150).map(|_| element()).collect());
    let skill = || Value::map([("skill", element()), ("min_level", Value::Integer(i64::MIN))]);
    let event = Value::map([
        ("type", text()),
        ("agent_id", text()),
        ("body", text()),
        ("permille", Value::Integer(i64::MIN)),
        ("accepted", Value::Boolean(false)),
        ("due_at", Value::Instant(kernel::Timestamp::from_millis(i64::MAX / 1_000_000))),
        ("tags", elements()),
        ("required_skills", Value::List((0..150).map(|_| skill()).collect())),
        ("requester", Value::map([("name", text()), ("addresses", elements())])),
        (
            "attributes",
            Value::map([
                ("text", text()),
                ("list", elements()),
                ("number", Value::Number(f64::MIN)),
                ("truth", Value::Boolean(true)),
            ]),
        ),
    ]);
    let names = ["id", "requester_name", "subject", "agent_id", "queue_id", "priority"];
    let texts = names.map(|name| (name, text()));
    let ticket = texts.into_iter().chain([("number", Value::Integer(i64::MAX))]);
    (event, Value::map(ticket))
}

const LEAVES: [&str; 26] = [
    "event.type",
    "event.agent_id",
    "event.body",
    "event.permille",
    "event.accepted",
    "event.due_at",
    "event.tags",
    "event.requester.name",
    "event.attributes.text",
    "event.attributes.list",
    "event.attributes.number",
    "event.attributes.truth",
    "event.attributes.absent",
    "ticket.number",
    "ticket.subject",
    "item",
    "item.skill",
    "item.min_level",
    "loop.index",
    "loop.last",
    "'ΐ'",
    "' '",
    "''",
    "2.5",
    "7",
    "true",
];

fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES.as_slice()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 12, 3, |inner| {
        let filter = prop::sample::select(vec![
            "upper", "lower", "title", "trim", "length", "join", "default",
        ]);
        let operator = prop::sample::select(vec!["==", "!=", "<", ">=", "in", "not in"]);
        let junction = prop::sample::select(vec!["and", "or"]);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            3 => (inner.clone(), filter).prop_map(|(it, filter)| format!("({it}) | {filter}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(it, by)| format!("({it}) | join({by})")),
            1 => (pair.clone(), inner.clone())
                .prop_map(|((it, from), to)| format!("({it}) | replace({from}, {to})")),
            1 => pair.clone().prop_map(|(it, other)| format!("({it}) | default({other}, true)")),
            2 => (pair.clone(), operator).prop_map(|((a, b), it)| format!("({a}) {it} ({b})")),
            1 => (pair, junction).prop_map(|((a, b), it)| format!("({a}) {it} ({b})")),
            1 => inner.clone().prop_map(|it| format!("not ({it})")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a}) if ({b}) else ({c})")),
        ]
    })
}

fn templates() -> impl Strategy<Value = String> {
    let list = prop::sample::select(vec![
        "event.tags",
        "event.required_skills",
        "event.requester.addresses",
        "event.attributes.list",
        "event.attributes.text",
    ]);
    let leaf = prop_oneof![
        1 => Just("text ".to_owned()),
        3 => expressions().prop_map(|it| format!("{{{{ {it} }}}}")),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..4).prop_map(|it| it.concat()),
            1 => (expressions(), inner.clone(), expressions(), inner.clone()).prop_map(
                |(if_, then, elif, other)| format!(
                    "{{% if {if_} %}}{then}{{% elif {elif} %}}{other}{{% else %}}-{{% endif %}}"
                )
            ),
            2 => (list.clone(), inner).prop_map(|(list, body)| format!(
                "{{% for item in {list} %}}{body}{{% else %}}none{{% endfor %}}"
            )),
        ]
    })
}

/// Pieces of the language, put together without sense.
fn soup() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "not ", "(", ")", "[", "]", "{", "}", "'", "\"",
        "\\", "if ", "elif ", "else ", "endif ", "for ", "in ", "endfor ", "set ", "raw ",
        "endraw ", "is ", "event", ".", "tags", "item", "|", "upper", "join", ",", ":", "=", "==",
        "<", "~", "*", "**", "1", "0x", "1e9", "1_000", "\u{0}", "ß", "\n", " ", "a", "%", "#",
        "true", "loop", "{%-", "-}}",
    ];
    proptest::collection::vec(prop::sample::select(pieces), 0..120).prop_map(|it| it.concat())
}

#[test]
fn no_template_takes_more_steps_than_its_bound() {
    let (event_values, ticket) = largest();
    let (all, accepted, nearest) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u64));
    let mut runner = TestRunner::new(ProptestConfig::default());
    let ran = runner.run(&templates(), |source| {
        all.set(all.get() + 1);
        let Ok(template) = Template::check(&source, &event()) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let (text, steps) = rendered(&template, &event_values, &ticket);
        prop_assert!(steps <= template.steps(), "{steps} of {}: {source}", template.steps());
        prop_assert!(template.steps() <= STEPS_MAX);
        prop_assert_ne!(text.as_ref().err(), Some(&Failed::Steps));
        prop_assert!(text.map_or(0, |text| text.len()) <= TEXT_MAX);
        nearest.set(nearest.get().max(steps * 100 / template.steps().max(1)));
        Ok(())
    });
    ran.unwrap();
    let (all, accepted) = (all.get(), accepted.get());
    if all < 100 {
        return; // too few, by PROPTEST_CASES, to say more
    }
    assert!(accepted * 10 >= all, "only {accepted} of {all} were accepted: they show nothing");
    // A bound that nothing comes near would refuse what is cheap.
    assert!(nearest.get() >= 50, "the nearest came to {} % of its bound", nearest.get());
}

proptest! {
    #[test]
    fn no_text_makes_the_checks_panic(source in prop_oneof![soup(), any::<String>()]) {
        let (event_values, ticket) = values();
        if let Ok(template) = Template::check(&source, &event()) {
            let (_, steps) = rendered(&template, &event_values, &ticket);
            prop_assert!(steps <= template.steps());
        }
    }
}
