//! Regular expressions, compiled once with their rule.
//!
//! A pattern becomes a table: an automaton that takes one step for each byte, whatever the text. It is made whole when
//! the rule is compiled and never grows, so that both its size and the time of a match are bounded. What would need a
//! larger table is refused.
//!
//! The syntax is RE2's, as CEL has it: `\d`, `\w`, `\s` and `\b` are about ASCII, `.` and `(?i)` about Unicode.

use std::fmt;
use std::sync::Arc;

use regex_automata::dfa::dense::{self, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};

use crate::RuleError;

/// The longest pattern, in bytes.
pub const PATTERN_MAX: usize = 100;
/// How many patterns a rule may have.
pub const MATCHES_MAX: usize = 4;
/// How large a pattern's table may be, in bytes.
pub const TABLE_MAX: usize = 32 * 1024;

/// How large the automaton may be that the table is made of, in bytes. What passes it would take milliseconds to
/// compile.
const NFA_MAX: usize = 32 * 1024;
/// How much memory making the table may take.
const WORK_MAX: usize = 4 * TABLE_MAX;
/// How many groups may stand within one another.
const NESTING_MAX: u32 = 16;

/// A pattern. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pattern(Arc<Compiled>);

struct Compiled {
    source: String,
    table: DFA<Vec<u32>>,
}

/// What a match took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// Whether the text has the pattern in it.
    pub(crate) found: bool,
    /// How many bytes were read to know.
    pub(crate) bytes: usize,
}

impl Pattern {
    /// Compiles a pattern.
    pub(crate) fn compile(source: &str) -> Result<Self, RuleError> {
        if source.len() > PATTERN_MAX {
            return Err(RuleError::TooCostly { limit: "regular expressions of at most 100 bytes" });
        }
        let syntax = syntax::Config::new().nest_limit(NESTING_MAX);
        let parsed = syntax::parse_with(&in_ascii(source), &syntax)
            .map_err(|error| RuleError::Invalid(complaint(&error.to_string())))?;
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(NFA_MAX)),
            )
            .build_from_hir(&parsed)
            .map_err(|_| TOO_LARGE)?;
        let table = table(&nfa).ok_or(TOO_LARGE)?;
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), table })))
    }

    /// The text of it.
    pub(crate) fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether a text has it in it.
    pub(crate) fn matches(&self, text: &str) -> Read {
        let input = Input::new(text).earliest(true);
        // Only automata with bytes at which they give up can fail, and these have none.
        let found = self.0.table.try_search_fwd(&input).ok().flatten();
        Read { found: found.is_some(), bytes: found.map_or(text.len(), |end| end.offset()) }
    }

    /// How large its table is, in bytes.
    #[cfg(test)]
    pub(crate) fn table_bytes(&self) -> usize {
        self.0.table.memory_usage()
    }
}

const TOO_LARGE: RuleError = RuleError::TooCostly {
    limit: "regular expressions whose table has at most 32 KiB (fewer alternatives, repetitions or Unicode classes are smaller)",
};

fn table(nfa: &NFA) -> Option<DFA<Vec<u32>>> {
    let limits = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Unanchored)
        .accelerate(false)
        .dfa_size_limit(Some(TABLE_MAX))
        .determinize_size_limit(Some(WORK_MAX));
    dense::Builder::new().configure(limits).build_from_nfa(nfa).ok()
}

/// The same pattern, with the classes that RE2 takes from ASCII written out so.
fn in_ascii(source: &str) -> String {
    let mut written = String::with_capacity(source.len());
    let mut rest = source.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            written.push(character);
            continue;
        }
        match rest.next() {
            Some('d') => written.push_str("[0-9]"),
            Some('D') => written.push_str("[^0-9]"),
            Some('w') => written.push_str("[0-9A-Za-z_]"),
            Some('W') => written.push_str("[^0-9A-Za-z_]"),
            Some('s') => written.push_str(r"[\t\n\x0C\r\x20]"),
            Some('S') => written.push_str(r"[^\t\n\x0C\r\x20]"),
            Some('b') => written.push_str(r"(?-u:\b)"),
            Some('B') => written.push_str(r"(?-u:\B)"),
            Some(other) => written.extend(['\\', other]),
            None => written.push('\\'),
        }
    }
    written
}

/// The line of a parser's report that says what is wrong; the lines above it point into the pattern.
fn complaint(report: &str) -> String {
    let line = report.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it can't be read");
    format!("regular expression: {}", line.trim_start_matches("error: "))
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source())
    }
}
