//! What was ever stored, as `tests/golden/events.txt` has it: types of events by service and version, and every field
//! of every message in them. What is recorded there stays as it is for as long as a log may hold it: for ever.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, MessageDescriptor};
use runtime::{EventType, Service, ServiceId};

use crate::golden::kept::Written;

/// The package of what is stored.
const PACKAGE: &str = "switchyard.events.v1";

const REGISTRY_IS: &str = "\
# Every type of event that a log may hold, by service and version; then the fields of all that is stored, by number. A line that
# stands here stays: logs hold what it says. New ones are added by tests/golden/renew.
";

/// The types in the table of one service, in its order.
pub(crate) fn types_of<S: Service>() -> Vec<Written> {
    let written = |known: &EventType<_>| (S::ID, known.name.to_owned(), known.version);
    S::EVENTS.iter().map(written).collect()
}

/// A service's events by the contract: the messages of its file that are no part of another, and no reply that is
/// remembered with a request.
pub(crate) fn contract_of(service: ServiceId) -> BTreeSet<String> {
    let pool = wire::descriptors();
    let stored = |message: &MessageDescriptor| message.package_name() == PACKAGE;
    let fields = pool.all_messages().filter(stored).flat_map(|message| {
        let fields: Vec<FieldDescriptor> = message.fields().collect();
        fields
    });
    let parts: BTreeSet<String> = fields
        .filter_map(|field| Some(field.kind().as_message()?.full_name().to_owned()))
        .collect();
    let file = format!("switchyard/events/v1/{}.proto", service.name());
    let own = pool.all_messages().filter(|message| message.parent_file().name() == file);
    own.filter(|message| !parts.contains(message.full_name()) && !message.name().ends_with("Reply"))
        .map(|message| message.name().to_owned())
        .collect()
}

/// Sections of numbered lines.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Registry(BTreeMap<String, BTreeMap<i64, String>>);

impl Registry {
    /// The registry of this build.
    pub(crate) fn of(types: &[Written]) -> Result<Self> {
        let mut all = Self::default();
        for (service, name, version) in types {
            let message = find(name)?;
            let section = all.0.entry(format!("event {} {name}", service.name())).or_default();
            for version in 1..=*version {
                section.insert(version.into(), message.full_name().to_owned());
            }
            all.message(&message);
        }
        all.message(&find("Commit")?);
        Ok(all)
    }

    /// Notes a message, and what it is made of.
    fn message(&mut self, message: &MessageDescriptor) {
        let section = format!("message {}", message.full_name());
        if self.0.contains_key(&section) {
            return;
        }
        let line = |field: FieldDescriptor| (i64::from(field.number()), described(&field));
        self.0.insert(section, message.fields().map(line).collect());
        for field in message.fields() {
            let kind = field.kind();
            if let Some(part) = kind.as_message() {
                self.message(part);
            } else if let Some(words) = kind.as_enum() {
                self.words(words);
            }
        }
    }

    fn words(&mut self, words: &EnumDescriptor) {
        let values = words.values().map(|value| (value.number().into(), value.name().to_owned()));
        self.0.insert(format!("enum {}", words.full_name()), values.collect());
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut all = Self::default();
        let mut section = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(line) = line.strip_prefix("  ") {
                let (number, what) = line.split_once(' ').with_context(|| line.to_owned())?;
                let name: &String = section.as_ref().with_context(|| line.to_owned())?;
                let lines = all.0.entry(name.clone()).or_default();
                lines.insert(number.parse()?, what.to_owned());
            } else {
                all.0.entry(line.to_owned()).or_default();
                section = Some(line.to_owned());
            }
        }
        Ok(all)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = REGISTRY_IS.to_owned();
        for (section, lines) in &self.0 {
            text.push_str(section);
            text.push('\n');
            text.extend(lines.iter().map(|(number, what)| format!("  {number} {what}\n")));
        }
        text
    }

    /// Every type and version that was ever written.
    pub(crate) fn written(&self) -> BTreeSet<Written> {
        let mut all = BTreeSet::new();
        for (section, versions) in &self.0 {
            let mut words = section.split(' ');
            let (Some("event"), Some(service), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let service = ServiceId::ALL.into_iter().filter(|known| known.name() == service);
            let versions = || versions.keys().filter_map(|version| u32::try_from(*version).ok());
            all.extend(service.flat_map(|service| {
                versions().map(move |version| (service, name.to_owned(), version))
            }));
        }
        all
    }

    /// What `now` no longer says of what is recorded: mistakes, each with what to do.
    pub(crate) fn broken_by(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (section, lines) in &self.0 {
            let nothing = BTreeMap::new();
            let there = now.0.get(section).unwrap_or(&nothing);
            for (number, was) in lines {
                match there.get(number) {
                    Some(is) if is == was => {}
                    Some(is) => found.push(format!(
                        "{section}: {number} was `{was}` and is `{is}`. Logs hold the old one under this number: put it back, and \
                         give what is new a number of its own"
                    )),
                    None => found.push(format!(
                        "{section}: {number} `{was}` is gone. Logs hold it: put it back, and mark it as deprecated if nothing \
                         writes it any more"
                    )),
                }
            }
        }
        found
    }

    /// What `now` says besides what is recorded.
    pub(crate) fn added_by(&self, now: &Self) -> Vec<String> {
        let recorded = |section: &String, number| {
            self.0.get(section).is_some_and(|lines| lines.contains_key(number))
        };
        let mut found = Vec::new();
        for (section, lines) in &now.0 {
            let new = lines.iter().filter(|(number, _)| !recorded(section, number));
            found.extend(new.map(|(number, what)| format!("{section}: {number} `{what}`")));
        }
        found
    }
}

fn find(name: &str) -> Result<MessageDescriptor> {
    let name = format!("{PACKAGE}.{name}");
    wire::descriptors().get_message_by_name(&name).with_context(|| format!("no message {name}"))
}

/// A field but for its number.
fn described(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        _ if field.is_map() => "map ",
        Cardinality::Repeated => "repeated ",
        Cardinality::Required => "required ",
        Cardinality::Optional if field.supports_presence() => "optional ",
        Cardinality::Optional => "",
    };
    let kind = field.kind();
    let kind = if let Some(part) = kind.as_message() {
        part.full_name().to_owned()
    } else if let Some(words) = kind.as_enum() {
        words.full_name().to_owned()
    } else {
        format!("{kind:?}").to_lowercase()
    };
    let of = field.containing_oneof().map(|one| format!(" in {}", one.name())).unwrap_or_default();
    format!("{label}{kind} {}{of}", field.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(lines: &str) -> Registry {
        Registry::parse(&format!("{REGISTRY_IS}event sla Rang 1\nmessage Rang\n{lines}")).unwrap()
    }

    #[test]
    fn what_logs_hold_must_stay_and_more_may_come() {
        let before = registry("  1 string who\n  2 uint64 times\n");
        assert_eq!(Registry::parse(&before.text()).unwrap(), before);
        assert!(before.broken_by(&before).is_empty() && before.added_by(&before).is_empty());

        let more = registry("  1 string who\n  2 uint64 times\n  3 bool loud\n");
        assert!(before.broken_by(&more).is_empty());
        assert_eq!(before.added_by(&more), ["message Rang: 3 `bool loud`"]);

        for (changed, said) in [
            ("  1 string who\n  2 int64 times\n", "was `uint64 times` and is `int64 times`"),
            ("  1 string who\n  2 repeated uint64 times\n", "is `repeated uint64 times`"),
            ("  1 string who\n  2 bool loud\n", "give what is new a number of its own"),
            ("  1 string who\n", "2 `uint64 times` is gone"),
        ] {
            let broken = before.broken_by(&registry(changed));
            assert!(broken.len() == 1 && broken[0].contains(said), "{broken:?}");
        }
    }
}
