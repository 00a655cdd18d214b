//! What replies have shown so far: ids that belong together, tokens, positions. Made-up requests use them again.

use std::collections::{BTreeMap, VecDeque};

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use tests::rng::Rng;

/// How much is kept of each kind; more takes the place of something older.
const KEPT: usize = 400;
/// How many records are looked at for one that fits, of all and of the newest: offers don't last.
const TRIED: usize = 6;
const NEWEST: usize = 24;

/// Ids that stood in one message, by their fields' names.
pub(super) type Record = BTreeMap<String, String>;

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The newest last.
    records: VecDeque<Record>,
    ids: BTreeMap<String, Vec<String>>,
    /// Page and resume tokens, by the method that gave them.
    tokens: BTreeMap<String, Vec<String>>,
    positions: Vec<String>,
    /// The workspace that nobody may touch.
    neighbour: String,
}

impl Known {
    /// Nothing was seen yet. What belongs to the workspace `neighbour` never will be.
    pub(super) fn beside(neighbour: &str) -> Self {
        Self { neighbour: neighbour.to_owned(), ..Self::default() }
    }

    /// Remembers an id.
    pub(super) fn add(&mut self, field: &str, id: &str, rng: &mut Rng) {
        let ids = self.ids.entry(field.to_owned()).or_default();
        if !ids.iter().any(|known| known == id) {
            keep(ids, id.to_owned(), rng);
        }
    }

    /// Remembers what a call was asked and what it answered.
    pub(super) fn learn(
        &mut self,
        method: &str,
        request: Option<&DynamicMessage>,
        reply: &DynamicMessage,
        rng: &mut Rng,
    ) {
        let asked = request.map(ids_of).unwrap_or_default();
        let workspace = asked.get("workspace_id").cloned();
        let context: Record =
            workspace.into_iter().map(|id| ("workspace_id".to_owned(), id)).collect();
        // What was asked and what was made by it belong together.
        let mut both = asked;
        both.extend(ids_of(reply));
        self.record(both, rng);
        self.walk(method, reply, &context, rng);
    }

    fn walk(&mut self, method: &str, message: &DynamicMessage, above: &Record, rng: &mut Rng) {
        let mut record = above.clone();
        record.extend(ids_of(message));
        if record.len() > above.len() {
            self.record(record.clone(), rng);
        }
        for (field, value) in message.fields() {
            match (field.name(), value) {
                ("next_page_token" | "resume_token", Value::String(token)) if !token.is_empty() => {
                    keep(self.tokens.entry(method.to_owned()).or_default(), token.clone(), rng);
                }
                ("position", Value::String(position)) if !position.is_empty() => {
                    keep(&mut self.positions, position.clone(), rng);
                }
                (_, Value::Message(inner)) => self.walk(method, inner, &record, rng),
                (_, Value::List(items)) => {
                    let inner = items.iter().filter_map(Value::as_message);
                    inner.for_each(|message| self.walk(method, message, &record, rng));
                }
                _ => {}
            }
        }
    }

    fn record(&mut self, record: Record, rng: &mut Rng) {
        if record.values().any(|id| *id == self.neighbour) {
            return;
        }
        for (field, id) in &record {
            self.add(field, id, rng);
        }
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// A record that has as many as possible of these fields, of a few that are tried.
    pub(super) fn fitting(&self, fields: &[&str], rng: &mut Rng) -> Option<Record> {
        let fits = |record: &Record| fields.iter().filter(|it| record.contains_key(**it)).count();
        let all = self.records.len();
        let mut tried = Vec::new();
        for last in [all, NEWEST.min(all)] {
            let places = (0..TRIED).map(|_| all - last + rng.below(last));
            tried.extend(places.filter_map(|place| self.records.get(place)));
        }
        tried.into_iter().max_by_key(|record| fits(record)).cloned()
    }

    /// An id that was seen in a field of this name.
    pub(super) fn id(&self, field: &str, rng: &mut Rng) -> Option<&str> {
        rng.choose(self.ids.get(field)?).map(String::as_str)
    }

    /// A token of this method, or now and then of another.
    pub(super) fn token(&self, method: &str, rng: &mut Rng) -> Option<&str> {
        let own = self.tokens.get(method).filter(|_| !rng.percent(10));
        let tokens = match own {
            Some(own) => own,
            None => self.tokens.values().nth(rng.below(self.tokens.len()))?,
        };
        rng.choose(tokens).map(String::as_str)
    }

    /// A position.
    pub(super) fn position(&self, rng: &mut Rng) -> Option<&str> {
        rng.choose(&self.positions).map(String::as_str)
    }
}

/// The ids of a message and of the single messages in it.
fn ids_of(message: &DynamicMessage) -> Record {
    let mut record = Record::new();
    for (field, value) in message.fields() {
        if let Value::String(id) = value
            && field.name().ends_with("_id")
            && !id.is_empty()
        {
            record.insert(field.name().to_owned(), id.clone());
        } else if let Value::Message(inner) = value
            && inner.descriptor().full_name().starts_with("switchyard.")
        {
            for (name, id) in ids_of(inner) {
                record.entry(name).or_insert(id);
            }
        }
    }
    record.remove("request_id");
    record
}

fn keep<T>(kept: &mut Vec<T>, item: T, rng: &mut Rng) {
    if kept.len() < KEPT {
        kept.push(item);
    } else if let Some(old) = kept.get_mut(rng.below(KEPT)) {
        *old = item;
    }
}
