//! What is refused before a template is parsed, so that parsing takes bounded time and stack.
//!
//! minijinja's parser limits how deep brackets and statements go, but not how many signs, negations or alternatives
//! follow each other, and for each of those it calls itself once more.

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::parse::{at, unreadable};
use super::{NESTING_MAX, TemplateError};

/// How many words and signs one pair of braces may hold.
const TOKENS_MAX: usize = 200;
/// How many `elif` and `else` a template may have.
const ALTERNATIVES_MAX: usize = 50;

/// Looks at every word and sign.
pub(super) fn check(source: &str) -> Result<(), TemplateError> {
    let mut seen = Seen::default();
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let (token, span) = token.map_err(|error| unreadable(source, &error))?;
        if let Some(what) = seen.complaint(&token) {
            return Err(at(source, span, what));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    /// In this pair of braces.
    tokens: usize,
    brackets: usize,
    alternatives: usize,
    /// The token before was a sign or a negation.
    prefix: bool,
}

impl Seen {
    fn complaint(&mut self, token: &Token<'_>) -> Option<String> {
        self.tokens = self.tokens.saturating_add(1);
        let prefix = matches!(token, Token::Minus | Token::Ident("not"));
        let twice = std::mem::replace(&mut self.prefix, prefix) && prefix;
        if twice {
            return Some("`-` and `not` can't follow each other".to_owned());
        }
        self.count(token);
        if self.tokens > TOKENS_MAX {
            return Some(format!("more than {TOKENS_MAX} words and signs in one pair of braces"));
        }
        if self.brackets > NESTING_MAX {
            return Some(format!("more than {NESTING_MAX} brackets within each other"));
        }
        (self.alternatives > ALTERNATIVES_MAX)
            .then(|| format!("more than {ALTERNATIVES_MAX} of `elif` and `else`"))
    }

    fn count(&mut self, token: &Token<'_>) {
        if matches!(token, Token::VariableStart | Token::BlockStart | Token::TemplateData(_)) {
            self.tokens = 0;
        }
        if matches!(token, Token::ParenOpen | Token::BracketOpen | Token::BraceOpen) {
            self.brackets = self.brackets.saturating_add(1);
        }
        if matches!(token, Token::ParenClose | Token::BracketClose | Token::BraceClose) {
            self.brackets = self.brackets.saturating_sub(1);
        }
        if matches!(token, Token::Ident("elif" | "else")) {
            self.alternatives = self.alternatives.saturating_add(1);
        }
    }
}

/// The span's beginning, in bytes.
pub(super) fn offset(span: Span) -> usize {
    usize::try_from(span.start_offset).unwrap_or(usize::MAX)
}
