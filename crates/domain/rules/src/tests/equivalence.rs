//! Every rule is answered as the interpreter of `cel` answers it, whose parser is another one, too.
//!
//! Left out is what `cel` has only with other libraries (time and patterns, for which there are tables), and where it
//! departs from what CEL says: lists added to maps, and durations and instants read further than they go.

use std::collections::BTreeMap;

use cel::{Context, ExecutionError, Program};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::sources::source;
use super::{largest, ordinary};
use crate::{Facts, Rule, TICKET, Value, Verdict};

#[expect(clippy::disallowed_types, reason = "cel's own maps are hash maps")]
fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Number(number) => (*number).into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Instant(_) => cel::Value::Null,
        Value::List(values) => values.iter().map(to_cel).collect::<Vec<_>>().into(),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), to_cel(value)));
            cel::Value::Map(entries.collect::<std::collections::HashMap<_, _>>().into())
        }
    }
}

fn interpreted(source: &str, facts: &Facts) -> Option<Verdict> {
    let program = Program::compile(source).ok()?;
    let mut context = Context::default();
    let ticket = facts.get("ticket").map(to_cel)?;
    context.add_variable_from_value("ticket", ticket);
    Some(match program.execute(&context) {
        Ok(cel::Value::Bool(true)) => Verdict::True,
        Err(ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_)) => {
            Verdict::Missing
        }
        Ok(_) | Err(_) => Verdict::False,
    })
}

/// The other parser needs a stack of its own.
fn with_room(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(64 << 20);
        builder.spawn_scoped(scope, test).unwrap().join().unwrap();
    });
}

#[test]
fn every_rule_is_answered_as_by_the_interpreter() {
    with_room(|| {
        let (ordinary, largest) = (ordinary(), largest("ab"));
        let mut answers = BTreeMap::new();
        let mut answered = |verdict: Verdict| {
            *answers.entry(format!("{verdict:?}")).or_insert(0_u32) += 1;
        };
        let answered = std::cell::RefCell::new(&mut answered);
        let rules = TestRunner::default().run(&source(), |source| {
            let Ok(rule) = Rule::compile(&source, TICKET) else { return Ok(()) };
            for facts in [&ordinary, &largest] {
                let verdict = rule.matches(facts);
                prop_assert_eq!(Some(verdict), interpreted(&source, facts), "{}", source);
                answered.borrow_mut()(verdict);
            }
            Ok(())
        });
        rules.unwrap();
        // The generator must not degenerate into rules that are all refused, or all of one answer.
        assert!(answers.len() == 3 && answers.values().all(|count| *count > 5), "{answers:?}");
    });
}

#[test]
fn texts_that_one_parser_reads_the_other_reads_too() {
    with_room(|| {
        for source in [
            "ticket.tags.existsOne(t, t == 'a')",
            "1 + 2 * 3 - 4 / 5 % 6 == 7",
            "-1 < - 2 && !true || !!false",
            "a ? b : c ? d : e",
            "true ? false : true ? true : false",
            "[1, 2,].size() == 2",
            "{'a': 1,}.size() == 1",
            r#"r'\d' + "\n\t\"" + '''a'b''' == "\u00e4\x41\101""#,
            "0x1F == 31 && -0x1F == -31 && 1u == 0x1u",
            "1.5e3 == 1500.0 && .5 == 0.5",
            "'a' in ['a'] in [true]",
            "ticket . subject\n == 'a' // a comment",
        ] {
            let mine = cel::parser::PrattParser::new().parse(source).unwrap();
            let other = cel::parser::Parser::new().parse(source).unwrap();
            assert_eq!(without_ids(&mine), without_ids(&other), "{source}");
        }
    });
}

/// What a tree is, whatever its nodes are numbered.
fn without_ids(tree: &cel::IdedExpr) -> String {
    let shown = format!("{:?}", tree.expr);
    let parts =
        shown.split("id: ").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    parts.collect()
}
