//! A ticket's attributes.

use std::collections::BTreeMap;

use kernel::{AttributeValue, Attributes};
use wire::common::v1 as common;

use super::Fields;
use super::text::line_complaint;
use crate::convert::attribute_from_wire;

/// How many attributes a ticket may have.
pub const ATTRIBUTES_MAX: usize = 100;
/// How many bytes names and values may have together (64 KiB).
pub const ATTRIBUTES_MAX_BYTES: usize = 64 * 1024;

/// The longest name, in characters.
const NAME_MAX: usize = 64;
/// The longest text, in bytes.
const TEXT_MAX_BYTES: usize = 1_024;
/// How many texts a list may have.
const TEXTS_MAX: usize = 100;

impl Fields {
    /// Attributes: at most 100; names of `a-z`, `0-9` and `_`; 64 KiB in all.
    pub fn attributes(
        &mut self,
        field: &str,
        attributes: &BTreeMap<String, common::AttributeValue>,
    ) -> Attributes {
        let count = self.count(field, attributes.len(), ATTRIBUTES_MAX);
        let mut taken = Attributes::new();
        let mut bytes = 0_usize;
        for (name, value) in attributes.iter().take(count) {
            self.attribute_name(field, name);
            // A name that is refused may be anything; it is shown cut.
            let place = format!("{field}.{}", name.chars().take(NAME_MAX).collect::<String>());
            let Some(value) = self.take(place.as_str(), attribute_from_wire(value)) else {
                continue;
            };
            if let Some(complaint) = complaint(&value) {
                self.refuse(place, complaint);
            }
            bytes = bytes.saturating_add(name.len()).saturating_add(size(&value));
            taken.insert(name.clone(), value);
        }
        self.require(bytes <= ATTRIBUTES_MAX_BYTES, field, "must have at most 65536 bytes in all");
        taken
    }

    /// An attribute's name: 1 to 64 of `a-z`, `0-9` and `_`.
    pub fn attribute_name(&mut self, field: &str, name: &str) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let good = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain);
        self.require(good, field, "must have names of 1 to 64 letters a-z, digits and `_`");
    }
}

fn complaint(value: &AttributeValue) -> Option<&'static str> {
    match value {
        AttributeValue::Text(text) => text_complaint(text),
        AttributeValue::Texts(texts) if texts.len() > TEXTS_MAX => {
            Some("must have at most 100 texts")
        }
        AttributeValue::Texts(texts) => texts.iter().find_map(|text| text_complaint(text)),
        AttributeValue::Integer(_)
        | AttributeValue::Number(_)
        | AttributeValue::Boolean(_)
        | AttributeValue::Instant(_) => None,
    }
}

fn text_complaint(text: &str) -> Option<&'static str> {
    if text.len() > TEXT_MAX_BYTES {
        return Some("must have texts of at most 1024 bytes");
    }
    line_complaint(text)
}

fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::Text(text) => text.len(),
        AttributeValue::Texts(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Integer(_)
        | AttributeValue::Number(_)
        | AttributeValue::Boolean(_)
        | AttributeValue::Instant(_) => 8,
    }
}
