//! From a text to a tree: the parser of `cel`, and a walk over what it gives that refuses what no rule may be.
//!
//! Of the crate `cel` only the parser is used, and only here. It is the one that its documentation hides, since the
//! other needs up to 4 MiB of stack for texts that are let in here, and this one less than a quarter of what a thread
//! has.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr as Parsed, LiteralValue};
use cel::parser::{ParseErrors, PrattParser};

use crate::function::Function;
use crate::pattern::{MATCHES_MAX, Pattern};
use crate::scan::scan;
use crate::tree::{Expr, Literal, Macro, MacroKind};
use crate::{DEPTH_MAX, LENGTH_MAX, LIST_MAX, Names, RuleError};

/// The names of maps in the facts, so that a macro over one is refused. What else turns out a map makes the macro err.
const KNOWN_MAPS: &[&str] = &["attributes", "requester"];
/// What the parser calls a macro's result while it grows; nobody can write this name.
const RESULT: &str = "@result";
const MATCHES: &str = "matches";

type Parse<T> = Result<T, RuleError>;

/// Reads a text that may use these top-level names.
pub(crate) fn parse(source: &str, names: Names) -> Parse<Expr> {
    if source.chars().nth(LENGTH_MAX).is_some() {
        return costly("at most 1000 characters");
    }
    scan(source)?;
    let parsed = PrattParser::new().parse(source).map_err(|errors| unreadable(&errors))?;
    Walk { names, element: None, looping: false, patterns: 0 }.expression(&parsed.expr, 1)
}

/// The first thing that is wrong, with its place.
fn unreadable(errors: &ParseErrors) -> RuleError {
    let Some(error) = errors.errors.first() else {
        return RuleError::Invalid("it can't be read".to_owned());
    };
    let text: String = error.msg.chars().take(300).collect();
    let (line, column) = error.pos;
    RuleError::Invalid(if line > 0 {
        format!("{text} (line {line}, column {column})")
    } else {
        text
    })
}

struct Walk<'a> {
    names: Names,
    /// What the macro around calls its element.
    element: Option<&'a str>,
    /// Whether this is a macro's range or body.
    looping: bool,
    patterns: usize,
}

impl<'a> Walk<'a> {
    fn expression(&mut self, parsed: &'a Parsed, depth: usize) -> Parse<Expr> {
        if depth > DEPTH_MAX {
            return costly("at most 24 levels deep");
        }
        let deeper = depth.saturating_add(1);
        match parsed {
            Parsed::Literal(literal) => Ok(Expr::Literal(value(literal))),
            Parsed::Ident(name) => self.name(name),
            Parsed::Select(select) => {
                let of = Box::new(self.expression(&select.operand.expr, deeper)?);
                let field = select.field.clone();
                Ok(if select.test { Expr::Has { of, field } } else { Expr::Select { of, field } })
            }
            Parsed::Call(call) => self.call(call, deeper),
            Parsed::Comprehension(comprehension) => self.comprehension(comprehension, deeper),
            Parsed::List(list) => {
                short(list.elements.len())?;
                let elements = list.elements.iter();
                let elements = elements.map(|element| self.expression(&element.expr, deeper));
                elements.collect::<Parse<_>>().map(Expr::List)
            }
            Parsed::Map(map) => {
                short(map.entries.len())?;
                let entries = map.entries.iter().map(|entry| self.entry(&entry.expr, deeper));
                entries.collect::<Parse<_>>().map(Expr::Map)
            }
            Parsed::Struct(_) => invalid("there are no message types here"),
            Parsed::Unspecified => invalid("it is empty"),
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr, depth: usize) -> Parse<(Expr, Expr)> {
        match entry {
            EntryExpr::StructField(_) => invalid("there are no message types here"),
            EntryExpr::MapEntry(entry) => Ok((
                self.expression(&entry.key.expr, depth)?,
                self.expression(&entry.value.expr, depth)?,
            )),
        }
    }

    fn name(&self, name: &str) -> Parse<Expr> {
        if self.element == Some(name) {
            return Ok(Expr::Element);
        }
        if self.names.shape(name).is_some() {
            return Ok(Expr::Name(name.to_owned()));
        }
        invalid(format!("there is no `{name}` here, only {}", self.names.listed()))
    }

    fn call(&mut self, call: &'a CallExpr, depth: usize) -> Parse<Expr> {
        let name = call.func_name.as_str();
        let function = Function::named(name);
        if function.is_none() && name != MATCHES {
            return invalid(format!("there is no function `{name}`"));
        }
        let target = call.target.iter().map(|target| &target.expr);
        let operands: Vec<_> = target.chain(call.args.iter().map(|it| &it.expr)).collect();
        let Some(function) = function else { return self.matches(&operands, depth) };
        let written = function.can_be(call.target.is_some());
        if !written || !function.takes(operands.len()) {
            return invalid(format!("`{name}` isn't called so"));
        }
        let operands = operands.into_iter().map(|operand| self.expression(operand, depth));
        Ok(Expr::Call { function, operands: operands.collect::<Parse<_>>()? })
    }

    fn matches(&mut self, operands: &[&'a Parsed], depth: usize) -> Parse<Expr> {
        self.patterns = self.patterns.saturating_add(1);
        if self.looping {
            return costly("no regular expression within a macro");
        }
        if self.patterns > MATCHES_MAX {
            return costly("at most 4 regular expressions");
        }
        let &[text, pattern] = operands else { return invalid("`matches` isn't called so") };
        let Parsed::Literal(LiteralValue::String(pattern)) = pattern else {
            return costly("regular expressions only as literals");
        };
        let text = Box::new(self.expression(text, depth)?);
        Ok(Expr::Matches { text, pattern: Pattern::compile(pattern.inner())? })
    }

    fn comprehension(&mut self, it: &'a ComprehensionExpr, depth: usize) -> Parse<Expr> {
        if self.looping {
            return costly("no macro within another");
        }
        check_range(&it.iter_range.expr)?;
        let Some((kind, guard, body)) = macro_of(it) else {
            return invalid("there is no such macro here");
        };
        self.looping = true;
        let range = self.expression(&it.iter_range.expr, depth)?;
        self.element = Some(&it.iter_var);
        let guard = guard.map(|guard| self.expression(guard, depth)).transpose()?;
        let body = self.expression(body, depth)?;
        (self.element, self.looping) = (None, false);
        Ok(Expr::Macro(Box::new(Macro { kind, range, guard, body })))
    }
}

fn value(literal: &LiteralValue) -> Literal {
    match literal {
        LiteralValue::Null => Literal::Null,
        LiteralValue::Boolean(truth) => Literal::Boolean(*truth.inner()),
        LiteralValue::Int(number) => Literal::Integer(*number.inner()),
        LiteralValue::UInt(number) => Literal::Unsigned(*number.inner()),
        LiteralValue::Double(number) => Literal::Number(*number.inner()),
        LiteralValue::String(text) => Literal::Text(text.inner().to_owned()),
        LiteralValue::Bytes(bytes) => Literal::Bytes(bytes.inner().to_vec()),
    }
}

type Parts<'a> = (MacroKind, Option<&'a Parsed>, &'a Parsed);

/// Which macro the parser has written out as a loop: its kind, guard and body.
fn macro_of(it: &ComprehensionExpr) -> Option<Parts<'_>> {
    let Parsed::Call(step) = &it.loop_step.expr else { return None };
    let arguments: Vec<_> = step.args.iter().map(|argument| &argument.expr).collect();
    let parts = match (step.func_name.as_str(), arguments.as_slice(), &it.accu_init.expr) {
        ("_&&_", &[result, body], _) if is_result(result) => (MacroKind::All, None, body),
        ("_||_", &[result, body], _) if is_result(result) => (MacroKind::Exists, None, body),
        ("_?_:_", &[body, _, result], Parsed::Literal(_)) if is_result(result) => {
            (MacroKind::ExistsOne, None, body)
        }
        ("_?_:_", &[guard, Parsed::Call(append), result], Parsed::List(_)) if is_result(result) => {
            (MacroKind::Map, Some(guard), appended(append)?)
        }
        ("_+_", _, Parsed::List(_)) => (MacroKind::Map, None, appended(step)?),
        _ => return None,
    };
    Some(parts)
}

/// What `@result + [body]` adds.
fn appended(call: &CallExpr) -> Option<&Parsed> {
    let [result, list] = call.args.as_slice() else { return None };
    let Parsed::List(list) = &list.expr else { return None };
    let [body] = list.elements.as_slice() else { return None };
    is_result(&result.expr).then_some(&body.expr)
}

fn is_result(parsed: &Parsed) -> bool {
    matches!(parsed, Parsed::Ident(name) if name == RESULT)
}

/// A macro runs over a list that stands in the text, or over a named one; never over a map.
fn check_range(range: &Parsed) -> Parse<()> {
    match range {
        Parsed::List(_) => return Ok(()),
        Parsed::Map(_) => return costly("no macro over a map"),
        Parsed::Comprehension(_) => return costly("no macro within another"),
        Parsed::Call(_)
        | Parsed::Ident(_)
        | Parsed::Literal(_)
        | Parsed::Select(_)
        | Parsed::Struct(_)
        | Parsed::Unspecified => {}
    }
    let Some(path) = path(range) else {
        return costly("macros only over a list's literal or a named list");
    };
    let map = |name: &&str| KNOWN_MAPS.contains(name);
    if path.len() < 2 || path.last().is_some_and(map) {
        return costly("no macro over a map");
    }
    Ok(())
}

/// The names of `a.b["c"]`: `a`, `b`, `c`.
fn path(parsed: &Parsed) -> Option<Vec<&str>> {
    if let Parsed::Ident(name) = parsed {
        return Some(vec![name]);
    }
    let (operand, name) = step(parsed)?;
    let mut names = path(operand)?;
    names.push(name);
    Some(names)
}

/// What `a.b` and `a["b"]` are made of.
fn step(parsed: &Parsed) -> Option<(&Parsed, &str)> {
    if let Parsed::Select(select) = parsed {
        return (!select.test).then_some((&select.operand.expr, &select.field));
    }
    let Parsed::Call(call) = parsed else { return None };
    let [operand, index] = call.args.as_slice() else { return None };
    let Parsed::Literal(LiteralValue::String(name)) = &index.expr else { return None };
    (call.func_name == Function::Index.name()).then(|| (&operand.expr, name.inner()))
}

fn short(length: usize) -> Parse<()> {
    if length > LIST_MAX { costly("lists and maps of at most 100 elements") } else { Ok(()) }
}

fn costly<T>(limit: &'static str) -> Parse<T> {
    Err(RuleError::TooCostly { limit })
}

fn invalid<T>(text: impl Into<String>) -> Parse<T> {
    Err(RuleError::Invalid(text.into()))
}
