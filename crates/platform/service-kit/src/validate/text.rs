//! Texts: their length, and the characters that don't belong into them.

use std::ops::RangeInclusive;

use super::Fields;

/// How long a text may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// In characters (Unicode scalar values).
    Chars(RangeInclusive<usize>),
    /// In bytes of UTF-8.
    Bytes(RangeInclusive<usize>),
}

impl Size {
    /// Why a text has not this size.
    fn complaint(&self, text: &str) -> Option<String> {
        let (length, bounds, unit) = match self {
            Self::Chars(bounds) => (text.chars().count(), bounds, "characters"),
            Self::Bytes(bounds) => (text.len(), bounds, "bytes"),
        };
        if bounds.contains(&length) {
            None
        } else if text.is_empty() {
            Some("must not be empty".to_owned())
        } else if length > *bounds.end() {
            Some(format!("must have at most {} {unit}", bounds.end()))
        } else {
            Some(format!("must have at least {} {unit}", bounds.start()))
        }
    }
}

/// Why a text of one line can't be one.
pub(super) fn line_complaint(text: &str) -> Option<&'static str> {
    text.chars().any(char::is_control).then_some("must not contain control characters")
}

impl Fields {
    /// A text of one line: no control characters at all.
    #[expect(clippy::needless_pass_by_value, reason = "callers write the size in place")]
    pub fn line(&mut self, field: impl Into<String>, text: &str, size: Size) -> String {
        self.text(field, text, &size, |character| !character.is_control())
    }

    /// A text of several lines: no control characters but line feeds and tabs.
    #[expect(clippy::needless_pass_by_value, reason = "callers write the size in place")]
    pub fn block(&mut self, field: impl Into<String>, text: &str, size: Size) -> String {
        self.text(field, text, &size, |character| {
            !character.is_control() || character == '\n' || character == '\t'
        })
    }

    /// Texts of one line each, at most `max`.
    pub fn lines(&mut self, field: &str, texts: &[String], max: usize, size: &Size) -> Vec<String> {
        let count = self.count(field, texts.len(), max);
        let numbered = texts.iter().take(count).enumerate();
        numbered
            .map(|(index, text)| self.line(format!("{field}[{index}]"), text, size.clone()))
            .collect()
    }

    fn text(
        &mut self,
        field: impl Into<String>,
        text: &str,
        size: &Size,
        good: impl Fn(char) -> bool,
    ) -> String {
        if let Some(complaint) = size.complaint(text) {
            self.refuse(field, complaint);
        } else if !text.chars().all(good) {
            self.refuse(field, "must not contain control characters");
        } else {
            return text.to_owned();
        }
        String::new()
    }
}
