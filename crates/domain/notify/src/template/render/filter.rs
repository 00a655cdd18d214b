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
            Filter::Lower => self.letters(input, str::to_lowercase),
            Filter::Upper => self.letters(input, str::to_uppercase),
            Filter::Title => self.letters(input, title),
            Filter::Trim => self.letters(input, |text| text.trim().to_owned()),
            Filter::Replace => self.replace(input, arguments),
        }
    }

    fn length(&mut self, input: &Seen<'a>) -> Result<Seen<'a>, Failed> {
        self.spend(cost::filter(input.size(), 0))?;
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
        let mut changed = change(&text);
        self.spend(cost::filter(text.len(), changed.len()))?;
        changed.truncate(begin(&changed, SEEN_MAX).len());
        Ok(Seen::Text(changed.into()))
    }

    fn replace(&mut self, input: Seen<'a>, arguments: &[Seen<'a>]) -> Result<Seen<'a>, Failed> {
        let [from, to] = arguments else { return Err(Failed::Kind) };
        let (text, from, to) = (input.text()?, from.clone().text()?, to.clone().text()?);
        let (mut replaced, mut done) = (String::new(), 0);
        for (start, found) in text.match_indices(from.as_ref()) {
            push(&mut replaced, text.get(done..start).unwrap_or_default());
            push(&mut replaced, &to);
            done = start.saturating_add(found.len());
            if replaced.len() >= SEEN_MAX {
                break;
            }
        }
        push(&mut replaced, text.get(done..).unwrap_or_default());
        let read = text.len().saturating_add(from.len()).saturating_add(to.len());
        self.spend(cost::filter(read, replaced.len()))?;
        Ok(Seen::Text(replaced.into()))
    }
}

fn other<'a>(arguments: &[Seen<'a>]) -> Seen<'a> {
    arguments.first().cloned().unwrap_or(Seen::Text(Cow::Borrowed("")))
}

/// Appends as much as a template may see.
fn push(text: &mut String, more: &str) {
    text.push_str(begin(more, SEEN_MAX.saturating_sub(text.len())));
}

/// Each word with a capital: words begin after white space, a hyphen or an opening bracket.
fn title(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut start = 0;
    let ends = text.match_indices(|it: char| it.is_whitespace() || "-({[<".contains(it));
    let ends = ends.map(|(at, separator)| at.saturating_add(separator.len()));
    for end in ends.chain([text.len()]) {
        let word = text.get(start..end).unwrap_or_default();
        let mut letters = word.chars();
        words.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        words.push_str(&letters.as_str().to_lowercase());
        start = end;
    }
    words
}
