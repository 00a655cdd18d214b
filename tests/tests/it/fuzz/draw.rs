//! Requests, made up field by field from their descriptors.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use std::collections::HashMap;
use tests::rng::Rng;

use super::known::{Known, Record};
use super::words;

/// How deep messages may lie in one another.
const DEPTH_MAX: usize = 6;
/// How many elements an odd list has.
const LENGTHS: [usize; 9] = [0, 1, 2, 16, 17, 51, 101, 501, 1_001];
const NUMBERS: [i64; 14] = [
    0,
    1,
    -1,
    2,
    5,
    6,
    99,
    1_001,
    2_147_483_647,
    -2_147_483_648,
    4_294_967_295,
    i64::MAX,
    i64::MIN,
    1 << 53,
];
const DOUBLES: [f64; 9] = [
    0.0,
    -0.0,
    1.5,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
];
/// Seconds of instants and durations: years 1 and 9999 and just beyond, the contract's limits, and what no calendar
/// has.
const SECONDS: [i64; 16] = [
    0,
    -1,
    1,
    59,
    86_400,
    86_401,
    31_622_400,
    31_622_401,
    -62_135_596_800,
    -62_135_596_801,
    253_402_300_799,
    253_402_300_800,
    315_576_000_000,
    315_576_000_001,
    i64::MAX,
    i64::MIN,
];
const NANOS: [i32; 7] = [0, 1, -1, 999_999_999, 1_000_000_000, i32::MAX, i32::MIN];

/// One request in the making.
pub(super) struct Draw<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) known: &'a Known,
    /// The workspaces that calls are made to.
    pub(super) workspaces: &'a [String],
    /// The method, by its full name.
    pub(super) method: &'a str,
    /// How many of 100 fields get what nobody should send.
    pub(super) odd: usize,
    /// The server's clock in seconds since 1970.
    pub(super) now: i64,
    /// A request id that was never used.
    pub(super) fresh_id: String,
    pub(super) record: Record,
}

impl Draw<'_> {
    /// A message of this type.
    pub(super) fn message(&mut self, of: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        match of.full_name() {
            "google.protobuf.Timestamp" => self.instant(&mut message),
            "google.protobuf.Duration" => self.duration(&mut message),
            _ => {
                for field in self.chosen_fields(of) {
                    if let Some(value) = self.field(&field, depth) {
                        message.set_field(&field, value);
                    }
                }
            }
        }
        message
    }

    /// All fields, but of those that exclude one another only one.
    fn chosen_fields(&mut self, of: &MessageDescriptor) -> Vec<FieldDescriptor> {
        let mut fields: Vec<_> =
            of.fields().filter(|field| field.containing_oneof().is_none()).collect();
        for oneof in of.oneofs() {
            let all: Vec<_> = oneof.fields().collect();
            let left_out = if oneof.is_synthetic() { 50 } else { 10 };
            if !self.rng.percent(left_out) {
                fields.extend(self.rng.choose(&all).cloned());
            }
        }
        fields
    }

    fn is_odd(&mut self) -> bool {
        self.rng.percent(self.odd)
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Option<Value> {
        if field.is_map() {
            return Some(self.map(field, depth));
        }
        if !field.is_list() {
            let optional = matches!(field.kind(), Kind::Message(_));
            if depth >= DEPTH_MAX || (optional && self.rng.percent(15 + self.odd / 4)) {
                return None;
            }
            return Some(self.value(&field.kind(), field.name(), depth));
        }
        let length =
            if self.is_odd() { self.rng.pick(&LENGTHS).unwrap_or(0) } else { self.rng.below(4) };
        let mut items: Vec<Value> = Vec::new();
        for _ in 0..length {
            let item = self.value(&field.kind(), field.name(), depth + 1);
            // Most lists may name nothing twice.
            if self.odd > 0 || !items.iter().any(|other| is_same(other, &item)) {
                items.push(item);
            }
        }
        Some(Value::List(items))
    }

    fn map(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let Kind::Message(entry) = field.kind() else { return Value::Map(HashMap::new()) };
        let kind = entry.map_entry_value_field().kind();
        let length =
            if self.is_odd() { self.rng.pick(&LENGTHS).unwrap_or(0) } else { self.rng.below(3) };
        let entries = (0..length).map(|_| {
            let key = if self.is_odd() {
                words::odd("attribute", self.rng)
            } else {
                words::tame("attribute", self.rng).unwrap_or_default()
            };
            (MapKey::String(key), self.value(&kind, "value", depth + 1))
        });
        Value::Map(entries.collect())
    }

    fn value(&mut self, kind: &Kind, name: &str, depth: usize) -> Value {
        match kind {
            Kind::String => Value::String(self.text(name)),
            Kind::Bytes => {
                let length = self.rng.below(40);
                Value::Bytes(self.rng.bytes(length).into())
            }
            Kind::Bool => Value::Bool(self.rng.percent(if name == "disabled" { 10 } else { 50 })),
            Kind::Double if self.is_odd() => {
                Value::F64(self.rng.pick(&DOUBLES).unwrap_or_default())
            }
            Kind::Double => Value::F64(1.25),
            Kind::Float => Value::F32(1.25),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                Value::I32(i32::try_from(self.number(name)).unwrap_or(i32::MIN))
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.number(name)),
            Kind::Uint32 | Kind::Fixed32 => {
                Value::U32(u32::try_from(self.number(name)).unwrap_or(u32::MAX))
            }
            Kind::Uint64 | Kind::Fixed64 => {
                Value::U64(u64::try_from(self.number(name)).unwrap_or(u64::MAX))
            }
            Kind::Enum(of) if self.is_odd() => {
                let unknown = i32::try_from(of.values().len()).unwrap_or(0);
                Value::EnumNumber(self.rng.pick(&[0, unknown, -1, i32::MAX]).unwrap_or(0))
            }
            Kind::Enum(of) => {
                let numbers: Vec<_> = of.values().map(|value| value.number()).collect();
                let set = numbers.get(1..).unwrap_or_default();
                Value::EnumNumber(self.rng.pick(set).unwrap_or(0))
            }
            Kind::Message(of) => Value::Message(self.message(of, depth + 1)),
        }
    }

    fn number(&mut self, name: &str) -> i64 {
        if self.is_odd() {
            let number = self.rng.number().cast_signed();
            return self.rng.pick(&NUMBERS).filter(|_| !self.rng.percent(10)).unwrap_or(number);
        }
        let small = |rng: &mut Rng, from: i64, to: usize| {
            from + i64::try_from(rng.below(to)).unwrap_or_default()
        };
        match name {
            "min_level" | "level" => small(self.rng, 1, 5),
            "capacity_units" => 25 * small(self.rng, 0, 12),
            "warn_at_permille" => small(self.rng, 1, 999),
            "expected_revision" | "revision" if !self.rng.percent(15) => 0,
            "count" | "number" => small(self.rng, 1, 40),
            "partition" => small(self.rng, 0, 5),
            _ => small(self.rng, 0, 30),
        }
    }

    fn text(&mut self, name: &str) -> String {
        let odd = self.is_odd();
        match name {
            // Elsewhere the neighbours live.
            "workspace_id" | "workspace" if !odd => {
                self.rng.choose(self.workspaces).cloned().unwrap_or_default()
            }
            "request_id" if !odd => self.request_id(),
            "page_token" | "resume_token" => self.token(odd),
            "url" if odd => self
                .rng
                .pick(&["", "x", "file:///", "http:/", "://"])
                .unwrap_or_default()
                .to_owned(),
            _ if odd => words::odd(name, self.rng),
            _ if name.ends_with("_id") || name == "entity" => self.id(name),
            "queue_ids" => self.id("queue_id"),
            _ => words::tame(name, self.rng).unwrap_or_default(),
        }
    }

    fn request_id(&mut self) -> String {
        match self.rng.below(20) {
            0 | 1 => String::new(),
            // One that was used; most likely for something else.
            2 => self.known.id("used_request", self.rng).unwrap_or_default().to_owned(),
            // A UUIDv7 from before all horizons.
            3 => "00000000-0000-7000-8000-000000000001".to_owned(),
            _ => self.fresh_id.clone(),
        }
    }

    fn token(&mut self, odd: bool) -> String {
        if !odd && self.rng.percent(60) {
            return String::new();
        }
        let token = self.known.token(self.method, self.rng).unwrap_or_default().to_owned();
        if odd { words::mangled(&token, self.rng) } else { token }
    }

    /// An id from the record that the request goes by, else one that was seen, else one that may be new.
    fn id(&mut self, name: &str) -> String {
        if let Some(id) = self.record.get(name).filter(|_| !self.rng.percent(10)) {
            return id.clone();
        }
        let seen = self.known.id(name, self.rng).filter(|_| !self.rng.percent(25));
        let fresh = || match name {
            "agent_id" | "from_agent_id" => format!("a-{}", self.rng.below(6)),
            "ticket_id" | "external_id" => format!("t-{}", self.rng.below(100_000)),
            _ => format!("{}-{}", name.trim_end_matches("_id"), self.rng.below(8)),
        };
        seen.map_or_else(fresh, str::to_owned)
    }

    fn instant(&mut self, message: &mut DynamicMessage) {
        let (seconds, nanos) = if self.is_odd() {
            (self.rng.pick(&SECONDS), self.rng.pick(&NANOS))
        } else {
            // A little ago; `AdvanceTo` puts it ahead.
            let ago = i64::try_from(self.rng.below(3_600)).unwrap_or_default();
            (Some(self.now - ago), Some(0))
        };
        message.set_field_by_name("seconds", Value::I64(seconds.unwrap_or_default()));
        message.set_field_by_name("nanos", Value::I32(nanos.unwrap_or_default()));
    }

    fn duration(&mut self, message: &mut DynamicMessage) {
        let (seconds, nanos) = if self.is_odd() {
            (self.rng.pick(&SECONDS), self.rng.pick(&NANOS))
        } else {
            (self.rng.pick(&[1, 5, 15]), Some(0))
        };
        message.set_field_by_name("seconds", Value::I64(seconds.unwrap_or_default()));
        message.set_field_by_name("nanos", Value::I32(nanos.unwrap_or_default()));
    }
}

/// Whether a list that may name nothing twice would take these for one: by their first field.
fn is_same(one: &Value, other: &Value) -> bool {
    let (Some(one_message), Some(other_message)) = (one.as_message(), other.as_message()) else {
        return one == other;
    };
    one_message.get_field_by_number(1) == other_message.get_field_by_number(1)
}
