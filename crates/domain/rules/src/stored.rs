//! A checked rule as plain data: what facts and snapshots hold, so that neither replay nor a snapshot parses a text.

use serde::{Deserialize, Serialize};

use crate::function::Function;
use crate::pattern::Pattern;
use crate::steps::STEPS_MAX;
use crate::tree::{Expr, Literal, Macro, MacroKind};
use crate::{DEPTH_MAX, LIST_MAX, RuleError};

const MATCHES: &str = "matches";
/// The most nodes; a text of a thousand characters has fewer.
const NODES_MAX: usize = 2_000;

/// A checked rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedRule {
    /// The text that it was compiled from.
    pub source: String,
    /// The nodes of its tree, each behind its operands.
    pub nodes: Vec<TreeNode>,
    /// The most steps that it takes, as they were counted when it was compiled.
    pub steps: u32,
}

/// A node of a checked rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TreeNode {
    /// `null`.
    Null,
    /// `true`.
    Boolean(bool),
    /// `1`.
    Integer(i64),
    /// `1u`.
    Unsigned(u64),
    /// `1.0`.
    Number(f64),
    /// `'a'`.
    Text(String),
    /// `b'a'`.
    Bytes(Vec<u8>),
    /// A top-level name.
    Name(String),
    /// The element that the macro around is at.
    Element,
    /// The field of the operand.
    Select(String),
    /// Whether the operand has the field.
    Has(String),
    /// A list of so many operands.
    List(u32),
    /// A map of so many entries; each is two operands, key and value.
    Map(u32),
    /// An operator, function or macro of CEL, by its name.
    Call {
        /// `_&&_`, `startsWith`, `exists`; of a macro the operands are its range, the guard of a `map` with three, and
        /// its body.
        function: String,
        /// How many operands it has; the target is one.
        operands: u32,
    },
}

/// Why stored nodes are no rule: they were damaged, or written by a release that knows more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckedRuleError {
    /// There are too many nodes, or they stand too deep within one another.
    #[error("the tree is too large")]
    TooLarge,
    /// It could take more steps than a rule may.
    #[error("the tree may take {0} steps")]
    TooManySteps(u32),
    /// The nodes aren't one tree.
    #[error("the nodes are no tree")]
    NoTree,
    /// There is no such function, or not with so many operands.
    #[error("there is no function {function} of {operands} operands")]
    NoFunction {
        /// Its name.
        function: String,
        /// How many operands it was given.
        operands: u32,
    },
    /// A pattern doesn't compile.
    #[error("a pattern can't be used")]
    Pattern(#[source] RuleError),
}

/// The nodes of a tree.
pub(crate) fn flattened(expr: &Expr) -> Vec<TreeNode> {
    let mut nodes = Vec::new();
    flatten(expr, &mut nodes);
    nodes
}

fn flatten(expr: &Expr, nodes: &mut Vec<TreeNode>) {
    for below in expr.below() {
        flatten(below, nodes);
    }
    let call = |function: &str, operands: usize| TreeNode::Call {
        function: function.to_owned(),
        operands: short(operands),
    };
    nodes.extend(match expr {
        Expr::Literal(literal) => vec![of_literal(literal)],
        Expr::Name(name) => vec![TreeNode::Name(name.clone())],
        Expr::Element => vec![TreeNode::Element],
        Expr::Select { field, .. } => vec![TreeNode::Select(field.clone())],
        Expr::Has { field, .. } => vec![TreeNode::Has(field.clone())],
        Expr::List(elements) => vec![TreeNode::List(short(elements.len()))],
        Expr::Map(entries) => vec![TreeNode::Map(short(entries.len()))],
        Expr::Call { function, operands } => vec![call(function.name(), operands.len())],
        Expr::Matches { pattern, .. } => {
            vec![TreeNode::Text(pattern.source().to_owned()), call(MATCHES, 2)]
        }
        Expr::Macro(it) => vec![call(it.kind.name(), if it.guard.is_some() { 3 } else { 2 })],
    });
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn of_literal(literal: &Literal) -> TreeNode {
    match literal {
        Literal::Null => TreeNode::Null,
        Literal::Boolean(truth) => TreeNode::Boolean(*truth),
        Literal::Integer(number) => TreeNode::Integer(*number),
        Literal::Unsigned(number) => TreeNode::Unsigned(*number),
        Literal::Number(number) => TreeNode::Number(*number),
        Literal::Text(text) => TreeNode::Text(text.clone()),
        Literal::Bytes(bytes) => TreeNode::Bytes(bytes.clone()),
    }
}

/// The tree of stored nodes, its patterns compiled.
pub(crate) fn tree(nodes: &[TreeNode], steps: u32) -> Result<Expr, CheckedRuleError> {
    if nodes.len() > NODES_MAX {
        return Err(CheckedRuleError::TooLarge);
    }
    if steps > STEPS_MAX {
        return Err(CheckedRuleError::TooManySteps(steps));
    }
    let mut stack = Vec::new();
    for node in nodes {
        let built = build(node, &mut stack)?;
        if built.1 > DEPTH_MAX {
            return Err(CheckedRuleError::TooLarge);
        }
        stack.push(built);
    }
    match (stack.pop(), stack.is_empty()) {
        (Some((expr, _)), true) if is_closed(&expr, false) => Ok(expr),
        _ => Err(CheckedRuleError::NoTree),
    }
}

/// An expression, and how deep it is.
type Built = (Expr, usize);

fn build(node: &TreeNode, stack: &mut Vec<Built>) -> Result<Built, CheckedRuleError> {
    let leaf = |expr| Ok((expr, 1));
    let literal = |literal| leaf(Expr::Literal(literal));
    match node {
        TreeNode::Null => literal(Literal::Null),
        TreeNode::Boolean(truth) => literal(Literal::Boolean(*truth)),
        TreeNode::Integer(number) => literal(Literal::Integer(*number)),
        TreeNode::Unsigned(number) => literal(Literal::Unsigned(*number)),
        TreeNode::Number(number) => literal(Literal::Number(*number)),
        TreeNode::Text(text) => literal(Literal::Text(text.clone())),
        TreeNode::Bytes(bytes) => literal(Literal::Bytes(bytes.clone())),
        TreeNode::Name(name) => leaf(Expr::Name(name.clone())),
        TreeNode::Element => leaf(Expr::Element),
        TreeNode::Select(field) => {
            let (of, depth) = one(stack)?;
            Ok((Expr::Select { of, field: field.clone() }, depth))
        }
        TreeNode::Has(field) => {
            let (of, depth) = one(stack)?;
            Ok((Expr::Has { of, field: field.clone() }, depth))
        }
        TreeNode::List(elements) => {
            let (elements, depth) = operands(stack, listed(*elements)?)?;
            Ok((Expr::List(elements), depth))
        }
        TreeNode::Map(entries) => {
            let (parts, depth) = operands(stack, listed(*entries)?.saturating_mul(2))?;
            let mut parts = parts.into_iter();
            let entries = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
            Ok((Expr::Map(entries.collect()), depth))
        }
        TreeNode::Call { function, operands: count } => {
            let (operands, depth) = operands(stack, listed(*count)?)?;
            Ok((call(function, operands)?, depth))
        }
    }
}

fn listed(length: u32) -> Result<usize, CheckedRuleError> {
    let length = usize::try_from(length).map_err(|_| CheckedRuleError::TooLarge)?;
    if length > LIST_MAX { Err(CheckedRuleError::TooLarge) } else { Ok(length) }
}

/// The last expressions, and how deep something is that has them below it.
fn operands(stack: &mut Vec<Built>, count: usize) -> Result<(Vec<Expr>, usize), CheckedRuleError> {
    let first = stack.len().checked_sub(count).ok_or(CheckedRuleError::NoTree)?;
    let (operands, depths): (Vec<_>, Vec<_>) = stack.drain(first..).unzip();
    Ok((operands, depths.into_iter().max().unwrap_or(0).saturating_add(1)))
}

fn one(stack: &mut Vec<Built>) -> Result<(Box<Expr>, usize), CheckedRuleError> {
    let (of, depth) = stack.pop().ok_or(CheckedRuleError::NoTree)?;
    Ok((Box::new(of), depth.saturating_add(1)))
}

fn call(name: &str, mut operands: Vec<Expr>) -> Result<Expr, CheckedRuleError> {
    let unknown =
        CheckedRuleError::NoFunction { function: name.to_owned(), operands: short(operands.len()) };
    if let Some(function) = Function::named(name) {
        let fits = function.takes(operands.len());
        return if fits { Ok(Expr::Call { function, operands }) } else { Err(unknown) };
    }
    let Some(last) = operands.pop() else { return Err(unknown) };
    let mut before = operands.into_iter();
    match (name, before.next(), before.next(), before.next()) {
        (MATCHES, Some(text), None, _) => {
            let Expr::Literal(Literal::Text(pattern)) = last else { return Err(unknown) };
            let pattern = Pattern::compile(&pattern).map_err(CheckedRuleError::Pattern)?;
            Ok(Expr::Matches { text: Box::new(text), pattern })
        }
        (_, Some(range), guard, None) => {
            let kind = MacroKind::named(name, guard.is_some()).ok_or(unknown)?;
            Ok(Expr::Macro(Box::new(Macro { kind, range, guard, body: last })))
        }
        _ => Err(unknown),
    }
}

/// Whether elements stand only where a macro has one.
fn is_closed(expr: &Expr, looping: bool) -> bool {
    match expr {
        Expr::Element => looping,
        Expr::Macro(it) => {
            let inner = it.guard.iter().chain([&it.body]);
            !looping
                && is_closed(&it.range, false)
                && inner.into_iter().all(|it| is_closed(it, true))
        }
        Expr::Literal(_)
        | Expr::Name(_)
        | Expr::Select { .. }
        | Expr::Has { .. }
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Call { .. }
        | Expr::Matches { .. } => expr.below().into_iter().all(|it| is_closed(it, looping)),
    }
}
