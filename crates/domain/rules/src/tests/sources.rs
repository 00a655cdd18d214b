//! Random rules, as texts: what CEL has, without what is refused by its form.

use proptest::prelude::*;
use proptest::sample::select;

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"];
const MEMBERS: &[&str] = &["contains", "startsWith", "endsWith"];
const GLOBALS: &[&str] = &["size", "string", "int", "uint", "double", "bool"];
const RANGES: &[&str] =
    &["ticket.tags", "ticket.attributes.list", "ticket.attributes['list']", "ticket.attributes.n"];
const MACROS: &[&str] = &["all", "exists", "exists_one", "map", "filter"];
const LEAVES: &[&str] = &[
    "ticket.subject",
    "ticket.type",
    "ticket.priority",
    "ticket.tags",
    "ticket.attributes.n",
    "ticket.attributes.number",
    "ticket.attributes.truth",
    "ticket.attributes.text",
    "ticket.attributes.list",
    "ticket.attributes['nothing']",
    "ticket.requester.name",
    "has(ticket.attributes.text)",
    "has(ticket.attributes.nothing)",
    "has(ticket.subject.text)",
    "size(ticket.attributes)",
    "('text' in ticket.attributes)",
    "{'a': 1, 'abc': ticket.subject}['abc']",
    "{1: 'a', true: 2}[1.0]",
    "{'a': [1]} == {'a': [1u]}",
    "null",
    "true",
    "false",
    "0",
    "1",
    "3",
    "9223372036854775807",
    "2u",
    "2.5",
    "1e300",
    "'abc'",
    "'b'",
    "''",
    "'1'",
    "b'abc'",
    "[]",
    "['a', 'vip', 'abc']",
    "[1, 2u, 3.0]",
];

/// Any rule: half of them make no sense of their types, the others do.
pub(super) fn source() -> impl Strategy<Value = String> {
    prop_oneof![untyped(), truth(false)]
}

fn untyped() -> impl Strategy<Value = String> {
    let looped = (range(), select(MACROS), flat(true))
        .prop_map(|(range, name, body)| format!("{range}.{name}(e, {body})"));
    let guarded = (range(), flat(true), flat(true))
        .prop_map(|(range, guard, body)| format!("{range}.map(e, {guard}, {body})"));
    let leaf = prop_oneof![3 => flat(false), 2 => looped, 1 => guarded];
    leaf.prop_recursive(2, 8, 3, |inner| combined(&inner))
}

/// A condition whose operands have the types that its operators take, though they may be missing.
fn truth(element: bool) -> BoxedStrategy<String> {
    let (equal, order) = (["==", "!="], ["<", "<=", ">", ">=", "==", "!="]);
    let numbers = (number(element), select(order.to_vec()), number(element));
    let texts = (text(element), select(order.to_vec()), text(element));
    let lists = (list(element), select(equal.to_vec()), list(element));
    let written =
        |(one, operator, other): (String, &str, String)| format!("{one} {operator} {other}");
    let searched = (text(element), select(MEMBERS), text(element));
    let leaf = prop_oneof![
        3 => numbers.prop_map(written),
        3 => texts.prop_map(written),
        1 => lists.prop_map(written),
        2 => (text(element), list(element)).prop_map(|(text, list)| format!("{text} in {list}")),
        2 => searched.prop_map(|(one, member, other)| format!("{one}.{member}({other})")),
        1 => select(vec!["true", "false", "has(ticket.attributes.n)", "ticket.attributes.truth"])
            .prop_map(str::to_owned),
    ];
    let leaf = if element {
        leaf.boxed()
    } else {
        let macros = select(vec!["all", "exists", "exists_one"]);
        let looped = (list(false), macros, truth(true));
        let looped = looped.prop_map(|(list, name, body)| format!("{list}.{name}(e, {body})"));
        prop_oneof![3 => leaf, 1 => looped].boxed()
    };
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), select(vec!["&&", "||"]), inner.clone())
                .prop_map(|(one, operator, other)| format!("({one} {operator} {other})")),
            1 => inner.clone().prop_map(|one| format!("!({one})")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(one, yes, no)| format!("({one} ? {yes} : {no})")),
        ]
    })
    .boxed()
}

fn text(element: bool) -> BoxedStrategy<String> {
    let mut leaves = vec![
        "'abc'",
        "'a'",
        "'refund'",
        "''",
        "ticket.subject",
        "ticket.attributes.text",
        "ticket.type",
        "ticket.requester.name",
        "string(ticket.attributes.n)",
        "(ticket.subject + '!')",
        "ticket.tags[0]",
        "string(2.5)",
    ];
    leaves.extend(element.then_some("e"));
    select(leaves).prop_map(str::to_owned).boxed()
}

fn number(element: bool) -> BoxedStrategy<String> {
    let leaves = vec![
        "0",
        "3",
        "-1",
        "2.5",
        "3u",
        "9223372036854775807",
        "ticket.attributes.n",
        "ticket.attributes.number",
        "size(ticket.tags)",
        "ticket.attributes.nothing",
        "ticket.subject.size()",
        "int('3')",
        "int(2.9)",
        "double(3)",
    ];
    let leaf = select(leaves).prop_map(str::to_owned);
    let sized = text(element).prop_map(|text| format!("size({text})"));
    let leaf = prop_oneof![4 => leaf, 1 => sized];
    leaf.prop_recursive(1, 3, 2, |inner| {
        (inner.clone(), select(vec!["+", "-", "*", "/", "%"]), inner)
            .prop_map(|(one, operator, other)| format!("({one} {operator} {other})"))
    })
    .boxed()
}

fn list(element: bool) -> BoxedStrategy<String> {
    let named = select(vec!["ticket.tags", "ticket.attributes.list", "[]"]);
    let written =
        (text(element), text(element)).prop_map(|(one, other)| format!("[{one}, {other}]"));
    prop_oneof![2 => named.prop_map(str::to_owned), 1 => written].boxed()
}

fn range() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(RANGES).prop_map(str::to_owned),
        1 => (flat(false), flat(false)).prop_map(|(one, other)| format!("[{one}, {other}]")),
    ]
}

/// An expression without a macro; in a macro's body `e` is its element.
fn flat(element: bool) -> BoxedStrategy<String> {
    let leaf = select(LEAVES).prop_map(str::to_owned);
    let leaf = if element {
        prop_oneof![1 => Just("e".to_owned()), 1 => leaf].boxed()
    } else {
        leaf.boxed()
    };
    leaf.prop_recursive(3, 12, 3, |inner| combined(&inner)).boxed()
}

fn combined(inner: &BoxedStrategy<String>) -> impl Strategy<Value = String> + use<> {
    let two = || (inner.clone(), inner.clone());
    prop_oneof![
        5 => (inner.clone(), select(OPERATORS), inner.clone())
            .prop_map(|(one, operator, other)| format!("({one} {operator} {other})")),
        1 => inner.clone().prop_map(|one| format!("!({one})")),
        1 => inner.clone().prop_map(|one| format!("-({one})")),
        1 => (inner.clone(), inner.clone(), inner.clone())
            .prop_map(|(one, yes, no)| format!("({one} ? {yes} : {no})")),
        1 => two().prop_map(|(one, other)| format!("[{one}, {other}]")),
        1 => two().prop_map(|(one, other)| format!("({one})[{other}]")),
        2 => (inner.clone(), select(MEMBERS), inner.clone())
            .prop_map(|(one, member, other)| format!("({one}).{member}({other})")),
        1 => (select(GLOBALS), inner.clone())
            .prop_map(|(function, one)| format!("{function}({one})")),
    ]
}
