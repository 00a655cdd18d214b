//! Filters survive being stored, and no bytes make one that isn't.

use proptest::prelude::*;
use prost::Message as _;
use rules::{Shape, TICKET};
use tonic::Code;

use super::*;

const COSTLY: Names = Names(&[("text", Shape::Text { bytes: 1 << 20 })]);

/// Reads a filter from its stored bytes, which may be anything.
fn read(bytes: &[u8]) -> Result<Option<Rule>, String> {
    let checked = CheckedExpression::decode(bytes).map_err(|error| error.to_string())?;
    stored_filter("x", Some(checked))
}

#[test]
fn a_filter_survives_its_stored_form() {
    assert_eq!(filter_to_wire(None), None);
    assert_eq!(stored_filter("", None), Ok(None));
    for source in [
        "ticket.channel == 'chat' && !(ticket.priority in ['P1', 'P2'])",
        "ticket.tags.exists(t, t.startsWith('vip')) || ticket.tags.map(t, t != 'a', t + 'b') == []",
        "has(ticket.attributes.n) && ticket.attributes['n'] > -1 && {1: null, true: 2u}[1.0] == b'a'",
        "ticket.subject.matches(r'(?i)\\bref') ? 2.5 < 3.0 : ticket.attributes.at.getHours('UTC') == 3",
    ] {
        let filter = compile_filter("f", source, TICKET).unwrap().unwrap();
        let wire = filter_to_wire(Some(&filter)).unwrap();
        let read = CheckedExpression::decode(wire.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, wire);
        let again = stored_filter(&filter_text(Some(&filter)), Some(read)).unwrap().unwrap();
        assert_eq!(again.stored(), filter.stored());
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_an_error_and_never_another() {
    let filter = compile_filter("f", "ticket.type == 'a'", TICKET).unwrap();
    let wire = filter_to_wire(filter.as_ref());
    assert!(stored_filter("ticket.type == 'a'", None).is_err());
    assert!(stored_filter("", wire.clone()).is_err());
    let unknown = CheckedExpression { nodes: vec![ExpressionNode { kind: None }], steps: 1 };
    assert!(stored_filter("x", Some(unknown)).is_err());
    let mut cut = wire.unwrap();
    cut.nodes.pop();
    assert!(stored_filter("x", Some(cut)).is_err());
}

#[test]
fn refusals_name_the_field_the_limit_and_the_part() {
    let refused = |text: &str, names| compile_filter("queue.filter", text, names).unwrap_err();
    let invalid = refused("ticket.type ==", TICKET);
    assert_eq!(invalid.reason(), ErrorReason::ExpressionInvalid);
    assert_eq!(refused("1 in [1].map(a, [1].map(b, b))", TICKET).code(), Code::InvalidArgument);
    let steps = refused("text.contains('a')", COSTLY);
    assert_eq!(steps.reason(), ErrorReason::ExpressionTooCostly);
    assert!(steps.message().contains("32771 steps"), "{}", steps.message());
    assert!(steps.message().contains("`text.contains(…)`"), "{}", steps.message());
    let over = refuse_over_budget(&OverBudget { steps: 1, others: 500_000 }, "queue.filter");
    assert_eq!(
        (over.reason(), over.code()),
        (ErrorReason::FilterBudgetExceeded, Code::FailedPrecondition)
    );
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, to: u8) {
        drop(read(&bytes));
        // A filter of which one byte is another.
        let filter = compile_filter("f", "ticket.tags.all(t, t in ['a', t]) && ticket.type.matches('a+')", TICKET);
        let mut stored = filter_to_wire(filter.unwrap().as_ref()).unwrap().encode_to_vec();
        let place = at % stored.len();
        stored[place] = to;
        if let Ok(Some(rule)) = read(&stored) {
            rule.matches(&rules::Facts::new());
        }
    }
}
