//! The most steps that a rule can take: its tree, priced over the largest facts.

use crate::extent::Extent;
use crate::function::{Arithmetic, Comparison, Conversion, Function, Search};
use crate::steps::{self, CONVERSION, ELEMENT, NODE, STEPS_MAX, count};
use crate::tree::{Expr, Literal, Macro};
use crate::{Names, RuleError};

/// The longest text that a number, an instant or a duration becomes, in bytes: `f64::MIN_POSITIVE` has about 330.
const WRITTEN_MAX: u64 = 400;

/// The most steps of an evaluation, over any facts of these names.
pub(crate) fn bound(expr: &Expr, names: Names) -> Result<u32, RuleError> {
    let mut walk = Walk { names, element: Extent::scalar(), dearest: (0, None) };
    let (steps, _) = walk.expression(expr);
    match u32::try_from(steps) {
        Ok(steps) if steps <= STEPS_MAX => Ok(steps),
        Ok(_) | Err(_) => {
            let (part_steps, part) = walk.dearest;
            let part = part.map_or_else(String::new, Expr::shown);
            Err(RuleError::TooManySteps { steps, part, part_steps })
        }
    }
}

struct Walk<'a> {
    names: Names,
    /// What the element of the macro around can be.
    element: Extent,
    /// The node that takes the most by itself, without those below it (a macro with them).
    dearest: (u64, Option<&'a Expr>),
}

/// Steps, and what comes of them.
type Priced = (u64, Extent);

impl<'a> Walk<'a> {
    fn expression(&mut self, expr: &'a Expr) -> Priced {
        let (below, own, extent) = match expr {
            Expr::Literal(literal) => (0, 0, of_literal(literal)),
            Expr::Name(name) => {
                let shape = self.names.shape(name);
                (0, 0, shape.map_or_else(Extent::scalar, Extent::of_shape))
            }
            Expr::Element => (0, 0, self.element.clone()),
            Expr::Select { of, field } => {
                let (steps, of) = self.expression(of);
                (steps, steps::lookup(count(field.len())), of.entry(field))
            }
            Expr::Has { of, field } => {
                let (steps, _) = self.expression(of);
                (steps, steps::lookup(count(field.len())), Extent::scalar())
            }
            Expr::List(elements) => {
                let (below, any) = self.all(elements.iter());
                let elements = count(elements.len());
                (below, elements.saturating_mul(ELEMENT), Extent::list(elements, any))
            }
            Expr::Map(entries) => {
                let (keys_below, keys) = self.all(entries.iter().map(|(key, _)| key));
                let (below, any) = self.all(entries.iter().map(|(_, value)| value));
                let entries = count(entries.len());
                let each = ELEMENT.saturating_add(steps::lookup(keys.bytes));
                let own = entries.saturating_mul(each);
                (below.saturating_add(keys_below), own, Extent::map(entries, keys.bytes, any))
            }
            Expr::Call { function, operands } => self.call(*function, operands),
            Expr::Matches { text, .. } => {
                let (below, text) = self.expression(text);
                (below, steps::scanned(text.bytes), Extent::scalar())
            }
            Expr::Macro(it) => self.looped(it),
        };
        let own = own.saturating_add(NODE);
        if own > self.dearest.0 {
            self.dearest = (own, Some(expr));
        }
        (below.saturating_add(own), extent)
    }

    /// The steps of all of them, and a bound of each.
    fn all(&mut self, exprs: impl Iterator<Item = &'a Expr>) -> Priced {
        exprs.fold((0, Extent::scalar()), |(steps, any), expr| {
            let (own, extent) = self.expression(expr);
            (steps.saturating_add(own), any.or(&extent))
        })
    }

    fn looped(&mut self, it: &'a Macro) -> (u64, u64, Extent) {
        let (below, range) = self.expression(&it.range);
        let around = std::mem::replace(&mut self.element, range.element());
        let (guard, _) = it.guard.as_ref().map_or((0, Extent::scalar()), |it| self.expression(it));
        let (body, made) = self.expression(&it.body);
        self.element = around;
        // One for the element, one for what is made of it.
        let each = ELEMENT.saturating_mul(2).saturating_add(guard).saturating_add(body);
        let made = Extent::list(range.elements, made);
        (below, range.elements.saturating_mul(each), made)
    }

    fn call(&mut self, function: Function, operands: &'a [Expr]) -> (u64, u64, Extent) {
        if function == Function::Conditional {
            return self.conditional(operands);
        }
        let (mut below, mut extents) = (0_u64, Vec::with_capacity(operands.len()));
        for operand in operands {
            let (steps, extent) = self.expression(operand);
            below = below.saturating_add(steps);
            extents.push(extent);
        }
        let mut extents = extents.into_iter();
        let one = extents.next().unwrap_or_default();
        let other = extents.next();
        let index = operands.get(1);
        let (own, extent) = priced(function, &one, other.as_ref(), index);
        (below, own, extent)
    }

    /// Only one of the branches is evaluated.
    fn conditional(&mut self, operands: &'a [Expr]) -> (u64, u64, Extent) {
        let mut priced = operands.iter().map(|operand| self.expression(operand));
        let (below, _) = priced.next().unwrap_or_default();
        let (steps, extent) = priced
            .fold((0_u64, Extent::scalar()), |(steps, any), (own, extent)| {
                (steps.max(own), any.or(&extent))
            });
        (below.saturating_add(steps), 0, extent)
    }
}

fn of_literal(literal: &Literal) -> Extent {
    match literal {
        Literal::Text(text) => Extent::text(count(text.len())),
        Literal::Bytes(bytes) => Extent::text(count(bytes.len())),
        Literal::Null
        | Literal::Boolean(_)
        | Literal::Integer(_)
        | Literal::Unsigned(_)
        | Literal::Number(_) => Extent::scalar(),
    }
}

/// What an operator or function takes by itself, and what comes of it.
fn priced(
    function: Function,
    one: &Extent,
    other: Option<&Extent>,
    index: Option<&Expr>,
) -> (u64, Extent) {
    let none = Extent::scalar();
    let other_or_none = other.unwrap_or(&none);
    let shorter = one.bytes.min(other_or_none.bytes);
    match function {
        Function::Arithmetic(Arithmetic::Add) => {
            let sum = one.and(other_or_none);
            (steps::joined(sum.bytes).saturating_add(sum.elements.saturating_mul(ELEMENT)), sum)
        }
        Function::Compare(Comparison::Equal | Comparison::NotEqual) => {
            (one.equal(other_or_none), none)
        }
        Function::In => (other_or_none.membership(one), none),
        Function::Compare(
            Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual,
        )
        | Function::Search(Search::StartsWith | Search::EndsWith) => {
            (steps::compared(shorter), none)
        }
        Function::Search(Search::Contains) => {
            (steps::searched(one.bytes, other_or_none.bytes), none)
        }
        Function::Index => {
            let extent = match index {
                Some(Expr::Literal(Literal::Text(name))) => one.entry(name),
                Some(_) | None => one.element(),
            };
            (steps::lookup(other_or_none.bytes), extent)
        }
        Function::Size => (steps::compared(one.bytes), none),
        Function::To(Conversion::String) => {
            let written = Extent::text(one.bytes.max(WRITTEN_MAX));
            (Conversion::String.steps(one.bytes), written)
        }
        Function::To(conversion) => (conversion.steps(one.bytes), none),
        Function::Get(_) => {
            let zone =
                other.map_or(0, |zone| CONVERSION.saturating_add(steps::scanned(zone.bytes)));
            (CONVERSION.saturating_add(zone), none)
        }
        Function::Conditional
        | Function::And
        | Function::Or
        | Function::Not
        | Function::Negate
        | Function::Arithmetic(
            Arithmetic::Subtract
            | Arithmetic::Multiply
            | Arithmetic::Divide
            | Arithmetic::Remainder,
        ) => (0, none),
    }
}
