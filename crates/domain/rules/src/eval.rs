//! The evaluator: a tree over facts, step by counted step.
//!
//! What CEL says holds: `&&` and `||` take the answer from one side if it alone decides, whatever becomes of the other;
//! so do `all` and `exists`. All else errs with its operands.

mod calls;
mod compare;
mod time;
mod value;

use std::collections::BTreeMap;
use std::rc::Rc;

use value::{List, Map, Val};

use crate::function::Function;
use crate::steps::{self, ELEMENT, Exceeded, Meter, NODE, count};
use crate::tree::{Expr, Literal, Macro, MacroKind};
use crate::{Facts, Verdict};

/// Why an expression has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It looks at something that the facts lack.
    Missing,
    /// It makes no sense of these values.
    Senseless,
    /// It took more steps than a rule may.
    Exceeded,
}

impl From<Exceeded> for Fault {
    fn from(_: Exceeded) -> Self {
        Self::Exceeded
    }
}

type Outcome<'a> = Result<Val<'a>, Fault>;

/// What became of a rule, and in how many steps.
pub(crate) fn evaluate(expr: &Expr, facts: &Facts) -> (Verdict, u64) {
    let evaluator = Evaluator { facts, meter: Meter::new() };
    let verdict = match evaluator.expression(expr, None) {
        Ok(Val::Boolean(true)) => Verdict::True,
        Ok(_) | Err(Fault::Senseless) => Verdict::False,
        Err(Fault::Missing) => Verdict::Missing,
        Err(Fault::Exceeded) => Verdict::Exceeded,
    };
    (verdict, evaluator.meter.taken())
}

struct Evaluator<'a> {
    facts: &'a Facts,
    meter: Meter,
}

impl<'a> Evaluator<'a> {
    /// `element` is what the macro around is at.
    fn expression(&self, expr: &'a Expr, element: Option<&Val<'a>>) -> Outcome<'a> {
        self.meter.take(NODE)?;
        match expr {
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Name(name) => self.facts.get(name).map(Val::of).ok_or(Fault::Missing),
            Expr::Element => element.cloned().ok_or(Fault::Senseless),
            Expr::Select { of, field } => {
                let of = self.expression(of, element)?;
                self.entry(&of, field)?.ok_or(Fault::Missing)
            }
            Expr::Has { of, field } => {
                let of = self.expression(of, element)?;
                Ok(Val::Boolean(self.entry(&of, field)?.is_some()))
            }
            Expr::List(elements) => {
                self.meter.take(count(elements.len()).saturating_mul(ELEMENT))?;
                let elements = elements.iter().map(|it| self.expression(it, element));
                Ok(Val::List(List::Made(elements.collect::<Result<_, _>>()?)))
            }
            Expr::Map(entries) => self.map(entries, element),
            Expr::Call { function, operands } => self.call(*function, operands, element),
            Expr::Matches { text, pattern } => {
                let Val::Text(text) = self.expression(text, element)? else {
                    return Err(Fault::Senseless);
                };
                let read = pattern.matches(&text);
                self.meter.take(steps::scanned(count(read.bytes)))?;
                Ok(Val::Boolean(read.found))
            }
            Expr::Macro(it) => self.looped(it, element),
        }
    }

    /// The entry of a map; anything else has none.
    fn entry(&self, of: &Val<'a>, field: &str) -> Result<Option<Val<'a>>, Fault> {
        let Val::Map(map) = of else { return Err(Fault::Senseless) };
        self.meter.take(steps::lookup(count(field.len())))?;
        Ok(map.text(field))
    }

    fn map(&self, entries: &'a [(Expr, Expr)], element: Option<&Val<'a>>) -> Outcome<'a> {
        let mut made = BTreeMap::new();
        for (key, value) in entries {
            let key = self.expression(key, element)?;
            let key_bytes = key.bytes();
            let key = key.key().ok_or(Fault::Senseless)?;
            let value = self.expression(value, element)?;
            self.meter.take(ELEMENT.saturating_add(steps::lookup(key_bytes)))?;
            made.insert(key, value);
        }
        Ok(Val::Map(Map::Made(Rc::new(made))))
    }

    fn call(
        &self,
        function: Function,
        operands: &'a [Expr],
        element: Option<&Val<'a>>,
    ) -> Outcome<'a> {
        match (function, operands) {
            (Function::And, [one, other]) => self.decided_by(false, one, other, element),
            (Function::Or, [one, other]) => self.decided_by(true, one, other, element),
            (Function::Conditional, [condition, yes, no]) => {
                let branch = if self.truth(condition, element)? { yes } else { no };
                self.expression(branch, element)
            }
            // Of a member function the argument comes first: which error is told depends on it.
            (_, [target, argument]) if function.can_be(true) => {
                let argument = self.expression(argument, element)?;
                let target = self.expression(target, element)?;
                self.two(function, &target, &argument)
            }
            (_, [one, other]) => {
                let one = self.expression(one, element)?;
                let other = self.expression(other, element)?;
                self.two(function, &one, &other)
            }
            (_, [one]) => {
                let one = self.expression(one, element)?;
                self.one(function, one)
            }
            (_, [] | [..]) => Err(Fault::Senseless),
        }
    }

    fn truth(&self, expr: &'a Expr, element: Option<&Val<'a>>) -> Result<bool, Fault> {
        let Val::Boolean(truth) = self.expression(expr, element)? else {
            return Err(Fault::Senseless);
        };
        Ok(truth)
    }

    /// `&&` is decided by a false side, `||` by a true one.
    fn decided_by(
        &self,
        decisive: bool,
        one: &'a Expr,
        other: &'a Expr,
        element: Option<&Val<'a>>,
    ) -> Outcome<'a> {
        let one = self.truth(one, element);
        match one {
            Ok(truth) if truth == decisive => return Ok(Val::Boolean(decisive)),
            Err(Fault::Exceeded) => return Err(Fault::Exceeded),
            Ok(_) | Err(Fault::Missing | Fault::Senseless) => {}
        }
        match (one, self.expression(other, element)?) {
            (_, Val::Boolean(truth)) if truth == decisive => Ok(Val::Boolean(decisive)),
            (Ok(_), Val::Boolean(truth)) => Ok(Val::Boolean(truth)),
            (Ok(_), _) => Err(Fault::Senseless),
            (Err(fault), _) => Err(fault),
        }
    }

    fn looped(&self, it: &'a Macro, element: Option<&Val<'a>>) -> Outcome<'a> {
        let Val::List(range) = self.expression(&it.range, element)? else {
            return Err(Fault::Senseless);
        };
        match it.kind {
            MacroKind::All => self.any_decides(false, it, &range),
            MacroKind::Exists => self.any_decides(true, it, &range),
            MacroKind::ExistsOne => {
                let mut holding = 0_u64;
                for at in range.iter() {
                    self.meter.take(ELEMENT)?;
                    holding = holding.saturating_add(self.truth(&it.body, Some(&at))?.into());
                }
                Ok(Val::Boolean(holding == 1))
            }
            MacroKind::Map => {
                let mut made = Vec::new();
                for at in range.iter() {
                    self.meter.take(ELEMENT)?;
                    let taken =
                        it.guard.as_ref().map_or(Ok(true), |guard| self.truth(guard, Some(&at)))?;
                    if taken {
                        self.meter.take(ELEMENT)?;
                        made.push(self.expression(&it.body, Some(&at))?);
                    }
                }
                Ok(Val::List(List::Made(made.into())))
            }
        }
    }

    /// `all` is decided by one false body and `exists` by a true one, whatever errs before it.
    fn any_decides(&self, decisive: bool, it: &'a Macro, range: &List<'a>) -> Outcome<'a> {
        let mut erred = None;
        for at in range.iter() {
            self.meter.take(ELEMENT)?;
            match self.truth(&it.body, Some(&at)) {
                Ok(truth) if truth == decisive => return Ok(Val::Boolean(decisive)),
                Ok(_) => {}
                Err(Fault::Exceeded) => return Err(Fault::Exceeded),
                Err(fault) => erred = Some(fault),
            }
        }
        erred.map_or(Ok(Val::Boolean(!decisive)), Err)
    }
}

fn of_literal(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Boolean(truth) => Val::Boolean(*truth),
        Literal::Integer(number) => Val::Integer(*number),
        Literal::Unsigned(number) => Val::Unsigned(*number),
        Literal::Number(number) => Val::Number(*number),
        Literal::Text(text) => Val::Text(value::Text::Lent(text)),
        Literal::Bytes(bytes) => Val::Bytes(value::Bytes::Lent(bytes)),
    }
}
