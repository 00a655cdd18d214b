//! Operators and functions over values.

use std::cmp::Ordering;
use std::str::FromStr;

use memchr::memmem;

use super::compare::{double, integer};
use super::time::{self, Instant};
use super::value::{Bytes, List, Text, Val, whole};
use super::{Evaluator, Fault, Outcome};
use crate::function::{Arithmetic, Comparison, Conversion, Function, Part, Search};
use crate::steps::{self, CONVERSION, ELEMENT, count};

impl<'a> Evaluator<'a> {
    /// A function of one value.
    pub(super) fn one(&self, function: Function, one: Val<'a>) -> Outcome<'a> {
        match (function, one) {
            (Function::Not, Val::Boolean(truth)) => Ok(Val::Boolean(!truth)),
            (Function::Negate, Val::Integer(number)) => {
                number.checked_neg().map(Val::Integer).ok_or(Fault::Senseless)
            }
            (Function::Negate, Val::Number(number)) => Ok(Val::Number(-number)),
            (Function::Size, of) => self.size(&of),
            (Function::To(Conversion::String), of) => self.string(of),
            (Function::To(conversion), of) => {
                self.meter.take(conversion.steps(of.bytes()))?;
                converted(conversion, of).ok_or(Fault::Senseless)
            }
            (Function::Get(part), of) => {
                self.meter.take(CONVERSION)?;
                of_time(&of, part).map(Val::Integer).ok_or(Fault::Senseless)
            }
            _ => Err(Fault::Senseless),
        }
    }

    /// A function of two values.
    pub(super) fn two(&self, function: Function, one: &Val<'a>, other: &Val<'a>) -> Outcome<'a> {
        match (function, one, other) {
            (Function::Compare(how), ..) => self.compared(how, one, other).map(Val::Boolean),
            (Function::In, ..) => self.is_in(one, other).map(Val::Boolean),
            (Function::Index, ..) => self.index(one, other),
            (Function::Arithmetic(Arithmetic::Add), ..) => self.add(one, other),
            (Function::Arithmetic(how), ..) => calculated(how, one, other).ok_or(Fault::Senseless),
            (Function::Search(how), Val::Text(text), Val::Text(part)) => {
                self.search(how, text, part).map(Val::Boolean)
            }
            (Function::Get(part), Val::Instant(at), Val::Text(zone)) => {
                self.meter.take(CONVERSION)?;
                self.meter.take(CONVERSION.saturating_add(steps::scanned(count(zone.len()))))?;
                let local = at.in_zone(zone).ok_or(Fault::Senseless)?;
                local.part(part).map(Val::Integer).ok_or(Fault::Senseless)
            }
            _ => Err(Fault::Senseless),
        }
    }

    fn compared(&self, how: Comparison, one: &Val<'a>, other: &Val<'a>) -> Result<bool, Fault> {
        match how {
            Comparison::Equal => self.equal(one, other),
            Comparison::NotEqual => self.equal(one, other).map(|equal| !equal),
            Comparison::Less => self.order(one, other).map(Ordering::is_lt),
            Comparison::LessOrEqual => self.order(one, other).map(Ordering::is_le),
            Comparison::Greater => self.order(one, other).map(Ordering::is_gt),
            Comparison::GreaterOrEqual => self.order(one, other).map(Ordering::is_ge),
        }
    }

    fn size(&self, of: &Val<'a>) -> Outcome<'a> {
        self.meter.take(steps::compared(of.bytes()))?;
        let size = match of {
            Val::Text(text) => text.chars().count(),
            Val::Bytes(bytes) => bytes.len(),
            Val::List(list) => list.len(),
            Val::Map(map) => map.len(),
            Val::Null
            | Val::Boolean(_)
            | Val::Integer(_)
            | Val::Unsigned(_)
            | Val::Number(_)
            | Val::Instant(_)
            | Val::Duration(_) => return Err(Fault::Senseless),
        };
        i64::try_from(size).map(Val::Integer).map_err(|_| Fault::Senseless)
    }

    fn search(&self, how: Search, text: &str, part: &str) -> Result<bool, Fault> {
        Ok(match how {
            Search::Contains => {
                self.meter.take(steps::searched(count(text.len()), count(part.len())))?;
                memmem::find(text.as_bytes(), part.as_bytes()).is_some()
            }
            Search::StartsWith => {
                self.take_shorter(text.as_bytes(), part.as_bytes())?;
                text.starts_with(part)
            }
            Search::EndsWith => {
                self.take_shorter(text.as_bytes(), part.as_bytes())?;
                text.ends_with(part)
            }
        })
    }

    fn add(&self, one: &Val<'a>, other: &Val<'a>) -> Outcome<'a> {
        match (one, other) {
            (Val::Text(one), Val::Text(other)) => {
                self.take_sum(one.len(), other.len())?;
                Ok(Val::Text(Text::Made([&**one, &**other].concat().into())))
            }
            (Val::Bytes(one), Val::Bytes(other)) => {
                self.take_sum(one.len(), other.len())?;
                Ok(Val::Bytes(Bytes::Made([&**one, &**other].concat().into())))
            }
            (Val::List(one), Val::List(other)) => {
                let elements = count(one.len()).saturating_add(count(other.len()));
                self.meter.take(elements.saturating_mul(ELEMENT))?;
                Ok(Val::List(List::Made(one.iter().chain(other.iter()).collect())))
            }
            (one, other) => calculated(Arithmetic::Add, one, other).ok_or(Fault::Senseless),
        }
    }

    fn take_sum(&self, one: usize, other: usize) -> Result<(), Fault> {
        Ok(self.meter.take(steps::joined(count(one).saturating_add(count(other))))?)
    }

    fn string(&self, of: Val<'a>) -> Outcome<'a> {
        self.meter.take(Conversion::String.steps(of.bytes()))?;
        let text = match of {
            Val::Text(_) => return Ok(of),
            Val::Boolean(truth) => truth.to_string(),
            Val::Integer(number) => number.to_string(),
            Val::Unsigned(number) => number.to_string(),
            Val::Number(number) => number.to_string(),
            Val::Instant(at) => at.written().ok_or(Fault::Senseless)?,
            Val::Duration(duration) => duration.written(),
            Val::Bytes(bytes) => {
                std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| Fault::Senseless)?
            }
            Val::Null | Val::List(_) | Val::Map(_) => return Err(Fault::Senseless),
        };
        Ok(Val::Text(Text::Made(text.into())))
    }
}

/// Arithmetic; none if it overflows, divides by zero, or makes no sense of these types.
fn calculated<'a>(how: Arithmetic, one: &Val<'a>, other: &Val<'a>) -> Option<Val<'a>> {
    match (one, other) {
        (Val::Integer(one), Val::Integer(other)) => match how {
            Arithmetic::Add => one.checked_add(*other),
            Arithmetic::Subtract => one.checked_sub(*other),
            Arithmetic::Multiply => one.checked_mul(*other),
            Arithmetic::Divide => one.checked_div(*other),
            Arithmetic::Remainder => one.checked_rem(*other),
        }
        .map(Val::Integer),
        (Val::Unsigned(one), Val::Unsigned(other)) => match how {
            Arithmetic::Add => one.checked_add(*other),
            Arithmetic::Subtract => one.checked_sub(*other),
            Arithmetic::Multiply => one.checked_mul(*other),
            Arithmetic::Divide => one.checked_div(*other),
            Arithmetic::Remainder => one.checked_rem(*other),
        }
        .map(Val::Unsigned),
        (Val::Number(one), Val::Number(other)) => match how {
            Arithmetic::Add => Some(one + other),
            Arithmetic::Subtract => Some(one - other),
            Arithmetic::Multiply => Some(one * other),
            Arithmetic::Divide => Some(one / other),
            Arithmetic::Remainder => None,
        }
        .map(Val::Number),
        _ => of_times(how, one, other),
    }
}

fn of_times<'a>(how: Arithmetic, one: &Val<'a>, other: &Val<'a>) -> Option<Val<'a>> {
    match (how, one, other) {
        (Arithmetic::Add, Val::Instant(at), Val::Duration(by))
        | (Arithmetic::Add, Val::Duration(by), Val::Instant(at)) => at.after(*by).map(Val::Instant),
        (Arithmetic::Add, Val::Duration(one), Val::Duration(other)) => {
            one.plus(*other).map(Val::Duration)
        }
        (Arithmetic::Subtract, Val::Instant(at), Val::Duration(by)) => {
            at.before(*by).map(Val::Instant)
        }
        (Arithmetic::Subtract, Val::Duration(one), Val::Duration(other)) => {
            one.minus(*other).map(Val::Duration)
        }
        (Arithmetic::Subtract, Val::Instant(at), Val::Instant(since)) => {
            at.since(*since).map(Val::Duration)
        }
        _ => None,
    }
}

/// A value as another type; none if it isn't one of that type's.
fn converted(to: Conversion, one: Val<'_>) -> Option<Val<'_>> {
    match (to, one) {
        (Conversion::Bool, of) => boolean(&of).map(Val::Boolean),
        (Conversion::Int, Val::Instant(at)) => Some(Val::Integer(at.seconds())),
        (Conversion::Int, of) => whole_number(&of).map(Val::Integer),
        (Conversion::Uint, Val::Number(number)) if number < 0.0 => None,
        (Conversion::Uint, of) => whole_number(&of).map(Val::Unsigned),
        (Conversion::Double, Val::Text(text)) => text.parse().ok().map(Val::Number),
        (Conversion::Double, of) => double(&of).map(Val::Number),
        (Conversion::Timestamp, Val::Text(text)) => time::read_instant(&text).map(Val::Instant),
        (Conversion::Timestamp, Val::Integer(at)) => Instant::from_seconds(at).map(Val::Instant),
        (Conversion::Duration, Val::Text(text)) => time::read_duration(&text).map(Val::Duration),
        (Conversion::Timestamp, at @ Val::Instant(_)) => Some(at),
        (Conversion::Duration, duration @ Val::Duration(_)) => Some(duration),
        _ => None,
    }
}

fn boolean(of: &Val<'_>) -> Option<bool> {
    if let Val::Boolean(truth) = of {
        return Some(*truth);
    }
    let Val::Text(text) = of else { return None };
    match &**text {
        "1" | "t" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A number or text as a whole number of a type; a double without what is behind its point.
fn whole_number<N: TryFrom<i128> + FromStr>(of: &Val<'_>) -> Option<N> {
    match of {
        Val::Text(text) => text.parse().ok(),
        Val::Number(number) => N::try_from(whole(number.trunc())?).ok(),
        Val::Integer(_) | Val::Unsigned(_) => N::try_from(integer(of)?).ok(),
        Val::Null
        | Val::Boolean(_)
        | Val::Bytes(_)
        | Val::Instant(_)
        | Val::Duration(_)
        | Val::List(_)
        | Val::Map(_) => None,
    }
}

fn of_time(of: &Val<'_>, part: Part) -> Option<i64> {
    if let Val::Instant(at) = of {
        return at.part(part);
    }
    let Val::Duration(duration) = of else { return None };
    duration.part(part)
}
