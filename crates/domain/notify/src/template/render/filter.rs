//! Filters. Whatever they make has at most as many bytes as a template may see.

use std::borrow::Cow;

use super::super::cost::{self, SEEN_MAX};
use super::super::{ELEMENTS_MAX, Filter};
use super::value::{Seen, begin};
use super::{Failed, Run};

impl<'a> Run<'a> {
    pub(super) fn filter(
        &mut self,
        filter: Filter,
        input: Seen<'a>,
        arguments: &[Seen<'a>],
    ) -> Result<Seen<'a>, Failed> {
        match filter {
            Filter::Default => {
                self.spend(1)?;
                let absent = matches!(input, Seen::Absent);
                Ok(if absent { other(arguments) } else { input })
            }
            Filter::DefaultIfFalse => {
                self.spend(1)?;
                let good = !matches!(input, Seen::Absent) && input.holds()?;
                Ok(if good { input } else { other(arguments) })
            }
            Filter::Length => self.length(&input),
            Filter::Join => self.join(input, arguments),
            Filter::Lower => self.letters(input, lower),
            Filter::Upper => self.letters(input, upper),
            Filter::Title => self.letters(input, title),
            Filter::Trim => self.letters(input, |text| text.trim().to_owned()),
            Filter::Replace => self.replace(input, arguments),
        }
    }

    fn length(&mut self, input: &Seen<'a>) -> Result<Seen<'a>, Failed> {
        self.spend(cost::length(input.size()))?;
        let length = match input {
            Seen::Text(text) => text.chars().count(),
            Seen::List(values) => values.len().min(ELEMENTS_MAX),
            Seen::Integer(_) | Seen::Number(_) | Seen::Boolean(_) | Seen::Absent | Seen::Group => {
                return Err(input.unfit());
            }
        };
        Ok(Seen::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
    }

    /// The elements of a list; one value alone stays as it is.
    pub(super) fn join(
        &mut self,
        input: Seen<'a>,
        arguments: &[Seen<'a>],
    ) -> Result<Seen<'a>, Failed> {
        let Seen::List(list) = input else {
            self.spend(1)?;
            return input.text().map(Seen::Text);
        };
        let between = match arguments.first() {
            Some(between) => between.clone().text()?,
            None => Cow::Borrowed(""),
        };
        let mut joined = String::new();
        for (index, element) in list.iter().take(ELEMENTS_MAX).enumerate() {
            if index > 0 {
                push(&mut joined, &between);
            }
            push(&mut joined, &Seen::of(element).into_element().0.text()?);
            if joined.len() >= SEEN_MAX {
                break;
            }
        }
        self.spend(cost::join(list.len(), joined.len()))?;
        Ok(Seen::Text(joined.into()))
    }

    fn letters(
        &mut self,
        input: Seen<'a>,
        change: impl FnOnce(&str) -> String,
    ) -> Result<Seen<'a>, Failed> {
        let text = input.text()?;
        self.spend(cost::letters(text.len()))?;
        let mut changed = change(&text);
        changed.truncate(begin(&changed, SEEN_MAX).len());
        Ok(Seen::Text(changed.into()))
    }

    fn replace(&mut self, input: Seen<'a>, arguments: &[Seen<'a>]) -> Result<Seen<'a>, Failed> {
        let [from, to] = arguments else { return Err(Failed::Kind) };
        let (text, from, to) = (input.text()?, from.clone().text()?, to.clone().text()?);
        let room = if to.len() <= from.len() {
            text.len()
        } else {
            text.len().saturating_add(1).saturating_mul(to.len().saturating_add(1))
        };
        let mut replaced = String::with_capacity(room.min(SEEN_MAX));
        let (mut done, mut times, mut fits) = (0, 0_usize, true);
        for (start, found) in text.match_indices(from.as_ref()) {
            times = times.saturating_add(1);
            fits = push(&mut replaced, text.get(done..start).unwrap_or_default())
                && push(&mut replaced, &to);
            done = start.saturating_add(found.len());
            if !fits {
                break;
            }
        }
        if fits {
            push(&mut replaced, text.get(done..).unwrap_or_default());
        }
        self.spend(cost::replace(text.len(), from.len(), replaced.len(), times))?;
        Ok(Seen::Text(replaced.into()))
    }
}

fn other<'a>(arguments: &[Seen<'a>]) -> Seen<'a> {
    arguments.first().cloned().unwrap_or(Seen::Text(Cow::Borrowed("")))
}

/// Appends as much as a template may see. Whether that was all of it.
fn push(text: &mut String, more: &str) -> bool {
    let seen = begin(more, SEEN_MAX.saturating_sub(text.len()));
    text.push_str(seen);
    seen.len() == more.len()
}

fn lower(text: &str) -> String {
    let mut lowered = String::with_capacity(text.len());
    push_lower(&mut lowered, text);
    lowered
}

fn upper(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let mut changed = String::with_capacity(text.len());
    for letter in text.chars() {
        changed.extend(letter.to_uppercase());
        if changed.len() > SEEN_MAX {
            break;
        }
    }
    changed
}

/// Appends a text in small letters, or somewhat more of it than a template may see.
fn push_lower(lowered: &mut String, text: &str) {
    // What becomes of it depends on whether a word ends there.
    if text.contains('Σ') && !ends_no_word(text) {
        lowered.push_str(&text.to_lowercase());
        return;
    }
    for letter in text.chars() {
        if letter.is_ascii() {
            lowered.push(letter.to_ascii_lowercase());
        } else if letter == 'Σ' {
            lowered.push('σ');
        } else {
            lowered.extend(letter.to_lowercase());
        }
        if lowered.len() > SEEN_MAX {
            break;
        }
    }
}

/// Whether each Σ plainly ends no word: it is the first letter, or stands between two that have capitals.
fn ends_no_word(text: &str) -> bool {
    let is_cased = |letter: char| letter.is_lowercase() || letter.is_uppercase();
    text.match_indices('Σ').all(|(at, sigma)| {
        let (before, from) = text.split_at(at);
        let next = from.strip_prefix(sigma).and_then(|after| after.chars().next());
        at == 0 || before.chars().next_back().is_some_and(is_cased) && next.is_some_and(is_cased)
    })
}

/// Each word with a capital: words begin after white space, a hyphen or an opening bracket.
fn title(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let ends = |it: char| it.is_whitespace() || matches!(it, '-' | '(' | '{' | '[' | '<');
    for word in text.split_inclusive(ends) {
        let mut letters = word.chars();
        words.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        push_lower(&mut words, letters.as_str());
        if words.len() > SEEN_MAX {
            break;
        }
    }
    words
}
