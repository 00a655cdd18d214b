//! What a rule's expression may be: a walk over its tree that refuses what could be costly, and what doesn't exist.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::Expression;

use crate::RuleError;

/// The longest rule, in characters.
pub const LENGTH_MAX: usize = 1_000;
/// The longest list or map, literal or of facts, in elements.
pub const LIST_MAX: usize = 100;
/// The deepest expression.
pub const DEPTH_MAX: usize = 24;
/// How many regular expressions one rule may have; each is compiled at each evaluation.
pub const MATCHES_MAX: usize = 4;
/// The longest regular expression, in bytes.
pub const PATTERN_MAX: usize = 100;

/// Names of maps in the facts, so that a macro over one is refused before it runs. What else turns out a map makes a rule false.
const KNOWN_MAPS: &[&str] = &["attributes", "requester"];

const FUNCTIONS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
    "bool",
    "contains",
    "double",
    "duration",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    MATCHES,
    "size",
    "startsWith",
    "string",
    "timestamp",
    "uint",
];

const MATCHES: &str = "matches";

/// What the walk found.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The paths that macros run over; each must turn out a list.
    pub(crate) ranges: Vec<Vec<String>>,
}

/// Walks over the expression. Without `names` any top-level name will do: for a rule that was looked at before.
pub(crate) fn look(expression: &Expression, names: Option<&[&str]>) -> Result<Looked, RuleError> {
    let mut walk =
        Walk { names, bound: Vec::new(), loops: 0, patterns: 0, looked: Looked::default() };
    walk.expression(&expression.expr, 1)?;
    Ok(walk.looked)
}

struct Walk<'a> {
    names: Option<&'a [&'a str]>,
    bound: Vec<&'a str>,
    loops: usize,
    patterns: usize,
    looked: Looked,
}

type Outcome = Result<(), RuleError>;

impl<'a> Walk<'a> {
    fn expression(&mut self, expr: &'a Expr, depth: usize) -> Outcome {
        if depth > DEPTH_MAX {
            return costly("at most 24 levels deep");
        }
        let deeper = depth.saturating_add(1);
        match expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.expression(&select.operand.expr, deeper),
            Expr::Call(call) => self.call(call, deeper),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, deeper),
            Expr::List(list) => {
                short(list.elements.len())?;
                list.elements.iter().try_for_each(|element| self.expression(&element.expr, deeper))
            }
            Expr::Map(map) => {
                short(map.entries.len())?;
                map.entries.iter().try_for_each(|entry| self.entry(&entry.expr, deeper))
            }
            Expr::Struct(_) => invalid("there are no message types here"),
            Expr::Unspecified => invalid("it is empty"),
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr, depth: usize) -> Outcome {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value.expr, depth),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key.expr, depth)?;
                self.expression(&entry.value.expr, depth)
            }
        }
    }

    fn name(&self, name: &str) -> Outcome {
        let known = |names: &[&str]| names.contains(&name);
        if known(&self.bound) || self.names.is_none_or(known) {
            return Ok(());
        }
        let names = self.names.unwrap_or_default().join("`, `");
        invalid(format!("there is no `{name}` here, only `{names}`"))
    }

    fn call(&mut self, call: &'a CallExpr, depth: usize) -> Outcome {
        if !FUNCTIONS.contains(&call.func_name.as_str()) {
            return invalid(format!("there is no function `{}`", call.func_name));
        }
        if call.func_name == MATCHES {
            self.pattern(call)?;
        }
        if let Some(target) = &call.target {
            self.expression(&target.expr, depth)?;
        }
        call.args.iter().try_for_each(|argument| self.expression(&argument.expr, depth))
    }

    /// Regular expressions run in linear time, but each evaluation compiles them anew, and repetition counts multiply.
    fn pattern(&mut self, call: &CallExpr) -> Outcome {
        self.patterns = self.patterns.saturating_add(1);
        if self.loops > 0 {
            return costly("no regular expression within a macro");
        }
        if self.patterns > MATCHES_MAX {
            return costly("at most 4 regular expressions");
        }
        let Some(Expr::Literal(LiteralValue::String(pattern))) =
            call.args.last().map(|argument| &argument.expr)
        else {
            return costly("regular expressions only as literals");
        };
        let pattern = pattern.inner();
        if pattern.len() > PATTERN_MAX || pattern.contains('{') {
            return costly("regular expressions of at most 100 bytes, without counted repetition");
        }
        Ok(())
    }

    fn comprehension(&mut self, loops: &'a ComprehensionExpr, depth: usize) -> Outcome {
        if self.loops > 0 {
            return costly("no macro within another");
        }
        self.range(&loops.iter_range.expr)?;
        // The range counts as inside: a macro over a macro's result is one after the other, but together they may grow.
        self.loops = 1;
        self.expression(&loops.iter_range.expr, depth)?;
        let bound = self.bound.len();
        self.bound.push(&loops.iter_var);
        self.bound.extend(loops.iter_var2.as_deref());
        self.bound.push(&loops.accu_var);
        let parts = [&loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result];
        let outcome = parts.into_iter().try_for_each(|part| self.expression(&part.expr, depth));
        self.bound.truncate(bound);
        self.loops = 0;
        outcome
    }

    fn range(&mut self, expr: &Expr) -> Outcome {
        if matches!(expr, Expr::List(_)) {
            return Ok(());
        }
        if matches!(expr, Expr::Map(_)) {
            return costly("no macro over a map");
        }
        if matches!(expr, Expr::Comprehension(_)) {
            return costly("no macro within another");
        }
        let Some(path) = path(expr) else {
            return costly("macros only over a list's literal or a named list");
        };
        let map = |name: &String| KNOWN_MAPS.contains(&name.as_str());
        if path.len() < 2 || path.last().is_some_and(map) {
            return costly("no macro over a map");
        }
        self.looked.ranges.push(path);
        Ok(())
    }
}

/// The names of `a.b["c"]`: `a`, `b`, `c`.
fn path(expr: &Expr) -> Option<Vec<String>> {
    if let Expr::Ident(name) = expr {
        return Some(vec![name.clone()]);
    }
    if let Expr::Select(select) = expr
        && !select.test
    {
        return longer(&select.operand.expr, &select.field);
    }
    if let Expr::Call(call) = expr
        && call.func_name == operators::INDEX
        && let [operand, index] = call.args.as_slice()
        && let Expr::Literal(LiteralValue::String(name)) = &index.expr
    {
        return longer(&operand.expr, name.inner());
    }
    None
}

fn longer(operand: &Expr, name: &str) -> Option<Vec<String>> {
    let mut names = path(operand)?;
    names.push(name.to_owned());
    Some(names)
}

fn short(length: usize) -> Outcome {
    if length > LIST_MAX { costly("lists and maps of at most 100 elements") } else { Ok(()) }
}

fn costly(limit: &'static str) -> Outcome {
    Err(RuleError::TooCostly { limit })
}

fn invalid(text: impl Into<String>) -> Outcome {
    Err(RuleError::Invalid(text.into()))
}
