//! A checked template over an event and its ticket: the text, and how many steps it took.

mod filter;
mod value;

use rules::Value;

use super::cost::{self, bytes};
use super::{ELEMENTS_MAX, Expression, Operator, Part, STEPS_MAX, TEXT_MAX, Template};
use value::Seen;

/// Why a template gave no text. What its checks could see doesn't occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    /// An attribute is absent.
    #[error("an attribute is absent")]
    Absent,
    /// An attribute holds what can't be used there.
    #[error("an attribute holds what can't be used there")]
    Kind,
    /// It took more steps than it may: its bound is wrong.
    #[error("it took more than {STEPS_MAX} steps")]
    Steps,
}

/// Why rendering stops.
#[derive(Debug)]
enum Stop {
    /// There is as much text as a notification may have.
    Full,
    Failed(Failed),
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// The text, at most [`TEXT_MAX`] bytes and a sign that it was cut, and how many steps it took.
pub(crate) fn rendered(
    template: &Template,
    event: &Value,
    ticket: &Value,
) -> (Result<String, Failed>, u64) {
    let mut run = Run { event, ticket, each: None, text: String::new(), steps: 0 };
    let text = match run.parts(&template.parts) {
        Ok(()) | Err(Stop::Full) => Ok(()),
        Err(Stop::Failed(failed)) => Err(failed),
    };
    let Run { text: written, steps, .. } = run;
    (text.map(|()| crate::view::cut(&written, TEXT_MAX)), steps)
}

/// A template that runs.
struct Run<'a> {
    event: &'a Value,
    ticket: &'a Value,
    each: Option<Each<'a>>,
    text: String,
    steps: u64,
}

/// Where a loop is.
#[derive(Clone, Copy)]
struct Each<'a> {
    name: &'a str,
    item: &'a Value,
    index: usize,
    length: usize,
}

impl<'a> Run<'a> {
    fn spend(&mut self, steps: u64) -> Result<(), Failed> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX { Err(Failed::Steps) } else { Ok(()) }
    }

    fn parts(&mut self, parts: &'a [Part]) -> Result<(), Stop> {
        parts.iter().try_for_each(|part| self.part(part))
    }

    fn part(&mut self, part: &'a Part) -> Result<(), Stop> {
        self.spend(1)?;
        match part {
            Part::Text(text) => self.write(text),
            Part::Value(expression) => {
                let mut value = self.value(expression)?;
                // Only an attribute's: a list of the event can't be written as it is.
                if matches!(value, Seen::List(_)) {
                    value = self.join(value, &[Seen::Text(", ".into())])?;
                }
                self.write(&value.text()?)
            }
            Part::Choice { branches, otherwise } => {
                for branch in branches {
                    if self.value(&branch.condition)?.holds()? {
                        return self.parts(&branch.then);
                    }
                }
                self.parts(otherwise)
            }
            Part::Loop { item, list, body, otherwise } => {
                self.spend(cost::steps(list.len()))?;
                let list = self.list(list)?;
                if list.is_empty() {
                    return self.parts(otherwise);
                }
                self.each(item, list, body)
            }
        }
    }

    fn each(&mut self, name: &'a str, list: &'a [Value], body: &'a [Part]) -> Result<(), Stop> {
        let length = list.len().min(ELEMENTS_MAX);
        for (index, item) in list.iter().take(ELEMENTS_MAX).enumerate() {
            self.spend(1)?;
            self.each = Some(Each { name, item, index, length });
            self.parts(body)?;
        }
        self.each = None;
        Ok(())
    }

    /// Writes as much as there is room for.
    fn write(&mut self, text: &str) -> Result<(), Stop> {
        let before = self.text.len();
        let room = cost::SEEN_MAX.saturating_sub(before);
        self.text.push_str(value::begin(text, room));
        // What was written pays for itself, however many pieces it came in.
        let paid = bytes(self.text.len()).saturating_sub(bytes(before));
        self.spend(paid)?;
        if self.text.len() > TEXT_MAX { Err(Stop::Full) } else { Ok(()) }
    }

    fn value(&mut self, expression: &'a Expression) -> Result<Seen<'a>, Failed> {
        match expression {
            Expression::Name(path) => self.name(path),
            Expression::Text(text) => self.literal(Seen::Text(text.as_str().into())),
            Expression::Integer(number) => self.literal(Seen::Integer(*number)),
            Expression::Number(number) => self.literal(Seen::Number(*number)),
            Expression::Boolean(truth) => self.literal(Seen::Boolean(*truth)),
            Expression::Filter { filter, input, arguments } => {
                let input = self.value(input)?;
                let arguments: Result<Vec<_>, _> =
                    arguments.iter().map(|argument| self.value(argument)).collect();
                self.filter(*filter, input, &arguments?)
            }
            Expression::Comparison { operator, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.compare(*operator, &left, &right).map(Seen::Boolean)
            }
            Expression::Not(value) => {
                self.spend(1)?;
                Ok(Seen::Boolean(!self.value(value)?.holds()?))
            }
            Expression::All(values) => self.first(values, false),
            Expression::Any(values) => self.first(values, true),
            Expression::Choice { condition, then, otherwise } => {
                self.spend(1)?;
                let holds = self.value(condition)?.holds()?;
                self.value(if holds { then } else { otherwise })
            }
        }
    }

    fn literal(&mut self, value: Seen<'a>) -> Result<Seen<'a>, Failed> {
        self.spend(1)?;
        Ok(value)
    }

    /// The first value that holds or doesn't, as is `wanted`, else the last one.
    fn first(&mut self, values: &'a [Expression], wanted: bool) -> Result<Seen<'a>, Failed> {
        self.spend(1)?;
        let mut last = Seen::Boolean(!wanted);
        for value in values {
            last = self.value(value)?;
            if last.holds()? == wanted {
                break;
            }
        }
        Ok(last)
    }

    fn name(&mut self, path: &[String]) -> Result<Seen<'a>, Failed> {
        self.spend(cost::steps(path.len()))?;
        let seen = self.named(path)?;
        if self.is_item(path) {
            let (seen, copied) = seen.into_element();
            self.spend(bytes(copied))?;
            return Ok(seen);
        }
        Ok(seen)
    }

    fn is_item(&self, path: &[String]) -> bool {
        self.each.is_some_and(|each| path.first().is_some_and(|name| name == each.name))
    }

    /// What a path leads to.
    fn named(&mut self, path: &[String]) -> Result<Seen<'a>, Failed> {
        match (self.each, path) {
            (Some(each), [first, field]) if first == "loop" => each.field(field),
            _ => {
                let stored = self.stored(path)?;
                if matches!(stored, Some(Value::Instant(_))) {
                    self.spend(cost::INSTANT)?;
                }
                Ok(stored.map_or(Seen::Absent, Seen::of))
            }
        }
    }

    /// The elements that a loop runs over: those of a list, or one value alone.
    fn list(&self, path: &[String]) -> Result<&'a [Value], Failed> {
        let value = self.stored(path)?.ok_or(Failed::Absent)?;
        Ok(if let Value::List(elements) = value { elements } else { std::slice::from_ref(value) })
    }

    /// The value at a path; `None`: nothing is there.
    fn stored(&self, path: &[String]) -> Result<Option<&'a Value>, Failed> {
        let (first, rest) = path.split_first().ok_or(Failed::Kind)?;
        let root = match (self.each, first.as_str()) {
            (Some(each), name) if name == each.name => each.item,
            (_, "event") => self.event,
            (_, "ticket") => self.ticket,
            _ => return Err(Failed::Kind),
        };
        let mut value = root;
        for name in rest {
            let Value::Map(fields) = value else { return Err(Failed::Kind) };
            let Some(field) = fields.get(name) else { return Ok(None) };
            value = field;
        }
        Ok(Some(value))
    }

    fn compare(
        &mut self,
        operator: Operator,
        left: &Seen<'a>,
        right: &Seen<'a>,
    ) -> Result<bool, Failed> {
        match (operator, right) {
            (Operator::In, Seen::List(list)) => {
                self.spend(cost::membership(list.len(), left.size()))?;
                let mut elements = list.iter().take(ELEMENTS_MAX).map(Seen::of);
                elements.try_fold(false, |found, it| Ok(found || it.equals(left)?))
            }
            (Operator::In, Seen::Text(text)) => {
                let Seen::Text(part) = left else { return Err(left.unfit()) };
                self.spend(cost::search(text.len(), part.len()))?;
                Ok(text.contains(part.as_ref()))
            }
            (Operator::In, _) => Err(right.unfit()),
            (operator, _) => {
                self.spend(cost::comparison(left.size().min(right.size())))?;
                left.compares(operator, right)
            }
        }
    }
}

impl<'a> Each<'a> {
    fn field(self, name: &str) -> Result<Seen<'a>, Failed> {
        let number = |it: usize| Seen::Integer(i64::try_from(it).unwrap_or(i64::MAX));
        match name {
            "index" => Ok(number(self.index.saturating_add(1))),
            "index0" => Ok(number(self.index)),
            "length" => Ok(number(self.length)),
            "first" => Ok(Seen::Boolean(self.index == 0)),
            "last" => Ok(Seen::Boolean(self.index.saturating_add(1) == self.length)),
            _ => Err(Failed::Kind),
        }
    }
}
