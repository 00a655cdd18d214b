//! A rule's expression: our own tree, which holds nothing that a rule may not do.

use crate::function::Function;
use crate::pattern::Pattern;

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    /// A value that stands in the text.
    Literal(Literal),
    /// A top-level name of the facts.
    Name(String),
    /// The element that the macro around it is at.
    Element,
    /// `of.field`.
    Select {
        /// The map.
        of: Box<Expr>,
        /// The key.
        field: String,
    },
    /// `has(of.field)`.
    Has {
        /// The map.
        of: Box<Expr>,
        /// The key.
        field: String,
    },
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{a: b}`.
    Map(Vec<(Expr, Expr)>),
    /// An operator or function, with as many operands as it takes.
    Call {
        /// Which.
        function: Function,
        /// Its operands; of a member function the target is the first.
        operands: Vec<Expr>,
    },
    /// `text.matches('pattern')`.
    Matches {
        /// The text.
        text: Box<Expr>,
        /// The pattern, compiled.
        pattern: Pattern,
    },
    /// `range.all(element, body)` and its kin.
    Macro(Box<Macro>),
}

/// A value that stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
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
}

/// A loop over a list.
#[derive(Debug, Clone)]
pub(crate) struct Macro {
    /// What it makes of the elements.
    pub(crate) kind: MacroKind,
    /// The list.
    pub(crate) range: Expr,
    /// For [`MacroKind::Map`]: elements for which it is false are left out.
    pub(crate) guard: Option<Expr>,
    /// What is evaluated for each element.
    pub(crate) body: Expr,
}

/// What a macro makes of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacroKind {
    /// Whether the body is true of all.
    All,
    /// Whether it is true of any.
    Exists,
    /// Whether it is true of exactly one.
    ExistsOne,
    /// The bodies of all: `map`, and `filter`, whose body is the element.
    Map,
}

impl MacroKind {
    /// Its name in CEL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Map => "map",
        }
    }

    /// The macro of this name; only a map has a guard.
    pub(crate) fn named(name: &str, guarded: bool) -> Option<Self> {
        [Self::All, Self::Exists, Self::ExistsOne, Self::Map]
            .into_iter()
            .find(|kind| kind.name() == name && (!guarded || *kind == Self::Map))
    }
}

impl Expr {
    /// The expressions right below it.
    pub(crate) fn below(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Name(_) | Self::Element => Vec::new(),
            Self::Select { of, .. } | Self::Has { of, .. } => vec![of],
            Self::List(elements) => elements.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::Call { operands, .. } => operands.iter().collect(),
            Self::Matches { text, .. } => vec![text],
            Self::Macro(it) => {
                [Some(&it.range), it.guard.as_ref(), Some(&it.body)].into_iter().flatten().collect()
            }
        }
    }

    /// How it reads, in short, for people: ``event.body.contains(…)``.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Literal(Literal::Text(text)) => format!("{:?}", cut(text)),
            Self::Literal(_) | Self::List(_) | Self::Map(_) => "…".to_owned(),
            Self::Name(name) => name.clone(),
            Self::Element => "element".to_owned(),
            Self::Select { of, field } => format!("{}.{}", of.shown(), cut(field)),
            Self::Has { of, field } => format!("has({}.{})", of.shown(), cut(field)),
            Self::Call { function, operands } => shown_call(*function, operands),
            Self::Matches { text, pattern } => {
                format!("{}.matches({:?})", text.shown(), cut(pattern.source()))
            }
            Self::Macro(it) => format!("{}.{}(…)", it.range.shown(), it.kind.name()),
        }
    }
}

fn shown_call(function: Function, operands: &[Expr]) -> String {
    let name = function.name().trim_matches(['_', '@']);
    match operands {
        [of, at] if function == Function::Index => format!("{}[{}]", of.shown(), at.shown()),
        [target, ..] if function.can_be(true) => format!("{}.{name}(…)", target.shown()),
        [one, other] => format!("{} {name} {}", one.shown(), other.shown()),
        [] | [..] => format!("{name}(…)"),
    }
}

/// As much of a text as a message has room for.
fn cut(text: &str) -> String {
    const SHOWN: usize = 24;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
