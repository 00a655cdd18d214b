//! The operators and functions that a rule may use, by CEL's names.

use crate::steps::{self, CONVERSION};

/// An operator or function of CEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// `a ? b : c`.
    Conditional,
    /// `a && b`.
    And,
    /// `a || b`.
    Or,
    /// `!a`.
    Not,
    /// `-a`.
    Negate,
    /// `a + b` and its kin.
    Arithmetic(Arithmetic),
    /// `a == b` and its kin.
    Compare(Comparison),
    /// `a in b`.
    In,
    /// `a[b]`.
    Index,
    /// `size(a)`.
    Size,
    /// `a.contains(b)` and its kin.
    Search(Search),
    /// `int(a)` and its kin.
    To(Conversion),
    /// `a.getHours()` and its kin.
    Get(Part),
}

/// What is calculated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// `+`, of texts and lists too.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `%`.
    Remainder,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// Where a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// Anywhere.
    Contains,
    /// At the start.
    StartsWith,
    /// At the end.
    EndsWith,
}

/// The type that a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `timestamp`.
    Timestamp,
    /// `duration`.
    Duration,
}

impl Conversion {
    /// The steps of reading a value that has so many bytes, if it is text or bytes.
    pub(crate) const fn steps(self, bytes: u64) -> u64 {
        match self {
            Self::Bool | Self::Int | Self::Uint | Self::Duration => steps::read(bytes),
            Self::Double => steps::read_double(bytes),
            Self::String => CONVERSION.saturating_add(steps::scanned(bytes)),
            Self::Timestamp => CONVERSION.saturating_add(steps::read(bytes)),
        }
    }
}

/// A part of an instant, some also of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The year.
    FullYear,
    /// The month, from 0.
    Month,
    /// The day of the year, from 0.
    DayOfYear,
    /// The day of the month, from 0.
    DayOfMonth,
    /// The day of the month, from 1.
    Date,
    /// The day of the week; Sunday is 0.
    DayOfWeek,
    /// The hour; of a duration all of them, as of the next three.
    Hours,
    /// The minute.
    Minutes,
    /// The second.
    Seconds,
    /// The millisecond.
    Milliseconds,
}

/// How a function is written, and with how many operands; a target is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `f(a)`; operators too.
    Global(usize),
    /// `a.f(b)`.
    Member,
    /// `size(a)` or `a.size()`.
    Both,
    /// `a.f()` or `a.f(zone)`.
    Zoned,
}

/// Every function, by CEL's own name for it; operators have the one that CEL's tools use.
const FUNCTIONS: &[(&str, Function, Form)] = &[
    ("_?_:_", Function::Conditional, Form::Global(3)),
    ("_&&_", Function::And, Form::Global(2)),
    ("_||_", Function::Or, Form::Global(2)),
    ("!_", Function::Not, Form::Global(1)),
    ("-_", Function::Negate, Form::Global(1)),
    ("_+_", Function::Arithmetic(Arithmetic::Add), Form::Global(2)),
    ("_-_", Function::Arithmetic(Arithmetic::Subtract), Form::Global(2)),
    ("_*_", Function::Arithmetic(Arithmetic::Multiply), Form::Global(2)),
    ("_/_", Function::Arithmetic(Arithmetic::Divide), Form::Global(2)),
    ("_%_", Function::Arithmetic(Arithmetic::Remainder), Form::Global(2)),
    ("_==_", Function::Compare(Comparison::Equal), Form::Global(2)),
    ("_!=_", Function::Compare(Comparison::NotEqual), Form::Global(2)),
    ("_<_", Function::Compare(Comparison::Less), Form::Global(2)),
    ("_<=_", Function::Compare(Comparison::LessOrEqual), Form::Global(2)),
    ("_>_", Function::Compare(Comparison::Greater), Form::Global(2)),
    ("_>=_", Function::Compare(Comparison::GreaterOrEqual), Form::Global(2)),
    ("@in", Function::In, Form::Global(2)),
    ("_[_]", Function::Index, Form::Global(2)),
    ("size", Function::Size, Form::Both),
    ("contains", Function::Search(Search::Contains), Form::Member),
    ("startsWith", Function::Search(Search::StartsWith), Form::Member),
    ("endsWith", Function::Search(Search::EndsWith), Form::Member),
    ("bool", Function::To(Conversion::Bool), Form::Global(1)),
    ("int", Function::To(Conversion::Int), Form::Global(1)),
    ("uint", Function::To(Conversion::Uint), Form::Global(1)),
    ("double", Function::To(Conversion::Double), Form::Global(1)),
    ("string", Function::To(Conversion::String), Form::Global(1)),
    ("timestamp", Function::To(Conversion::Timestamp), Form::Global(1)),
    ("duration", Function::To(Conversion::Duration), Form::Global(1)),
    ("getFullYear", Function::Get(Part::FullYear), Form::Zoned),
    ("getMonth", Function::Get(Part::Month), Form::Zoned),
    ("getDayOfYear", Function::Get(Part::DayOfYear), Form::Zoned),
    ("getDayOfMonth", Function::Get(Part::DayOfMonth), Form::Zoned),
    ("getDate", Function::Get(Part::Date), Form::Zoned),
    ("getDayOfWeek", Function::Get(Part::DayOfWeek), Form::Zoned),
    ("getHours", Function::Get(Part::Hours), Form::Zoned),
    ("getMinutes", Function::Get(Part::Minutes), Form::Zoned),
    ("getSeconds", Function::Get(Part::Seconds), Form::Zoned),
    ("getMilliseconds", Function::Get(Part::Milliseconds), Form::Zoned),
];

impl Function {
    /// The function of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, ..)| *known == name).map(|(_, function, _)| *function)
    }

    fn row(self) -> Option<&'static (&'static str, Self, Form)> {
        FUNCTIONS.iter().find(|(_, function, _)| *function == self)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.row().map_or("", |(name, ..)| name)
    }

    /// Whether it can have as many operands.
    pub(crate) fn takes(self, operands: usize) -> bool {
        self.row().is_some_and(|(.., form)| match form {
            Form::Global(exactly) => operands == *exactly,
            Form::Member => operands == 2,
            Form::Both => operands == 1,
            Form::Zoned => (1..=2).contains(&operands),
        })
    }

    /// Whether it can be written so: `a.f()` if `member`, else `f(a)`.
    pub(crate) fn can_be(self, member: bool) -> bool {
        self.row().is_some_and(|(.., form)| match form {
            Form::Global(_) => !member,
            Form::Member | Form::Zoned => member,
            Form::Both => true,
        })
    }
}
