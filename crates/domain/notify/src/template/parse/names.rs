//! Names: what a path of names leads to, and what that holds.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, Expr};

use super::super::cost::{self, BOOLEAN_MAX, INSTANT_MAX, NUMBER_MAX, SEEN_MAX, bytes};
use super::super::{ELEMENT_MAX, Shape, Shapes};
use super::{Checked, Checker};

/// What a value is, as far as that is known before the template runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'a> {
    /// A text of at most so many bytes.
    Text(usize),
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An attribute: any of these, a list of texts, or absent.
    Attribute,
    /// An element of an attribute.
    Element,
    /// A list.
    List(&'a Shape),
    /// A group of fields.
    Group(&'a Shapes),
    /// All attributes.
    Attributes,
}

impl<'a> Kind<'a> {
    fn of(shape: &'a Shape, text_max: usize) -> Self {
        match shape {
            Shape::Text => Self::Text(text_max),
            Shape::Number => Self::Number,
            Shape::Boolean => Self::Boolean,
            Shape::Instant => Self::Text(INSTANT_MAX),
            Shape::List(item) => Self::List(item),
            Shape::Group(fields) => Self::Group(fields),
            Shape::Attributes => Self::Attributes,
        }
    }

    /// How many bytes its text has at most.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Text(max) => max,
            Self::Number => NUMBER_MAX,
            Self::Boolean => BOOLEAN_MAX,
            Self::Element => ELEMENT_MAX,
            Self::Attribute | Self::List(_) | Self::Group(_) | Self::Attributes => SEEN_MAX,
        }
    }

    /// Whether it is one value, or may be.
    pub(super) const fn is_scalar(self) -> bool {
        match self {
            Self::Text(_) | Self::Number | Self::Boolean | Self::Attribute | Self::Element => true,
            Self::List(_) | Self::Group(_) | Self::Attributes => false,
        }
    }

    /// Whether nothing is known of it but that it is one value.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Attribute | Self::Element)
    }

    /// What it is, for a person.
    pub(super) const fn shown(self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Attribute | Self::Element => "an attribute",
            Self::List(_) => "a list",
            Self::Group(_) | Self::Attributes => "a group of fields",
        }
    }
}

/// An element of the list that a loop runs over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    Of(&'a Shape),
    OfAttribute,
}

/// A path of names and what it leads to.
pub(super) struct Named<'a> {
    pub(super) path: Vec<String>,
    pub(super) kind: Kind<'a>,
    pub(super) steps: u64,
}

impl<'a> Checker<'a> {
    /// The list that a loop runs over.
    pub(super) fn list(&self, expression: &Expr<'_>) -> Checked<(Vec<String>, Item<'a>)> {
        let span = expression.span();
        if let Some(path) = path(expression) {
            let named = self.named(path, span)?;
            match named.kind {
                Kind::List(item) => return Ok((named.path, Item::Of(item))),
                Kind::Attribute => return Ok((named.path, Item::OfAttribute)),
                Kind::Text(_)
                | Kind::Number
                | Kind::Boolean
                | Kind::Element
                | Kind::Group(_)
                | Kind::Attributes => {}
            }
        }
        self.refuse(span, "a loop runs over a list of the event, named as it is")
    }

    /// What a path of names leads to.
    pub(super) fn named(&self, path: Vec<&str>, span: Span) -> Checked<Named<'a>> {
        let (kind, of_item) = self.resolve(&path, span)?;
        let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
        let mut steps = cost::steps(path.len());
        if matches!(kind, Kind::Text(INSTANT_MAX) | Kind::Attribute | Kind::Element) {
            steps = steps.saturating_add(cost::INSTANT);
        }
        if of_item {
            // The text of an element may have to be cut.
            steps = steps.saturating_add(bytes(ELEMENT_MAX));
        }
        Ok(Named { path, kind, steps })
    }

    fn resolve(&self, path: &[&str], span: Span) -> Checked<(Kind<'a>, bool)> {
        let Some((first, rest)) = path.split_first() else {
            return self.refuse(span, "a name is needed");
        };
        let item = self.items.iter().rev().find(|(name, _)| name == first);
        let (root, text_max, of_item) = match (item, *first) {
            (Some((_, Item::Of(shape))), _) => (Kind::of(shape, ELEMENT_MAX), ELEMENT_MAX, true),
            (Some((_, Item::OfAttribute)), _) => (Kind::Element, ELEMENT_MAX, true),
            (None, "loop") if !self.items.is_empty() => {
                return Ok((self.loop_field(rest, span)?, false));
            }
            (None, "event") => (Kind::Group(self.event), SEEN_MAX, false),
            (None, "ticket") => (Kind::Group(self.ticket), SEEN_MAX, false),
            (None, _) => return self.unknown(path, span),
        };
        let mut kind = root;
        for name in rest {
            kind = match kind {
                Kind::Group(fields) => match fields.get(*name) {
                    Some(shape) => Kind::of(shape, text_max),
                    None if path == ["event", "type"] => Kind::Text(SEEN_MAX),
                    None => return self.unknown(path, span),
                },
                Kind::Attributes => Kind::Attribute,
                Kind::Text(_)
                | Kind::Number
                | Kind::Boolean
                | Kind::Attribute
                | Kind::Element
                | Kind::List(_) => return self.unknown(path, span),
            };
        }
        Ok((kind, of_item))
    }

    fn loop_field(&self, rest: &[&str], span: Span) -> Checked<Kind<'a>> {
        match rest {
            ["index" | "index0" | "length"] => Ok(Kind::Number),
            ["first" | "last"] => Ok(Kind::Boolean),
            _ => self.refuse(span, "a loop has `index`, `index0`, `first`, `last` and `length`"),
        }
    }

    fn unknown<T>(&self, path: &[&str], span: Span) -> Checked<T> {
        let name = path.join(".");
        self.refuse(span, format!("there is no `{name}` in every one of the rule's event types"))
    }
}

/// The names of `a.b.c`, from the left.
pub(super) fn path<'s>(expression: &Expr<'s>) -> Option<Vec<&'s str>> {
    let mut names = Vec::new();
    let mut rest = expression;
    loop {
        rest = match rest {
            Expr::GetAttr(attribute) => {
                names.push(attribute.name);
                &attribute.expr
            }
            Expr::Var(var) => {
                names.push(var.id);
                names.reverse();
                return Some(names);
            }
            Expr::Const(_)
            | Expr::Slice(_)
            | Expr::UnaryOp(_)
            | Expr::BinOp(_)
            | Expr::Compare(_)
            | Expr::IfExpr(_)
            | Expr::Filter(_)
            | Expr::Test(_)
            | Expr::GetItem(_)
            | Expr::Call(_)
            | Expr::List(_)
            | Expr::Tuple(_)
            | Expr::Map(_) => return None,
        };
    }
}

/// Where an expression begins: that of a path of names begins at its first one.
pub(super) fn begin(expression: &Expr<'_>) -> Span {
    let mut rest = expression;
    while let Expr::GetAttr(attribute) = rest {
        let ast::GetAttr { expr, .. } = &**attribute;
        rest = expr;
    }
    rest.span()
}
