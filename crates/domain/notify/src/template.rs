//! Templates: a small, checked part of minijinja's language, whose cost is known before it runs.
//!
//! ```text
//! source ──check──▶ Template { source, parts, steps } ──render──▶ text
//!          (put)         the fact holds all of it        (decide)
//! ```
//!
//! minijinja only reads the source. What may stand in a template, and what that costs at most, is decided when its
//! rule is put, from the syntax tree; the fact then holds the checked parts, so that neither replay nor a later
//! release reads the source again.
//!
//! **Invariant:** no template takes more than [`STEPS_MAX`] steps, whatever the values. A step is one name, filter,
//! comparison or element looked at, a replacement, or so many bytes of text that one of them reads or makes: 64 that
//! are copied or compared, 16 that something is looked for in, 8 whose letters are taken one by one.

mod cost;
mod parse;
mod render;
mod shape;
mod tokens;
mod tree;

use serde::{Deserialize, Serialize};

pub(crate) use render::rendered;
pub use shape::{Shape, Shapes, common};
pub use tree::{Branch, Expression, Filter, Operator, Part};

/// The longest template, in bytes.
pub const TEMPLATE_MAX: usize = 4_096;
/// The longest text of a notification, in bytes; what is longer is cut.
pub const TEXT_MAX: usize = 8_192;
/// How many steps a template may take at most: some milliseconds.
pub const STEPS_MAX: u64 = 20_000;
/// How many steps the templates of a workspace may take together for one type of event.
pub const STEPS_MAX_TYPE: u64 = 500_000;
/// How many elements of a list a template sees.
pub const ELEMENTS_MAX: usize = 100;
/// How many bytes of an element's text a template sees.
pub const ELEMENT_MAX: usize = 1_024;
/// How deep conditions, loops and expressions may stand in one another.
pub const NESTING_MAX: usize = 12;

/// A template that was checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
    steps: u64,
}

impl Template {
    /// Checks a template against the fields of its events. An error names the place and what can't stand there.
    pub(crate) fn check(source: &str, event: &Shapes) -> Result<Self, TemplateError> {
        let whole = |what: String| TemplateError { line: 1, column: 1, what };
        if source.len() > TEMPLATE_MAX {
            return Err(whole(format!("it has more than {TEMPLATE_MAX} bytes")));
        }
        tokens::check(source)?;
        let (parts, steps) = parse::parse(source, event)?;
        if steps > STEPS_MAX {
            let what = format!("it could take {steps} steps, and {STEPS_MAX} are allowed");
            return Err(whole(what));
        }
        Ok(Self { source: source.to_owned(), parts, steps })
    }

    /// Takes a template as a fact holds it: it was checked when its rule was put.
    pub fn trusted(source: String, parts: Vec<Part>, steps: u64) -> Self {
        Self { source, parts, steps }
    }

    /// The source, as it was put.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What was checked.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many steps it takes at most.
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct TemplateError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What can't stand there.
    pub what: String,
}

#[cfg(test)]
mod tests;
