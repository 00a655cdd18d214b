//! Filters in CEL: compiled once, at the edge, so that no decision parses; and as facts store them.

use rules::{
    CheckedRule, Names, OverBudget, Rule, RuleError, STEPS_MAX, TreeNode, WORKSPACE_STEPS_MAX,
};
use wire::common::v1::ErrorReason;
use wire::events::v1::expression_node::Kind;
use wire::events::v1::{CheckedExpression, ExpressionCall, ExpressionNode};

use crate::Refusal;

/// Compiles a filter that a caller wrote. An empty one is none.
pub fn compile_filter(field: &str, text: &str, names: Names) -> Result<Option<Rule>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let compiled = Rule::compile(text, names);
    compiled.map(Some).map_err(|error| refusal(&error).at_field(field))
}

fn refusal(error: &RuleError) -> Refusal {
    let of = |reason| Refusal::of(reason, error.to_string());
    match error {
        RuleError::Invalid(why) => of(ErrorReason::ExpressionInvalid).with("expression_error", why),
        RuleError::TooCostly { limit } => of(ErrorReason::ExpressionTooCostly).with("limit", limit),
        RuleError::TooManySteps { steps, part, part_steps } => of(ErrorReason::ExpressionTooCostly)
            .with("limit", STEPS_MAX)
            .with("steps", steps)
            .with("part", part)
            .with("part_steps", part_steps),
    }
}

/// The refusal of a filter that, with all others of its workspace, could take too many steps.
pub fn refuse_over_budget(over: &OverBudget, field: &str) -> Refusal {
    Refusal::of(ErrorReason::FilterBudgetExceeded, over.to_string())
        .with("limit", WORKSPACE_STEPS_MAX)
        .with("steps", over.steps)
        .with("others", over.others)
        .at_field(field)
}

/// A filter's text as facts and replies hold it; empty: none.
pub fn filter_text(filter: Option<&Rule>) -> String {
    filter.map(|rule| rule.source().to_owned()).unwrap_or_default()
}

/// A filter as facts hold it, beside its text.
pub fn filter_to_wire(filter: Option<&Rule>) -> Option<CheckedExpression> {
    let CheckedRule { nodes, steps, .. } = filter?.stored();
    Some(CheckedExpression { nodes: nodes.into_iter().map(node_to_wire).collect(), steps })
}

/// A filter that a fact holds. `Err` says why it can't be read: whoever reads it must not go on as if it were another.
pub fn stored_filter(
    text: &str,
    checked: Option<CheckedExpression>,
) -> Result<Option<Rule>, String> {
    let checked = match (text, checked) {
        ("", None) => return Ok(None),
        ("", Some(_)) => return Err("a checked filter without its text".to_owned()),
        (_, None) => return Err("a filter that was not checked".to_owned()),
        (_, Some(checked)) => checked,
    };
    let CheckedExpression { nodes, steps } = checked;
    let nodes = nodes.into_iter().map(stored_node).collect::<Option<Vec<_>>>();
    let nodes = nodes.ok_or("a filter with a node that this release doesn't know")?;
    let rule = Rule::from_stored(CheckedRule { source: text.to_owned(), nodes, steps });
    rule.map(Some).map_err(|error| format!("a filter that can't be read: {error}"))
}

fn node_to_wire(node: TreeNode) -> ExpressionNode {
    let kind = match node {
        TreeNode::Null => Kind::NullLiteral(true),
        TreeNode::Boolean(truth) => Kind::Boolean(truth),
        TreeNode::Integer(number) => Kind::Integer(number),
        TreeNode::Unsigned(number) => Kind::Unsigned(number),
        TreeNode::Number(number) => Kind::Number(number),
        TreeNode::Text(text) => Kind::Text(text),
        TreeNode::Bytes(bytes) => Kind::Bytes(bytes),
        TreeNode::Name(name) => Kind::Name(name),
        TreeNode::Element => Kind::Element(true),
        TreeNode::Select(field) => Kind::Select(field),
        TreeNode::Has(field) => Kind::Has(field),
        TreeNode::List(elements) => Kind::List(elements),
        TreeNode::Map(entries) => Kind::Map(entries),
        TreeNode::Call { function, operands } => Kind::Call(ExpressionCall { function, operands }),
    };
    ExpressionNode { kind: Some(kind) }
}

fn stored_node(node: ExpressionNode) -> Option<TreeNode> {
    Some(match node.kind? {
        Kind::NullLiteral(_) => TreeNode::Null,
        Kind::Boolean(truth) => TreeNode::Boolean(truth),
        Kind::Integer(number) => TreeNode::Integer(number),
        Kind::Unsigned(number) => TreeNode::Unsigned(number),
        Kind::Number(number) => TreeNode::Number(number),
        Kind::Text(text) => TreeNode::Text(text),
        Kind::Bytes(bytes) => TreeNode::Bytes(bytes),
        Kind::Name(name) => TreeNode::Name(name),
        Kind::Element(_) => TreeNode::Element,
        Kind::Select(field) => TreeNode::Select(field),
        Kind::Has(field) => TreeNode::Has(field),
        Kind::List(elements) => TreeNode::List(elements),
        Kind::Map(entries) => TreeNode::Map(entries),
        Kind::Call(ExpressionCall { function, operands }) => TreeNode::Call { function, operands },
    })
}

#[cfg(test)]
mod tests;
