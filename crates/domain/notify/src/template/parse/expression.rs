//! Expressions: values, filters, comparisons, conditions.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, Expr, Spanned, UnaryOpKind};
use minijinja::value::ValueKind;

use super::super::cost::{self, LETTERS_GROW, SEEN_MAX};
use super::super::{ELEMENTS_MAX, Expression, Filter, Operator};
use super::names::{Kind, begin, path};
use super::{Checked, Checker};

/// An expression, what it gives, and how many steps it takes at most.
pub(super) struct Typed<'a> {
    pub(super) expression: Expression,
    pub(super) kind: Kind<'a>,
    pub(super) steps: u64,
}

impl<'a> Typed<'a> {
    fn literal(expression: Expression, kind: Kind<'a>) -> Self {
        Self { expression, kind, steps: 1 }
    }

    /// How many bytes its text has at least.
    fn shortest(&self) -> usize {
        if let Expression::Text(text) = &self.expression { text.len() } else { 0 }
    }
}

impl<'a> Checker<'a> {
    /// A value that is written out.
    pub(super) fn written(&mut self, expression: &Expr<'_>, span: Span) -> Checked<Typed<'a>> {
        let mut value = self.within(span, |it| it.expression(expression))?;
        if value.kind.is_scalar() {
            if value.kind == Kind::Attribute {
                // It may hold a list.
                let join = cost::join(ELEMENTS_MAX, SEEN_MAX);
                value.steps = value.steps.saturating_add(join);
            }
            return Ok(value);
        }
        let what = format!("{} can't be written: name a field, or use `join`", value.kind.shown());
        self.refuse(begin(expression), what)
    }

    /// One value, not a list.
    pub(super) fn scalar(&mut self, expression: &Expr<'_>) -> Checked<Typed<'a>> {
        let value = self.within(expression.span(), |it| it.expression(expression))?;
        if value.kind.is_scalar() {
            return Ok(value);
        }
        self.refuse(begin(expression), format!("{} can't stand here", value.kind.shown()))
    }

    fn expression(&mut self, expression: &Expr<'_>) -> Checked<Typed<'a>> {
        let span = begin(expression);
        if let Some(path) = path(expression) {
            let named = self.named(path, span)?;
            let (kind, steps) = (named.kind, named.steps);
            return Ok(Typed { expression: Expression::Name(named.path), kind, steps });
        }
        match expression {
            Expr::Const(constant) => self.constant(&constant.value, span),
            Expr::UnaryOp(unary) => self.unary(unary),
            Expr::BinOp(binary) => self.binary(binary),
            Expr::IfExpr(choice) => self.inline_choice(choice),
            Expr::Filter(filter) => self.filter(filter),
            Expr::Var(_) | Expr::GetAttr(_) => self.refuse(span, "a name is needed"),
            Expr::Compare(it) => self.refuse(it.span(), "a comparison has two sides"),
            Expr::Test(it) => {
                self.refuse(it.span(), format!("the test `{}` is not allowed", it.name))
            }
            Expr::GetItem(it) => self.refuse(it.span(), "`[…]` is not allowed: write `a.b`"),
            Expr::Slice(it) => self.refuse(it.span(), "a part of a list is not allowed"),
            Expr::Call(it) => self.refuse(it.span(), "a call is not allowed"),
            Expr::List(it) => self.refuse(it.span(), "a list written out is not allowed"),
            Expr::Tuple(it) => self.refuse(it.span(), "a tuple is not allowed"),
            Expr::Map(it) => self.refuse(it.span(), "a map written out is not allowed"),
        }
    }

    fn constant(&self, value: &minijinja::Value, span: Span) -> Checked<Typed<'a>> {
        if let Some(text) = value.as_str() {
            let expression = Expression::Text(text.to_owned());
            return Ok(Typed::literal(expression, Kind::Text(text.len())));
        }
        if value.kind() == ValueKind::Bool {
            return Ok(Typed::literal(Expression::Boolean(value.is_true()), Kind::Boolean));
        }
        let number = (value.kind() == ValueKind::Number).then(|| number(value)).flatten();
        match number {
            Some(number) => Ok(Typed::literal(number, Kind::Number)),
            None => self.refuse(span, format!("the value `{value}` is not allowed")),
        }
    }

    fn unary(&mut self, unary: &Spanned<ast::UnaryOp<'_>>) -> Checked<Typed<'a>> {
        let value = self.scalar(&unary.expr)?;
        match (&unary.op, &value.expression) {
            (UnaryOpKind::Not, _) => Ok(Typed {
                expression: Expression::Not(Box::new(value.expression)),
                kind: Kind::Boolean,
                steps: value.steps.saturating_add(1),
            }),
            (UnaryOpKind::Neg, Expression::Integer(number)) => {
                Ok(Typed::literal(Expression::Integer(number.saturating_neg()), Kind::Number))
            }
            (UnaryOpKind::Neg, Expression::Number(number)) => {
                Ok(Typed::literal(Expression::Number(-number), Kind::Number))
            }
            (UnaryOpKind::Neg, _) => {
                self.refuse(unary.span(), "`-` may stand before a number only")
            }
        }
    }

    fn binary(&mut self, binary: &Spanned<ast::BinOp<'_>>) -> Checked<Typed<'a>> {
        let operator = match binary.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => return self.junction(binary),
            BinOpKind::Eq => Operator::Equal,
            BinOpKind::Ne => Operator::NotEqual,
            BinOpKind::Lt => Operator::Less,
            BinOpKind::Lte => Operator::LessOrEqual,
            BinOpKind::Gt => Operator::Greater,
            BinOpKind::Gte => Operator::GreaterOrEqual,
            BinOpKind::In => Operator::In,
            BinOpKind::Add
            | BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow => return self.refuse(binary.span(), "arithmetic is not allowed"),
            BinOpKind::Concat => {
                return self.refuse(binary.span(), "`~` is not allowed: write one after the other");
            }
        };
        let left = self.scalar(&binary.left)?;
        let right = self.within(binary.span(), |it| it.expression(&binary.right))?;
        let own = self.comparison(operator, (left.kind, right.kind), binary.span())?;
        Ok(Typed {
            expression: Expression::Comparison {
                operator,
                left: Box::new(left.expression),
                right: Box::new(right.expression),
            },
            kind: Kind::Boolean,
            steps: left.steps.saturating_add(right.steps).saturating_add(own),
        })
    }

    /// What a comparison costs by itself; an error if the two can't be compared.
    fn comparison(
        &self,
        operator: Operator,
        (left, right): (Kind<'a>, Kind<'a>),
        span: Span,
    ) -> Checked<u64> {
        let (one, other) = (left.size(), right.size());
        let good = match (operator, left, right) {
            (Operator::In, _, Kind::List(_)) => return Ok(cost::membership(ELEMENTS_MAX, one)),
            (Operator::In, _, Kind::Attribute) => {
                return Ok(cost::membership(ELEMENTS_MAX, one).max(cost::search(other, one)));
            }
            (
                Operator::In,
                Kind::Text(_) | Kind::Attribute | Kind::Element,
                Kind::Text(_) | Kind::Element,
            ) => return Ok(cost::search(other, one)),
            (Operator::In, _, _) => false,
            (_, left, right) => {
                right.is_scalar() && (left.is_open() || right.is_open() || same(left, right))
            }
        };
        if good {
            return Ok(cost::comparison(one.min(other)));
        }
        self.refuse(span, format!("{} and {} can't be compared", left.shown(), right.shown()))
    }

    /// `and` and `or`: however many follow each other, they are one.
    fn junction(&mut self, binary: &Spanned<ast::BinOp<'_>>) -> Checked<Typed<'a>> {
        let all = matches!(binary.op, BinOpKind::ScAnd);
        let same = |op: BinOpKind| {
            if all { matches!(op, BinOpKind::ScAnd) } else { matches!(op, BinOpKind::ScOr) }
        };
        let mut sides = vec![&binary.right];
        let mut rest = &binary.left;
        while let Expr::BinOp(inner) = rest
            && same(inner.op)
        {
            sides.push(&inner.right);
            rest = &inner.left;
        }
        sides.push(rest);
        let (mut values, mut steps, mut kind) = (Vec::new(), 1_u64, None);
        for side in sides.into_iter().rev() {
            let value = self.scalar(side)?;
            values.push(value.expression);
            steps = steps.saturating_add(value.steps);
            kind = Some(kind.map_or(value.kind, |kind| either(kind, value.kind)));
        }
        let expression = if all { Expression::All(values) } else { Expression::Any(values) };
        Ok(Typed { expression, kind: kind.unwrap_or(Kind::Boolean), steps })
    }

    fn inline_choice(&mut self, choice: &Spanned<ast::IfExpr<'_>>) -> Checked<Typed<'a>> {
        let condition = self.scalar(&choice.test_expr)?;
        let then = self.scalar(&choice.true_expr)?;
        let otherwise = match &choice.false_expr {
            Some(expression) => self.scalar(expression)?,
            None => Typed::literal(Expression::Text(String::new()), Kind::Text(0)),
        };
        let longer = then.steps.max(otherwise.steps);
        Ok(Typed {
            kind: either(then.kind, otherwise.kind),
            steps: condition.steps.saturating_add(longer).saturating_add(1),
            expression: Expression::Choice {
                condition: Box::new(condition.expression),
                then: Box::new(then.expression),
                otherwise: Box::new(otherwise.expression),
            },
        })
    }

    fn filter(&mut self, it: &Spanned<ast::Filter<'_>>) -> Checked<Typed<'a>> {
        let span = it.span();
        let Some(input) = &it.expr else {
            return self.refuse(span, "a `filter` block is not allowed");
        };
        let input = self.within(span, |it| it.expression(input))?;
        let mut arguments = Vec::new();
        for argument in &it.args {
            let CallArg::Pos(argument) = argument else {
                return self.refuse(span, "a filter's arguments have no names");
            };
            arguments.push(self.scalar(argument)?);
        }
        let (filter, allowed) = match it.name {
            "default" => (Filter::Default, 0..=2),
            "join" => (Filter::Join, 0..=1),
            "length" => (Filter::Length, 0..=0),
            "lower" => (Filter::Lower, 0..=0),
            "replace" => (Filter::Replace, 2..=2),
            "title" => (Filter::Title, 0..=0),
            "trim" => (Filter::Trim, 0..=0),
            "upper" => (Filter::Upper, 0..=0),
            other => return self.refuse(span, format!("there is no filter `{other}`")),
        };
        if !allowed.contains(&arguments.len()) {
            return self.refuse(span, format!("`{}` takes other arguments", it.name));
        }
        let takes_list = matches!(filter, Filter::Join | Filter::Length);
        let fits = match input.kind {
            Kind::List(_) => takes_list,
            Kind::Attribute => true,
            kind @ (Kind::Text(_)
            | Kind::Number
            | Kind::Boolean
            | Kind::Element
            | Kind::Group(_)
            | Kind::Attributes) => kind.is_scalar() && filter != Filter::Join,
        };
        if !fits {
            let what = format!("`{}` can't be used on {}", it.name, input.kind.shown());
            return self.refuse(span, what);
        }
        self.filtered(filter, input, arguments, span)
    }

    /// What a filter gives and costs.
    fn filtered(
        &self,
        filter: Filter,
        input: Typed<'a>,
        mut arguments: Vec<Typed<'a>>,
        span: Span,
    ) -> Checked<Typed<'a>> {
        let mut filter = filter;
        if filter == Filter::Default && arguments.len() == 2 {
            match arguments.pop().map(|last| last.expression) {
                Some(Expression::Boolean(if_false)) => {
                    filter = if if_false { Filter::DefaultIfFalse } else { Filter::Default };
                }
                Some(_) | None => {
                    return self.refuse(span, "the second argument of `default` is true or false");
                }
            }
        }
        let read = input.kind.size();
        let (kind, own) = match filter {
            Filter::Default | Filter::DefaultIfFalse => {
                let other = arguments.first().map_or(Kind::Text(0), |it| it.kind);
                (either(input.kind, other), 1)
            }
            Filter::Join => (Kind::Text(SEEN_MAX), cost::join(ELEMENTS_MAX, SEEN_MAX)),
            Filter::Length => (Kind::Number, cost::length(read)),
            Filter::Lower | Filter::Upper | Filter::Title => {
                let made = read.saturating_mul(LETTERS_GROW);
                (Kind::Text(made.min(SEEN_MAX)), cost::letters(read))
            }
            Filter::Trim => (Kind::Text(read), cost::letters(read)),
            Filter::Replace => {
                let [from, to] = arguments.as_slice() else {
                    return self.refuse(span, "`replace` takes other arguments");
                };
                let times = cost::replacements(read, from.shortest(), to.shortest());
                let own = cost::replace(read, from.kind.size(), SEEN_MAX, times);
                (Kind::Text(SEEN_MAX), own)
            }
        };
        let steps = arguments.iter().fold(input.steps, |sum, it| sum.saturating_add(it.steps));
        Ok(Typed {
            expression: Expression::Filter {
                filter,
                input: Box::new(input.expression),
                arguments: arguments.into_iter().map(|it| it.expression).collect(),
            },
            kind,
            steps: steps.saturating_add(own),
        })
    }
}

fn number(value: &minijinja::Value) -> Option<Expression> {
    if value.is_integer() {
        return value.as_i64().map(Expression::Integer);
    }
    f64::try_from(value.clone()).ok().filter(|it| it.is_finite()).map(Expression::Number)
}

fn same(left: Kind<'_>, right: Kind<'_>) -> bool {
    matches!(
        (left, right),
        (Kind::Text(_), Kind::Text(_))
            | (Kind::Number, Kind::Number)
            | (Kind::Boolean, Kind::Boolean)
    )
}

/// What is one or the other.
fn either<'a>(one: Kind<'a>, other: Kind<'a>) -> Kind<'a> {
    match (one, other) {
        (Kind::Text(one), Kind::Text(other)) => Kind::Text(one.max(other)),
        (one, other) if one == other => one,
        _ => Kind::Attribute,
    }
}
