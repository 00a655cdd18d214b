//! From minijinja's syntax tree to ours: what may stand in a template, and what it costs at most.
//!
//! Every kind of node that isn't named here is refused, with its place.

mod expression;
mod names;

use minijinja::machinery::ast::{self, Spanned, Stmt};
use minijinja::machinery::{Span, parse as syntax_tree};
use minijinja::syntax::SyntaxConfig;

use super::cost::{self, bytes};
use super::shape::{self, Shapes};
use super::tokens::offset;
use super::{Branch, ELEMENTS_MAX, NESTING_MAX, Part, TEXT_MAX, TemplateError};
use names::Item;

type Checked<T> = Result<T, TemplateError>;
/// Parts, and how many steps they take at most.
type Costed = (Vec<Part>, u64);

/// Reads a template, and sums up what it costs at most.
pub(super) fn parse(source: &str, event: &Shapes) -> Checked<Costed> {
    let tree = syntax_tree(source, "template", SyntaxConfig::default())
        .map_err(|error| unreadable(source, &error))?;
    let Stmt::Template(template) = &tree else {
        return Err(at(source, Span::default(), "it is no template"));
    };
    let ticket = shape::ticket();
    let mut checker = Checker { source, event, ticket: &ticket, items: Vec::new(), depth: 0 };
    let (parts, steps) = checker.parts(&template.children)?;
    Ok((parts, steps.saturating_add(bytes(TEXT_MAX))))
}

/// What is wrong at a place.
pub(super) fn at(source: &str, span: Span, what: impl Into<String>) -> TemplateError {
    let before = source.get(..offset(span)).unwrap_or(source);
    let line = before.matches('\n').count().saturating_add(1);
    let start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
    let column = before.get(start..).unwrap_or_default().chars().count().saturating_add(1);
    TemplateError { line, column, what: what.into() }
}

/// What minijinja can't read.
pub(super) fn unreadable(source: &str, error: &minijinja::Error) -> TemplateError {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let start = error.range().and_then(|range| u32::try_from(range.start).ok());
    let span = Span { start_offset: start.unwrap_or_default(), ..Span::default() };
    let mut place = at(source, span, what);
    if start.is_none() {
        place.line = error.line().unwrap_or(1);
    }
    place
}

/// Looks at a tree, from its root down.
struct Checker<'a> {
    source: &'a str,
    event: &'a Shapes,
    ticket: &'a Shapes,
    /// What the loops around this place have named, the innermost last.
    items: Vec<(String, Item<'a>)>,
    depth: usize,
}

impl Checker<'_> {
    fn refuse<T>(&self, span: Span, what: impl Into<String>) -> Checked<T> {
        Err(at(self.source, span, what))
    }

    /// Looks at what lies within something.
    fn within<T>(&mut self, span: Span, look: impl FnOnce(&mut Self) -> Checked<T>) -> Checked<T> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > NESTING_MAX {
            return self.refuse(span, format!("more than {NESTING_MAX} levels within each other"));
        }
        let looked = look(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(looked)
    }

    fn parts(&mut self, statements: &[Stmt<'_>]) -> Checked<Costed> {
        let (mut parts, mut sum) = (Vec::new(), 0_u64);
        for statement in statements {
            let (part, steps) = self.part(statement)?;
            parts.push(part);
            sum = sum.saturating_add(steps);
        }
        Ok((parts, sum))
    }

    fn part(&mut self, statement: &Stmt<'_>) -> Checked<(Part, u64)> {
        match statement {
            Stmt::EmitRaw(raw) => Ok((Part::Text(raw.raw.to_owned()), 1)),
            Stmt::EmitExpr(emit) => {
                let value = self.written(&emit.expr, emit.span())?;
                Ok((Part::Value(value.expression), value.steps.saturating_add(1)))
            }
            Stmt::IfCond(choice) => self.within(choice.span(), |it| it.choice(choice)),
            Stmt::ForLoop(each) => self.within(each.span(), |it| it.each(each)),
            Stmt::WithBlock(it) => self.refuse(it.span(), "`with` is not allowed"),
            Stmt::Set(it) => self.refuse(it.span(), "`set` is not allowed"),
            Stmt::SetBlock(it) => self.refuse(it.span(), "`set` is not allowed"),
            Stmt::AutoEscape(it) => self.refuse(it.span(), "`autoescape` is not allowed"),
            Stmt::FilterBlock(it) => self.refuse(it.span(), "a `filter` block is not allowed"),
            Stmt::Do(it) => self.refuse(it.span(), "`do` is not allowed"),
            Stmt::Template(it) => self.refuse(it.span(), "a template within a template"),
        }
    }

    /// `if` with each `elif`, which minijinja reads as an `if` alone under `else`.
    fn choice(&mut self, choice: &Spanned<ast::IfCond<'_>>) -> Checked<(Part, u64)> {
        let (mut branches, mut conditions, mut longest) = (Vec::new(), 1_u64, 0);
        let mut rest = choice;
        loop {
            let condition = self.scalar(&rest.expr)?;
            let (then, steps) = self.parts(&rest.true_body)?;
            conditions = conditions.saturating_add(condition.steps);
            longest = steps.max(longest);
            branches.push(Branch { condition: condition.expression, then });
            let [Stmt::IfCond(next)] = rest.false_body.as_slice() else { break };
            rest = next;
        }
        let (otherwise, steps) = self.parts(&rest.false_body)?;
        let steps = conditions.saturating_add(longest.max(steps));
        Ok((Part::Choice { branches, otherwise }, steps))
    }

    fn each(&mut self, each: &Spanned<ast::ForLoop<'_>>) -> Checked<(Part, u64)> {
        if !self.items.is_empty() {
            return self.refuse(each.span(), "a loop within a loop is not allowed");
        }
        if each.recursive || each.filter_expr.is_some() {
            return self.refuse(each.span(), "a loop has a name and a list: `for NAME in LIST`");
        }
        let ast::Expr::Var(name) = &each.target else {
            return self.refuse(each.target.span(), "a loop has one name");
        };
        if ["event", "ticket"].contains(&name.id) {
            return self.refuse(name.span(), format!("`{}` is taken", name.id));
        }
        let (list, item) = self.list(&each.iter)?;
        let (otherwise, none) = self.parts(&each.else_body)?;
        self.items.push((name.id.to_owned(), item));
        let (body, once) = self.parts(&each.body)?;
        self.items.pop();
        let all = once.saturating_add(1).saturating_mul(cost::steps(ELEMENTS_MAX));
        let steps = all.max(none).saturating_add(cost::steps(list.len())).saturating_add(1);
        Ok((Part::Loop { item: name.id.to_owned(), list, body, otherwise }, steps))
    }
}
