//! Texts, requesters and stored attributes, as the contract has them and as the domain does.

use std::collections::BTreeMap;

use intake::event::Requester;
use kernel::{Attributes, RequesterId, SkillRequirement};
use service_kit::convert;
use wire::common::v1 as common;
use wire::events::v1 as stored;

/// The text, unless it is empty.
pub(crate) fn named(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn texts_to_wire(texts: &[Box<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(crate) fn read_texts(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

/// None if a value can't be: a fact of our own must not lose one in silence.
pub(crate) fn read_attributes(
    attributes: &BTreeMap<String, common::AttributeValue>,
) -> Option<Attributes> {
    let read = |(name, value): (&String, &common::AttributeValue)| {
        Some((name.clone(), convert::attribute_from_wire(value).ok()?))
    };
    attributes.iter().map(read).collect()
}

/// None if a level isn't 1 to 5.
pub(crate) fn read_skills(skills: &[common::SkillRequirement]) -> Option<Box<[SkillRequirement]>> {
    let read = convert::stored_skills(skills);
    (read.len() == skills.len()).then(|| read.into_boxed_slice())
}

pub(crate) fn requester_to_wire(requester: &Requester) -> stored::Requester {
    stored::Requester {
        requester_id: requester.id.to_string(),
        name: requester.name.to_string(),
        addresses: texts_to_wire(&requester.addresses),
        locale: requester.locale.to_string(),
    }
}

pub(crate) fn read_requester(requester: stored::Requester) -> Requester {
    Requester {
        id: RequesterId::trusted(&requester.requester_id),
        name: requester.name.into(),
        addresses: read_texts(&requester.addresses),
        locale: requester.locale.into(),
    }
}
