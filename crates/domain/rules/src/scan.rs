//! A look at a rule's text before the parser sees it.
//!
//! The parser goes as deep as brackets stand within one another. They are counted here first, so that what it needs of
//! the stack doesn't hang on its own limits.

use std::iter::Peekable;
use std::str::Chars;

use crate::RuleError;

/// How many brackets may be open at once.
pub const NESTING_MAX: usize = 12;

/// Refuses texts with more than [`NESTING_MAX`] brackets within one another, and strings without an end.
pub(crate) fn scan(source: &str) -> Result<(), RuleError> {
    let mut rest = source.chars().peekable();
    let (mut open, mut word) = (0_usize, String::new());
    while let Some(character) = rest.next() {
        match character {
            '(' | '[' | '{' => open = open.saturating_add(1),
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '\'' | '"' => string(&mut rest, character, is_raw(&word)?)?,
            '/' if rest.peek() == Some(&'/') => {
                rest.by_ref().find(|next| *next == '\n');
            }
            '`' => return Err(RuleError::Invalid("there are no quoted names here".to_owned())),
            _ => {}
        }
        if open > NESTING_MAX {
            return Err(RuleError::TooCostly { limit: "at most 12 brackets within one another" });
        }
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else {
            word.clear();
        }
    }
    Ok(())
}

/// Whether the letters before a quote make it a raw string.
fn is_raw(word: &str) -> Result<bool, RuleError> {
    match word.to_ascii_lowercase().as_str() {
        "" | "b" => Ok(false),
        "r" | "br" | "rb" => Ok(true),
        _ => Err(RuleError::Invalid(format!("`{word}` stands before a string"))),
    }
}

fn string(rest: &mut Peekable<Chars<'_>>, quote: char, raw: bool) -> Result<(), RuleError> {
    let triple = opens_triple(rest, quote);
    if triple.is_none() {
        return Ok(());
    }
    let triple = triple == Some(true);
    let mut quotes = 0_u8;
    while let Some(character) = rest.next() {
        if character == quote {
            quotes = quotes.saturating_add(1);
            if !triple || quotes == 3 {
                return Ok(());
            }
            continue;
        }
        quotes = 0;
        if character == '\\' && !raw {
            rest.next();
        } else if character == '\n' && !triple {
            break;
        }
    }
    Err(RuleError::Invalid("a string has no end".to_owned()))
}

/// After a quote: whether two more follow. None: one follows, and it was the empty string.
fn opens_triple(rest: &mut Peekable<Chars<'_>>, quote: char) -> Option<bool> {
    if rest.next_if_eq(&quote).is_none() {
        return Some(false);
    }
    rest.next_if_eq(&quote).map(|_| true)
}
