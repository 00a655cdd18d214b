//! A compiled rule, and its verdict.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, ExecutionError, Program};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cost::{self, Looked};
use crate::scan::scan;
use crate::{Facts, LENGTH_MAX, Value};

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It doesn't compile, or uses a name that isn't there; the text says what and where.
    #[error("{0}")]
    Invalid(String),
    /// It could be costly.
    #[error("the expression could be costly: {limit}")]
    TooCostly {
        /// The limit that it passes, in words.
        limit: &'static str,
    },
}

/// A rule's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It doesn't, or could not be evaluated (a text compared with a number, a division by zero).
    False,
    /// It looks at something that the facts lack. Counts as false.
    Missing,
}

impl Verdict {
    /// Whether the rule holds.
    pub const fn holds(self) -> bool {
        match self {
            Self::True => true,
            Self::False | Self::Missing => false,
        }
    }
}

/// A compiled rule. Cheap to clone; equal by its text; serialised as its text.
#[derive(Clone)]
pub struct Rule(Arc<Compiled>);

struct Compiled {
    source: String,
    /// None: a text of the log that this release can't read any more. It never holds.
    program: Option<(Program, Looked)>,
}

impl Rule {
    /// Compiles a text that may use these top-level names.
    ///
    /// Refused are: more than [`LENGTH_MAX`] characters; a macro (`all`, `exists`, `exists_one`, `map`, `filter`) within another or
    /// over a map; more than [`NESTING_MAX`](crate::NESTING_MAX) brackets within one another; list and map literals with more than [`LIST_MAX`](crate::LIST_MAX) elements; an expression deeper than
    /// [`DEPTH_MAX`](crate::DEPTH_MAX); patterns that aren't short literals; names and functions that don't exist.
    pub fn compile(source: &str, names: &[&str]) -> Result<Self, RuleError> {
        read(source, Some(names)).map(|read| Self::of(source, Some(read)))
    }

    /// Takes a text that was compiled before, from the log or a snapshot. One that doesn't compile any more never holds.
    pub fn trusted(source: &str) -> Self {
        Self::of(source, read(source, None).ok())
    }

    fn of(source: &str, program: Option<(Program, Looked)>) -> Self {
        Self(Arc::new(Compiled { source: source.to_owned(), program }))
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Evaluates it. Never panics and never fails.
    pub fn matches(&self, facts: &Facts) -> Verdict {
        let Some((program, looked)) = &self.0.program else { return Verdict::False };
        let is_map = |path: &Vec<String>| matches!(facts.at(path), Some(Value::Map(_)));
        if looked.ranges.iter().any(is_map) {
            return Verdict::False;
        }
        // cel is total as far as known; a panic in it must not take a partition down with it.
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let mut context = context();
            for (name, value) in facts.cel() {
                context.add_variable_from_value(name.as_str(), value.clone());
            }
            program.execute(&context)
        }));
        match answer {
            Ok(Ok(cel::Value::Bool(true))) => Verdict::True,
            Ok(Err(ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_))) => {
                Verdict::Missing
            }
            Ok(Ok(_) | Err(_)) | Err(_) => Verdict::False,
        }
    }
}

/// A context with the standard functions, which are made once.
pub(crate) fn context() -> Context<'static, 'static> {
    static ENV: LazyLock<Arc<Env>> =
        LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));
    Context::with_env(Arc::clone(&ENV))
}

/// Compiles on a thread of its own: the parser's recursion takes more stack than an ordinary thread has.
fn read(source: &str, names: Option<&[&str]>) -> Result<(Program, Looked), RuleError> {
    const STACK_BYTES: usize = 16 << 20;
    if source.chars().nth(LENGTH_MAX).is_some() {
        return Err(RuleError::TooCostly { limit: "at most 1000 characters" });
    }
    scan(source)?;
    let unreadable = || RuleError::Invalid("it can't be read".to_owned());
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("rule".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || parse(source, names))
            .map_err(|_| unreadable())?
            .join()
            .map_err(|_| unreadable())?
    })
}

fn parse(source: &str, names: Option<&[&str]>) -> Result<(Program, Looked), RuleError> {
    let program = Program::compile(source)
        .map_err(|errors| RuleError::Invalid(first_line(&errors.to_string())))?;
    let looked = cost::look(program.expression(), names)?;
    Ok((program, looked))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("it can't be read").chars().take(300).collect()
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({:?})", self.source())
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Rule {}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.source())
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|source| Self::trusted(&source))
    }
}

#[cfg(test)]
mod tests;
