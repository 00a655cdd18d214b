//! A template as it was checked: what is stored, and what runs.

use serde::{Deserialize, Serialize};

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// `{{ … }}`
    Value(Expression),
    /// `{% if … %}`
    Choice {
        /// `if` and each `elif`, in order: the first whose condition holds is taken.
        branches: Vec<Branch>,
        /// If none does.
        otherwise: Vec<Part>,
    },
    /// `{% for … in … %}`
    Loop {
        /// The name of one element.
        item: String,
        /// The list: a path of names.
        list: Vec<String>,
        /// For each element.
        body: Vec<Part>,
        /// If there is none.
        otherwise: Vec<Part>,
    },
}

/// A condition, and what stands under it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// What decides.
    pub condition: Expression,
    /// If it holds.
    pub then: Vec<Part>,
}

/// What gives a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Expression {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A path of names, `event.requester.name`.
    Name(Vec<String>),
    /// `input | filter(arguments)`
    Filter {
        /// Which.
        filter: Filter,
        /// What goes in.
        input: Box<Expression>,
        /// What stands in its parentheses.
        arguments: Vec<Expression>,
    },
    /// A comparison of two values.
    Comparison {
        /// Which.
        operator: Operator,
        /// The left side.
        left: Box<Expression>,
        /// The right side.
        right: Box<Expression>,
    },
    /// `not …`
    Not(Box<Expression>),
    /// `… and …`: the first that is false, else the last.
    All(Vec<Expression>),
    /// `… or …`: the first that is true, else the last.
    Any(Vec<Expression>),
    /// `then if condition else otherwise`
    Choice {
        /// What decides.
        condition: Box<Expression>,
        /// If it holds.
        then: Box<Expression>,
        /// If it doesn't.
        otherwise: Box<Expression>,
    },
}

/// A filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// The input, or the first argument where an attribute is absent.
    Default,
    /// The input, or the first argument where an attribute is absent or the input is false.
    DefaultIfFalse,
    /// The elements, with the argument between them.
    Join,
    /// How many elements, or characters.
    Length,
    /// In small letters.
    Lower,
    /// With the second argument wherever the first one stands.
    Replace,
    /// Each word with a capital.
    Title,
    /// Without white space at its ends.
    Trim,
    /// In capitals.
    Upper,
}

impl Filter {
    /// Every filter, with its word in stored templates.
    const WORDS: [(Self, &'static str); 9] = [
        (Self::Default, "default"),
        (Self::DefaultIfFalse, "default_if_false"),
        (Self::Join, "join"),
        (Self::Length, "length"),
        (Self::Lower, "lower"),
        (Self::Replace, "replace"),
        (Self::Title, "title"),
        (Self::Trim, "trim"),
        (Self::Upper, "upper"),
    ];

    /// Its word in stored templates.
    pub fn word(self) -> &'static str {
        word(&Self::WORDS, self)
    }

    /// The filter of a word.
    pub fn of_word(text: &str) -> Option<Self> {
        of_word(&Self::WORDS, text)
    }
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`: an element of a list, or a part of a text.
    In,
}

impl Operator {
    /// Every operator, with its sign.
    const WORDS: [(Self, &'static str); 7] = [
        (Self::Equal, "=="),
        (Self::NotEqual, "!="),
        (Self::Less, "<"),
        (Self::LessOrEqual, "<="),
        (Self::Greater, ">"),
        (Self::GreaterOrEqual, ">="),
        (Self::In, "in"),
    ];

    /// Its sign.
    pub fn word(self) -> &'static str {
        word(&Self::WORDS, self)
    }

    /// The operator of a sign.
    pub fn of_word(text: &str) -> Option<Self> {
        of_word(&Self::WORDS, text)
    }
}

fn word<T: Copy + PartialEq>(words: &[(T, &'static str)], value: T) -> &'static str {
    words.iter().find(|(one, _)| *one == value).map_or("", |(_, word)| word)
}

fn of_word<T: Copy>(words: &[(T, &'static str)], text: &str) -> Option<T> {
    words.iter().find(|(_, word)| *word == text).map(|(value, _)| *value)
}
