//! A compiled rule, and its verdict.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::stored::{self, CheckedRule, CheckedRuleError};
use crate::tree::Expr;
use crate::{Facts, Names, STEPS_MAX, bound, eval, parse};

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It doesn't compile, or uses a name that isn't there; the text says what and where.
    #[error("{0}")]
    Invalid(String),
    /// It could be costly, by its form.
    #[error("the expression could be costly: {limit}")]
    TooCostly {
        /// The limit that it passes, in words.
        limit: &'static str,
    },
    /// It could be costly, by the sizes of what it looks at.
    #[error(
        "the expression could be costly: it may take {steps} steps on the largest facts, {part_steps} of them at `{part}`; a rule \
         may take {STEPS_MAX}"
    )]
    TooManySteps {
        /// How many steps it may take.
        steps: u64,
        /// The part that may take the most, in short.
        part: String,
        /// How many that part may take by itself.
        part_steps: u64,
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
    /// It took more steps than a rule may, since the facts were larger than their names allow. Counts as false; see
    /// [`exceeded`].
    Exceeded,
}

impl Verdict {
    /// Whether the rule holds.
    pub const fn holds(self) -> bool {
        match self {
            Self::True => true,
            Self::False | Self::Missing | Self::Exceeded => false,
        }
    }
}

static EXCEEDED: AtomicU64 = AtomicU64::new(0);

/// How often a rule was ended in this process because it took more steps than a rule may. Always 0 while facts keep to
/// the sizes of their [`Names`].
pub fn exceeded() -> u64 {
    EXCEEDED.load(Ordering::Relaxed)
}

/// A compiled rule. Cheap to clone; equal by its text; serialised as [`CheckedRule`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "CheckedRule", into = "CheckedRule")]
pub struct Rule(Arc<Compiled>);

struct Compiled {
    source: String,
    tree: Expr,
    steps: u32,
}

impl Rule {
    /// Compiles a text that may use these top-level names.
    ///
    /// Refused are: more than [`LENGTH_MAX`](crate::LENGTH_MAX) characters; a macro (`all`, `exists`, `exists_one`,
    /// `map`, `filter`) within another or over a map; more than [`NESTING_MAX`](crate::NESTING_MAX) brackets within one
    /// another; list and map literals with more than [`LIST_MAX`](crate::LIST_MAX) elements; an expression deeper than
    /// [`DEPTH_MAX`](crate::DEPTH_MAX); patterns that aren't short literals, or whose table were larger than
    /// [`TABLE_MAX`](crate::TABLE_MAX); names and functions that don't exist; and whatever could take more than
    /// [`STEPS_MAX`] steps over the largest facts of these names.
    ///
    /// Takes less than a millisecond, patterns apart, of which each takes one or two; needs at most 1 MiB of stack.
    pub fn compile(source: &str, names: Names) -> Result<Self, RuleError> {
        let tree = parse::parse(source, names)?;
        let steps = bound::bound(&tree, names)?;
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), tree, steps })))
    }

    /// Takes a rule that was compiled before, from the log or a snapshot. Nothing is parsed but its patterns. An error
    /// is a doubt: a rule that can't be read must not become one that never holds.
    pub fn from_stored(stored: CheckedRule) -> Result<Self, CheckedRuleError> {
        let CheckedRule { source, nodes, steps } = stored;
        let tree = stored::tree(&nodes, steps)?;
        Ok(Self(Arc::new(Compiled { source, tree, steps })))
    }

    /// It as plain data.
    pub fn stored(&self) -> CheckedRule {
        let Compiled { source, tree, steps } = &*self.0;
        CheckedRule { source: source.clone(), nodes: stored::flattened(tree), steps: *steps }
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The most steps that it takes, as they were counted when it was compiled.
    pub fn steps(&self) -> u32 {
        self.0.steps
    }

    /// Evaluates it. Never panics and never fails.
    pub fn matches(&self, facts: &Facts) -> Verdict {
        let (verdict, _) = self.measured(facts);
        if verdict == Verdict::Exceeded {
            EXCEEDED.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// Evaluates it, and tells how many steps it took.
    pub(crate) fn measured(&self, facts: &Facts) -> (Verdict, u64) {
        eval::evaluate(&self.0.tree, facts)
    }
}

impl From<Rule> for CheckedRule {
    fn from(rule: Rule) -> Self {
        rule.stored()
    }
}

impl TryFrom<CheckedRule> for Rule {
    type Error = CheckedRuleError;

    fn try_from(stored: CheckedRule) -> Result<Self, CheckedRuleError> {
        Self::from_stored(stored)
    }
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

#[cfg(test)]
mod tests;
