//! Texts and stored nodes that an enemy sends: none panics, overflows the stack, or takes long.

use proptest::prelude::*;
use proptest::sample::select;

use super::ordinary;
use super::sources::source;
use crate::pattern::Pattern;
use crate::{CheckedRule, CheckedRuleError, Rule, STEPS_MAX, TABLE_MAX, TICKET, TreeNode};

const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    ":",
    "?",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "<",
    ">",
    "=",
    "==",
    "&&",
    "||",
    "in",
    "ticket",
    "a",
    "has",
    "all",
    "map",
    "matches",
    "true",
    "null",
    "1",
    "1u",
    "0x",
    "1e",
    ".5",
    "'",
    "\"",
    "'''",
    "r'",
    "b'",
    "\\",
    "`",
    "//",
    "\n",
    "ä",
    "\u{0}",
    "@",
    "ticket.tags",
    ".exists(",
    "(a, ",
    "'(?i)'",
    "\\w",
    "existsOne",
    "size",
];

/// As much stack as the documentation of [`Rule::compile`] promises to be enough.
fn on_a_small_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(1 << 20);
        builder.spawn_scoped(scope, test).unwrap().join().unwrap();
    });
}

proptest! {
    #[test]
    fn no_text_does_harm(text in any::<String>(), tokens in prop::collection::vec(select(TOKENS), 0..200)) {
        let tokens = tokens.concat();
        for text in [text.as_str(), tokens.as_str()] {
            if let Ok(rule) = Rule::compile(text, TICKET) {
                rule.matches(&ordinary());
            }
        }
    }

    #[test]
    fn no_pattern_does_harm(text in any::<String>(), parts in prop::collection::vec(select(PARTS), 0..30)) {
        for text in [text, parts.concat()] {
            if let Ok(pattern) = Pattern::compile(&text) {
                prop_assert!(pattern.table_bytes() <= 2 * TABLE_MAX, "{text}");
                pattern.matches("an ordinary text, für alle");
            }
        }
    }

    #[test]
    fn no_stored_nodes_do_harm(nodes in prop::collection::vec(node(), 0..60), steps in 0..=STEPS_MAX) {
        let stored = CheckedRule { source: String::new(), nodes, steps };
        if let Ok(rule) = Rule::from_stored(stored.clone()) {
            rule.matches(&ordinary());
            prop_assert_eq!(rule.stored().nodes.len(), stored.nodes.len());
        }
    }

    #[test]
    fn a_rule_survives_being_stored(source in source()) {
        let Ok(rule) = Rule::compile(&source, TICKET) else { return Ok(()) };
        let stored = rule.stored();
        let again = Rule::from_stored(stored.clone()).unwrap();
        prop_assert_eq!(again.stored(), stored);
        prop_assert_eq!(again.measured(&ordinary()), rule.measured(&ordinary()));
        let bytes = postcard::to_allocvec(&rule).unwrap();
        let read: Rule = postcard::from_bytes(&bytes).unwrap();
        prop_assert_eq!(read.stored(), rule.stored());
    }
}

const PARTS: &[&str] = &[
    "a", "ä", ".", "*", "+", "?", "|", "(", ")", "[", "]", "^", "$", "\\w", "\\W", "\\d", "\\s",
    "\\b", "\\B", "\\pL", "{9}", "{1,}", "(?i)", "(?s)", "(?-u)", "[^a]", "[a-z]", "\\", "&&",
];

fn node() -> impl Strategy<Value = TreeNode> {
    let names =
        ["_&&_", "_==_", "@in", "_[_]", "size", "contains", "matches", "all", "map", "no", "int"];
    prop_oneof![
        Just(TreeNode::Null),
        any::<bool>().prop_map(TreeNode::Boolean),
        any::<i64>().prop_map(TreeNode::Integer),
        any::<u64>().prop_map(TreeNode::Unsigned),
        any::<f64>().prop_map(TreeNode::Number),
        "[a-z(\\\\]{0,3}".prop_map(TreeNode::Text),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(TreeNode::Bytes),
        select(vec!["ticket", "nothing"]).prop_map(|name| TreeNode::Name(name.to_owned())),
        Just(TreeNode::Element),
        select(vec!["tags", "subject"]).prop_map(|name| TreeNode::Select(name.to_owned())),
        select(vec!["tags", "nothing"]).prop_map(|name| TreeNode::Has(name.to_owned())),
        (0_u32..4).prop_map(TreeNode::List),
        (0_u32..3).prop_map(TreeNode::Map),
        (select(names.to_vec()), 0_u32..4).prop_map(|(function, operands)| TreeNode::Call {
            function: function.to_owned(),
            operands,
        }),
    ]
}

#[test]
fn the_deepest_texts_that_are_let_in_need_no_more_stack_than_promised() {
    let texts = [
        format!("{}1{} == 1", "f(!b||b&&b==b+b*b?b:".repeat(12), ")".repeat(12)),
        format!("{}1{} == 1", "[".repeat(12), "]".repeat(12)),
        format!("{}1", "a?a:".repeat(249)),
        format!("{}1{}", "a?".repeat(330), ":a".repeat(330)),
        format!("1{}", "+1".repeat(499)),
        format!("a{}", ".a".repeat(499)),
        format!("a{}", "[1]".repeat(330)),
        format!("{}a", "!-".repeat(499)),
        format!("{}a", "-".repeat(999)),
        format!("a{}", "&&a".repeat(330)),
        format!("a{}", ".f()".repeat(249)),
    ];
    on_a_small_stack(|| {
        for text in &texts {
            // Whether it is a rule is not the question; that it is answered, and the answer dropped, on this stack is.
            drop(Rule::compile(text, TICKET));
        }
    });
}

#[test]
fn damaged_trees_are_told_from_rules() {
    let stored = |nodes: &[TreeNode]| {
        Rule::from_stored(CheckedRule { source: "x".to_owned(), nodes: nodes.to_vec(), steps: 1 })
    };
    let call =
        |function: &str, operands| TreeNode::Call { function: function.to_owned(), operands };
    let no_function = |function: &str, operands| {
        Err(CheckedRuleError::NoFunction { function: function.to_owned(), operands })
    };
    let truth = TreeNode::Boolean(true);
    assert!(stored(std::slice::from_ref(&truth)).is_ok());
    assert_eq!(stored(&[]), Err(CheckedRuleError::NoTree));
    assert_eq!(stored(&[truth.clone(), truth.clone()]), Err(CheckedRuleError::NoTree));
    assert_eq!(stored(&[call("!_", 1)]), Err(CheckedRuleError::NoTree));
    assert_eq!(stored(&[TreeNode::Element]), Err(CheckedRuleError::NoTree));
    assert_eq!(stored(&[truth.clone(), call("lowerAscii", 1)]), no_function("lowerAscii", 1));
    assert_eq!(stored(&[truth.clone(), call("_&&_", 1)]), no_function("_&&_", 1));
    let broken =
        [TreeNode::Name("a".to_owned()), TreeNode::Text("(".to_owned()), call("matches", 2)];
    assert!(matches!(stored(&broken), Err(CheckedRuleError::Pattern(_))));
    let deep = [vec![truth.clone()], vec![call("!_", 1); 24]].concat();
    assert_eq!(stored(&deep), Err(CheckedRuleError::TooLarge));
    assert_eq!(stored(&vec![truth.clone(); 2_001]), Err(CheckedRuleError::TooLarge));
    let costly = CheckedRule { source: String::new(), nodes: vec![truth], steps: STEPS_MAX + 1 };
    assert_eq!(Rule::from_stored(costly), Err(CheckedRuleError::TooManySteps(STEPS_MAX + 1)));
}
